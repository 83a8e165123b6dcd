//! The test suites of other projects' policies through `check`, with a map that says
//! the same. `tests/apiserver/suites.rs` sends them through a real API server, and
//! docs/other-policies.md says where a verdict differs and why.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// The names of a file's objects, and how many of their images are denied.
fn denied(suite: &str, file: &str) -> BTreeMap<String, usize> {
    let suite = format!("tests/fixtures/suites/{suite}");
    let file = format!("{suite}/{file}");
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["check", "-o", "json", "--config"])
        .args([&format!("{suite}/map.yaml"), "-f", &file])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut denied = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        match line["type"].as_str().unwrap() {
            "image" => {
                let name = line["name"].as_str().unwrap().to_owned();
                *denied.entry(name).or_default() += usize::from(line["action"] == "deny");
            }
            "summary" => {}
            other => panic!("{file}: {other}: {line}"),
        }
    }
    // Nothing was passed over.
    let objects = fs::read_to_string(&file)
        .unwrap()
        .matches("\nkind: ")
        .count();
    assert_eq!(denied.len(), objects, "{file}");
    assert_eq!(
        output.status.code(),
        Some(i32::from(denied.values().any(|images| *images > 0))),
        "{file}"
    );
    denied
}

const REFUSING: [&str; 5] = [
    "gatekeeper-allowedrepos",
    "gatekeeper-allowedreposv2",
    "gatekeeper-disallowedrepos",
    "kyverno-restrict-image-registries",
    "kyverno-advanced-restrict-image-registries",
];

#[test]
fn what_other_policies_admit_is_admitted() {
    for suite in REFUSING {
        for (name, images) in denied(suite, "allowed.yaml") {
            assert_eq!(images, 0, "{suite}: {name}");
        }
    }
}

#[test]
fn what_other_policies_deny_is_denied() {
    for suite in REFUSING {
        for (name, images) in denied(suite, "refused.yaml") {
            assert_ne!(images, 0, "{suite}: {name}");
        }
    }
}

#[test]
fn a_map_that_only_adds_pull_secrets_denies_nothing() {
    for (name, images) in denied("kyverno-add-imagepullsecrets", "pods.yaml") {
        assert_eq!(images, 0, "{name}");
    }
}
