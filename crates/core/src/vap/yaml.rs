//! Writes JSON values as YAML that people can read: expressions as blocks, and every other
//! text that a YAML parser could misread in double quotes.
//!
//! This module must not know Kubernetes.

use serde_json::Value;
use std::fmt::Write as _;

/// A YAML document, which ends with a line feed.
#[must_use]
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    node(value, 0, &mut text);
    text
}

// Writes a value at the end of a line that has its key or dash.
fn node(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 || depth == 0 {
                    indent(depth, text);
                }
                let _ = write!(text, "{}:", scalar(key));
                below(value, depth, text);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    indent(depth, text);
                }
                text.push_str("- ");
                match value {
                    Value::Object(map) if !map.is_empty() => node(value, depth + 1, text),
                    other => inline(other, depth + 1, text),
                }
            }
        }
        other => inline(other, depth, text),
    }
}

fn below(value: &Value, depth: usize, text: &mut String) {
    let is_nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_nested {
        text.push('\n');
        indent(depth + 1, text);
        node(value, depth + 1, text);
    } else {
        text.push(' ');
        inline(value, depth + 1, text);
    }
}

fn inline(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::String(words) if is_block(words) => {
            text.push_str("|-\n");
            for line in words.lines() {
                indent(depth, text);
                let _ = writeln!(text, "{line}");
            }
        }
        Value::String(words) => {
            let _ = writeln!(text, "{}", scalar(words));
        }
        // Empty objects and lists, numbers, booleans and null are the same in YAML.
        other => {
            let _ = writeln!(text, "{other}");
        }
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Whether a block scalar can contain the text unchanged.
fn is_block(words: &str) -> bool {
    words.contains('\n')
        && !words.starts_with([' ', '\n'])
        && !words.ends_with('\n')
        && words.chars().all(|c| c == '\n' || (' '..='~').contains(&c))
}

/// The text as a plain scalar if a YAML parser can only read it as this text, or else in
/// double quotes.
fn scalar(words: &str) -> String {
    let plain = words.starts_with(|c: char| c.is_ascii_alphabetic())
        && words
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-./".contains(c))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
            .contains(&words.to_ascii_lowercase().as_str());
    if plain {
        words.to_owned()
    } else {
        Value::from(words).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_values_are_indented_and_ambiguous_texts_are_quoted() {
        let value = json!({"a": {"b": [{"c": "x\ny", "d": ["1", "no"]}], "e": {}}, "f/g": "x: y"});
        let expected = "a:\n  b:\n    - c: |-\n        x\n        y\n      d:\n        - \"1\"\n        - \"no\"\n  e: {}\nf/g: \"x: y\"\n";
        assert_eq!(document(&value), expected);
    }
}
