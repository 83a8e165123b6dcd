//! Reads `RegistryMapTest` documents, which say what their author expects of a map.
//!
//! This module must not decide whether the map meets the expectations; `config test` compares.

use jiff::Timestamp;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::reader::MapField;
use super::values::{self, DayBoundary};
use super::{Action, SourceFile, TEST_KIND, document, keys, selector};
use crate::policy::LabelMap;

/// One case of a `RegistryMapTest`: an image, and what the map should answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The image to judge, as it is written.
    pub image: String,
    /// The namespace to judge it in.
    pub namespace: Option<String>,
    /// The labels of the namespace. With `None`, entries with a `namespaceSelector` do not
    /// take part.
    pub namespace_labels: Option<LabelMap>,
    /// The time to judge it at.
    pub at: Option<Timestamp>,
    /// The expected entry.
    pub entry: ExpectedEntry,
    /// The expected action, if the case checks it.
    pub action: Option<Action>,
    /// The expected pull secrets in their order, if the case checks them.
    pub secrets: Option<Vec<String>>,
    /// Where the case stands, as `file:line`.
    pub location: String,
}

/// The entry that a case expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedEntry {
    /// The case does not check the entry: `entry` is left out.
    Any,
    /// No entry: `entry: null`.
    None,
    /// The entry of this name, or this pattern of `publicRegistries`.
    Named(String),
}

/// The cases of all `RegistryMapTest` documents in their order. [`super::load`] reads the
/// documents of other kinds.
///
/// # Errors
///
/// The tests have errors. The list has all of them.
pub fn tests(files: &[SourceFile]) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let trees = document::parse(files, &mut diagnostics);
    let mut cases = Vec::new();
    for (file, node) in document::roots(files, &trees) {
        let document = MapField::root(file, node);
        if document::header(&document)
            .kind
            .is_none_or(|(_, kind)| kind != TEST_KIND)
        {
            continue;
        }
        _ = document::kind(&document, &mut diagnostics);
        let Some(mut fields) = document.map(keys::TEST, &mut diagnostics) else {
            continue;
        };
        let Some(field) = fields.take("cases") else {
            diagnostics.error(&fields.place, "a RegistryMapTest needs `cases`");
            continue;
        };
        cases.extend(values::some(&field, &mut diagnostics, case).unwrap_or_default());
    }
    if diagnostics.any_error() {
        return Err(diagnostics.sorted(files));
    }
    Ok(cases)
}

fn case(item: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Case> {
    let mut fields = item.map(keys::CASE, diagnostics)?;
    let place = fields.place.clone();
    if ["entry", "action", "secrets"]
        .iter()
        .all(|key| !fields.has(key))
    {
        diagnostics.error(
            &place,
            "the case checks nothing; write `entry`, `action` or `secrets`",
        );
    }
    let entry = match fields.take("entry") {
        None => ExpectedEntry::Any,
        Some(field) if field.is_null() => ExpectedEntry::None,
        Some(field) => {
            values::words(&field, diagnostics).map_or(ExpectedEntry::Any, ExpectedEntry::Named)
        }
    };
    let namespace = fields.take("namespace");
    let namespace = namespace.and_then(|field| values::one_namespace(&field, diagnostics));
    let labels = fields.take("namespaceLabels");
    let namespace_labels = labels.and_then(|field| selector::labels(&field, diagnostics));
    let action = fields.take("action");
    let action = action.and_then(|field| values::action(&field, diagnostics));
    let secrets = fields.take("secrets");
    let secrets = secrets.and_then(|field| values::list(&field, diagnostics, values::secret_name));
    let at = fields.take("at");
    let at = at.and_then(|field| values::time(&field, DayBoundary::Start, diagnostics));
    let Some(image) = fields.take("image") else {
        diagnostics.error(&place, "a case needs `image`");
        return None;
    };
    Some(Case {
        image: image.any_text(diagnostics)?.to_owned(),
        namespace,
        namespace_labels,
        at,
        entry,
        action,
        secrets,
        location: format!("{}:{}", place.file.name, place.at.line),
    })
}
