//! Reads strings, lists and maps from the tree of a file.
//!
//! A value of another type is reported, and the reader goes on with the next value. This
//! module must not know what a key means.

use std::borrow::Cow;
use std::collections::HashMap;

use super::SourceFile;
use super::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use super::keys;
use crate::policy::pattern::shown;
use crate::yaml::{Node, Value};

/// A value of the map, and the place where it stands.
#[derive(Debug, Clone)]
pub(super) struct MapField<'s, 't> {
    pub(super) place: SourceSpan<'s>,
    pub(super) node: &'t Node<'s>,
}

/// The values of a map by their keys. It has only known keys.
#[derive(Debug)]
pub(super) struct MapFields<'s, 't> {
    pub(super) place: SourceSpan<'s>,
    known: HashMap<&'t str, MapField<'s, 't>>,
    has_unknown: bool,
}

impl<'s, 't> MapFields<'s, 't> {
    /// Removes and returns the value of a key.
    pub(super) fn take(&mut self, key: &str) -> Option<MapField<'s, 't>> {
        self.known.remove(key)
    }

    /// Reports that a key is missing, unless the map has an unknown key, which is probably
    /// the missing key misspelled.
    pub(super) fn missing(&self, diagnostics: &mut Diagnostics, message: &str) {
        if !self.has_unknown {
            diagnostics.error(&self.place, message);
        }
    }

    /// Whether the map has unknown keys, which are already reported.
    pub(super) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// Whether the map has a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }
}

impl<'s, 't> MapField<'s, 't> {
    pub(super) fn root(file: &'s SourceFile, node: &'t Node<'s>) -> Self {
        let place = SourceSpan {
            at: node.at,
            ..SourceSpan::whole(file)
        };
        Self { place, node }
    }

    pub(super) fn child(&self, node: &'t Node<'s>, path: String) -> Self {
        let place = SourceSpan {
            file: self.place.file,
            at: node.at,
            path,
        };
        Self { place, node }
    }

