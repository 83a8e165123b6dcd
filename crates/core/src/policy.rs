//! The registry map, compiled: which registries may be pulled from, with which
//! pull secrets, and what happens to all others.
//!
//! A [`Policy`] can only be made valid ([`map::load`]). [`Policy::judge`] is the
//! one place where an image meets the map; everything else (the server, every
//! command) asks it. Pure: the clock is an argument, and nothing here reads a
//! file, logs, or knows what an `AdmissionReview` is.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use image_reference::{Reference, ReferenceError};

mod canonical;
pub mod decision;
mod expiry;
mod explain;
pub(crate) mod glob;
mod index;
pub mod message;
pub mod namespace;
pub mod pattern;
mod precedence;
mod selectors;
pub(crate) mod suggest;

pub use canonical::DOCKER_HUB_ALIASES;
pub use decision::{Decision, Field, PodField, Verdict};
pub use expiry::{Turn, Turned};
pub use explain::{Considered, WhyNot};
pub use namespace::{LabelMap, Labels, LabelsUnknown, Namespace, NamespaceSelector};
pub use pattern::Pattern;
pub use precedence::{Ranked, Scope};

use canonical::Place;
use glob::GlobMap;
use index::{Index, Question, Target};
use selectors::Selectors;
pub use suggest::Near;
use suggest::Nearest;

/// How long before its end an entry is spoken of.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What the map says about an image, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Admitted without a word.
    Allow,
    /// Admitted; recorded in the API server's audit log and in a metric.
    Audit,
    /// Admitted with a warning to whoever created the pod.
    Warn,
    /// Refused.
    Deny,
}

impl Action {
    /// The word for it in the map, in messages and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// One entry of the map's `registries`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Unique in the map; stands in messages, metrics and audit annotations.
    pub name: String,
    /// What it matches, as written, at least one.
    pub patterns: Vec<Pattern>,
    /// Names of Secrets in the pod's own namespace, in the map's order.
    pub pull_secrets: Vec<String>,
    /// What is done with images that match. Before `from` a deny is a warning.
    pub action: Action,
    /// Shown to the user.
    pub reason: Option<String>,
    /// When a deny begins.
    pub from: Option<Timestamp>,
    /// When the entry ends: from this instant on it is as if absent.
    pub until: Option<Timestamp>,
    /// Where the images are to be taken from instead; shown, never applied.
    pub replace_with: Option<String>,
    /// Globs of namespaces in which the entry exists.
    pub namespaces: Option<Vec<String>>,
    /// The labels of namespaces in which the entry exists. At most one of this and
    /// `namespaces` is there; without both the entry exists everywhere.
    pub namespace_selector: Option<NamespaceSelector>,
    /// Where it stands: `file:line`.
    pub location: String,
}

/// Which rule of the map an image fell under.
#[derive(Debug, Clone, Copy)]
pub enum Rule<'p> {
    /// An entry of `registries`, by this pattern of it.
    Entry(&'p Entry, &'p Pattern),
    /// A pattern of `publicRegistries`.
    Public(&'p Pattern),
    /// None: what `unknownRegistries` says for the namespace applies.
    Unknown(Unknown),
    /// None is asked for: the namespace is exempt.
    Exempt,
}

impl<'p> Rule<'p> {
    /// How commands call the rule: the entry's name, or the pattern of
    /// `publicRegistries`.
    #[must_use]
    pub fn name(&self) -> Option<&'p str> {
        match self {
            Self::Entry(entry, _) => Some(&entry.name),
            Self::Public(pattern) => Some(&pattern.text),
            Self::Unknown(_) | Self::Exempt => None,
        }
    }
}

/// Why no rule was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No pattern that holds in this namespace and has not ended covers the image.
    NoEntry,
    /// The text is no image reference, so it has no registry.
    InvalidReference,
    /// The registry's port is above 65535; no server can have it.
    InvalidPort,
}

/// What the map says about one image in one namespace at one time.
#[derive(Debug, Clone)]
pub struct Judgement<'p, 'i> {
    /// The image as the pod has it.
    pub image: &'i str,
    /// The same, taken apart.
    pub reference: Result<Reference<'i>, ReferenceError>,
    /// The rule that decided.
    pub rule: Rule<'p>,
    /// What that comes to at this time.
    pub action: Action,
    /// Secrets that the image needs; empty for an image that is denied.
    pub pull_secrets: &'p [String],
}

