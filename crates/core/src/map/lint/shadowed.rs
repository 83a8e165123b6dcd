//! Warns where an allow shadows part of a deny, which is valid and perhaps not intended.
//!
//! The module makes only warnings, so the work may stop at a limit. It must not make errors, and
//! it must not define precedence.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use crate::map::default_public_registries;
use crate::map::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use crate::map::draft::MapDraft;
use crate::map::entry::DraftEntry;
use crate::policy::glob::GlobMap;
use crate::policy::pattern::is_path_prefix;
use crate::policy::precedence::Rank;
use crate::policy::{Action, glob};
use crate::policy::{Overlap, Pattern, Scope};

/// The number of warnings of each kind.
const MOST_REPORTED: usize = 50;

/// The number of pairs of globs that are compared.
const MOST_COMPARED: usize = 1_000_000;

/// The number of denies of each kind that are compared with one allow.
const MOST_ON_ONE: usize = 100;

/// One pattern that denies.
#[derive(Clone, Copy)]
struct DenyPattern<'d, 's> {
    pattern: &'d Pattern,
    place: &'d SourceSpan<'s>,
    draft: &'d DraftEntry<'s>,
}

/// One pattern that allows: of an entry, of `publicRegistries` or of the default list.
#[derive(Clone, Copy)]
struct AllowPattern<'d> {
    pattern: &'d Pattern,
    scope: &'d Scope,
    is_entry: bool,
}

/// A pattern that allows, and the place where it is written.
struct PlacedAllow<'d, 's> {
    allow: AllowPattern<'d>,
    place: &'d SourceSpan<'s>,
}

