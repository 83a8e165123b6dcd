//! From the tree of a file to strings, lists and maps, complaining about all that
//! is something else and going on.

use std::borrow::Cow;
use std::collections::HashMap;

use super::SourceFile;
use super::diagnostic::{Diagnostic, Severity, SourceSpan};
use super::keys;
use crate::policy::pattern::shown;
use crate::yaml::{Node, Value};

/// A value of the map, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct MapField<'s, 't> {
    pub(super) place: SourceSpan<'s>,
    pub(super) node: &'t Node<'s>,
}

/// The values of a map by their keys, all of which are known.
#[derive(Debug)]
pub(super) struct MapFields<'s, 't> {
    pub(super) place: SourceSpan<'s>,
    known: HashMap<&'t str, MapField<'s, 't>>,
    has_unknown: bool,
}

impl<'s, 't> MapFields<'s, 't> {
    pub(super) fn take(&mut self, key: &str) -> Option<MapField<'s, 't>> {
        self.known.remove(key)
    }

    /// Complains that a key is not there, unless another was written in its stead.
    pub(super) fn missing(&self, diagnostics: &mut Diagnostics, message: &str) {
        if !self.has_unknown {
            diagnostics.error(&self.place, message);
        }
    }

    /// Whether there are keys that mean nothing here; they have been complained of.
    pub(super) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }
}

/// `apiVersion` and `kind`, where they are texts.
#[derive(Debug, Default)]
pub(super) struct DocumentHeader<'s, 't> {
    pub(super) api_version: Option<(SourceSpan<'s>, &'t str)>,
    pub(super) kind: Option<(SourceSpan<'s>, &'t str)>,
}

/// More errors, or more warnings, are not kept: a map of 1 MiB can have a million.
const MOST_KEPT: usize = 10_000;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    found: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    pub(super) fn add(&mut self, mut diagnostic: Diagnostic) {
        let (count, name) = match diagnostic.severity {
            Severity::Error => (&mut self.errors, "errors"),
            Severity::Warning => (&mut self.warnings, "warnings"),
        };
        *count += 1;
        if *count > MOST_KEPT + 1 {
            return;
        }
        if *count > MOST_KEPT {
            diagnostic.message = format!("more than {MOST_KEPT} {name}: the others are not listed");
            diagnostic.help = None;
            diagnostic.related = None;
        }
        self.found.push(diagnostic);
    }

    pub(super) fn error(&mut self, place: &SourceSpan<'_>, message: impl Into<String>) {
        self.add(Diagnostic::new(Severity::Error, place, message));
    }

    pub(super) fn warning(&mut self, place: &SourceSpan<'_>, message: impl Into<String>) {
        self.add(Diagnostic::new(Severity::Warning, place, message));
    }

    pub(super) fn any_error(&self) -> bool {
        self.errors > 0
    }

    /// In the order of the files and of the places in them.
    pub(super) fn sorted(mut self, files: &[SourceFile]) -> Vec<Diagnostic> {
        let order: HashMap<&str, usize> = files
            .iter()
            .enumerate()
            .map(|(at, file)| (file.name.as_str(), at))
            .collect();
        self.found
            .sort_by_key(|d| (order.get(d.file.as_str()).copied(), d.line, d.column));
        self.found
    }
}

impl<'s, 't> MapField<'s, 't> {
    pub(super) fn root(file: &'s SourceFile, node: &'t Node<'s>) -> Self {
        let place = SourceSpan {
            file,
            at: node.at,
            path: String::new(),
        };
        Self { place, node }
    }

    fn child(&self, node: &'t Node<'s>, path: String) -> Self {
        let place = SourceSpan {
            file: self.place.file,
            at: node.at,
            path,
        };
        Self { place, node }
    }

    /// What says which document this is, without complaints: they come later.
    pub(super) fn header(&self) -> DocumentHeader<'s, 't> {
        let Value::Map(pairs) = &self.node.value else {
            return DocumentHeader::default();
        };
        let find = |wanted: &str| {
            pairs
                .iter()
                .find_map(|(key, node)| match (&key.value, &node.value) {
                    (Value::String(key), Value::String(text)) if key == wanted => {
                        Some((self.child(node, wanted.to_owned()).place, text.as_ref()))
                    }
                    _ => None,
                })
        };
        DocumentHeader {
            api_version: find("apiVersion"),
            kind: find("kind"),
        }
    }

