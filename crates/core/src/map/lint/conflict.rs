//! Reports entries between which nothing decides, so that the order of the entries never
//! decides silently.
//!
//! Two patterns conflict when the precedence of the map puts neither before the other and
//! both can apply to one image. The work is bounded by a number of steps. A map that needs
//! more is refused, because then it is not known whether something decides.

mod globs;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::pairs::{Wanted, compatible_pairs};
use crate::map::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use crate::map::draft::MapDraft;
use crate::map::entry::DraftEntry;
use crate::policy::glob;
use crate::policy::{NamespaceSelector, Overlap, Pattern, Scope, Steps};

/// The number of conflicts that are reported. More of them usually have one cause.
const MOST_REPORTED: usize = 50;

/// The steps of the whole comparison. A map that needs more is refused.
const MOST_STEPS: usize = 8_000_000;

/// The steps in which different selectors are compared, which gives only warnings.
const MOST_TIE_STEPS: usize = 1_000_000;

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

    fn key(&self) -> Option<PatternKey<'d>> {
        let pattern = self.pattern()?;
        Some((
            pattern.is_deep(),
            pattern.host(),
            pattern.port(),
            pattern.path(),
        ))
    }

    fn loose_host(&self) -> String {
        self.pattern().map(Pattern::loose_host).unwrap_or_default()
    }

    fn scope(&self) -> &'d Scope {
        &self.draft.entry.scope
    }

    /// The namespaces of the entry, if it names all of them without `*`.
    fn names(&self) -> Option<&'d [String]> {
        match self.scope() {
            Scope::Namespaces(names) if !names.iter().any(|name| glob::is_glob(name)) => {
                Some(names)
            }
            _ => None,
        }
    }
}

/// What two equal patterns have in common: depth, host, port and path.
type PatternKey<'d> = (bool, &'d str, Option<u16>, &'d str);

/// The same pattern in one or several entries, in the order of the map.
type SamePattern<'g, 'd, 's> = &'g [EntryPattern<'d, 's>];

/// The comparison, with its limits.
struct ConflictCheck<'p> {
    diagnostics: &'p mut Diagnostics,
    reported: usize,
    steps: Steps,
    // Ties are counted separately, because they are warnings.
    ties: usize,
    tie_steps: Steps,
    ties_stopped: bool,
}

pub(in crate::map) fn check(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    let mut check = ConflictCheck {
        diagnostics,
        reported: 0,
        steps: Steps::new(MOST_STEPS),
        ties: 0,
        tie_steps: Steps::new(MOST_TIE_STEPS),
        ties_stopped: false,
    };
    let mut patterns: Vec<_> = all_patterns(draft).collect();
    // The sort is stable, so that equal patterns stay in the order of the map.
    patterns.sort_by(|a, b| a.key().cmp(&b.key()));
    let groups = || patterns.chunk_by(|a, b| a.key() == b.key());
    // The first groups of the map come first, as far as the limits reach.
    let mut shared: Vec<_> = groups().filter(|patterns| patterns.len() > 1).collect();
    shared.sort_by_key(|patterns| patterns.first().map(|first| (first.entry, first.which)));
    for patterns in shared {
        if check.within_one_pattern(patterns).is_break() {
            check.stopped(patterns);
            return;
        }
    }
    let with_globs = groups().filter(|patterns| {
        let pattern = patterns.first().and_then(EntryPattern::pattern);
        pattern.is_some_and(Pattern::is_glob)
    });
    check.between_globs(with_globs);
}

fn all_patterns<'d, 's>(draft: &'d MapDraft<'s>) -> impl Iterator<Item = EntryPattern<'d, 's>> {
    let entries = draft.entries.iter().enumerate();
    entries.flat_map(|(entry, draft)| {
        (0..draft.entry.patterns.len()).map(move |which| EntryPattern {
            entry,
            which,
            draft,
        })
    })
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
                self.steps.take(1)?;
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
        let all = Wanted::LeftWithAll;
        let mut steps = std::mem::replace(&mut self.steps, Steps::new(0));
        let ended = compatible_pairs(&texts, &[], all, &mut steps, |a, b, _| {
            if let (Some((left, first)), Some((right, second))) = (globs.get(a), globs.get(b)) {
                let place = if left == right {
                    format!("in `{left}`")
                } else {
                    format!("in the namespaces that both `{left}` and `{right}` match")
                };
                self.report(*first, *second, &place)?;
            }
            ControlFlow::Continue(())
        });
        self.steps = steps;
        ended
    }

    /// Checks the selectors of one pattern. Nothing decides between two equal selectors; between
    /// two others, the earlier entry precedes.
    fn between_selectors(
        &mut self,
        selected: &[(&NamespaceSelector, EntryPattern<'_, '_>)],
    ) -> ControlFlow<()> {
        let mut known = HashMap::with_capacity(selected.len());
        for (at, (selector, pattern)) in selected.iter().enumerate() {
            self.steps.take(selector.size())?;
            if let Some(first) = known.insert(*selector, *pattern) {
                self.report(first, *pattern, "in the namespaces that both select")?;
            }
            for (_, later) in selected.get(at + 1..).unwrap_or_default() {
                if self.ties >= MOST_REPORTED || self.ties_stopped {
                    break;
                }
                match self.tie_steps.overlap(pattern.scope(), later.scope()) {
                    ControlFlow::Continue(Overlap::Possible) => self.tie(*pattern, *later),
                    ControlFlow::Continue(_) => {}
                    ControlFlow::Break(()) => self.ties_stopped(*later),
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Warns that not all selectors are compared.
    fn ties_stopped(&mut self, at: EntryPattern<'_, '_>) {
        self.ties_stopped = true;
        if let Some(place) = at.place() {
            let message = format!(
                "the selectors on this pattern take more than {MOST_TIE_STEPS} steps to compare, so \
                 not all overlaps are listed"
            );
            self.diagnostics.add(
                Diagnostic::new(Severity::Warning, place, message)
                    .help("write fewer selectors on one pattern, or `namespaces`"),
            );
        }
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

    /// Reports that the comparison ended early, unless it ended because enough is reported.
    fn stopped(&mut self, at: SamePattern<'_, '_, '_>) {
        let place = at.first().and_then(EntryPattern::place);
        if let (Some(place), true) = (place, self.reported < MOST_REPORTED) {
            let message = format!(
                "the map takes more than {MOST_STEPS} steps to tell whether something decides between \
                 its entries"
            );
            self.diagnostics
                .add(Diagnostic::new(Severity::Error, place, message).help(
                    "write fewer `*` in hosts and namespaces like these, or join entries; one \
                     comparison of up to 16 characters is a step",
                ));
        }
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
