//! Tests the classifier against failures that people have reported in public threads. A label
//! must not be changed to fit the classifier.
//!
//! tests/fixtures/doctor/README.md says how the lines were collected and labelled.

use super::{Cause, failures, group, paste};

const KNOWN: &str = include_str!("../../../../tests/fixtures/doctor/known.txt");
const LAST: &str = include_str!("../../../../tests/fixtures/doctor/last.txt");
const LATER: &str = include_str!("../../../../tests/fixtures/doctor/later.txt");
const HELD_OUT: &str = include_str!("../../../../tests/fixtures/doctor/held-out.txt");

/// A block of a fixture: `@ cause source`, then the words.
struct Reported {
    cause: &'static str,
    source: &'static str,
    words: &'static str,
}

fn reported(fixture: &'static str) -> Vec<Reported> {
    let blocks = fixture.strip_prefix("@ ").unwrap().split("\n@ ");
    blocks
        .map(|block| {
            let (head, words) = block.split_once('\n').unwrap();
            let (cause, source) = head.split_once(' ').unwrap();
            Reported {
                cause,
                source,
                words,
            }
        })
        .collect()
}

/// The cause that stands first, as a word.
fn first_cause(words: &str) -> &'static str {
    let findings = group(failures(&paste::observations(words)));
    findings
        .first()
        .map_or(Cause::Unknown, |one| one.cause)
        .as_str()
}

/// How many of a fixture's blocks get the right cause first, and those that do not.
fn hits(fixture: &'static str) -> (usize, usize, Vec<String>) {
    let reported = reported(fixture);
    let misses: Vec<String> = reported
        .iter()
        .filter_map(|one| {
            let got = first_cause(one.words);
            let words: String = one.words.chars().take(300).collect();
            (got != one.cause)
                .then(|| format!("{} instead of {}: {}\n{words}", got, one.cause, one.source))
        })
        .collect();
    (reported.len() - misses.len(), reported.len(), misses)
}

#[test]
fn the_labels_are_causes() {
    for one in [KNOWN, HELD_OUT, LATER, LAST]
        .into_iter()
        .flat_map(reported)
    {
        assert!(
            Cause::ALL.iter().any(|cause| cause.as_str() == one.cause),
            "{}",
            one.cause
        );
        assert!(one.source.starts_with("https://"), "{}", one.source);
    }
}

/// The first runs are in docs/measurements.md; what was right once has to stay right.
#[test]
fn reported_failures_get_their_cause() {
    for (fixture, wrong) in [(KNOWN, 0), (HELD_OUT, 1), (LATER, 0), (LAST, 1)] {
        let (right, all, misses) = hits(fixture);
        println!("{right} of {all}\n{}", misses.join("\n"));
        assert!(all - right <= wrong, "{}", misses.join("\n"));
    }
}
