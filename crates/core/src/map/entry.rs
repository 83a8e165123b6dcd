//! Reads one entry of `registries`.
//!
//! This module checks what an entry says by itself. It must not compare entries with each
//! other, which [`super::lint`] does.

use std::collections::HashSet;

use jiff::Timestamp;

use super::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use super::reader::{MapField, MapFields};
use super::values::{self, DayBoundary};
use super::{Action, Pattern, keys, selector};
use crate::policy::pattern::shown;
use crate::policy::{Entry, Scope};

/// An entry as it is written, with the places of what is compared with other entries.
#[derive(Debug)]
pub(super) struct DraftEntry<'s> {
    pub(super) entry: Entry,
    /// Where the name stands, or the pattern that serves as the name.
    pub(super) name: SourceSpan<'s>,
    /// Where the patterns of the entry stand, in the order of `entry.patterns`.
    pub(super) patterns: Vec<SourceSpan<'s>>,
}

/// Reads an entry. A value that is not valid is reported and left out. Without a valid
/// pattern there is no entry.
pub(super) fn read<'s>(
    item: &MapField<'s, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<DraftEntry<'s>> {
    let mut fields = keys_of(item, diagnostics)?;
    let patterns = patterns(&mut fields, diagnostics);
    let name = fields.take("name");
    let given_name = name
        .as_ref()
        .and_then(|field| values::entry_name(field, diagnostics));
    let secrets = fields.take("pullSecrets");
    let pull_secrets = secrets
        .as_ref()
        .map_or_else(Vec::new, |field| pull_secrets(field, diagnostics));
    let scope = selector::scope(&mut fields, diagnostics).unwrap_or(Scope::Everywhere);
    let action = match fields.take("action") {
        Some(field) => values::action(&field, diagnostics),
        None => Some(Action::Allow),
    };
    let reason = fields
        .take("reason")
        .and_then(|field| values::words(&field, diagnostics));
    let (from, until) = times(&mut fields, action, diagnostics);
    let replacement = fields.take("replaceWith");
    let replace_with = replacement
        .as_ref()
        .and_then(|field| replace_with(field, diagnostics));
    // The images of a deny are pulled until it begins, and need secrets until then.
    let secrets = secrets.filter(|_| from.is_none());
    warn_of_useless(
        secrets.as_ref(),
        replacement.as_ref(),
        action,
        until,
        diagnostics,
    );

    // Missing patterns are already reported.
    let (patterns, places): (Vec<_>, Vec<_>) = patterns?.into_iter().unzip();
    let (first, first_place) = (patterns.first()?, places.first()?);
    check_as_keys(&patterns, &places, &pull_secrets, diagnostics);
    if !pull_secrets.is_empty() {
        warn_of_spelling(&patterns, &places, diagnostics);
    }
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
            scope,
            location: format!("{}:{}", place.file.name, place.at.line),
            patterns,
        },
        patterns: places,
    })
}

fn keys_of<'s, 't>(
    item: &MapField<'s, 't>,
    diagnostics: &mut Diagnostics,
) -> Option<MapFields<'s, 't>> {
    if !item.is_text() {
        return item.map(keys::ENTRY, diagnostics);
    }
    let message = "an entry must be a map and is a string";
    let instead = format!("write `- match: {}`", shown(item.written()));
    diagnostics.add(Diagnostic::new(Severity::Error, &item.place, message).help(instead));
    None
}

fn patterns<'s>(
    fields: &mut MapFields<'s, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<(Pattern, SourceSpan<'s>)>> {
    let Some(field) = fields.take("match") else {
        fields.missing(
            diagnostics,
            "an entry needs `match`; write the registry that it is for, like \
             `match: registry.example.com`",
        );
        return None;
    };
    if !field.is_list() {
        let pattern = values::pattern(&field, diagnostics)?;
        return Some(vec![(pattern, field.place)]);
    }
    values::some(&field, diagnostics, |item, diagnostics| {
        Some((values::pattern(item, diagnostics)?, item.place.clone()))
    })
}

fn pull_secrets(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let items = field.list(diagnostics).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for item in items {
        let Some(name) = pull_secret(&item, diagnostics) else {
            continue;
        };
        if seen.insert(name.clone()) {
            names.push(name);
        } else {
            diagnostics.error(
                &item.place,
                format!("`{name}` is named twice; leave one of them out"),
            );
        }
    }
    names
}

