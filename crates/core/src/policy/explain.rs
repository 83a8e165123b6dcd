//! Why the other rules for a registry did not decide: for people, not for decisions.
//!
//! Reads the whole map in order, so that it can say of each rule what spoke against
//! it; nothing on the way of a review may call it.

use std::fmt;

use jiff::Timestamp;

use super::canonical::Location;
use super::precedence::{Criterion, Rank};
use super::{Context, Entry, LabelsUnknown, Pattern, Rule};
use image_reference::Reference;

/// More rules than these are no explanation.
const MOST_CONSIDERED: usize = 20;

/// A rule for the image's registry that did not decide.
#[derive(Debug, Clone, Copy)]
pub struct Considered<'p> {
    /// The entry; `None` for a pattern of `publicRegistries`.
    pub entry: Option<&'p Entry>,
    /// The pattern.
    pub pattern: &'p Pattern,
    /// What spoke against it.
    pub why_not: WhyNot,
}

/// What spoke against a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyNot {
    /// It expired, at this time.
    Expired(Timestamp),
    /// It exists in other namespaces.
    OtherNamespaces,
    /// It exists in some namespaces, and none was named.
    NoNamespace,
    /// It exists in namespaces with some labels, and none were given.
    NoLabels,
    /// The other rule stands earlier in the map, and nothing else decides between them.
    EarlierFirst,
    /// It is for another port, this one.
    OtherPort(u16),
    /// Its `*` stands for one label each, and the host has more or fewer.
    LabelCount,
    /// Its path is not the beginning of the image's.
    OtherPath,
    /// A rule that names the host comes before one with `*`.
    LiteralHostFirst,
    /// A rule that names more of the host comes first.
    CloserHostFirst,
    /// A rule with a longer path comes first.
    LongerPathFirst,
    /// On the same pattern, a rule for some namespaces comes first.
    CloserScopeFirst,
    /// On the same pattern, `registries` come before `publicRegistries`.
    EntryFirst,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(until) => write!(f, "expired at {until}"),
            Self::OtherNamespaces => f.write_str("exists in other namespaces only"),
            Self::NoNamespace => f.write_str("exists in some namespaces only, and none was named"),
            Self::NoLabels => {
                f.write_str("exists in namespaces with some labels only, and none were given")
            }
            Self::EarlierFirst => {
                f.write_str("also holds, and the other stands earlier in the map")
            }
            Self::OtherPort(port) => write!(f, "is for port {port}"),
            Self::LabelCount => f.write_str("each `*` is one label, and the host has not as many"),
            Self::OtherPath => f.write_str("its path is not the beginning of the image's"),
            Self::LiteralHostFirst => f.write_str("a rule that names the host comes first"),
            Self::CloserHostFirst => f.write_str("a rule that names more of the host comes first"),
            Self::LongerPathFirst => f.write_str("a rule with a longer path comes first"),
            Self::CloserScopeFirst => {
                f.write_str("on the same pattern a rule for closer namespaces comes first")
            }
            Self::EntryFirst => f.write_str("on the same pattern an entry comes first"),
        }
    }
}

impl<'p> Context<'p, '_> {
    /// The rules for the image's registry that did not decide, the first 20.
    ///
    /// Costs as much as the map is long; for `explain`.
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
                // The other patterns of the entry that decided need no excuse.
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
            return looks_meant(pattern, &location.host).then_some(WhyNot::LabelCount);
        }
        if pattern.port() != location.port {
            return Some(WhyNot::OtherPort(pattern.port()));
        }
        if !super::pattern::is_path_prefix(pattern.path(), &location.path) {
            return Some(WhyNot::OtherPath);
        }
        if let Some(entry) = entry {
            if let Some(until) = entry.until.filter(|_| entry.is_expired(self.now)) {
                return Some(WhyNot::Expired(until));
            }
            match entry.scope.holds(self.namespace) {
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
            Criterion::PathLength => WhyNot::LongerPathFirst,
            Criterion::Entry => WhyNot::EntryFirst,
            Criterion::Scope => WhyNot::CloserScopeFirst,
            Criterion::Position => WhyNot::EarlierFirst,
        })
    }
}

/// Whether a host ends as the glob does, so that only the labels do not agree.
fn looks_meant(pattern: &Pattern, host: &str) -> bool {
    let (_, tail) = super::glob::ends(pattern.host());
    pattern.is_glob() && tail.contains('.') && host.ends_with(tail)
}