    /// What it is called in messages.
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

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    /// The text, if it is one; without complaint.
    pub(super) fn as_text(&self) -> Option<&'t str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A text, which may be empty.
    pub(super) fn any_text(&self, diagnostics: &mut Diagnostics) -> Option<&'t str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => self.text(diagnostics),
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&self, diagnostics: &mut Diagnostics) -> Option<&'t str> {
        match &self.node.value {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::Bool(_) | Value::Number => {
                let written = shown(self.written());
                let what = if matches!(self.node.value, Value::Bool(_)) {
                    "a yes or no"
                } else {
                    "a number"
                };
                diagnostics.error(
                    &self.place,
                    format!(
                        "{} is a text, and `{written}` is {what} in YAML: write \"{written}\"",
                        self.name()
                    ),
                );
                None
            }
            Value::String(_) | Value::Null => {
                diagnostics.error(
                    &self.place,
                    format!("{} is empty: write a text or leave it out", self.name()),
                );
                None
            }
            Value::List(_) => {
                diagnostics.error(
                    &self.place,
                    format!("{} is a text, not a list", self.name()),
                );
                None
            }
            Value::Map(_) => {
                diagnostics.error(&self.place, format!("{} is a text, not a map", self.name()));
                None
            }
        }
    }

    /// Its own text in the file.
    pub(super) fn written(&self) -> &'s str {
        let at = self.place.at;
        let text: &'s str = &self.place.file.text;
        text.get(at.start..at.start + at.len).unwrap_or_default()
    }

    /// The items of a list.
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
                    format!("{} is empty: write a list, or leave it out", self.name()),
                );
                None
            }
            Value::String(text) => {
                let help = format!("write [{}]", shown(text));
                let message = format!("{} is a list, not a text", self.name());
                diagnostics.add(Diagnostic::new(Severity::Error, &self.place, message).help(help));
                None
            }
            _ => {
                diagnostics.error(&self.place, format!("{} is a list", self.name()));
                None
            }
        }
    }

    /// The values of a map, of which only these keys are known.
    pub(super) fn map(
        &self,
        known: &[&'static str],
        diagnostics: &mut Diagnostics,
    ) -> Option<MapFields<'s, 't>> {
        let Value::Map(pairs) = &self.node.value else {
            let keys = known.join("`, `");
            diagnostics.error(
                &self.place,
                format!("{} is a map with the keys `{keys}`", self.name()),
            );
            return None;
        };
        let mut fields = HashMap::with_capacity(pairs.len());
        let mut places: HashMap<&str, SourceSpan<'s>> = HashMap::with_capacity(pairs.len());
        for (key, node) in pairs {
            let at = self.child(key, self.place.path.clone());
            let Value::String(word) = &key.value else {
                diagnostics.error(&at.place, format!("a key is a word: {}", known.join(", ")));
                continue;
            };
            if let Some(first) = places.get(word.as_ref()) {
                let message = format!("`{}` is written twice in one map", shown(word));
                diagnostics.add(
                    Diagnostic::new(Severity::Error, &at.place, message)
                        .related(first, "first written here"),
                );
                continue;
            }
            places.insert(word, at.place.clone());
            if known.contains(&word.as_ref()) {
                fields.insert(word.as_ref(), self.child(node, self.path_to(word)));
            } else {
                unknown_key(&at, word, known, diagnostics);
            }
        }
        Some(MapFields {
            place: self.place.clone(),
            has_unknown: places.len() > fields.len(),
            known: fields,
        })
    }

    /// The keys and values of a map whose keys are the user's own.
    pub(super) fn pairs(&self, diagnostics: &mut Diagnostics) -> Option<Vec<(Self, Self)>> {
        let Value::Map(pairs) = &self.node.value else {
            diagnostics.error(&self.place, format!("{} is a map", self.name()));
            return None;
        };
        let mut places: HashMap<&str, SourceSpan<'s>> = HashMap::with_capacity(pairs.len());
        let mut found = Vec::with_capacity(pairs.len());
        for (key, node) in pairs {
            let word = match &key.value {
                Value::String(word) => word.as_ref(),
                _ => "",
            };
            let key = self.child(key, self.path_to(word));
            if let Some(first) = places.get(word) {
                let message = format!("`{}` is written twice in one map", shown(word));
                diagnostics.add(
                    Diagnostic::new(Severity::Error, &key.place, message)
                        .related(first, "first written here"),
                );
                continue;
            }
            places.insert(word, key.place.clone());
            found.push((key, self.child(node, self.path_to(word))));
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
    diagnostics.add(if let Some(meant) = keys::did_you_mean(word, known) {
        diagnostic.help(format!("did you mean `{meant}`?"))
    } else if let Some(elsewhere) = keys::belongs_to(word) {
        diagnostic.help(format!("it belongs {elsewhere}"))
    } else {
        diagnostic.help(format!("the keys here are `{}`", known.join("`, `")))
    });
}
