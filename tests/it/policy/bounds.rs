//! What a map may cost: comparisons are counted, and a map that needs too many is refused.

use std::fmt::Write as _;

use pullpass_core::map::{Severity, SourceFile, check};

const HEAD: &str = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\npublicRegistries: []\n";

/// The errors and the warnings of a map with these entries, on one line each.
fn said(entries: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let mut text = format!("{HEAD}registries:\n");
    for entry in entries {
        _ = writeln!(text, "- {{{entry}}}");
    }
    let files = [SourceFile {
        name: "map.yaml".to_owned(),
        text,
    }];
    let checked = check(&files);
    let (errors, warnings): (Vec<_>, Vec<_>) = checked
        .diagnostics
        .iter()
        .partition(|one| one.severity == Severity::Error);
    let lines = |found: Vec<&pullpass_core::map::Diagnostic>| {
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(checked.is_valid(), errors.is_empty());
    (lines(errors), lines(warnings))
}

/// A list of words.
fn list(count: usize, word: impl Fn(usize) -> String) -> String {
    let words: Vec<String> = (0..count).map(|at| format!("{:?}", word(at))).collect();
    format!("[{}]", words.join(", "))
}

/// Hosts with `*` of one rank, each of which meets each other.
fn meeting(at: usize) -> String {
    let (head, tail) = if at.is_multiple_of(2) {
        ("a", "")
    } else {
        ("", "b")
    };
    format!("match: \"{head}*x{at:05}*{tail}.example\"")
}

#[test]
fn many_entries_that_name_other_namespaces_are_compared_quickly() {
    let entry = |at: usize| {
        let namespaces = list(20, |other| format!("n{at}-{other}"));
        format!("{}, namespaces: {namespaces}", meeting(at))
    };
    assert_eq!(said((0..400).map(entry)), (vec![], vec![]));
}

#[test]
fn a_namespace_that_two_of_many_entries_name_is_found() {
    let entry = |at: usize| {
        let namespaces = list(3, |other| format!("n{at}-{}", other.min(at + 1)));
        let shared = if at == 7 || at == 301 {
            "shared"
        } else {
            "own"
        };
        let namespaces = namespaces.replace("n7-1", shared).replace("n301-1", shared);
        format!("{}, namespaces: {namespaces}", meeting(at))
    };
    let (errors, warnings) = said((0..400).map(entry));
    assert_eq!((errors.len(), warnings.len()), (1, 0), "{errors:?}");
    assert!(
        errors[0].contains("nothing decides between the entries `a*x")
            || errors[0].contains("nothing decides between the entries `*x"),
        "{errors:?}"
    );
}

#[test]
fn a_map_that_takes_too_many_comparisons_is_refused() {
    // Each entry meets each other, and 300 of their namespaces have to be compared.
    let entry = |at: usize| {
        let namespaces = list(70, |other| format!("n{at}-{other}-*"));
        format!("{}, namespaces: {namespaces}", meeting(at))
    };
    let (errors, _) = said((0..300).map(entry));
    assert_eq!(errors.len(), 1, "{errors:?}");
    let told = "the map takes more than 8000000 steps to tell whether something decides between its \
                entries";
    assert!(errors[0].contains(told), "{errors:?}");
    assert!(errors[0].contains("write fewer `*`"), "{errors:?}");
    // An entry does not contradict itself, but its namespaces are compared all the same, if
    // another entry has the same pattern.
    let entry = |name: &str| {
        let namespaces = list(3_000, |at| format!("{name}*{at}*"));
        format!("name: {name}, match: h.example, namespaces: {namespaces}")
    };
    let (errors, _) = said(["a", "b"].into_iter().map(entry));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(told), "{errors:?}");
    assert_eq!(said(std::iter::once(entry("a"))), (vec![], vec![]));
}

#[test]
fn denies_that_take_too_many_comparisons_are_not_all_compared() {
    let entry = |at: usize| {
        if at.is_multiple_of(2) {
            format!("match: \"*x{at}*.example:*\", action: deny")
        } else {
            format!("match: \"r{at}.example:*\"")
        }
    };
    // Two hosts of one rank would conflict, so each has a path of its own.
    let entry = |at: usize| entry(at).replacen(":*\"", &format!(":*/p{at:05}\""), 1);
    let (errors, warnings) = said((0..5_000).map(entry));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let told = "takes more than 4000000 steps to find every allow that shadows part of a deny";
    assert!(warnings[0].contains(told), "{warnings:?}");
}

#[test]
fn many_selectors_on_one_pattern_are_not_all_compared() {
    let entry = |at: usize| {
        let values = list(20, |other| format!("v{at}-{other}"));
        let selector =
            format!("{{matchExpressions: [{{key: k, operator: In, values: {values}}}]}}");
        format!("name: e{at}, match: h.example, namespaceSelector: {selector}")
    };
    let (errors, warnings) = said((0..200).map(entry));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("take more than 1000000 steps"),
        "{warnings:?}"
    );
}

#[test]
fn pairs_of_patterns_and_namespaces_are_bounded() {
    let entry = |patterns: usize, namespaces: usize| {
        let patterns = list(patterns, |at| format!("h{at}.example"));
        let namespaces = list(namespaces, |at| format!("n{at}"));
        format!("match: {patterns}, namespaces: {namespaces}")
    };
    assert_eq!(said(std::iter::once(entry(501, 500))), (vec![], vec![]));
    // One pattern makes no pairs beyond the namespaces.
    assert_eq!(said(std::iter::once(entry(1, 5_000))), (vec![], vec![]));
    let (errors, _) = said(std::iter::once(entry(502, 500)));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("have 250500 pairs"), "{errors:?}");
    assert!(errors[0].contains("a map has at most 250000"), "{errors:?}");
}