    /// What messages call the value.
    pub(super) fn name(&self) -> Cow<'_, str> {
        if self.place.path.is_empty() {
            return "the document".into();
        }
        let last = self.place.path.rsplit('.').next().unwrap_or_default();
        if last.ends_with(']') {
            return format!(
                "an item of `{}`",
                last.split('[').next().unwrap_or_default()
            )
            .into();
        }
        format!("`{last}`").into()
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.node.value, Value::String(_))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    /// The value, if it is a string. It reports nothing.
    pub(super) fn as_text(&self) -> Option<&'t str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a string, which may be empty.
    pub(super) fn any_text(&self, diagnostics: &mut Diagnostics) -> Option<&'t str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => self.text(diagnostics),
        }
    }

    /// Reads a string that is not empty.
    pub(super) fn text(&self, diagnostics: &mut Diagnostics) -> Option<&'t str> {
        match &self.node.value {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::Bool(_) | Value::Number => {
                let written = shown(self.written());
                let what = if matches!(self.node.value, Value::Bool(_)) {
                    "a boolean"
                } else {
                    "a number"
                };
                diagnostics.error(
                    &self.place,
                    format!(
                        "{} must be a string, and YAML reads `{written}` as {what}; write \"{written}\"",
                        self.name()
                    ),
                );
                None
            }
            Value::String(_) | Value::Null => {
                diagnostics.error(
                    &self.place,
                    format!("{} is empty; write a string or leave it out", self.name()),
                );
                None
            }
            Value::List(_) => {
                diagnostics.error(
                    &self.place,
                    format!("{} must be a string and is a list", self.name()),
                );
                None
            }
            Value::Map(_) => {
                diagnostics.error(
                    &self.place,
                    format!("{} must be a string and is a map", self.name()),
                );
                None
            }
        }
    }

    /// The value as it is written in the file.
    pub(super) fn written(&self) -> &'s str {
        let at = self.place.at;
        let text: &'s str = &self.place.file.text;
        text.get(at.start..at.start + at.len).unwrap_or_default()
    }

    /// Reads the items of a list.
    pub(super) fn list(&self, diagnostics: &mut Diagnostics) -> Option<Vec<Self>> {
        match &self.node.value {
            Value::List(nodes) => Some(
                nodes
                    .iter()
                    .enumerate()
                    .map(|(at, node)| self.child(node, format!("{}[{at}]", self.place.path)))
                    .collect(),
            ),
            Value::Null => {
                diagnostics.error(
                    &self.place,
                    format!("{} is empty; write a list or leave it out", self.name()),
                );
                None
            }
            Value::String(text) => {
                let help = format!("write [{}]", shown(text));
                let message = format!("{} must be a list and is a string", self.name());
                diagnostics.add(Diagnostic::new(Severity::Error, &self.place, message).help(help));
                None
            }
            _ => {
                diagnostics.error(&self.place, format!("{} must be a list", self.name()));
                None
            }
        }
    }

    /// Reads the values of a map, and reports keys that are not in `known`.
    pub(super) fn map(
        &self,
        known: &[&'static str],
        diagnostics: &mut Diagnostics,
    ) -> Option<MapFields<'s, 't>> {
        let Value::Map(pairs) = &self.node.value else {
            let keys = known.join("`, `");
            diagnostics.error(
                &self.place,
                format!("{} must be a map with the keys `{keys}`", self.name()),
            );
            return None;
        };
        let mut fields = HashMap::with_capacity(pairs.len());
        let mut seen = SeenKeys::with_capacity(pairs.len());
        for (key, node) in pairs {
            let at = self.child(key, self.place.path.clone());
            let Value::String(word) = &key.value else {
                diagnostics.error(
                    &at.place,
                    format!(
                        "a key must be a string; the keys here are `{}`",
                        known.join("`, `")
                    ),
                );
                continue;
            };
            if !seen.add(word, &at.place, diagnostics) {
                continue;
            }
            if known.contains(&word.as_ref()) {
                fields.insert(word.as_ref(), self.child(node, self.path_to(word)));
            } else {
                unknown_key(&at, word, known, diagnostics);
            }
        }
        Some(MapFields {
            place: self.place.clone(),
            has_unknown: seen.0.len() > fields.len(),
            known: fields,
        })
    }

    /// Reads the keys and values of a map whose keys are chosen by its author.
    pub(super) fn pairs(&self, diagnostics: &mut Diagnostics) -> Option<Vec<(Self, Self)>> {
        let Value::Map(pairs) = &self.node.value else {
            diagnostics.error(&self.place, format!("{} must be a map", self.name()));
            return None;
        };
        let mut seen = SeenKeys::with_capacity(pairs.len());
        let mut found = Vec::with_capacity(pairs.len());
        for (key, node) in pairs {
            let word = match &key.value {
                Value::String(word) => word.as_ref(),
                _ => "",
            };
            let key = self.child(key, self.path_to(word));
            if seen.add(word, &key.place, diagnostics) {
                found.push((key, self.child(node, self.path_to(word))));
            }
        }
        Some(found)
    }

    fn path_to(&self, key: &str) -> String {
        if self.place.path.is_empty() {
            shown(key)
        } else {
            format!("{}.{}", self.place.path, shown(key))
        }
    }
}

/// The keys of one map, with the places where they stand.
struct SeenKeys<'s, 't>(HashMap<&'t str, SourceSpan<'s>>);

impl<'s, 't> SeenKeys<'s, 't> {
    fn with_capacity(capacity: usize) -> Self {
        Self(HashMap::with_capacity(capacity))
    }

    /// Adds a key. It returns false for a key that is written before, and reports it.
    fn add(&mut self, key: &'t str, place: &SourceSpan<'s>, diagnostics: &mut Diagnostics) -> bool {
        if let Some(first) = self.0.get(key) {
            let message = format!("`{}` is written twice in one map", shown(key));
            diagnostics.add(
                Diagnostic::new(Severity::Error, place, message)
                    .related(first, "first written here"),
            );
            return false;
        }
        self.0.insert(key, place.clone());
        true
    }
}

fn unknown_key(
    at: &MapField<'_, '_>,
    word: &str,
    known: &[&'static str],
    diagnostics: &mut Diagnostics,
) {
    let mut place = at.place.clone();
    place.path = at.path_to(word);
    let message = format!("unknown key `{}`", shown(word));
    let diagnostic = Diagnostic::new(Severity::Error, &place, message);
    diagnostics.add(if let Some(meant) = keys::suggestion(word, known) {
        diagnostic.suggest(Some(meant))
    } else if let Some(elsewhere) = keys::belongs_to(word) {
        diagnostic.help(format!("the key belongs {elsewhere}"))
    } else {
        diagnostic.help(format!("the keys here are `{}`", known.join("`, `")))
    });
}
