//! Where an allow goes before part of a deny: valid, and perhaps not meant.
//!
//! Only warnings come from here, so the work may be cut short.

use std::collections::HashMap;

use super::ambiguity::scopes_meet;
use super::diagnostic::{Diagnostic, Place, Severity};
use super::draft::{Draft, DraftEntry};
use super::reader::Problems;
use super::{Action, default_public_registries, glob};
use crate::policy::Pattern;
use crate::policy::pattern::is_path_prefix;

const MOST_REPORTED: usize = 50;

/// Pairs that are looked at.
const MOST_COMPARED: usize = 5_000_000;

/// One pattern that denies.
#[derive(Clone, Copy)]
struct Deny<'d, 's> {
    pattern: &'d Pattern,
    place: &'d Place<'s>,
    draft: &'d DraftEntry<'s>,
}

/// One pattern that allows: of an entry, of `publicRegistries` or of its default.
#[derive(Clone, Copy)]
struct Allow<'d> {
    pattern: &'d Pattern,
    namespaces: Option<&'d [String]>,
    is_entry: bool,
}

/// One that is written, and where.
struct Placed<'d, 's> {
    allow: Allow<'d>,
    place: &'d Place<'s>,
}

#[derive(Default)]
struct Denies<'d, 's> {
    literal: HashMap<(&'d str, u16), HashMap<&'d str, Vec<Deny<'d, 's>>>>,
    globs: Vec<Deny<'d, 's>>,
}

pub(super) fn check(draft: &Draft<'_>, problems: &mut Problems) {
    let denies = Denies::of(draft);
    if denies.literal.is_empty() && denies.globs.is_empty() {
        return;
    }
    let mut compared = 0;
    let found = allows(draft).filter_map(|allow| {
        let deny = denies.outranked_by(allow.allow, &mut compared)?;
        Some((allow, deny))
    });
    for (allow, deny) in found.take(MOST_REPORTED) {
        let message = format!(
            "this out-ranks part of the deny `{}`",
            deny.draft.entry.name
        );
        problems.add(
            Diagnostic::new(Severity::Warning, allow.place, message)
                .also(deny.place, "the deny")
                .help("leave it so if the exception is meant"),
        );
    }
    if draft.public.is_none() {
        check_default(&denies, problems);
    }
}

/// The list that stands in for `publicRegistries` has no place of its own.
fn check_default(denies: &Denies<'_, '_>, problems: &mut Problems) {
    let default = default_public_registries();
    let literal = denies
        .literal
        .values()
        .flat_map(|paths| paths.values().flatten());
    for deny in denies.globs.iter().chain(literal).take(MOST_REPORTED) {
        let outranking = default.iter().filter(|pattern| {
            let allow = Allow {
                pattern,
                namespaces: None,
                is_entry: false,
            };
            outranks_part(allow, *deny)
        });
        let names: Vec<&str> = outranking.map(|pattern| pattern.text.as_str()).collect();
        if names.is_empty() {
            continue;
        }
        let message = format!(
            "public registries by default out-rank part of this deny: {}",
            names.join(", ")
        );
        problems.add(
            Diagnostic::new(Severity::Warning, deny.place, message)
                .help("write `publicRegistries` without them"),
        );
    }
}

fn allows<'d, 's>(draft: &'d Draft<'s>) -> impl Iterator<Item = Placed<'d, 's>> {
    let entries = draft.entries.iter();
    let entries =
        entries.filter(|draft| matches!(draft.entry.action, Action::Allow | Action::Audit));
    let entries = entries.flat_map(|draft| {
        let patterns = draft.entry.patterns.iter().zip(&draft.patterns);
        let namespaces = draft.entry.namespaces.as_deref();
        patterns.map(move |(pattern, place)| (pattern, place, namespaces, true))
    });
    let public = draft.public.iter().flat_map(|given| &given.value);
    let public = public.map(|(pattern, place)| (pattern, place, None, false));
    let placed = |(pattern, place, namespaces, is_entry)| Placed {
        allow: Allow {
            pattern,
            namespaces,
            is_entry,
        },
        place,
    };
    entries.chain(public).map(placed)
}

impl<'d, 's> Denies<'d, 's> {
    fn of(draft: &'d Draft<'s>) -> Self {
        let mut denies = Self::default();
        for draft in &draft.entries {
            if draft.entry.action != Action::Deny {
                continue;
            }
            for (pattern, place) in draft.entry.patterns.iter().zip(&draft.patterns) {
                let deny = Deny {
                    pattern,
                    place,
                    draft,
                };
                if pattern.is_glob() {
                    denies.globs.push(deny);
                } else {
                    let host = denies.literal.entry((pattern.host(), pattern.port()));
                    host.or_default()
                        .entry(pattern.path())
                        .or_default()
                        .push(deny);
                }
            }
        }
        denies
    }

    fn outranked_by(&self, allow: Allow<'d>, compared: &mut usize) -> Option<Deny<'d, 's>> {
        let mut outranked = |deny: &Deny<'d, 's>| {
            *compared += 1;
            *compared <= MOST_COMPARED && outranks_part(allow, *deny)
        };
        if !allow.pattern.is_glob() {
            let host = (allow.pattern.host(), allow.pattern.port());
            if let Some(paths) = self.literal.get(&host) {
                let mut path = allow.pattern.path();
                loop {
                    let denies = paths.get(path).map_or(&[][..], Vec::as_slice);
                    if let Some(deny) = denies.iter().find(|deny| outranked(deny)) {
                        return Some(*deny);
                    }
                    if path.is_empty() {
                        break;
                    }
                    path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                }
            }
        }
        self.globs.iter().find(|deny| outranked(deny)).copied()
    }
}

fn outranks_part(allow: Allow<'_>, deny: Deny<'_, '_>) -> bool {
    let rank = |pattern: &Pattern| {
        (
            !pattern.is_glob(),
            pattern.literal_characters(),
            pattern.path().len(),
        )
    };
    let (a, d) = (allow.pattern, deny.pattern);
    let before = match rank(a).cmp(&rank(d)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => {
            allow.is_entry && closer(allow.namespaces, deny.draft.entry.namespaces.as_deref())
        }
    };
    before
        && a.port() == d.port()
        && (is_path_prefix(a.path(), d.path()) || is_path_prefix(d.path(), a.path()))
        && a.shares_hosts_with(d)
        && scopes_meet(allow.namespaces, deny.draft.entry.namespaces.as_deref())
}

/// Whether the first scope goes before the second in some namespace, as far as one is
/// by name and the other is not.
fn closer(first: Option<&[String]>, second: Option<&[String]>) -> bool {
    match (first, second) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(first), Some(second)) => {
            first
                .iter()
                .filter(|name| !glob::is_glob(name))
                .any(|name| {
                    !second.contains(name) && second.iter().any(|glob| glob::matches(glob, name))
                })
        }
    }
}
