//! The map as it is written: values that are right one by one, with the places where
//! they stand, before they are held against each other.

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, Place, Severity};
use super::entry::{self, DraftEntry};
use super::keys;
use super::reader::{Field, Fields, Problems};
use super::values;
use super::{Action, DEFAULT_PUBLIC_REGISTRIES, Pattern, selector};
use crate::policy::Override;
use crate::policy::glob;
use crate::policy::pattern::shown;

/// A value that may stand in one document only, and where it does.
#[derive(Debug)]
pub(super) struct Given<'s, T> {
    pub(super) value: T,
    pub(super) place: Place<'s>,
}

#[derive(Debug, Default)]
pub(super) struct Draft<'s> {
    pub(super) entries: Vec<DraftEntry<'s>>,
    pub(super) public: Option<Given<'s, Vec<(Pattern, Place<'s>)>>>,
    pub(super) unknown: Option<Given<'s, UnknownRegistries>>,
    pub(super) exempt: Option<Given<'s, Vec<String>>>,
    pub(super) contact: Option<Given<'s, String>>,
}

#[derive(Debug, Default)]
pub(super) struct UnknownRegistries {
    pub(super) default: Option<Action>,
    pub(super) overrides: Vec<Override>,
    pub(super) reason: Option<String>,
}

impl UnknownRegistries {
    fn denies_somewhere(&self) -> bool {
        let mut actions = self
            .overrides
            .iter()
            .map(|one| one.action)
            .chain(self.default);
        actions.any(|action| action == Action::Deny)
    }
}

impl<'s> Draft<'s> {
    /// Takes in one document of kind `RegistryMap`.
    pub(super) fn read(&mut self, document: &Field<'s, '_>, problems: &mut Problems) {
        let Some(mut fields) = document.map(keys::MAP, problems) else {
            return;
        };
        let registries = fields.take("registries");
        for item in registries
            .and_then(|field| field.list(problems))
            .unwrap_or_default()
        {
            self.entries.extend(entry::read(&item, problems));
        }
        give(
            &mut self.public,
            &mut fields,
            "publicRegistries",
            problems,
            |field, problems| {
                let items = field.list(problems)?;
                let each = |item: &Field<'s, '_>| {
                    Some((values::pattern(item, problems)?, item.place.clone()))
                };
                Some(items.iter().filter_map(each).collect())
            },
        );
        give(
            &mut self.unknown,
            &mut fields,
            "unknownRegistries",
            problems,
            unknown,
        );
        give(
            &mut self.exempt,
            &mut fields,
            "exemptNamespaces",
            problems,
            |field, problems| exempt_namespaces(field, problems),
        );
        give(
            &mut self.contact,
            &mut fields,
            "contact",
            problems,
            values::words,
        );
    }

    /// What can be said only when all documents are read.
    pub(super) fn settle(&self, problems: &mut Problems) {
        let mut names: HashMap<&str, &Place<'s>> = HashMap::with_capacity(self.entries.len());
        for draft in &self.entries {
            let name = draft.entry.name.as_str();
            if let Some(first) = names.get(name) {
                let message = format!("two entries are called `{}`", shown(name));
                let diagnostic = Diagnostic::new(Severity::Error, &draft.name, message)
                    .also(first, "the first one")
                    .help("a name is unique, and is the first `match` where none is written: write another `name`");
                problems.add(diagnostic);
            } else {
                names.insert(name, &draft.name);
            }
        }
        if let Some(unknown) = &self.unknown
            && unknown.value.denies_somewhere()
            && self.public.is_none()
        {
            let list = DEFAULT_PUBLIC_REGISTRIES.join(", ");
            let message = "`unknownRegistries` denies, so `publicRegistries` must be written: nothing is \
                           to be allowed by surprise";
            problems.add(
                Diagnostic::new(Severity::Error, &unknown.place, message).help(format!(
                    "write `publicRegistries: []`, or what you need of `publicRegistries: [{list}]`"
                )),
            );
        }
    }
}

/// Reads a key that may stand in one document only.
fn give<'s, 't, T>(
    slot: &mut Option<Given<'s, T>>,
    fields: &mut Fields<'s, 't>,
    key: &str,
    problems: &mut Problems,
    read: impl FnOnce(&Field<'s, 't>, &mut Problems) -> Option<T>,
) where
    T: Default,
{
    let Some(field) = fields.take(key) else {
        return;
    };
    if let Some(first) = slot {
        let message = format!("`{key}` may stand in one document of the map only");
        problems.add(
            Diagnostic::new(Severity::Error, &field.place, message)
                .also(&first.place, "first written here"),
        );
        return;
    }
    // What is wrong has been said; that it was given still counts.
    let value = read(&field, problems).unwrap_or_default();
    *slot = Some(Given {
        value,
        place: field.place,
    });
}

fn unknown(field: &Field<'_, '_>, problems: &mut Problems) -> Option<UnknownRegistries> {
    if !field.is_map() {
        return Some(UnknownRegistries {
            default: values::action(field, problems),
            ..UnknownRegistries::default()
        });
    }
    let mut fields = field.map(keys::UNKNOWN, problems)?;
    let overrides = fields.take("overrides");
    let overrides = overrides.and_then(|field| values::list(&field, problems, one_override));
    Some(UnknownRegistries {
        default: fields
            .take("default")
            .and_then(|field| values::action(&field, problems)),
        overrides: overrides.unwrap_or_default(),
        reason: fields
            .take("reason")
            .and_then(|field| values::words(&field, problems)),
    })
}

fn one_override(item: &Field<'_, '_>, problems: &mut Problems) -> Option<Override> {
    let mut fields = item.map(keys::OVERRIDE, problems)?;
    let scope = selector::scope(&mut fields, problems);
    if scope.is_none() {
        fields.missing(
            problems,
            "an override needs `namespaces` or `namespaceSelector`",
        );
    }
    let Some(action) = fields.take("action") else {
        fields.missing(problems, "an override needs `action`");
        return None;
    };
    Some(Override {
        scope: scope?,
        action: values::action(&action, problems)?,
    })
}

fn exempt_namespaces(field: &Field<'_, '_>, problems: &mut Problems) -> Option<Vec<String>> {
    let items = field.list(problems)?;
    let mut namespaces = Vec::with_capacity(items.len());
    for item in &items {
        let Some(namespace) = values::namespace(item, problems) else {
            continue;
        };
        if glob::is_glob(&namespace) {
            let message = format!("`{namespace}` exempts namespaces that do not exist yet");
            problems.add(
                Diagnostic::new(Severity::Warning, &item.place, message)
                    .help("whoever creates a namespace picks its name: write the names one by one"),
            );
        }
        namespaces.push(namespace);
    }
    Some(namespaces)
}
