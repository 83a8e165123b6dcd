//! Warns where an allow shadows part of a deny, which is valid and perhaps not intended.
//!
//! The module makes only warnings, so the work stops after a number of steps, and a warning
//! says so.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::pairs::{Wanted, compatible_pairs};
use crate::map::default_public_registries;
use crate::map::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use crate::map::draft::MapDraft;
use crate::map::entry::DraftEntry;
use crate::policy::glob::GlobMap;
use crate::policy::pattern::is_path_prefix;
use crate::policy::precedence::Rank;
use crate::policy::{Action, Overlap, Pattern, Scope, Steps, glob};

/// The number of warnings of each kind.
const MOST_REPORTED: usize = 50;

/// The steps of the whole comparison.
const MOST_STEPS: usize = 4_000_000;

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

/// The denies of a host, by path.
type DenyPaths<'d, 's> = HashMap<&'d str, Vec<DenyPattern<'d, 's>>>;

#[derive(Default)]
struct DenyIndex<'d, 's> {
    all: Vec<DenyPattern<'d, 's>>,
    literal: HashMap<(&'d str, Option<u16>), DenyPaths<'d, 's>>,
    globs: Vec<DenyPattern<'d, 's>>,
    // The globs by host, where a `*` stands for any characters.
    by_host: GlobMap<Vec<DenyPattern<'d, 's>>>,
}

pub(in crate::map) fn check(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    let denies = DenyIndex::of(draft);
    if denies.all.is_empty() {
        return;
    }
    let (globs, literal): (Vec<_>, Vec<_>) =
        allows(draft).partition(|placed| placed.allow.pattern.is_glob());
    let mut steps = Steps::new(MOST_STEPS);
    let mut found = Vec::new();
    let mut ended = denies.shadowed_by_literals(&literal, &mut steps, &mut found);
    if ended.is_continue() {
        ended = shadowed_by_globs(&globs, &denies.globs, &mut steps, &mut found);
    }
    if let (ControlFlow::Break(()), Some(first)) = (ended, denies.all.first()) {
        let message = format!(
            "the map takes more than {MOST_STEPS} steps to find every allow that shadows part of a \
             deny, so not all of them are listed"
        );
        diagnostics.add(
            Diagnostic::new(Severity::Warning, first.place, message)
                .help("write fewer `*` in hosts and namespaces"),
        );
    }
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

/// What is found: the place of an allow, and the deny that it shadows.
type Shadowed<'d, 's> = (&'d SourceSpan<'s>, DenyPattern<'d, 's>);

/// Compares globs with globs. A host with `*` never shadows a literal host.
fn shadowed_by_globs<'d, 's>(
    allows: &[PlacedAllow<'d, 's>],
    denies: &[DenyPattern<'d, 's>],
    steps: &mut Steps,
    found: &mut Vec<Shadowed<'d, 's>>,
) -> ControlFlow<()> {
    let allowed = allows
        .iter()
        .map(|placed| placed.allow.pattern.loose_host());
    let left: Vec<String> = allowed.collect();
    let right = denies.iter().map(|deny| deny.pattern.loose_host());
    let right: Vec<String> = right.collect();
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let most = MOST_REPORTED.max(found.len());
    let mut reported = HashSet::new();
    let mut is_full = false;
    let wanted = Wanted::LeftWithRight;
    let ended = compatible_pairs(&left, &right, wanted, steps, |a, b, steps| {
        is_full = found.len() >= most;
        if is_full {
            return ControlFlow::Break(());
        }
        let deny = b.checked_sub(allows.len()).and_then(|at| denies.get(at));
        if let (Some(placed), Some(deny)) = (allows.get(a), deny)
            && !reported.contains(&a)
            && shadows_part(placed.allow, *deny, steps)?
        {
            reported.insert(a);
            found.push((placed.place, *deny));
        }
        ControlFlow::Continue(())
    });
    if is_full {
        ControlFlow::Continue(())
    } else {
        ended
    }
}

/// Compares the default `publicRegistries` with the denies. The default list has no place in
/// a file, so the warning stands at the deny.
fn check_default(denies: &DenyIndex<'_, '_>, diagnostics: &mut Diagnostics) {
    let default = default_public_registries();
    let mut reported = 0;
    for deny in &denies.all {
        let shadowing = default.iter().filter(|pattern| {
            let allow = AllowPattern {
                pattern,
                scope: &Scope::Everywhere,
                is_entry: false,
            };
            // No step is counted, because no namespaces are compared.
            let found = shadows_part(allow, *deny, &mut Steps::new(usize::MAX));
            found == ControlFlow::Continue(true)
        });
        let names: Vec<&str> = shadowing.map(|pattern| pattern.text.as_str()).collect();
        if names.is_empty() {
            continue;
        }
        reported += 1;
        if reported > MOST_REPORTED {
            return;
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
    let entries =
        entries.filter(|draft| matches!(draft.entry.action, Action::Allow | Action::Audit));
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
            if draft.entry.action != Action::Deny {
                continue;
            }
            for (pattern, place) in draft.entry.patterns.iter().zip(&draft.patterns) {
                let deny = DenyPattern {
                    pattern,
                    place,
                    draft,
                };
                denies.all.push(deny);
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

    /// Compares allows of one host with the denies.
    fn shadowed_by_literals(
        &self,
        allows: &[PlacedAllow<'d, 's>],
        steps: &mut Steps,
        found: &mut Vec<Shadowed<'d, 's>>,
    ) -> ControlFlow<()> {
        for placed in allows {
            if found.len() >= MOST_REPORTED {
                break;
            }
            if let Some(deny) = self.shadowed_by_literal(placed.allow, steps)? {
                found.push((placed.place, deny));
            }
        }
        ControlFlow::Continue(())
    }

    fn shadowed_by_literal(
        &self,
        allow: AllowPattern<'d>,
        steps: &mut Steps,
    ) -> ControlFlow<(), Option<DenyPattern<'d, 's>>> {
        let host = allow.pattern.host();
        let ports = [allow.pattern.port(), None];
        // A deny for one port precedes an allow for every port.
        let ports = if ports == [None, None] {
            &ports[..1]
        } else {
            &ports[..]
        };
        for paths in ports
            .iter()
            .filter_map(|port| self.literal.get(&(host, *port)))
        {
            let mut path = allow.pattern.path();
            loop {
                steps.compare(path.len())?;
                let denies = paths.get(path).map_or(&[][..], Vec::as_slice);
                for deny in denies.iter().take(MOST_ON_ONE) {
                    if shadows_part(allow, *deny, steps)? {
                        return ControlFlow::Continue(Some(*deny));
                    }
                }
                if path.is_empty() {
                    break;
                }
                path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        let mut compared = 0;
        for (glob, denies) in self.by_host.candidates(host) {
            steps.compare(glob.len() + host.len())?;
            if !glob::matches(glob, host) {
                continue;
            }
            for deny in denies {
                compared += 1;
                if compared > MOST_ON_ONE {
                    return ControlFlow::Continue(None);
                }
                if shadows_part(allow, *deny, steps)? {
                    return ControlFlow::Continue(Some(*deny));
                }
            }
        }
        ControlFlow::Continue(None)
    }
}

fn shadows_part(
    allow: AllowPattern<'_>,
    deny: DenyPattern<'_, '_>,
    steps: &mut Steps,
) -> ControlFlow<(), bool> {
    let (a, d) = (allow.pattern, deny.pattern);
    let scope = &deny.draft.entry.scope;
    let rank = |pattern| Rank::new(pattern, None);
    let order = rank(a).cmp(&rank(d));
    let ports_meet = match (a.port(), d.port()) {
        (Some(a), Some(d)) => a == d,
        _ => true,
    };
    let may_precede = order == Ordering::Greater || (order == Ordering::Equal && allow.is_entry);
    steps.compare(a.host().len() + d.host().len())?;
    let meet = ports_meet
        && may_precede
        && (is_path_prefix(a.path(), d.path()) || is_path_prefix(d.path(), a.path()))
        && a.shares_hosts_with(d);
    if !meet {
        return ControlFlow::Continue(false);
    }
    let overlap = steps.overlap(allow.scope, scope)?;
    // The scopes are compared twice, at the same cost.
    let precedes = order == Ordering::Greater || allow.scope.precedes_somewhere(scope);
    ControlFlow::Continue(precedes && overlap != Overlap::Never)
}
