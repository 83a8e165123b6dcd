//! The chart's README, made from the comments of `values.yaml` and the types of
//! `values.schema.json`. `UPDATE_GOLDEN=1` writes it anew.
//!
//! This is no YAML parser: it reads the one form that `values.yaml` is written in. A comment
//! belongs to the key below it when both have the same indentation; a blank line ends a
//! comment; a line `## Title` opens a section.

use super::VALUES_SCHEMA;
use crate::golden;
use serde_json::Value;
use std::fmt::Write;

const VALUES: &str = include_str!("../../../charts/pullpass/values.yaml");

const HEAD: &str = "\
# pullpass chart

Installs pullpass, an admission webhook that adds missing `imagePullSecrets` to pods and denies
images from registries that the cluster's registry map does not allow.

- [Install](../../docs/install.md) says what you need first and what the chart does.
- [Rollout](../../docs/rollout.md) goes from observing to denying, step by step.
- [The registry map](../../docs/registry-map.md) describes the value `map`.
- [Alerts](../../docs/alerts.md) describes what `prometheusRule` renders.

The tables below list every value. `null` removes a value that is optional; the schema
refuses it for a value that the templates need.

<!-- Generated from values.yaml by tests/it/chart/readme.rs: UPDATE_GOLDEN=1 cargo test --test it readme -->
";

#[derive(Default)]
struct Row {
    path: String,
    default: String,
    text: String,
    is_group: bool,
}

enum Part {
    Section(String),
    Row(Row),
}

/// The lines of `values.yaml` as sections and rows, in their order.
fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    let mut comment = (0, Vec::new());
    let mut above: Vec<&str> = Vec::new();
    for line in VALUES.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(title) = line.strip_prefix("## ") {
            parts.push(Part::Section(title.to_owned()));
            comment.1.clear();
        } else if text.is_empty() {
            comment.1.clear();
        } else if let Some(words) = text.strip_prefix('#') {
            if comment.0 != indent {
                comment = (indent, Vec::new());
            }
            comment.1.push(words.trim());
        } else if let Some(item) = text.strip_prefix("- ") {
            let Some(Part::Row(row)) = parts.last_mut() else {
                panic!("no key before: {line}");
            };
            row.default = format!("[{item}]");
            row.is_group = false;
        } else {
            let (key, value) = text.split_once(':').expect("a key");
            above.truncate(indent / 2);
            above.push(key);
            parts.push(Part::Row(Row {
                path: above.join("."),
                default: value.trim().to_owned(),
                text: if comment.0 == indent {
                    comment.1.join(" ")
                } else {
                    String::new()
                },
                is_group: value.is_empty(),
            }));
            comment.1.clear();
        }
    }
    parts
}

fn rows() -> Vec<Row> {
    let rows = parts().into_iter().filter_map(|part| match part {
        Part::Row(row) => Some(row),
        Part::Section(_) => None,
    });
    rows.collect()
}

/// Follows a `$ref` of the schema.
fn resolved<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => schema
            .pointer(reference.trim_start_matches('#'))
            .expect("a definition"),
        None => node,
    }
}

fn node_of<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(schema, |node, key| {
        resolved(schema, node)["properties"].get(key)
    })
}

/// The type of a value in the words of the schema, or by its default where the schema leaves
/// the inside of an object to Kubernetes.
fn kind(schema: &Value, row: &Row) -> String {
    let Some(node) = node_of(schema, &row.path) else {
        return match row.default.as_bytes() {
            [b'[', ..] => "array",
            [b'0'..=b'9', ..] => "integer",
            b"true" | b"false" => "boolean",
            b"" => "object",
            _ => "string",
        }
        .to_owned();
    };
    let node = resolved(schema, node);
    let nodes = node["oneOf"]
        .as_array()
        .map_or(vec![node], |all| all.iter().collect());
    let mut kinds = Vec::new();
    for node in nodes {
        let named = match &node["type"] {
            Value::Array(kinds) => kinds.clone(),
            Value::Null => vec!["string".into()],
            one => vec![one.clone()],
        };
        let named = named
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null");
        kinds.extend(named.map(ToOwned::to_owned));
    }
    kinds.join(" or ")
}

#[test]
fn the_readme_is_that_of_the_values() {
    let schema: Value = serde_json::from_str(VALUES_SCHEMA).unwrap();
    let mut page = HEAD.to_owned();
    for part in parts() {
        match part {
            Part::Section(title) => {
                let _ = write!(
                    page,
                    "\n## {title}\n\n| key | type | default | description |\n| --- | --- | --- | --- |\n"
                );
            }
            Part::Row(row) if row.is_group && row.text.is_empty() => {}
            Part::Row(row) => {
                let kind = kind(&schema, &row);
                let default = match row.default.as_str() {
                    "" => String::new(),
                    value => format!("`{value}`"),
                };
                let text = row.text.replace('|', "\\|");
                let _ = writeln!(page, "| `{}` | {kind} | {default} | {text} |", row.path);
            }
        }
    }
    golden::same("charts/pullpass/README.md", &page);
}

/// A value says what it is for, or the group that it is in does.
#[test]
fn every_value_of_the_chart_has_a_comment() {
    let rows = rows();
    let says = |path: &str| {
        rows.iter()
            .any(|row| row.path == path && !row.text.is_empty())
    };
    for row in &rows {
        let mut above = row.path.match_indices('.').map(|(dot, _)| &row.path[..dot]);
        let has_words = row.is_group || says(&row.path) || above.any(says);
        assert!(
            has_words,
            "values.yaml does not say what {} is for",
            row.path
        );
    }
}

/// The templates use these without asking whether they are there.
#[test]
fn the_values_have_every_key_that_the_schema_requires() {
    fn look(schema: &Value, rows: &[Row], path: &str) {
        for key in schema["required"].as_array().into_iter().flatten() {
            let wanted = format!("{path}{}", key.as_str().unwrap());
            let is_there = rows.iter().any(|row| row.path == wanted);
            assert!(
                is_there,
                "values.yaml lacks {wanted}, which the schema requires"
            );
        }
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            look(below, rows, &format!("{path}{key}."));
        }
    }
    let schema: Value = serde_json::from_str(VALUES_SCHEMA).unwrap();
    assert!(schema["required"].is_array());
    look(&schema, &rows(), "");
}
