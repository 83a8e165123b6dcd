//! Reports entries between which nothing decides, so that the order of the entries never
//! decides silently.
//!
//! Two patterns conflict when the precedence of the map puts neither before the other and
//! both can apply to one image. The work grows with the size of the map and with the number
//! of conflicts, which is capped, and not with the square of the size. This module must not
//! define precedence, which [`crate::policy`] does.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use crate::map::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use crate::map::draft::MapDraft;
use crate::map::entry::DraftEntry;
use crate::policy::glob;
use crate::policy::precedence::Rank;
use crate::policy::{NamespaceSelector, Overlap, Pattern, Scope};

/// The number of conflicts that are reported. More of them usually have one cause.
const MOST_REPORTED: usize = 50;

/// The number of pairs of glob hosts that are compared. A map with more pairs is refused.
const MOST_COMPARED: usize = 2_000_000;

/// One pattern of one entry.
#[derive(Clone, Copy)]
struct EntryPattern<'d, 's> {
    entry: usize,
    which: usize,
    draft: &'d DraftEntry<'s>,
}

impl<'d, 's> EntryPattern<'d, 's> {
    fn pattern(&self) -> Option<&'d Pattern> {
        self.draft.entry.patterns.get(self.which)
    }

    fn place(&self) -> Option<&'d SourceSpan<'s>> {
        self.draft.patterns.get(self.which)
    }

    fn scope(&self) -> &'d Scope {
        &self.draft.entry.scope
    }
}

/// What two equal patterns have in common: depth, host, port and path.
type PatternKey<'d> = (bool, &'d str, u16, &'d str);

/// The comparison, with its limits.
struct ConflictCheck<'p> {
    diagnostics: &'p mut Diagnostics,
    reported: usize,
    compared: usize,
    // Ties are counted separately, because they are warnings.
    ties: usize,
    ties_compared: usize,
}

pub(in crate::map) fn check(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    let mut check = ConflictCheck {
        diagnostics,
        reported: 0,
        compared: 0,
        ties: 0,
        ties_compared: 0,
    };
    let groups = same_patterns(draft);
    for patterns in &groups {
        if check.within_one_pattern(patterns).is_break() {
            return;
        }
    }
    _ = check.between_globs(&groups);
}

/// Groups the patterns of the map: equal patterns are in one group, in the order of the map.
fn same_patterns<'d, 's>(draft: &'d MapDraft<'s>) -> Vec<Vec<EntryPattern<'d, 's>>> {
    let mut groups: Vec<Vec<EntryPattern<'d, 's>>> = Vec::new();
    let mut known: HashMap<PatternKey<'d>, usize> = HashMap::new();
    for (entry, draft) in draft.entries.iter().enumerate() {
        for (which, pattern) in draft.entry.patterns.iter().enumerate() {
            let same = (
                pattern.is_deep(),
                pattern.host(),
                pattern.port(),
                pattern.path(),
            );
            let at = *known.entry(same).or_insert(groups.len());
            if at == groups.len() {
                groups.push(Vec::new());
            }
            if let Some(group) = groups.get_mut(at) {
                group.push(EntryPattern {
                    entry,
                    which,
                    draft,
                });
            }
        }
    }
    groups
}

