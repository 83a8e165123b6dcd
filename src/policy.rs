//! The registry map, compiled: which registries may be pulled from, with which
//! pull secrets, and what happens to all others.
//!
//! A [`Policy`] can only be made valid ([`config::load`]). [`Policy::judge`] is the
//! one place where an image meets the map; everything else (the server, every
//! command) asks it. Pure: the clock is an argument, and nothing here reads a
//! file, logs, or knows what an AdmissionReview is.

use crate::image::{Reference, ReferenceError};
use jiff::Timestamp;

pub mod config;
pub mod pattern;

pub use pattern::Pattern;

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
    /// Globs of namespaces in which the entry exists; everywhere when `None`.
    pub namespaces: Option<Vec<String>>,
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

/// Stub, only so that this branch compiles.
#[derive(Debug, Default)]
pub struct Policy {
    /// Stub.
    pub entries: Vec<Entry>,
}

impl Policy {
    /// The names of all entries, in the map's order.
    pub fn entry_names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }
}
