//! What a registry map holds and what it says of an image, as values.
//!
//! Values only: [`super::context`] decides, [`super::precedence`] orders, and
//! [`super::message`] finds the words.

use jiff::{SignedDuration, Timestamp};

use super::{Namespace, Pattern, Scope};
use image_reference::{Reference, ReferenceError};

/// How long before its expiry an entry is warned of.
pub(crate) const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What the map says about an image, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Admitted without a word.
    Allow,
    /// Admitted; recorded in the API server's audit log and in a metric.
    Audit,
    /// Admitted with a warning to whoever created the pod.
    Warn,
    /// Denied.
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
    /// When the entry expires: from this instant on it is as if absent.
    pub until: Option<Timestamp>,
    /// Where the images are to be taken from instead; shown, never applied.
    pub replace_with: Option<String>,
    /// In which namespaces the entry exists.
    pub scope: Scope,
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

    /// Which kind of rule it is.
    #[must_use]
    pub fn kind(&self) -> RuleKind {
        match self {
            Self::Entry(..) => RuleKind::Entry,
            Self::Public(_) => RuleKind::Public,
            Self::Unknown(Unknown::NoEntry) => RuleKind::Unknown,
            Self::Unknown(Unknown::InvalidReference | Unknown::InvalidPort) => RuleKind::Invalid,
            Self::Exempt => RuleKind::Exempt,
        }
    }
}

/// The kinds of [`Rule`], as records, reports and metrics tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// An entry of `registries`.
    Entry,
    /// A pattern of `publicRegistries`.
    Public,
    /// No rule covers the image.
    Unknown,
    /// The image names no registry that can exist.
    Invalid,
    /// The namespace is exempt.
    Exempt,
}

impl RuleKind {
    /// The word for it in JSON and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Public => "public",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
            Self::Exempt => "exempt",
        }
    }
}

/// Why no rule was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No pattern that exists in this namespace and has not expired covers the image.
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
    /// Whether the entry is as if absent. An entry expires at `until`, not after it.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the entry exists in a namespace; without one, whether it exists everywhere.
    ///
    /// An entry whose scope depends on labels that are not known does not: this is for
    /// messages, not for decisions.
    #[must_use]
    pub fn exists_in(&self, namespace: Option<Namespace<'_>>) -> bool {
        self.scope.holds(namespace) == Some(true)
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

    /// When the image will be denied, where that has not yet begun.
    #[must_use]
    pub fn denied_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.entry()
            .filter(|entry| entry.action == Action::Deny)
            .and_then(|entry| entry.from)
            .filter(|from| now < *from)
    }

    /// When the entry expires, where that is less than 14 days away.
    #[must_use]
    pub fn expires_soon(&self, now: Timestamp) -> Option<Timestamp> {
        self.entry()
            .and_then(|entry| entry.until)
            .filter(|until| now < *until && until.duration_since(now) <= EXPIRES_SOON)
    }
}
