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

#[test]
fn reported_failures_that_the_table_was_made_with_get_their_cause() {
    let (right, all, misses) = hits(KNOWN);
    println!("known: {right} of {all}\n{}", misses.join("\n"));
    assert!(right * 100 >= all * 97, "{}", misses.join("\n"));
}

#[test]
fn failures_that_were_collected_later_get_their_cause() {
    for later in [LATER, LAST] {
        let (right, all, misses) = hits(later);
        println!("later: {right} of {all}\n{}", misses.join("\n"));
        assert!(right * 100 >= all * 90, "{}", misses.join("\n"));
    }
}

#[test]
fn reported_failures_that_the_table_has_not_seen_get_their_cause() {
    let (right, all, misses) = hits(HELD_OUT);
    println!("held out: {right} of {all}\n{}", misses.join("\n"));
    assert!(right * 100 >= all * 90, "{}", misses.join("\n"));
}
