//! Entries between which nothing decides: refused, so that no order is a rule.
//!
//! Two patterns are equal when the precedence of the map ends with neither before the
//! other. The work grows with the map and with the number of equals found, which is
//! capped, not with the square of its length.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::diagnostic::{Diagnostic, Severity};
use super::draft::{Draft, DraftEntry};
use super::glob;
use super::reader::Problems;
use crate::policy::Pattern;

/// Who makes so many of the same mistake has made one.
const MOST_REPORTED: usize = 50;

/// Pairs of glob hosts that are looked at; a map that has more is refused.
const MOST_COMPARED: usize = 2_000_000;

/// One pattern of one entry.
#[derive(Clone, Copy)]
struct Member<'d, 's> {
    entry: usize,
    which: usize,
    draft: &'d DraftEntry<'s>,
}

impl<'d> Member<'d, '_> {
    fn pattern(&self) -> Option<&'d Pattern> {
        self.draft.entry.patterns.get(self.which)
    }

    fn namespaces(&self) -> Option<&'d [String]> {
        self.draft.entry.namespaces.as_deref()
    }
}

/// What makes two patterns the same.
type Same<'d> = (bool, &'d str, u16, &'d str);

/// Sorted, so that the same map has the same errors in the same words each time.
type Groups<'d, 's> = BTreeMap<Same<'d>, Vec<Member<'d, 's>>>;

struct Reports<'p> {
    problems: &'p mut Problems,
    reported: usize,
    compared: usize,
}

pub(super) fn check(draft: &Draft<'_>, problems: &mut Problems) {
    let mut reports = Reports {
        problems,
        reported: 0,
        compared: 0,
    };
    let groups = same_patterns(draft);
    for members in groups.values() {
        if reports.within_one_pattern(members).is_break() {
            return;
        }
    }
    _ = reports.between_globs(&groups);
}

fn same_patterns<'d, 's>(draft: &'d Draft<'s>) -> Groups<'d, 's> {
    let mut groups = Groups::new();
    for (entry, draft) in draft.entries.iter().enumerate() {
        for (which, pattern) in draft.entry.patterns.iter().enumerate() {
            let same = (
                pattern.is_deep(),
                pattern.host(),
                pattern.port(),
                pattern.path(),
            );
            let member = Member {
                entry,
                which,
                draft,
            };
            groups.entry(same).or_default().push(member);
        }
    }
    groups
}

impl Reports<'_> {
    /// On one pattern, a scope by name goes before one by glob, and that before none;
    /// two of one kind must not meet.
    fn within_one_pattern(&mut self, members: &[Member<'_, '_>]) -> ControlFlow<()> {
        let mut everywhere = None;
        let mut names: HashMap<&str, Member<'_, '_>> = HashMap::new();
        let mut globs = Vec::new();
        for member in members {
            let Some(namespaces) = member.namespaces() else {
                match everywhere {
                    None => everywhere = Some(*member),
                    Some(first) => self.report(first, *member, "everywhere")?,
                }
                continue;
            };
            for namespace in namespaces {
                if glob::is_glob(namespace) {
                    globs.push((namespace.as_str(), *member));
                    continue;
                }
                let first = *names.entry(namespace).or_insert(*member);
                if first.entry != member.entry {
                    self.report(first, *member, &format!("in `{namespace}`"))?;
                    break;
                }
            }
        }
        let texts: Vec<&str> = globs.iter().map(|(text, _)| *text).collect();
        glob::compatible_pairs(&texts, |a, b| {
            if let (Some((left, first)), Some((right, second))) = (globs.get(a), globs.get(b)) {
                let place = if left == right {
                    format!("in `{left}`")
                } else {
                    format!("where `{left}` and `{right}` meet")
                };
                self.report(*first, *second, &place)?;
            }
            ControlFlow::Continue(())
        })
    }

    /// Different globs with as many literal characters and the same path.
    fn between_globs(&mut self, groups: &Groups<'_, '_>) -> ControlFlow<()> {
        let mut ranks: BTreeMap<(u16, &str, usize), Vec<&[Member<'_, '_>]>> = BTreeMap::new();
        for members in groups.values() {
            if let Some(pattern) = members.first().and_then(Member::pattern)
                && pattern.is_glob()
            {
                let rank = (pattern.port(), pattern.path(), pattern.literal_characters());
                ranks.entry(rank).or_default().push(members);
            }
        }
        for equals in ranks.values() {
            let texts: Vec<String> = equals
                .iter()
                .filter_map(|members| host_text(members))
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
        left: &[Member<'_, '_>],
        right: &[Member<'_, '_>],
    ) -> ControlFlow<()> {
        self.compare(left)?;
        let patterns = (
            left.first().and_then(Member::pattern),
            right.first().and_then(Member::pattern),
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
                if scopes_meet(first.namespaces(), second.namespaces()) {
                    let place = format!("on the hosts that both `{a}` and `{b}` cover");
                    self.report(*first, *second, &place)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn compare(&mut self, at: &[Member<'_, '_>]) -> ControlFlow<()> {
        self.compared += 1;
        if self.compared <= MOST_COMPARED {
            return ControlFlow::Continue(());
        }
        if let Some(place) = at
            .first()
            .and_then(|member| member.draft.patterns.get(member.which))
        {
            self.problems.error(
                place,
                "the map has too many globs of the same form to tell whether two of them cover the \
                 same host: write hosts without `*`",
            );
        }
        ControlFlow::Break(())
    }

    fn report(&mut self, a: Member<'_, '_>, b: Member<'_, '_>, place: &str) -> ControlFlow<()> {
        if a.entry == b.entry {
            return ControlFlow::Continue(());
        }
        let (first, second) = if a.entry < b.entry { (a, b) } else { (b, a) };
        let places = (
            first.draft.patterns.get(first.which),
            second.draft.patterns.get(second.which),
        );
        let (Some(first_place), Some(second_place)) = places else {
            return ControlFlow::Continue(());
        };
        let message = format!(
            "nothing decides between the entries `{}` and `{}` {place}",
            first.draft.entry.name, second.draft.entry.name
        );
        self.problems.add(
            Diagnostic::new(Severity::Error, second_place, message)
                .also(first_place, "the other one")
                .help(
                    "write a longer path or fewer `*` in one of them, give them different \
                     `namespaces`, or make one entry of them",
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

fn host_text(members: &[Member<'_, '_>]) -> Option<String> {
    let pattern = members.first()?.pattern()?;
    let deep = if pattern.is_deep() { "**." } else { "" };
    Some(format!("{deep}{}", pattern.host()))
}

/// Whether some namespace can be in both scopes.
pub(super) fn scopes_meet(a: Option<&[String]>, b: Option<&[String]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.iter().any(|a| b.iter().any(|b| glob::overlap(a, b))),
        _ => true,
    }
}