impl Entry {
    /// Whether the entry is as if absent. An entry ends at `until`, not after it.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the entry exists in a namespace; in `None`, one that exists everywhere.
    ///
    /// One that is for namespaces by labels that are not known does not: for messages,
    /// not for decisions.
    #[must_use]
    pub fn exists_in(&self, namespace: Option<Namespace<'_>>) -> bool {
        match (&self.namespaces, &self.namespace_selector, namespace) {
            (None, None, _) => true,
            (.., None) => false,
            (globs, selector, Some(namespace)) => {
                let named = globs.as_deref();
                named.is_none_or(|globs| index::in_scope(globs, namespace.name))
                    && selector
                        .as_ref()
                        .is_none_or(|selector| selector.selects(&namespace) == Some(true))
            }
        }
    }

    /// What the entry comes to at a time: a deny is a warning before its `from`.
    #[must_use]
    pub fn action_at(&self, now: Timestamp) -> Action {
        match self.from {
            Some(from) if now < from && self.action == Action::Deny => Action::Warn,
            _ => self.action,
        }
    }
}

impl<'p> Judgement<'p, '_> {
    /// The entry that decided, where it was one.
    #[must_use]
    pub fn entry(&self) -> Option<&'p Entry> {
        match self.rule {
            Rule::Entry(entry, _) => Some(entry),
            Rule::Public(_) | Rule::Unknown(_) | Rule::Exempt => None,
        }
    }

    /// When the image will be refused, where that has not yet begun.
    #[must_use]
    pub fn denied_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.entry()
            .filter(|entry| entry.action == Action::Deny)
            .and_then(|entry| entry.from)
            .filter(|from| now < *from)
    }

    /// When the entry ends, where that is less than 14 days away.
    #[must_use]
    pub fn ends_soon(&self, now: Timestamp) -> Option<Timestamp> {
        self.entry()
            .and_then(|entry| entry.until)
            .filter(|until| now < *until && until.duration_since(now) <= ENDS_SOON)
    }
}

/// A registry map that holds no contradiction. Made by [`map::load`] only.
pub struct Policy {
    entries: Vec<Entry>,
    public: Vec<Pattern>,
    unknown: UnknownRegistries,
    exempt: GlobMap<()>,
    contact: Option<String>,
    index: Index,
    nearest: Nearest,
    digest: String,
}

/// What happens to images that no rule covers.
#[derive(Debug)]
struct UnknownRegistries {
    default: Action,
    // In the map's order, of which the first that covers a namespace holds.
    overrides: Vec<Action>,
    // Namespace globs with the first place in `overrides` that names them.
    namespaces: GlobMap<usize>,
    // The same of those that are for namespaces by label.
    selectors: Selectors<usize>,
    reason: Option<String>,
}

/// One item of `overrides`.
#[derive(Debug)]
pub(crate) struct Override {
    pub(crate) namespaces: Vec<String>,
    pub(crate) selector: Option<NamespaceSelector>,
    pub(crate) action: Action,
}

/// The values a [`Policy`] is made of, checked one by one and against each other.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) entries: Vec<Entry>,
    pub(crate) public: Vec<Pattern>,
    pub(crate) unknown: Option<Action>,
    pub(crate) overrides: Vec<Override>,
    pub(crate) unknown_reason: Option<String>,
    pub(crate) exempt: Vec<String>,
    pub(crate) contact: Option<String>,
    pub(crate) digest: String,
}

impl Policy {
    pub(crate) fn new(parts: Parts) -> Self {
        let mut namespaces = GlobMap::default();
        let mut selectors = Selectors::default();
        let mut overrides = Vec::with_capacity(parts.overrides.len());
        for (at, one) in parts.overrides.into_iter().enumerate() {
            for glob in &one.namespaces {
                namespaces.entry(glob, || at);
            }
            if let Some(selector) = one.selector {
                selectors.push(selector, at);
            }
            overrides.push(one.action);
        }
        let mut exempt = GlobMap::default();
        for glob in &parts.exempt {
            exempt.entry(glob, || ());
        }
        Self {
            index: Index::build(&parts.entries, &parts.public),
            nearest: Nearest::build(&parts.entries, &parts.public),
            entries: parts.entries,
            public: parts.public,
            unknown: UnknownRegistries {
                default: parts.unknown.unwrap_or(Action::Warn),
                overrides,
                namespaces,
                selectors,
                reason: parts.unknown_reason,
            },
            exempt,
            contact: parts.contact,
            digest: parts.digest,
        }
    }