#[derive(Default)]
struct DenyIndex<'d, 's> {
    literal: HashMap<(&'d str, u16), HashMap<&'d str, Vec<DenyPattern<'d, 's>>>>,
    globs: Vec<DenyPattern<'d, 's>>,
    // The globs by host, where a `*` stands for any characters.
    by_host: GlobMap<Vec<DenyPattern<'d, 's>>>,
}

pub(in crate::map) fn check(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    let denies = DenyIndex::of(draft);
    if denies.literal.is_empty() && denies.globs.is_empty() {
        return;
    }
    let (globs, literal): (Vec<_>, Vec<_>) =
        allows(draft).partition(|placed| placed.allow.pattern.is_glob());
    let of_literal = literal.iter().filter_map(|placed| {
        let deny = denies.shadowed_by_literal(placed.allow)?;
        Some((placed.place, deny))
    });
    let mut found: Vec<_> = of_literal.take(MOST_REPORTED).collect();
    shadowed_by_globs(&globs, &denies.globs, &mut found);
    for (place, deny) in found {
        let message = format!(
            "this pattern shadows part of the deny entry `{}`",
            deny.draft.entry.name
        );
        diagnostics.add(
            Diagnostic::new(Severity::Warning, place, message)
                .related(deny.place, "the deny entry")
                .help("leave it so if the exception is intended"),
        );
    }
    if draft.public.is_none() {
        check_default(&denies, diagnostics);
    }
}

/// Compares globs with globs. A host with `*` never shadows a literal host.
fn shadowed_by_globs<'d, 's>(
    allows: &[PlacedAllow<'d, 's>],
    denies: &[DenyPattern<'d, 's>],
    found: &mut Vec<(&'d SourceSpan<'s>, DenyPattern<'d, 's>)>,
) {
    let first = allows.iter().map(|placed| placed.allow.pattern);
    let second = denies.iter().map(|deny| deny.pattern);
    let hosts: Vec<String> = first.chain(second).map(Pattern::loose_host).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let mut reported = HashSet::new();
    let mut compared = 0;
    _ = glob::compatible_pairs(&hosts, |a, b| {
        compared += 1;
        if compared > MOST_COMPARED || found.len() >= MOST_REPORTED {
            return ControlFlow::Break(());
        }
        let deny = b.checked_sub(allows.len()).and_then(|at| denies.get(at));
        if let (Some(placed), Some(deny)) = (allows.get(a), deny)
            && shadows_part(placed.allow, *deny)
            && reported.insert(a)
        {
            found.push((placed.place, *deny));
        }
        ControlFlow::Continue(())
    });
}

/// Compares the default `publicRegistries` with the denies. The default list has no place in
/// a file, so the warning stands at the deny.
fn check_default(denies: &DenyIndex<'_, '_>, diagnostics: &mut Diagnostics) {
    let default = default_public_registries();
    let literal = denies
        .literal
        .values()
        .flat_map(|paths| paths.values().flatten());
    for deny in denies.globs.iter().chain(literal).take(MOST_REPORTED) {
        let shadowing = default.iter().filter(|pattern| {
            let allow = AllowPattern {
                pattern,
                scope: &Scope::Everywhere,
                is_entry: false,
            };
            shadows_part(allow, *deny)
        });
        let names: Vec<&str> = shadowing.map(|pattern| pattern.text.as_str()).collect();
        if names.is_empty() {
            continue;
        }
        let message = format!(
            "the default `publicRegistries` shadow part of this deny entry: {}",
            names.join(", ")
        );
        diagnostics.add(
            Diagnostic::new(Severity::Warning, deny.place, message)
                .help("write `publicRegistries` without them"),
        );
    }
}

fn allows<'d, 's>(draft: &'d MapDraft<'s>) -> impl Iterator<Item = PlacedAllow<'d, 's>> {
    let entries = draft.entries.iter();
    let entries = entries
        .filter(|draft| matches!(draft.entry.action.action(), Action::Allow | Action::Audit));
    let entries = entries.flat_map(|draft| {
        let patterns = draft.entry.patterns.iter().zip(&draft.patterns);
        let scope = &draft.entry.scope;
        patterns.map(move |(pattern, place)| (pattern, place, scope, true))
    });
    let public = draft.public.iter().flat_map(|given| &given.value);
    let public = public.map(|(pattern, place)| (pattern, place, &Scope::Everywhere, false));
    let placed = |(pattern, place, scope, is_entry)| PlacedAllow {
        allow: AllowPattern {
            pattern,
            scope,
            is_entry,
        },
        place,
    };
    entries.chain(public).map(placed)
}

impl<'d, 's> DenyIndex<'d, 's> {
    fn of(draft: &'d MapDraft<'s>) -> Self {
        let mut denies = Self::default();
        for draft in &draft.entries {
            if draft.entry.action.action() != Action::Deny {
                continue;
            }
            for (pattern, place) in draft.entry.patterns.iter().zip(&draft.patterns) {
                let deny = DenyPattern {
                    pattern,
                    place,
                    draft,
                };
                if pattern.is_glob() {
                    denies.globs.push(deny);
                    let hosts = denies.by_host.entry(&pattern.loose_host(), Vec::new);
                    hosts.push(deny);
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

    fn shadowed_by_literal(&self, allow: AllowPattern<'d>) -> Option<DenyPattern<'d, 's>> {
        let is_shadowed = |deny: &&DenyPattern<'d, 's>| shadows_part(allow, **deny);
        let host = (allow.pattern.host(), allow.pattern.port());
        if let Some(paths) = self.literal.get(&host) {
            let mut path = allow.pattern.path();
            loop {
                let denies = paths.get(path).map_or(&[][..], Vec::as_slice);
                if let Some(deny) = denies.iter().take(MOST_ON_ONE).find(is_shadowed) {
                    return Some(*deny);
                }
                if path.is_empty() {
                    break;
                }
                path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        let globs = self.by_host.globs(allow.pattern.host()).flatten();
        globs.take(MOST_ON_ONE).find(is_shadowed).copied()
    }
}

fn shadows_part(allow: AllowPattern<'_>, deny: DenyPattern<'_, '_>) -> bool {
    let (a, d) = (allow.pattern, deny.pattern);
    let scope = &deny.draft.entry.scope;
    let rank = |pattern| Rank::new(pattern, None);
    let precedes = || match rank(a).cmp(&rank(d)) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => allow.is_entry && allow.scope.precedes_somewhere(scope),
    };
    a.port() == d.port()
        && (is_path_prefix(a.path(), d.path()) || is_path_prefix(d.path(), a.path()))
        && precedes()
        && a.shares_hosts_with(d)
        && allow.scope.overlap(scope) != Overlap::Never
}
