//! The targets, and what they share: maps, and checks of what is shown to people.

use crate::cost::Bound;
use jiff::Timestamp;
use pullpass_core::map::{self, Options, SourceFile};
use pullpass_core::policy::Policy;
use pullpass_core::text::is_hidden;
use serde_json::Value;

pub(crate) mod docker_config;
pub(crate) mod manifest;
pub(crate) mod map_file;
pub(crate) mod patch;
pub(crate) mod pattern;
pub(crate) mod reference;
pub(crate) mod review;

/// The time of all decisions.
fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// A map of the repository, which has no errors.
fn policy(text: &str) -> Policy {
    let file = SourceFile {
        name: "map.yaml".to_owned(),
        text: text.to_owned(),
    };
    map::load(&[file], &Options::default()).unwrap().policy
}

/// The bound of something that reads YAML. With anchors, aliases may stand for 10,000 values
/// more than the text has bytes.
fn with_aliases(bound: Bound, text: &[u8]) -> Bound {
    if text.contains(&b'&') {
        bound.plus(8_000_000, 80_000, 30_000_000)
    } else {
        bound
    }
}

/// Fails if a line that people see has a character that moves a cursor, ends the line or is
/// invisible.
fn check_line(what: &str, line: &str) {
    let hidden = line.chars().find(|letter| is_hidden(*letter));
    assert!(hidden.is_none(), "{what} shows {hidden:?}: {line:?}");
}

/// The same for a text of several lines.
fn check_lines(what: &str, text: &str) {
    text.split('\n').for_each(|line| check_line(what, line));
}

/// The value at a path of keys; `null` where there is none.
fn at<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(value, |value, key| &value[*key])
}

/// What a list holds; nothing where it is no list.
fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The images of a pod's `spec` with their paths, read without pullpass. Only texts that are
/// not empty count.
fn images<'v>(spec: &'v Value, within: &str) -> Vec<(String, &'v str)> {
    let mut found = Vec::new();
    for list in [
        "containers",
        "initContainers",
        "ephemeralContainers",
        "volumes",
    ] {
        for (number, element) in elements(&spec[list]).enumerate() {
            let (path, image) = if list == "volumes" {
                ("image.reference", at(element, &["image", "reference"]))
            } else {
                ("image", &element["image"])
            };
            if let Some(image) = image.as_str().filter(|image| !image.is_empty()) {
                found.push((format!("{within}spec.{list}[{number}].{path}"), image));
            }
        }
    }
    found
}
