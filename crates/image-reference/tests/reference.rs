//! Compares the parser with the Go library, and checks what holds for every text.

#![expect(clippy::unwrap_used, reason = "a test reports a failure by a panic")]

use image_reference::Reference;
use proptest::prelude::*;
use serde::Deserialize;

/// One line of the golden file: a text, and how the Go library parses it.
#[derive(Deserialize)]
struct GoReference {
    input: String,
    valid: bool,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    digest: String,
}

fn check(line: &str) -> Result<(), String> {
    let go: GoReference = serde_json::from_str(line).unwrap();
    let ours = Reference::parse(&go.input);
    let Ok(ours) = ours else {
        return if go.valid {
            Err(format!("this crate refuses it: {ours:?}"))
        } else {
            Ok(())
        };
    };
    if !go.valid {
        return Err(format!("this crate accepts it: {ours:?}"));
    }
    // There is one difference: a host that the Go library takes for a part of the path.
    let (domain, path) = match go.domain.as_str() {
        "" => go.path.split_once('/').unwrap(),
        domain => (domain, go.path.as_str()),
    };
    let theirs = (domain, path, go.tag.as_str(), go.digest.as_str());
    let repository = ours.repository();
    let found = (
        ours.registry(),
        repository.as_ref(),
        ours.tag().unwrap_or_default(),
        ours.digest().unwrap_or_default(),
    );
    if found == theirs {
        Ok(())
    } else {
        Err(format!("this crate answers {found:?}"))
    }
}

#[test]
fn references_are_taken_apart_as_the_go_library_does() {
    let golden = include_str!("golden/references.jsonl");
    golden_oracle::compare_golden(golden, 4000, check);
}

#[test]
fn oracle_references() {
    golden_oracle::compare("oracle-reference", check);
}

/// Texts near the grammar, many of which are valid.
fn near_reference() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just(String::new()),
        "[a-zA-Z0-9_.-]{1,12}(:[0-9]{0,5})?/",
        "\\[[0-9a-f:]{1,8}\\](:[0-9]{1,4})?/",
        "(index\\.)?docker\\.io/",
    ];
    let path = "[a-z0-9]{1,4}((\\.|_|__|-{1,3}|/)[a-z0-9]{1,4}){0,4}";
    let tag = prop_oneof![Just(String::new()), ":[a-zA-Z0-9_.-]{0,9}"];
    let digest = prop_oneof![3 => Just(String::new()), 1 => "@sha256:[0-9a-f]{64}"];
    (host, path, tag, digest)
        .prop_map(|(host, path, tag, digest)| format!("{host}{path}{tag}{digest}"))
}

/// Checks what holds for every text, and panics where it does not.
fn holds(text: &str) {
    let reference = match Reference::parse(text) {
        Ok(reference) => reference,
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty() && !words.chars().any(char::is_control));
            return;
        }
    };
    assert!(text.is_ascii());
    let segments: Vec<_> = reference.segments().collect();
    assert_eq!(segments.join("/"), reference.repository());
    assert!(segments.iter().all(|segment| !segment.is_empty()));
    assert_eq!(
        reference.name(),
        format!("{}/{}", reference.registry(), reference.repository())
    );
    let with_port = match reference.port() {
        Some(port) => format!("{}:{port}", reference.host()),
        None => reference.host().to_owned(),
    };
    assert_eq!(with_port, reference.registry());

    let full = reference.to_string();
    let again = Reference::parse(&full).unwrap();
    assert_eq!(again.to_string(), full);
    assert_eq!(again.repository(), reference.repository());
    assert_eq!(
        (again.registry(), again.tag(), again.digest()),
        (reference.registry(), reference.tag(), reference.digest())
    );
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_in_words(text in any::<String>()) {
        holds(&text);
    }

    #[test]
    fn ascii_text_is_parsed_or_refused_in_words(text in "[ -~]{0,40}") {
        holds(&text);
    }

    #[test]
    fn what_is_valid_survives_its_own_full_form(text in near_reference()) {
        holds(&text);
    }
}

#[test]
fn a_text_as_long_as_an_api_server_takes_is_refused() {
    for unit in ["a", "/", ":", "@", "a/", "é", "[", "{{"] {
        holds(&unit.repeat(100 * 1024));
    }
}
