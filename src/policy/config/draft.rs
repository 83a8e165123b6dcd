//! The map as it is written: values that are right one by one, with the places where
//! they stand, before they are held against each other.

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, Place, Severity};
use super::keys;
use super::reader::{Field, Fields, Problems};
use super::values::{self, Day};
use super::{Action, DEFAULT_PUBLIC_REGISTRIES, Pattern, glob};
use crate::policy::Entry;

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

#[derive(Debug)]
pub(super) struct DraftEntry<'s> {
    pub(super) entry: Entry,
    // Where the name stands, or the pattern that serves as one.
    name: Place<'s>,
    /// Where the entry's patterns stand, one by one.
    pub(super) patterns: Vec<Place<'s>>,
}

#[derive(Debug, Default)]
pub(super) struct UnknownRegistries {
    pub(super) default: Option<Action>,
    pub(super) overrides: Vec<(Vec<String>, Action)>,
    pub(super) reason: Option<String>,
}

impl UnknownRegistries {
    fn denies_somewhere(&self) -> bool {
        let mut actions = self
            .overrides
            .iter()
            .map(|(_, action)| *action)
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
            self.entries.extend(entry(&item, problems));
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
                let message = format!("two entries are called `{}`", name.escape_debug());
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

fn entry<'s>(item: &Field<'s, '_>, problems: &mut Problems) -> Option<DraftEntry<'s>> {
    let mut fields = item.map(keys::ENTRY, problems)?;
    let patterns = patterns(&mut fields, problems);
    let name = fields.take("name");
    let given_name = name
        .as_ref()
        .and_then(|field| values::entry_name(field, problems));
    let pull_secrets = pull_secrets(&mut fields, problems);
    let namespaces = fields
        .take("namespaces")
        .map(|field| values::some(&field, problems, values::namespace).unwrap_or_default());
    refuse_selector(&mut fields, problems);
    let action = fields.take("action");
    let action = action.map_or(Some(Action::Allow), |field| {
        values::action(&field, problems)
    });
    let reason = fields
        .take("reason")
        .and_then(|field| values::words(&field, problems));
    let (from, until) = times(&mut fields, action, problems);
    let replace_with = replace_with(&mut fields, problems);

    // Without patterns there is no entry; the complaint has been made.
    let (patterns, places): (Vec<_>, Vec<_>) = patterns?.into_iter().unzip();
    let (first, first_place) = (patterns.first()?, places.first()?);
    check_deep(&patterns, &places, &pull_secrets, problems);
    let place = &fields.place;
    Some(DraftEntry {
        name: name.map_or_else(|| first_place.clone(), |field| field.place),
        entry: Entry {
            name: given_name.unwrap_or_else(|| first.text.clone()),
            pull_secrets,
            action: action.unwrap_or(Action::Allow),
            reason,
            from,
            until,
            replace_with,
            namespaces,
            location: format!("{}:{}", place.file.name, place.at.line),
            patterns,
        },
        patterns: places,
    })
}

fn patterns<'s>(
    fields: &mut Fields<'s, '_>,
    problems: &mut Problems,
) -> Option<Vec<(Pattern, Place<'s>)>> {
    let Some(field) = fields.take("match") else {
        problems.error(
            &fields.place,
            "an entry needs `match`: the registry it is for, like `match: registry.example.com`",
        );
        return None;
    };
    if field.is_text() {
        let pattern = values::pattern(&field, problems)?;
        return Some(vec![(pattern, field.place)]);
    }
    let items = field.list(problems)?;
    if items.is_empty() {
        problems.error(
            &field.place,
            "`match` is an empty list: name at least one registry",
        );
        return None;
    }
    let each = |item: Field<'s, '_>| Some((values::pattern(&item, problems)?, item.place));
    Some(items.into_iter().filter_map(each).collect())
}

fn pull_secrets(fields: &mut Fields<'_, '_>, problems: &mut Problems) -> Vec<String> {
    let Some(field) = fields.take("pullSecrets") else {
        return Vec::new();
    };
    let items = field.list(problems).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = pull_secret(&item, problems) else {
            continue;
        };
        if names.contains(&name) {
            problems.error(&item.place, format!("`{name}` is named twice"));
        } else {
            names.push(name);
        }
    }
    names
}

