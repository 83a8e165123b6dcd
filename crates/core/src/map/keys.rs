//! The keys and words of the map, and the words that people write instead of them.
//!
//! The JSON Schema must have the same keys and words, and a test compares the two.

use crate::policy::{Steps, edits};

/// Keys of a `RegistryMap` document.
pub(super) const MAP: &[&str] = &[
    "apiVersion",
    "kind",
    "registries",
    "publicRegistries",
    "unknownRegistries",
    "exemptNamespaces",
    "contact",
];

/// Keys of an entry of `registries`.
pub(super) const ENTRY: &[&str] = &[
    "name",
    "match",
    "pullSecrets",
    "namespaces",
    "namespaceSelector",
    "action",
    "reason",
    "from",
    "until",
    "replaceWith",
];

/// Keys of an item of `pullSecrets` that is a map.
pub(super) const PULL_SECRET: &[&str] = &["name", "copyFrom"];

/// Keys of `unknownRegistries` where it is a map.
pub(super) const UNKNOWN: &[&str] = &["default", "overrides", "reason"];

/// Keys of an item of `overrides`.
pub(super) const OVERRIDE: &[&str] = &["namespaces", "namespaceSelector", "action"];

/// Keys of a `namespaceSelector`.
pub(super) const SELECTOR: &[&str] = &["matchLabels", "matchExpressions"];

/// Keys of an item of `matchExpressions`.
pub(super) const EXPRESSION: &[&str] = &["key", "operator", "values"];

/// The words of `operator`.
pub(super) const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist"];

/// Keys of a `RegistryMapTest` document.
pub(super) const TEST: &[&str] = &["apiVersion", "kind", "cases"];

/// Keys of an item of `cases`.
pub(super) const CASE: &[&str] = &[
    "image",
    "namespace",
    "namespaceLabels",
    "entry",
    "action",
    "secrets",
    "at",
];

/// The words of `action`.
pub(super) const ACTIONS: &[&str] = &["allow", "audit", "warn", "deny"];

/// Words of other tools and of everyday language, with the words of the map that they mean.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("imagepullsecrets", "pullSecrets"),
    ("imagepullsecret", "pullSecrets"),
    ("secrets", "pullSecrets"),
    ("secret", "pullSecrets"),
    ("pullsecrets", "secrets"),
    ("registry", "match"),
    ("host", "match"),
    ("pattern", "match"),
    ("patterns", "match"),
    ("image", "match"),
    ("images", "match"),
    ("namespaceselectors", "namespaceSelector"),
    ("namespace", "namespaces"),
    ("mode", "action"),
    ("enforcement", "action"),
    ("message", "reason"),
    ("expires", "until"),
    ("since", "from"),
    ("replacement", "replaceWith"),
    ("entries", "registries"),
    ("public", "publicRegistries"),
    ("unknown", "unknownRegistries"),
    ("exempt", "exemptNamespaces"),
    ("excludednamespaces", "exemptNamespaces"),
    ("ignorenamespaces", "exemptNamespaces"),
    ("owner", "contact"),
    ("copy", "copyFrom"),
    ("tests", "cases"),
    ("block", "deny"),
    ("reject", "deny"),
    ("refuse", "deny"),
    ("forbid", "deny"),
    ("enforce", "deny"),
    ("permit", "allow"),
    ("accept", "allow"),
    ("log", "audit"),
    ("record", "audit"),
    ("warning", "warn"),
];

/// The word of `known` that the author probably means.
pub(super) fn suggestion(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let other = OTHER_WORDS
        .iter()
        .filter(|(other, _)| *other == lower)
        .find_map(|(_, meant)| known.iter().find(|known| *known == meant));
    if let Some(meant) = other {
        return Some(meant);
    }
    // One edit for each three letters is allowed, so that a short word is not taken for
    // another.
    let distance = |known: &str| {
        let most = (known.len() / 3).max(1);
        let known = known.to_ascii_lowercase();
        // Words of the map have few letters, so no limit is needed.
        let distance = edits(&lower, &known, most, &mut Steps::new(usize::MAX));
        distance.continue_value().flatten()
    };
    known
        .iter()
        .filter_map(|known| Some((distance(known)?, *known)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Where in the map a key belongs.
pub(super) fn belongs_to(key: &str) -> Option<&'static str> {
    [
        (MAP, "at the top of the map"),
        (ENTRY, "in an entry of `registries`"),
        (UNKNOWN, "in `unknownRegistries`"),
        (CASE, "in a case of a RegistryMapTest"),
    ]
    .into_iter()
    .find(|(keys, _)| keys.contains(&key))
    .map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_was_meant() {
        for (word, keys, meant) in [
            ("regsitries", MAP, Some("registries")),
            ("Registries", MAP, Some("registries")),
            ("public-registries", MAP, Some("publicRegistries")),
            ("imagePullSecrets", ENTRY, Some("pullSecrets")),
            ("pull_secrets", ENTRY, Some("pullSecrets")),
            ("nmae", ENTRY, Some("name")),
            ("patterns", ENTRY, Some("match")),
            ("Deny", ACTIONS, Some("deny")),
            ("block", ACTIONS, Some("deny")),
            ("warning", ACTIONS, Some("warn")),
            ("xyz", ENTRY, None),
            ("metadata", MAP, None),
            ("off", ACTIONS, None),
        ] {
            assert_eq!(suggestion(word, keys), meant, "{word}");
        }
    }

    #[test]
    fn where_a_key_belongs() {
        assert_eq!(belongs_to("contact"), Some("at the top of the map"));
        assert_eq!(
            belongs_to("pullSecrets"),
            Some("in an entry of `registries`")
        );
        assert_eq!(belongs_to("metadata"), None);
    }

    #[test]
    fn the_schema_has_the_same_keys_and_words() {
        let schema: serde_json::Value = serde_json::from_str(super::super::SCHEMA).unwrap();
        for (name, keys) in [
            ("RegistryMap", MAP),
            ("Entry", ENTRY),
            ("PullSecret", PULL_SECRET),
            ("UnknownRegistries", UNKNOWN),
            ("Override", OVERRIDE),
            ("RegistryMapTest", TEST),
            ("Case", CASE),
        ] {
            let definition = &schema["$defs"][name];
            let properties = definition["properties"].as_object().unwrap();
            let found: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
            assert_eq!(found, keys.iter().copied().collect(), "{name}");
            assert_eq!(definition["additionalProperties"], false, "{name}");
        }
        assert_eq!(
            schema["$defs"]["Action"]["enum"],
            serde_json::json!(ACTIONS)
        );
    }
}
