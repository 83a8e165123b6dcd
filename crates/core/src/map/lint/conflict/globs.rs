//! The part of the comparison that is about different hosts with `*` of one rank.
//!
//! Two such patterns conflict in a namespace in which the entries of both exist, so entries
//! that name their namespaces are compared by namespace, and only the others by host.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::{ConflictCheck, EntryPattern, SamePattern};
use crate::map::lint::pairs::{Wanted, compatible_pairs};
use crate::policy::precedence::Rank;
use crate::policy::{Overlap, Pattern, Steps, glob};

impl ConflictCheck<'_> {
    /// Checks different globs that have equally many literal characters and the same path.
    pub(super) fn between_globs<'g, 'd: 'g, 's: 'd>(
        &mut self,
        groups: impl Iterator<Item = SamePattern<'g, 'd, 's>>,
    ) {
        let mut ranks: BTreeMap<(Option<u16>, &str, Rank), Vec<SamePattern<'g, 'd, 's>>> =
            BTreeMap::new();
        for patterns in groups {
            if let Some(pattern) = patterns.first().and_then(EntryPattern::pattern) {
                let rank = (pattern.port(), pattern.path(), Rank::new(pattern, None));
                ranks.entry(rank).or_default().push(patterns);
            }
        }
        for equals in ranks.into_values().flat_map(by_common_labels) {
            if equals.len() < 2 {
                continue;
            }
            let ended = self.by_namespace(&equals);
            if ended.is_break() || self.by_host(&equals).is_break() {
                if let Some(patterns) = equals.first() {
                    self.stopped(patterns);
                }
                return;
            }
        }
    }

    /// Checks the entries that name their namespaces: only in a namespace that two entries
    /// name can both apply.
    fn by_namespace(&mut self, equals: &[SamePattern<'_, '_, '_>]) -> ControlFlow<()> {
        let mut named: BTreeMap<&str, Vec<EntryPattern<'_, '_>>> = BTreeMap::new();
        for pattern in equals.iter().copied().flatten() {
            for name in pattern.names().unwrap_or_default() {
                self.steps.take(1)?;
                named.entry(name).or_default().push(*pattern);
            }
        }
        // Two entries can have several namespaces in common.
        let mut seen = HashSet::new();
        for patterns in named.into_values() {
            if patterns.len() < 2 {
                continue;
            }
            let hosts: Vec<String> = patterns.iter().map(EntryPattern::loose_host).collect();
            self.pairs(&hosts, &[], |check, a, b| {
                let (Some(first), Some(second)) = (patterns.get(a), patterns.get(b)) else {
                    return ControlFlow::Continue(());
                };
                let pair = [first, second].map(|pattern| (pattern.entry, pattern.which));
                if first.key() != second.key() && seen.insert(pair) {
                    check.on_two_patterns(*first, *second)?;
                }
                ControlFlow::Continue(())
            })?;
        }
        ControlFlow::Continue(())
    }

    /// Checks the entries that do not name all their namespaces: they can apply together with
    /// any other entry.
    fn by_host(&mut self, equals: &[SamePattern<'_, '_, '_>]) -> ControlFlow<()> {
        let is_wide = |pattern: &&EntryPattern<'_, '_>| pattern.names().is_none();
        let (wide, named): (Vec<_>, Vec<_>) = equals
            .iter()
            .copied()
            .partition(|patterns| patterns.iter().any(|pattern| is_wide(&pattern)));
        let hosts = |groups: &[SamePattern<'_, '_, '_>]| -> Vec<String> {
            let first = groups.iter().filter_map(|patterns| patterns.first());
            first.map(EntryPattern::loose_host).collect()
        };
        let (left, right) = (hosts(&wide), hosts(&named));
        let all: Vec<_> = wide.iter().chain(&named).collect();
        self.pairs(&left, &right, |check, a, b| {
            let (Some(left), Some(right)) = (all.get(a), all.get(b)) else {
                return ControlFlow::Continue(());
            };
            for first in left.iter() {
                for second in right.iter() {
                    check.steps.take(1)?;
                    if is_wide(&first) || is_wide(&second) {
                        check.on_two_patterns(*first, *second)?;
                    }
                }
            }
            ControlFlow::Continue(())
        })
    }

    /// Calls `visit` for pairs of hosts, of which at least one is on the left, that may have a
    /// host in common.
    fn pairs(
        &mut self,
        left: &[String],
        right: &[String],
        mut visit: impl FnMut(&mut Self, usize, usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let [left, right] =
            [left, right].map(|hosts| -> Vec<&str> { hosts.iter().map(String::as_str).collect() });
        let mut steps = std::mem::replace(&mut self.steps, Steps::new(0));
        let all = Wanted::LeftWithAll;
        let ended = compatible_pairs(&left, &right, all, &mut steps, |a, b, steps| {
            std::mem::swap(&mut self.steps, steps);
            let ended = visit(self, a, b);
            std::mem::swap(&mut self.steps, steps);
            ended
        });
        self.steps = steps;
        ended
    }

    /// Checks two entries on two patterns of equal rank.
    fn on_two_patterns(
        &mut self,
        first: EntryPattern<'_, '_>,
        second: EntryPattern<'_, '_>,
    ) -> ControlFlow<()> {
        // In the order of the map, for the message.
        let (first, second) = if first.entry <= second.entry {
            (first, second)
        } else {
            (second, first)
        };
        let (Some(a), Some(b)) = (first.pattern(), second.pattern()) else {
            return ControlFlow::Continue(());
        };
        self.steps.compare(a.host().len() + b.host().len())?;
        if !a.shares_hosts_with(b) {
            return ControlFlow::Continue(());
        }
        match self.steps.overlap(first.scope(), second.scope())? {
            Overlap::Never => {}
            Overlap::Possible => self.tie(first, second),
            Overlap::Certain => {
                let place = format!("on the hosts that both `{a}` and `{b}` cover");
                self.report(first, second, &place)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Groups the patterns by the labels that are literal in all of them. Hosts that differ in
/// such a label cannot be equal.
fn by_common_labels<'g, 'd, 's>(
    equals: Vec<SamePattern<'g, 'd, 's>>,
) -> impl Iterator<Item = Vec<SamePattern<'g, 'd, 's>>> {
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
    let mut parts: BTreeMap<Vec<&'d str>, Vec<SamePattern<'g, 'd, 's>>> = BTreeMap::new();
    for patterns in equals {
        let common = labels(patterns).into_iter().zip(&literal);
        let common = common.filter_map(|(label, literal)| literal.then_some(label));
        parts.entry(common.collect()).or_default().push(patterns);
    }
    parts.into_values()
}