fn pull_secret(item: &Field<'_, '_>, problems: &mut Problems) -> Option<String> {
    if !item.is_map() {
        return values::secret_name(item, problems);
    }
    let mut fields = item.map(keys::PULL_SECRET, problems)?;
    if let Some(copy) = fields.take("copyFrom") {
        problems.error(
            &copy.place,
            "this build does not support `copyFrom` yet: create the secret in the pod's namespace and leave `copyFrom` out",
        );
    }
    let Some(name) = fields.take("name") else {
        problems.error(&fields.place, "a pull secret needs `name`");
        return None;
    };
    values::secret_name(&name, problems)
}

fn refuse_selector(fields: &mut Fields<'_, '_>, problems: &mut Problems) {
    if let Some(selector) = fields.take("namespaceSelector") {
        problems.error(
            &selector.place,
            "this build does not support `namespaceSelector` yet: write `namespaces`",
        );
    }
}

fn times(
    fields: &mut Fields<'_, '_>,
    action: Option<Action>,
    problems: &mut Problems,
) -> (Option<jiff::Timestamp>, Option<jiff::Timestamp>) {
    let from = fields.take("from");
    let until = fields.take("until");
    if let (Some(field), Some(action)) = (&from, action)
        && action != Action::Deny
    {
        problems.error(
            &field.place,
            "`from` says when a deny begins: write `action: deny`, or leave `from` out",
        );
    }
    if let (Some(field), Some(Action::Deny)) = (&until, action) {
        problems.error(
            &field.place,
            "a deny does not end by itself: leave `until` out, and the entry when it is over",
        );
    }
    (
        from.and_then(|field| values::time(&field, Day::Begins, problems)),
        until.and_then(|field| values::time(&field, Day::Ends, problems)),
    )
}

fn replace_with(fields: &mut Fields<'_, '_>, problems: &mut Problems) -> Option<String> {
    let field = fields.take("replaceWith")?;
    let pattern = values::pattern(&field, problems)?;
    if pattern.is_glob() {
        problems.error(
            &field.place,
            "`replaceWith` is one place to take images from: write it without `*`",
        );
        return None;
    }
    Some(pattern.text)
}

/// A kubelet compares label by label, so no key of a secret could be meant.
fn check_deep(
    patterns: &[Pattern],
    places: &[Place<'_>],
    pull_secrets: &[String],
    problems: &mut Problems,
) {
    if pull_secrets.is_empty() {
        return;
    }
    for (pattern, place) in patterns.iter().zip(places) {
        if pattern.is_deep() {
            problems.error(
                place,
                "`**.` may not stand in an entry with `pullSecrets`: a kubelet compares label by \
                 label, so write a pattern for each number of labels, like `*.example.com`",
            );
        }
    }
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

fn one_override(item: &Field<'_, '_>, problems: &mut Problems) -> Option<(Vec<String>, Action)> {
    let mut fields = item.map(keys::OVERRIDE, problems)?;
    let selects = fields.has("namespaceSelector");
    refuse_selector(&mut fields, problems);
    let namespaces = match fields.take("namespaces") {
        Some(field) => values::some(&field, problems, values::namespace),
        None if selects => None,
        None => {
            problems.error(&fields.place, "an override needs `namespaces`");
            None
        }
    };
    let Some(action) = fields.take("action") else {
        problems.error(&fields.place, "an override needs `action`");
        return None;
    };
    Some((
        namespaces.unwrap_or_default(),
        values::action(&action, problems)?,
    ))
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
