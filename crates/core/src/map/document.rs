//! Parses the documents of the files of a map, and finds out which kind each document has.
//!
//! This module must not read the content of a document.

use super::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use super::reader::MapField;
use super::{API_VERSION, KIND, SourceFile, TEST_KIND, keys};
use crate::policy::pattern::shown;
use crate::yaml::{self, Value};

/// Parses the documents of all files, and reports the files that are not YAML.
pub(super) fn parse<'s>(
    files: &'s [SourceFile],
    diagnostics: &mut Diagnostics,
) -> Vec<Vec<yaml::Node<'s>>> {
    files
        .iter()
        .map(|file| match yaml::documents(&file.text, yaml::MAP_DEPTH) {
            Ok(nodes) => nodes,
            Err(error) => {
                let place = SourceSpan {
                    at: error.at,
                    ..SourceSpan::whole(file)
                };
                diagnostics.error(&place, error.message);
                Vec::new()
            }
        })
        .collect()
}

pub(super) fn roots<'s, 't>(
    files: &'s [SourceFile],
    trees: &'t [Vec<yaml::Node<'s>>],
) -> impl Iterator<Item = (&'s SourceFile, &'t yaml::Node<'s>)> {
    files
        .iter()
        .zip(trees)
        .flat_map(|(file, nodes)| nodes.iter().map(move |node| (file, node)))
}

/// The `apiVersion` and the `kind` of a document, where they are strings.
#[derive(Debug, Default)]
pub(super) struct DocumentHeader<'s, 't> {
    pub(super) api_version: Option<(SourceSpan<'s>, &'t str)>,
    pub(super) kind: Option<(SourceSpan<'s>, &'t str)>,
}

/// Reads which document this is. It reports nothing, which [`kind`] does.
pub(super) fn header<'s, 't>(document: &MapField<'s, 't>) -> DocumentHeader<'s, 't> {
    let Value::Map(pairs) = &document.node.value else {
        return DocumentHeader::default();
    };
    let find = |wanted: &str| {
        pairs
            .iter()
            .find_map(|(key, node)| match (&key.value, &node.value) {
                (Value::String(key), Value::String(text)) if key == wanted => {
                    Some((document.child(node, wanted.to_owned()).place, text.as_ref()))
                }
                _ => None,
            })
    };
    DocumentHeader {
        api_version: find("apiVersion"),
        kind: find("kind"),
    }
}

/// Which of the two kinds a document has; reports a document of another kind.
pub(super) fn kind(
    document: &MapField<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<&'static str> {
    let header = header(document);
    let kind = header.kind.as_ref();
    let found =
        kind.and_then(|(_, word)| [KIND, TEST_KIND].into_iter().find(|known| known == word));
    match (kind, found) {
        (_, Some(_)) => {}
        (None, _) => diagnostics.error(
            &document.place,
            format!(
                "the document has no `kind`; begin a map with `apiVersion: {API_VERSION}` and \
                 `kind: {KIND}`"
            ),
        ),
        (Some((place, "ConfigMap")), None) => diagnostics.error(
            place,
            "this is a ConfigMap and not a map; give the map that is in its `data`",
        ),
        (Some((place, other)), None) => {
            let message = format!(
                "`kind` is `{}` and must be {KIND} or {TEST_KIND}",
                shown(other)
            );
            let suggestion = keys::suggestion(other, &[KIND, TEST_KIND]);
            diagnostics.add(Diagnostic::new(Severity::Error, place, message).suggest(suggestion));
        }
    }
    if found.is_some() {
        match &header.api_version {
            Some((_, API_VERSION)) => {}
            Some((place, _)) => {
                diagnostics.error(place, format!("`apiVersion` must be {API_VERSION}"));
            }
            None => diagnostics.error(
                &document.place,
                format!("the document has no `apiVersion`; write `apiVersion: {API_VERSION}`"),
            ),
        }
    }
    found
}