    /// What the map says about an image in a namespace.
    ///
    /// Without a namespace, entries that exist in some namespaces only are left out
    /// and the default of `unknownRegistries` holds. The cost depends on the image, on
    /// the patterns that cover its host and on the labels of the namespace, not on the
    /// size of the map.
    ///
    /// The error is that it hangs on [`Labels::Unknown`]: an entry or an override by
    /// selector comes before all that is sure. An image for which none does is judged
    /// without labels, and so is every image in an exempt namespace.
    pub fn judge<'p, 'i>(
        &'p self,
        image: &'i str,
        namespace: Option<Namespace<'_>>,
        now: Timestamp,
    ) -> Result<Judgement<'p, 'i>, LabelsUnknown> {
        let reference = Reference::parse(image);
        let rule = match reference.as_ref().map(Place::of) {
            _ if namespace.is_some_and(|namespace| self.exempts(namespace.name)) => Rule::Exempt,
            Err(_) => Rule::Unknown(Unknown::InvalidReference),
            Ok(None) => Rule::Unknown(Unknown::InvalidPort),
            Ok(Some(place)) => self.rule(&place, namespace, now)?,
        };
        let action = match rule {
            Rule::Entry(entry, _) => entry.action_at(now),
            Rule::Public(_) | Rule::Exempt => Action::Allow,
            Rule::Unknown(_) => self.unknown_action(namespace)?,
        };
        let pull_secrets = match rule {
            Rule::Entry(entry, _) if action != Action::Deny => entry.pull_secrets.as_slice(),
            _ => &[],
        };
        Ok(Judgement {
            image,
            reference,
            rule,
            action,
            pull_secrets,
        })
    }

    fn rule(
        &self,
        place: &Place<'_>,
        namespace: Option<Namespace<'_>>,
        now: Timestamp,
    ) -> Result<Rule<'_>, LabelsUnknown> {
        let question = Question {
            place,
            namespace,
            now,
        };
        let found = self.index.find(&self.entries, question);
        Ok(found
            .target?
            .and_then(|target| self.resolve(target))
            .unwrap_or(Rule::Unknown(Unknown::NoEntry)))
    }

    fn resolve(&self, target: Target) -> Option<Rule<'_>> {
        match target {
            Target::Entry { entry, pattern } => {
                let entry = self.entries.get(entry)?;
                Some(Rule::Entry(entry, entry.patterns.get(pattern)?))
            }
            Target::Public(at) => self.public.get(at).map(Rule::Public),
        }
    }

    /// Whether the namespace is never touched and never refused anything.
    #[must_use]
    pub fn exempts(&self, namespace: &str) -> bool {
        self.exempt.literal(namespace).is_some() || self.exempt.globs(namespace).next().is_some()
    }

    /// What happens to images that no rule covers; in `None`, by default.
    ///
    /// The error is that an override by selector comes before the first that holds for
    /// sure, and the labels are not known.
    pub fn unknown_action(
        &self,
        namespace: Option<Namespace<'_>>,
    ) -> Result<Action, LabelsUnknown> {
        let unknown = &self.unknown;
        let Some(namespace) = namespace else {
            return Ok(unknown.default);
        };
        let globs = unknown.namespaces.globs(namespace.name);
        let literal = unknown.namespaces.literal(namespace.name);
        let named = globs.chain(literal).min().copied();
        let before = |at: &usize| named.is_none_or(|named| *at < named);
        let selected = unknown.selectors.first(&namespace, before)?.copied();
        Ok(selected
            .or(named)
            .and_then(|at| unknown.overrides.get(at))
            .copied()
            .unwrap_or(unknown.default))
    }

    /// Whether anything in the map is for namespaces by label, so that the labels of
    /// namespaces are needed.
    #[must_use]
    pub fn uses_selectors(&self) -> bool {
        !self.unknown.selectors.is_empty()
            || self
                .entries
                .iter()
                .any(|entry| entry.namespace_selector.is_some())
    }

    /// What the map wants said with an unknown registry.
    #[must_use]
    pub fn unknown_reason(&self) -> Option<&str> {
        self.unknown.reason.as_deref()
    }

    /// Whom to ask; ends every refusal.
    #[must_use]
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    /// Which map it is: `sha256:` and the digest of its files' bytes, one file after the
    /// other in the order of their names (`cat map/*.yaml | sha256sum`).
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The entries in the map's order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The patterns of `publicRegistries`, or those that stand in for it.
    #[must_use]
    pub fn public_registries(&self) -> &[Pattern] {
        &self.public
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("entries", &self.entries.len())
            .field("unknown", &self.unknown.default)
            .finish_non_exhaustive()
    }
}
