//! What a registry map contains and what it says about an image, as values.
//!
//! This module must not decide: [`super::context`] decides, [`super::precedence`] orders
//! rules, and [`super::message`] writes the messages.

use jiff::{SignedDuration, Timestamp};

use super::{Namespace, Pattern, Scope};
use image_reference::{Reference, ReferenceError};

/// How long before its expiry pullpass warns about an entry.
pub(crate) const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What the map says about an image, from the weakest action to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The image is admitted without a message.
    Allow,
    /// The image is admitted and recorded in the API server's audit log and in a metric.
    Audit,
    /// The image is admitted with a warning to the user who creates the pod.
    Warn,
    /// The image is denied.
    Deny,
}

impl Action {
    /// The name of the action in the map, in messages and in metrics.
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
    /// The name: unique in the map, and shown in messages, metrics and audit annotations.
    pub name: String,
    /// What the entry matches; there is at least one pattern.
    pub patterns: Vec<Pattern>,
    /// Names of Secrets in the pod's own namespace, in the map's order.
    pub pull_secrets: Vec<String>,
    /// What happens to images that match. Before `from`, a deny is a warning.
    pub action: Action,
    /// A text of the map that messages show to the user.
    pub reason: Option<String>,
    /// When a deny takes effect.
    pub from: Option<Timestamp>,
    /// When the entry expires: from this instant on it has no effect.
    pub until: Option<Timestamp>,
    /// Where users should take the images from instead. Messages show it; pullpass never
    /// rewrites an image.
    pub replace_with: Option<String>,
    /// In which namespaces the entry exists.
    pub scope: Scope,
    /// Where the map defines the entry: `file:line`.
    pub location: String,
}

/// The rule of the map that decides about an image.
#[derive(Debug, Clone, Copy)]
pub enum Rule<'p> {
    /// An entry of `registries`, and the pattern of it that matched.
    Entry(&'p Entry, &'p Pattern),
    /// A pattern of `publicRegistries`.
    Public(&'p Pattern),
    /// No rule covers the image, so `unknownRegistries` applies.
    Unknown(Unknown),
    /// The namespace is exempt, so no rule applies.
    Exempt,
}

impl<'p> Rule<'p> {
    /// The name of the rule in the output of commands: the entry's name, or the pattern of
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

/// The kinds of [`Rule`] that records, reports and metrics distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// An entry of `registries`.
    Entry,
    /// A pattern of `publicRegistries`.
    Public,
    /// No rule covers the image.
    Unknown,
    /// The image is not a valid reference, or its registry cannot exist.
    Invalid,
    /// The namespace is exempt.
    Exempt,
}

impl RuleKind {
    /// The name of the kind in JSON and in metrics.
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

/// Why no rule covers an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No pattern that exists in this namespace and has not expired covers the image.
    NoEntry,
    /// The text is not an image reference, so it has no registry.
    InvalidReference,
    /// The registry's port is above 65535, so no server can have it.
    InvalidPort,
}

/// What the map says about one image in one namespace at one time.
#[derive(Debug, Clone)]
pub struct Judgement<'p, 'i> {
    /// The image as it is written in the pod.
    pub image: &'i str,
    /// The parsed image, or why it is not a valid reference.
    pub reference: Result<Reference<'i>, ReferenceError>,
    /// The rule that decided.
    pub rule: Rule<'p>,
    /// The action of that rule at the time of the decision.
    pub action: Action,
    /// Names of the pull secrets that the image needs; empty for an image that is denied.
    pub pull_secrets: &'p [String],
}

impl Entry {
    /// Whether the entry has expired. It expires at the instant `until`, not after it.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the entry exists in a namespace; without a namespace, whether it exists in
    /// every namespace.
    ///
    /// The answer is no if it depends on labels that are not known. This is for messages,
    /// not for decisions.
    #[must_use]
    pub fn exists_in(&self, namespace: Option<Namespace<'_>>) -> bool {
        self.scope.contains(namespace) == Some(true)
    }

    /// The action of the entry at a time: before `from`, a deny is a warning.
    #[must_use]
    pub fn action_at(&self, now: Timestamp) -> Action {
        match self.from {
            Some(from) if now < from && self.action == Action::Deny => Action::Warn,
            _ => self.action,
        }
    }
}

impl<'p> Judgement<'p, '_> {
    /// The entry that decides, if the rule is an entry.
    #[must_use]
    pub fn entry(&self) -> Option<&'p Entry> {
        match self.rule {
            Rule::Entry(entry, _) => Some(entry),
            Rule::Public(_) | Rule::Unknown(_) | Rule::Exempt => None,
        }
    }

    /// When the image will be denied, if its entry denies it only from a later time on.
    #[must_use]
    pub fn denied_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.entry()
            .filter(|entry| entry.action == Action::Deny)
            .and_then(|entry| entry.from)
            .filter(|from| now < *from)
    }

    /// Whether the image is admitted with a warning: the map warns about it, or the entry
    /// that allows it expires soon.
    #[must_use]
    pub fn is_warned(&self, now: Timestamp) -> bool {
        self.action == Action::Warn || self.expires_soon(now).is_some()
    }

    /// When the entry expires, if that is at most 14 days away.
    #[must_use]
    pub fn expires_soon(&self, now: Timestamp) -> Option<Timestamp> {
        self.entry()
            .and_then(|entry| entry.until)
            .filter(|until| now < *until && until.duration_since(now) <= EXPIRES_SOON)
    }
}
