//! Why the other rules for an image's registry did not decide, for the command `explain`.
//!
//! It reads the whole map, so code that answers reviews must not call it, and decisions
//! must not depend on it.

use std::fmt;

use jiff::Timestamp;

use super::canonical::Location;
use super::precedence::{Criterion, Rank};
use super::{Context, Entry, LabelsUnknown, Pattern, Rule};
use image_reference::Reference;

/// How many rules an explanation names at most.
const MOST_CONSIDERED: usize = 20;

/// A rule for the image's registry that did not decide.
#[derive(Debug, Clone, Copy)]
pub struct Considered<'p> {
    /// The entry; `None` for a pattern of `publicRegistries`.
    pub entry: Option<&'p Entry>,
    /// The pattern.
    pub pattern: &'p Pattern,
    /// Why the rule did not decide.
    pub why_not: WhyNot,
}

/// Why a rule did not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyNot {
    /// The rule expired at this time.
    Expired(Timestamp),
    /// The rule exists only in other namespaces.
    OtherNamespaces,
    /// The rule exists only in some namespaces, and the context has no namespace.
    NoNamespace,
    /// The rule exists only in namespaces with certain labels, and the labels are not known.
    NoLabels,
    /// The rule has the rank of the rule that decided, which is earlier in the map.
    EarlierFirst,
    /// The rule is for another port, which is this one.
    OtherPort(u16),
    /// Each `*` stands for one label, and the host has more or fewer labels.
    LabelCount,
    /// The path of the rule is not the beginning of the image's path.
    OtherPath,
    /// A rule that names the host precedes a rule with `*`.
    LiteralHostFirst,
    /// A rule that names more of the host precedes it.
    CloserHostFirst,
    /// A rule that names the port precedes a rule for every port.
    NamedPortFirst,
    /// A rule with a longer path precedes it.
    LongerPathFirst,
    /// A rule on the same pattern has a closer scope and precedes it.
    CloserScopeFirst,
    /// An entry of `registries` on the same pattern precedes `publicRegistries`.
    EntryFirst,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(until) => write!(f, "expired at {until}"),
            Self::OtherNamespaces => f.write_str("exists only in other namespaces"),
            Self::NoNamespace => {
                f.write_str("exists only in some namespaces, and no namespace was given")
            }
            Self::NoLabels => f.write_str(
                "exists only in namespaces with certain labels, and no labels were given",
            ),
            Self::EarlierFirst => {
                f.write_str("also applies, but the rule that decided is earlier in the map")
            }
            Self::OtherPort(port) => write!(f, "is for port {port}"),
            Self::LabelCount => {
                f.write_str("each `*` is one label, and the host has more or fewer labels")
            }
            Self::OtherPath => f.write_str("its path is not the beginning of the image's path"),
            Self::LiteralHostFirst => f.write_str("a rule that names the host comes first"),
            Self::CloserHostFirst => f.write_str("a rule that names more of the host comes first"),
            Self::NamedPortFirst => f.write_str("a rule that names the port comes first"),
            Self::LongerPathFirst => f.write_str("a rule with a longer path comes first"),
            Self::CloserScopeFirst => {
                f.write_str("on the same pattern, a rule with a closer scope comes first")
            }
            Self::EntryFirst => f.write_str("on the same pattern, an entry comes first"),
        }
    }
}

impl<'p> Context<'p, '_> {
    /// The first 20 rules for the image's registry that did not decide, in the order of the
    /// map.
    ///
    /// The cost grows with the size of the map.
    #[must_use]
    pub fn considered(&self, image: &str) -> Vec<Considered<'p>> {
        let reference = Reference::parse(image).ok();
        let Some(location) = reference.as_ref().and_then(Location::of) else {
            return Vec::new();
        };
        let winner = match self.rule(&location) {
            Ok(Rule::Entry(entry, pattern)) => Some((Some(entry), pattern)),
            Ok(Rule::Public(pattern)) => Some((None, pattern)),
            Ok(Rule::Unknown(_) | Rule::Exempt) | Err(LabelsUnknown) => None,
        };
        let entries = self.policy.entries.iter();
        let entries =
            entries.flat_map(|entry| entry.patterns.iter().map(move |p| (Some(entry), p)));
        let public = self.policy.public.iter().map(|pattern| (None, pattern));
        entries
            .chain(public)
            .filter(|(entry, pattern)| {
                // The other patterns of the entry that decided need no explanation.
                !winner.is_some_and(|(best, by)| match (best, entry) {
                    (Some(best), Some(entry)) => std::ptr::eq(best, *entry),
                    (None, None) => std::ptr::eq(by, *pattern),
                    _ => false,
                })
            })
            .filter_map(|(entry, pattern)| {
                let why_not = self.why_not(entry, pattern, &location, winner)?;
                Some(Considered {
                    entry,
                    pattern,
                    why_not,
                })
            })
            .take(MOST_CONSIDERED)
            .collect()
    }

    fn why_not(
        &self,
        entry: Option<&Entry>,
        pattern: &Pattern,
        location: &Location<'_>,
        winner: Option<(Option<&Entry>, &Pattern)>,
    ) -> Option<WhyNot> {
        if !pattern.covers_host(&location.host) {
            return differs_in_labels(pattern, &location.host).then_some(WhyNot::LabelCount);
        }
        if let Some(port) = pattern.port().filter(|port| *port != location.port) {
            return Some(WhyNot::OtherPort(port));
        }
        if !super::pattern::is_path_prefix(pattern.path(), &location.path) {
            return Some(WhyNot::OtherPath);
        }
        if let Some(entry) = entry {
            if let Some(until) = entry.until.filter(|_| entry.is_expired(self.now)) {
                return Some(WhyNot::Expired(until));
            }
            match entry.scope.contains(self.namespace) {
                Some(true) => {}
                Some(false) if self.namespace.is_none() => return Some(WhyNot::NoNamespace),
                Some(false) => return Some(WhyNot::OtherNamespaces),
                None => return Some(WhyNot::NoLabels),
            }
        }
        let (best, by) = winner?;
        let won = Rank::in_namespace(by, best, self.namespace);
        let lost = Rank::in_namespace(pattern, entry, self.namespace);
        let criterion = if pattern.is_same_as(by) {
            won.criterion(lost)
        } else {
            won.across_patterns().criterion(lost.across_patterns())
        };
        Some(match criterion {
            Criterion::LiteralHost => WhyNot::LiteralHostFirst,
            Criterion::LiteralCharacters => WhyNot::CloserHostFirst,
            Criterion::NamedPort => WhyNot::NamedPortFirst,
            Criterion::PathLength => WhyNot::LongerPathFirst,
            Criterion::Entry => WhyNot::EntryFirst,
            Criterion::Scope => WhyNot::CloserScopeFirst,
            Criterion::Position => WhyNot::EarlierFirst,
        })
    }
}

/// Whether a host that a glob does not cover ends as the glob does, so that probably only
/// the number of labels differs.
fn differs_in_labels(pattern: &Pattern, host: &str) -> bool {
    let (_, tail) = super::glob::ends(pattern.host());
    pattern.is_glob() && tail.contains('.') && host.ends_with(tail)
}
