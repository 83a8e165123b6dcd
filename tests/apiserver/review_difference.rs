//! Whether two reviews of the same object are alike, but for what differs from one
//! recording to the next.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is different in each recording, wherever it stands.
const VOLATILE: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    // Written by controllers meanwhile, in no certain order.
    "managedFields",
    "status",
    "resourceVersion",
    "pod-template-hash",
];

/// The review without what differs from run to run.
pub(crate) fn steady(review: &Value) -> Value {
    match review {
        Value::Object(fields) => {
            let steady_field = |(key, value): (&String, &Value)| {
                let value = if VOLATILE.contains(&key.as_str()) || key.ends_with("-uid") {
                    json!("*")
                } else {
                    steady(value)
                };
                (key.clone(), value)
            };
            fields.iter().map(steady_field).collect()
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::String(text) if text.starts_with("JTI=") => json!("*"),
        // Names end in random letters: `cart-5d9c7b6f4-x2x9z`, `kube-api-access-x2x9z`.
        Value::String(text) => {
            let words = text
                .split('-')
                .map(|word| if generated(word) { "*" } else { word });
            json!(words.collect::<Vec<_>>().join("-"))
        }
        other => other.clone(),
    }
}

/// Whether Kubernetes may have made the word: its alphabet has no vowels, and 0, 1 and
/// 3 are missing too.
fn generated(word: &str) -> bool {
    (5..=10).contains(&word.len())
        && word
            .bytes()
            .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
}

/// The first place where the two differ, as a JSON pointer.
pub(crate) fn difference(at: &str, old: &Value, new: &Value) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let null = Value::Null;
            let of = |object: &serde_json::Map<String, Value>, key| {
                object.get(key).unwrap_or(&null).clone()
            };
            keys.into_iter()
                .find_map(|key| difference(&format!("{at}/{key}"), &of(old, key), &of(new, key)))
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            { pairs }.find_map(|(index, (old, new))| difference(&format!("{at}/{index}"), old, new))
        }
        _ => (old != new).then(|| format!("{at}: recorded {old}, now {new}")),
    }
}
