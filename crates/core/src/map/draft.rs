//! The map as it is written: values that are valid by themselves, with the places where
//! they stand.
//!
//! [`super::lint`] compares the values with each other.

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use super::entry::{self, DraftEntry};
use super::keys;
use super::reader::{MapField, MapFields};
use super::values;
use super::{Action, DEFAULT_PUBLIC_REGISTRIES, Pattern, selector};
use crate::policy::Override;
use crate::policy::glob;
use crate::policy::pattern::shown;

/// A value that may stand in only one document, and the place where it stands.
#[derive(Debug)]
pub(super) struct Located<'s, T> {
    pub(super) value: T,
    pub(super) place: SourceSpan<'s>,
}

#[derive(Debug, Default)]
/// The values of all documents of a map.
pub(super) struct MapDraft<'s> {
    pub(super) entries: Vec<DraftEntry<'s>>,
    pub(super) public: Option<Located<'s, Vec<(Pattern, SourceSpan<'s>)>>>,
    pub(super) unknown: Option<Located<'s, DraftUnknown>>,
    pub(super) exempt: Option<Located<'s, Vec<String>>>,
    pub(super) contact: Option<Located<'s, String>>,
}

#[derive(Debug, Default)]
/// The value of `unknownRegistries`.
pub(super) struct DraftUnknown {
    pub(super) default: Option<Action>,
    pub(super) overrides: Vec<Override>,
    pub(super) reason: Option<String>,
}

impl DraftUnknown {
    fn denies_somewhere(&self) -> bool {
        let mut actions = self
            .overrides
            .iter()
            .map(|one| one.action)
            .chain(self.default);
        actions.any(|action| action == Action::Deny)
    }
}

impl<'s> MapDraft<'s> {
    /// Whether every image that no entry covers is denied, in every namespace.
    pub(super) fn denies_unknown_everywhere(&self) -> bool {
        self.unknown.as_ref().is_some_and(|unknown| {
            let unknown = &unknown.value;
            let mut overrides = unknown.overrides.iter();
            unknown.default == Some(Action::Deny) && overrides.all(|one| one.action == Action::Deny)
        })
    }

    /// Adds one document of kind `RegistryMap`.
    pub(super) fn read(&mut self, document: &MapField<'s, '_>, diagnostics: &mut Diagnostics) {
        let Some(mut fields) = document.map(keys::MAP, diagnostics) else {
            return;
        };
        let registries = fields.take("registries");
        for item in registries
            .and_then(|field| field.list(diagnostics))
            .unwrap_or_default()
        {
            self.entries.extend(entry::read(&item, diagnostics));
        }
        give(
            &mut self.public,
            &mut fields,
            "publicRegistries",
            diagnostics,
            |field, diagnostics| {
                values::list(field, diagnostics, |item, diagnostics| {
                    Some((values::pattern(item, diagnostics)?, item.place.clone()))
                })
            },
        );
        give(
            &mut self.unknown,
            &mut fields,
            "unknownRegistries",
            diagnostics,
            unknown,
        );
        give(
            &mut self.exempt,
            &mut fields,
            "exemptNamespaces",
            diagnostics,
            |field, diagnostics| exempt_namespaces(field, diagnostics),
        );
        give(
            &mut self.contact,
            &mut fields,
            "contact",
            diagnostics,
            values::words,
        );
    }

    /// Reports what is known only when all documents are read.
    pub(super) fn settle(&self, diagnostics: &mut Diagnostics) {
        let mut names: HashMap<&str, &SourceSpan<'s>> = HashMap::with_capacity(self.entries.len());
        for draft in &self.entries {
            let name = draft.entry.name.as_str();
            if let Some(first) = names.get(name) {
                let message = format!("two entries have the name `{}`", shown(name));
                let diagnostic = Diagnostic::new(Severity::Error, &draft.name, message)
                    .related(first, "the first entry")
                    .help("write another `name`; an entry without `name` is named by its first `match`");
                diagnostics.add(diagnostic);
            } else {
                names.insert(name, &draft.name);
            }
        }
        if let Some(unknown) = &self.unknown
            && unknown.value.denies_somewhere()
            && self.public.is_none()
        {
            let list = DEFAULT_PUBLIC_REGISTRIES.join(", ");
            let message = "`unknownRegistries` denies, so `publicRegistries` must be written: the \
                           default list would allow registries that the map does not name";
            diagnostics.add(
                Diagnostic::new(Severity::Error, &unknown.place, message).help(format!(
                    "write `publicRegistries: []`, or those that you need of `publicRegistries: [{list}]`"
                )),
            );
        }
    }
}

/// Reads a key that may stand in only one document.
fn give<'s, 't, T>(
    slot: &mut Option<Located<'s, T>>,
    fields: &mut MapFields<'s, 't>,
    key: &str,
    diagnostics: &mut Diagnostics,
    read: impl FnOnce(&MapField<'s, 't>, &mut Diagnostics) -> Option<T>,
) where
    T: Default,
{
    let Some(field) = fields.take(key) else {
        return;
    };
    if let Some(first) = slot {
        let message =
            format!("`{key}` is written in two documents of the map; write it in one of them");
        diagnostics.add(
            Diagnostic::new(Severity::Error, &field.place, message)
                .related(&first.place, "first written here"),
        );
        return;
    }
    // A value that is not valid is already reported, and the key still counts as written.
    let value = read(&field, diagnostics).unwrap_or_default();
    *slot = Some(Located {
        value,
        place: field.place,
    });
}

fn unknown(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<DraftUnknown> {
    if !field.is_map() {
        return Some(DraftUnknown {
            default: values::action(field, diagnostics),
            ..DraftUnknown::default()
        });
    }
    let mut fields = field.map(keys::UNKNOWN, diagnostics)?;
    let overrides = fields.take("overrides");
    let overrides = overrides.and_then(|field| values::list(&field, diagnostics, one_override));
    Some(DraftUnknown {
        default: fields
            .take("default")
            .and_then(|field| values::action(&field, diagnostics)),
        overrides: overrides.unwrap_or_default(),
        reason: fields
            .take("reason")
            .and_then(|field| values::words(&field, diagnostics)),
    })
}

fn one_override(item: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Override> {
    let mut fields = item.map(keys::OVERRIDE, diagnostics)?;
    let scope = selector::scope(&mut fields, diagnostics);
    if scope.is_none() {
        fields.missing(
            diagnostics,
            "an override needs `namespaces` or `namespaceSelector`",
        );
    }
    let Some(action) = fields.take("action") else {
        fields.missing(diagnostics, "an override needs `action`");
        return None;
    };
    Some(Override {
        scope: scope?,
        action: values::action(&action, diagnostics)?,
    })
}

fn exempt_namespaces(
    field: &MapField<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<String>> {
    let items = field.list(diagnostics)?;
    let mut namespaces = Vec::with_capacity(items.len());
    for item in &items {
        let Some(namespace) = values::namespace(item, diagnostics) else {
            continue;
        };
        if glob::is_glob(&namespace) {
            let message = format!("`{namespace}` exempts namespaces that do not exist yet");
            diagnostics.add(
                Diagnostic::new(Severity::Warning, &item.place, message)
                    .help("anyone who may create a namespace chooses its name; write the names one by one"),
            );
        }
        namespaces.push(namespace);
    }
    Some(namespaces)
}
