//! JSON values as YAML that people read: expressions as blocks, everything else that
//! could be misread in double quotes. Pure; knows nothing of Kubernetes.

use serde_json::Value;
use std::fmt::Write as _;

/// One document, ending with a line feed.
#[must_use]
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    node(value, 0, &mut text);
    text
}

// Writes from where the key or dash has ended.
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
        // JSON is YAML.
        other => {
            let _ = writeln!(text, "{other}");
        }
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Whether a block shows the text as it is.
fn is_block(words: &str) -> bool {
    words.contains('\n')
        && !words.starts_with([' ', '\n'])
        && !words.ends_with('\n')
        && words.chars().all(|c| c == '\n' || (' '..='~').contains(&c))
}

/// Plain where YAML can take it for nothing but this text.
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
    fn what_is_nested_is_indented_and_what_is_strange_is_quoted() {
        let value = json!({"a": {"b": [{"c": "x\ny", "d": ["1", "no"]}], "e": {}}, "f/g": "x: y"});
        let expected = "a:\n  b:\n    - c: |-\n        x\n        y\n      d:\n        - \"1\"\n        - \"no\"\n  e: {}\nf/g: \"x: y\"\n";
        assert_eq!(document(&value), expected);
    }
}
