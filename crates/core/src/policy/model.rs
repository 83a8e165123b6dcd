//! What a registry map contains and what it says about an image, as values.
//!
//! This module must not decide: [`super::context`] decides, [`super::precedence`] orders
//! rules, and [`super::message`] writes the messages.

use jiff::Timestamp;
use std::ops::Deref;

use super::{Namespace, Pattern, Scope, expiry};
use image_reference::{Reference, ReferenceError};

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

/// The action of an entry, with the dates that only this action can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryAction {
    /// [`Action::Allow`] until the entry expires.
    Allow {
        /// When the entry expires.
        until: Option<Timestamp>,
    },
    /// [`Action::Audit`] until the entry expires.
    Audit {
        /// When the entry expires.
        until: Option<Timestamp>,
    },
    /// [`Action::Warn`] until the entry expires.
    Warn {
        /// When the entry expires.
        until: Option<Timestamp>,
    },
    /// [`Action::Deny`]. A deny does not expire.
    Deny {
        /// When the deny takes effect; before, it is a warning.
        from: Option<Timestamp>,
    },
}

/// The patterns of an entry, in the map's order; there is at least one.
#[derive(Debug, Clone)]
pub struct Patterns(Vec<Pattern>);

/// One entry of the map's `registries`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name: unique in the map, and shown in messages, metrics and audit annotations.
    pub name: String,
    /// What the entry matches.
    pub patterns: Patterns,
    /// Names of Secrets in the pod's own namespace, in the map's order.
    pub pull_secrets: Vec<String>,
    /// What happens to images that match, and from when or until when.
    pub action: EntryAction,
    /// A text of the map that messages show to the user.
    pub reason: Option<String>,
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
    /// No pattern that exists in this namespace and has not expired covers the image, so
    /// `unknownRegistries` applies.
    Unknown,
    /// No registry can have the image, so `unknownRegistries` applies: the text is not an
    /// image reference ([`Judgement::reference`] says why), or the registry's port is above
    /// 65535.
    Invalid,
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
            Self::Unknown | Self::Invalid | Self::Exempt => None,
        }
    }

    /// Which kind of rule it is.
    #[must_use]
    pub fn kind(&self) -> RuleKind {
        match self {
            Self::Entry(..) => RuleKind::Entry,
            Self::Public(_) => RuleKind::Public,
            Self::Unknown => RuleKind::Unknown,
            Self::Invalid => RuleKind::Invalid,
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

/// A date of an entry that is near enough for messages to name it. An entry has at most one
/// date, because only a deny has `from`, and a deny has no `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upcoming {
    /// The entry, which warns now, denies from this time on.
    Deny(Timestamp),
    /// The entry expires at this time, which is at most 14 days away.
    Expiry(Timestamp),
}

/// What an entry does at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryState<'p> {
    pub(crate) action: Action,
    /// The pull secrets that images need; none for a deny, because nothing is pulled.
    pub(crate) pull_secrets: &'p [String],
    pub(crate) upcoming: Option<Upcoming>,
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
    /// A date of the entry that decided, if messages name it.
    pub upcoming: Option<Upcoming>,
}

impl EntryAction {
    /// The action without its dates.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Allow { .. } => Action::Allow,
            Self::Audit { .. } => Action::Audit,
            Self::Warn { .. } => Action::Warn,
            Self::Deny { .. } => Action::Deny,
        }
    }
}

impl Patterns {
    /// `None` if there is no pattern.
    pub(crate) fn new(patterns: Vec<Pattern>) -> Option<Self> {
        (!patterns.is_empty()).then_some(Self(patterns))
    }
}

impl Deref for Patterns {
    type Target = [Pattern];

    fn deref(&self) -> &[Pattern] {
        &self.0
    }
}

impl Entry {
    /// When a deny takes effect.
    #[must_use]
    pub fn from(&self) -> Option<Timestamp> {
        match self.action {
            EntryAction::Deny { from } => from,
            EntryAction::Allow { .. } | EntryAction::Audit { .. } | EntryAction::Warn { .. } => {
                None
            }
        }
    }

    /// When the entry expires: from this instant on it has no effect.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self.action {
            EntryAction::Allow { until }
            | EntryAction::Audit { until }
            | EntryAction::Warn { until } => until,
            EntryAction::Deny { .. } => None,
        }
    }

    /// Whether the entry has expired. It expires at the instant `until`, not after it.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until().is_some_and(|until| until <= now)
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

    /// What the entry does at a time: before `from`, a deny is a warning.
    pub(crate) fn at(&self, now: Timestamp) -> EntryState<'_> {
        let soon = |until: Option<Timestamp>| {
            let until = until.filter(|until| expiry::is_soon(*until, now));
            until.map(Upcoming::Expiry)
        };
        let (action, upcoming) = match self.action {
            EntryAction::Allow { until } => (Action::Allow, soon(until)),
            EntryAction::Audit { until } => (Action::Audit, soon(until)),
            EntryAction::Warn { until } => (Action::Warn, soon(until)),
            EntryAction::Deny { from: Some(from) } if now < from => {
                (Action::Warn, Some(Upcoming::Deny(from)))
            }
            EntryAction::Deny { .. } => (Action::Deny, None),
        };
        EntryState {
            action,
            pull_secrets: match action {
                Action::Deny => &[],
                Action::Allow | Action::Audit | Action::Warn => &self.pull_secrets,
            },
            upcoming,
        }
    }
}

impl<'p> Judgement<'p, '_> {
    /// The entry that decides, if the rule is an entry.
    #[must_use]
    pub fn entry(&self) -> Option<&'p Entry> {
        match self.rule {
            Rule::Entry(entry, _) => Some(entry),
            Rule::Public(_) | Rule::Unknown | Rule::Invalid | Rule::Exempt => None,
        }
    }

    /// When the image will be denied, if its entry denies it only from a later time on.
    #[must_use]
    pub fn denied_from(&self) -> Option<Timestamp> {
        match self.upcoming {
            Some(Upcoming::Deny(from)) => Some(from),
            Some(Upcoming::Expiry(_)) | None => None,
        }
    }

    /// Whether the image is admitted with a warning: the map warns about it, or the entry
    /// that allows it expires soon.
    #[must_use]
    pub fn is_warned(&self) -> bool {
        self.action == Action::Warn || self.expires_soon().is_some()
    }

    /// When the entry expires, if that is at most 14 days away.
    #[must_use]
    pub fn expires_soon(&self) -> Option<Timestamp> {
        match self.upcoming {
            Some(Upcoming::Expiry(until)) => Some(until),
            Some(Upcoming::Deny(_)) | None => None,
        }
    }
}