fn pull_secret(item: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    if !item.is_map() {
        return values::secret_name(item, diagnostics);
    }
    let mut fields = item.map(keys::PULL_SECRET, diagnostics)?;
    if let Some(copy) = fields.take("copyFrom") {
        diagnostics.error(
            &copy.place,
            "this build does not support `copyFrom` yet; create the Secret in the pod's namespace \
             and leave `copyFrom` out",
        );
    }
    let Some(name) = fields.take("name") else {
        fields.missing(diagnostics, "a pull secret needs `name`");
        return None;
    };
    values::secret_name(&name, diagnostics)
}

/// Warns of a pattern that is not spelled as images are. The kubelet compares the key of a
/// credential with an image letter by letter, so such a pattern, used as a key, serves no
/// image.
fn warn_of_spelling(
    patterns: &[Pattern],
    places: &[SourceSpan<'_>],
    diagnostics: &mut Diagnostics,
) {
    for (pattern, place) in patterns.iter().zip(places) {
        let host = pattern.text.split('/').next().unwrap_or_default();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port),
            _ => (host, ""),
        };
        let why = if name.contains(|letter: char| letter.is_ascii_uppercase()) {
            "images are mostly written in lower case"
        } else if port == "443" {
            "images are mostly written without `:443`"
        } else if port.starts_with('0') {
            "images are mostly written without leading zeros in the port"
        } else {
            continue;
        };
        diagnostics.warning(
            place,
            format!(
                "the kubelet compares the registry in a Secret with the image letter by letter, and \
                 {why}; write the registry as it stands in images"
            ),
        );
    }
}

/// Warns of keys that are valid and have no effect.
fn warn_of_useless(
    secrets: Option<&MapField<'_, '_>>,
    replacement: Option<&MapField<'_, '_>>,
    action: Option<Action>,
    until: Option<Timestamp>,
    diagnostics: &mut Diagnostics,
) {
    // The warning about an entry that expires soon shows it.
    if let (Some(field), Some(Action::Allow), None) = (replacement, action, until) {
        diagnostics.warning(
            &field.place,
            "`replaceWith` has no effect, because only a warning or a denial shows it, and this entry \
             allows and has no `until`",
        );
    }
    if let (Some(field), Some(Action::Deny)) = (secrets, action) {
        diagnostics.warning(
            &field.place,
            "`pullSecrets` has no effect, because this entry denies and nothing is pulled",
        );
    }
}

fn times(
    fields: &mut MapFields<'_, '_>,
    action: Option<Action>,
    diagnostics: &mut Diagnostics,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let from = fields.take("from");
    let until = fields.take("until");
    if let (Some(field), Some(action)) = (&from, action)
        && action != Action::Deny
    {
        diagnostics.error(
            &field.place,
            "`from` is the time at which a deny begins, and this entry does not deny; write \
             `action: deny` or leave `from` out",
        );
    }
    if let (Some(field), Some(Action::Deny)) = (&until, action) {
        diagnostics.error(
            &field.place,
            "a deny does not expire; leave `until` out, and remove the entry when it is no longer \
             needed",
        );
    }
    (
        from.and_then(|field| values::time(&field, DayBoundary::Start, diagnostics)),
        until.and_then(|field| values::time(&field, DayBoundary::End, diagnostics)),
    )
}

fn replace_with(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let pattern = values::pattern(field, diagnostics)?;
    if pattern.is_glob() || pattern.port().is_none() {
        diagnostics.error(
            &field.place,
            "`replaceWith` must be one registry or path; write it without `*`",
        );
        return None;
    }
    Some(pattern.text)
}

/// Reports `**.` and `:*` beside `pullSecrets`. The kubelet compares hosts label by label and
/// ports as texts, so no key of a Secret can correspond to such a pattern.
fn check_as_keys(
    patterns: &[Pattern],
    places: &[SourceSpan<'_>],
    pull_secrets: &[String],
    diagnostics: &mut Diagnostics,
) {
    if pull_secrets.is_empty() {
        return;
    }
    for (pattern, place) in patterns.iter().zip(places) {
        if pattern.is_deep() {
            diagnostics.error(
                place,
                "`**.` is not allowed in an entry with `pullSecrets`, because the kubelet compares \
                 hosts label by label; write a pattern for each number of labels, like \
                 `*.example.com`",
            );
        }
        if pattern.port().is_none() {
            diagnostics.error(
                place,
                "`:*` is not allowed in an entry with `pullSecrets`, because the kubelet compares \
                 ports letter by letter; write a pattern for each port, like `example.com:5000`",
            );
        }
    }
}