impl ConflictCheck<'_> {
    /// Checks one pattern in several entries. A closer kind of scope precedes a wider kind, and
    /// two scopes of one kind must not overlap.
    fn within_one_pattern(&mut self, patterns: &[EntryPattern<'_, '_>]) -> ControlFlow<()> {
        let mut everywhere = None;
        let mut names: HashMap<&str, EntryPattern<'_, '_>> = HashMap::new();
        let mut globs = Vec::new();
        let mut selected = Vec::new();
        for pattern in patterns {
            let namespaces = match pattern.scope() {
                Scope::Namespaces(namespaces) => namespaces,
                Scope::Selector(selector) => {
                    selected.push((selector, *pattern));
                    continue;
                }
                Scope::Everywhere => {
                    match everywhere {
                        None => everywhere = Some(*pattern),
                        Some(first) => self.report(first, *pattern, "everywhere")?,
                    }
                    continue;
                }
            };
            for namespace in namespaces {
                if glob::is_glob(namespace) {
                    globs.push((namespace.as_str(), *pattern));
                    continue;
                }
                let first = *names.entry(namespace).or_insert(*pattern);
                if first.entry != pattern.entry {
                    self.report(first, *pattern, &format!("in `{namespace}`"))?;
                    break;
                }
            }
        }
        self.between_selectors(&selected)?;
        let texts: Vec<&str> = globs.iter().map(|(text, _)| *text).collect();
        glob::compatible_pairs(&texts, |a, b| {
            if let (Some((left, first)), Some((right, second))) = (globs.get(a), globs.get(b)) {
                let place = if left == right {
                    format!("in `{left}`")
                } else {
                    format!("in the namespaces that both `{left}` and `{right}` match")
                };
                self.report(*first, *second, &place)?;
            }
            ControlFlow::Continue(())
        })
    }

    /// Checks the selectors of one pattern. Nothing decides between two equal selectors; between
    /// two others, the earlier entry precedes.
    fn between_selectors(
        &mut self,
        selected: &[(&NamespaceSelector, EntryPattern<'_, '_>)],
    ) -> ControlFlow<()> {
        let mut known = HashMap::with_capacity(selected.len());
        for (at, (selector, pattern)) in selected.iter().enumerate() {
            if let Some(first) = known.insert(*selector, *pattern) {
                self.report(first, *pattern, "in the namespaces that both select")?;
            }
            for (_, later) in selected.get(at + 1..).unwrap_or_default() {
                if self.ties >= MOST_REPORTED || self.ties_compared >= MOST_COMPARED {
                    break;
                }
                self.ties_compared += 1;
                if pattern.scope().overlap(later.scope()) == Overlap::Possible {
                    self.tie(*pattern, *later);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Warns that the order of two entries decides.
    fn tie(&mut self, a: EntryPattern<'_, '_>, b: EntryPattern<'_, '_>) {
        let Some([first, second]) = in_order(a, b) else {
            return;
        };
        if self.ties >= MOST_REPORTED {
            return;
        }
        let message = format!(
            "the scopes of `{}` and `{}` overlap, and the first entry precedes because it stands \
             earlier",
            first.name, second.name
        );
        self.diagnostics.add(
            Diagnostic::new(Severity::Warning, second.place, message)
                .related(first.place, "the entry that precedes")
                .help("leave it so if it is intended, or write selectors that exclude each other"),
        );
        self.ties += 1;
    }

    /// Checks different globs that have equally many literal characters and the same path.
    fn between_globs(&mut self, groups: &[Vec<EntryPattern<'_, '_>>]) -> ControlFlow<()> {
        let mut ranks: BTreeMap<(u16, &str, Rank), Vec<&[EntryPattern<'_, '_>]>> = BTreeMap::new();
        for patterns in groups {
            if let Some(pattern) = patterns.first().and_then(EntryPattern::pattern)
                && pattern.is_glob()
            {
                let rank = (pattern.port(), pattern.path(), Rank::new(pattern, None));
                ranks.entry(rank).or_default().push(patterns);
            }
        }
        for equals in ranks.into_values().flat_map(by_common_labels) {
            let texts: Vec<String> = equals
                .iter()
                .filter_map(|patterns| Some(patterns.first()?.pattern()?.loose_host()))
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            glob::compatible_pairs(&texts, |a, b| match (equals.get(a), equals.get(b)) {
                (Some(left), Some(right)) => self.between_two(left, right),
                _ => ControlFlow::Continue(()),
            })?;
        }
        ControlFlow::Continue(())
    }

    fn between_two(
        &mut self,
        left: &[EntryPattern<'_, '_>],
        right: &[EntryPattern<'_, '_>],
    ) -> ControlFlow<()> {
        self.compare(left)?;
        let patterns = (
            left.first().and_then(EntryPattern::pattern),
            right.first().and_then(EntryPattern::pattern),
        );
        let (Some(a), Some(b)) = patterns else {
            return ControlFlow::Continue(());
        };
        if !a.shares_hosts_with(b) {
            return ControlFlow::Continue(());
        }
        for first in left {
            for second in right {
                self.compare(left)?;
                match first.scope().overlap(second.scope()) {
                    Overlap::Never => {}
                    Overlap::Possible => self.tie(*first, *second),
                    Overlap::Certain => {
                        let place = format!("on the hosts that both `{a}` and `{b}` cover");
                        self.report(*first, *second, &place)?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn compare(&mut self, at: &[EntryPattern<'_, '_>]) -> ControlFlow<()> {
        self.compared += 1;
        if self.compared <= MOST_COMPARED {
            return ControlFlow::Continue(());
        }
        if let Some(place) = at.first().and_then(EntryPattern::place) {
            self.diagnostics.error(
                place,
                "the map has too many globs of the same form to tell whether two of them cover the \
                 same host; write hosts without `*`",
            );
        }
        ControlFlow::Break(())
    }

    fn report(
        &mut self,
        a: EntryPattern<'_, '_>,
        b: EntryPattern<'_, '_>,
        place: &str,
    ) -> ControlFlow<()> {
        let Some([first, second]) = in_order(a, b) else {
            return ControlFlow::Continue(());
        };
        let message = format!(
            "nothing decides between the entries `{}` and `{}` {place}",
            first.name, second.name
        );
        self.diagnostics.add(
            Diagnostic::new(Severity::Error, second.place, message)
                .related(first.place, "the other entry")
                .help(
                    "write a longer path or fewer `*` in one of them, give them different \
                     `namespaces`, or merge the two entries",
                ),
        );
        self.reported += 1;
        if self.reported < MOST_REPORTED {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// What a diagnostic says of one of two entries.
struct NamedPlace<'d, 's> {
    name: &'d str,
    place: &'d SourceSpan<'s>,
}

/// The two patterns in the order of the map; `None` where they are of one entry.
fn in_order<'d, 's>(
    a: EntryPattern<'d, 's>,
    b: EntryPattern<'d, 's>,
) -> Option<[NamedPlace<'d, 's>; 2]> {
    let (first, second) = match a.entry.cmp(&b.entry) {
        Ordering::Less => (a, b),
        Ordering::Greater => (b, a),
        Ordering::Equal => return None,
    };
    let named = |pattern: EntryPattern<'d, 's>| {
        Some(NamedPlace {
            name: &pattern.draft.entry.name,
            place: pattern.place()?,
        })
    };
    Some([named(first)?, named(second)?])
}

/// Groups the patterns by the labels that are literal in all of them. Hosts that differ in
/// such a label cannot be equal.
fn by_common_labels<'m, 'd, 's>(
    equals: Vec<&'m [EntryPattern<'d, 's>]>,
) -> impl Iterator<Item = Vec<&'m [EntryPattern<'d, 's>]>> {
    let labels = |patterns: &[EntryPattern<'d, 's>]| {
        let host = patterns
            .first()
            .and_then(EntryPattern::pattern)
            .map(Pattern::host);
        host.unwrap_or_default()
            .rsplit('.')
            .collect::<Vec<&'d str>>()
    };
    let mut literal: Option<Vec<bool>> = None;
    for patterns in &equals {
        let here = labels(patterns)
            .into_iter()
            .map(|label| !glob::is_glob(label));
        literal = Some(match literal {
            None => here.collect(),
            Some(before) => before.into_iter().zip(here).map(|(a, b)| a && b).collect(),
        });
    }
    let literal = literal.unwrap_or_default();
    let mut parts: BTreeMap<Vec<&'d str>, Vec<&'m [EntryPattern<'d, 's>]>> = BTreeMap::new();
    for patterns in equals {
        let common = labels(patterns).into_iter().zip(&literal);
        let common = common.filter_map(|(label, literal)| literal.then_some(label));
        parts.entry(common.collect()).or_default().push(patterns);
    }
    parts.into_values()
}
