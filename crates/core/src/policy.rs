//! The compiled registry map: which registries images may be pulled from, which pull
//! secrets they need, and what happens to images from all other registries.
//!
//! [`crate::map::load`] makes a [`Policy`] and makes only valid ones. [`Context`] is the
//! only type that compares an image with the map; the server and every command use it.
//! This module must not read a clock or a file, log, or know `AdmissionReview`: the time
//! is an argument.

use std::fmt;

pub(crate) mod canonical;
mod context;
pub mod decision;
mod expiry;
mod explain;
pub(crate) mod glob;
mod index;
pub mod message;
mod model;
pub mod namespace;
pub mod pattern;
pub(crate) mod precedence;
mod scope;
mod selectors;
pub(crate) mod suggest;

pub use canonical::DOCKER_HUB_ALIASES;
pub use context::Context;
pub use decision::{Decision, Field, PodField, Verdict};
pub use expiry::{DateEvent, DateEventKind};
pub use explain::{Considered, WhyNot};
pub use model::{Action, Entry, Judgement, Rule, RuleKind, Unknown};
pub use namespace::{LabelMap, Labels, LabelsUnknown, Namespace, NamespaceSelector};
pub use pattern::Pattern;
pub use precedence::{Ranked, RankedScope, SelectorInMap, UnknownActions};
pub use scope::Scope;
pub use suggest::Suggestion;

pub(crate) use model::EXPIRES_SOON;
pub(crate) use scope::Overlap;
pub(crate) use suggest::edits::edits;
pub(crate) use suggest::steps::Steps;

use glob::GlobMap;
use index::{Index, RulePosition};
use selectors::Selectors;
use suggest::Suggestions;

/// A valid registry map. Only [`map::load`](crate::map::load) makes one.
pub struct Policy {
    entries: Vec<Entry>,
    public: Vec<Pattern>,
    unknown: UnknownImages,
    exempt: GlobMap<()>,
    contact: Option<String>,
    index: Index,
    suggestions: Suggestions,
    digest: String,
}

/// What happens to images that no rule covers.
#[derive(Debug)]
struct UnknownImages {
    default: Action,
    // In the map's order; the first override that covers a namespace applies.
    overrides: Vec<Action>,
    // Namespace names and globs, with the index of the first override that lists them.
    namespaces: GlobMap<usize>,
    // Label selectors, with the index of their override.
    selectors: Selectors<usize>,
    reason: Option<String>,
}

/// One item of `overrides`.
#[derive(Debug)]
pub(crate) struct Override {
    pub(crate) scope: Scope,
    pub(crate) action: Action,
}

/// The values that a [`Policy`] is made of. The caller has validated them.
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
            match one.scope {
                Scope::Everywhere => {
                    namespaces.entry("*", || at);
                }
                Scope::Namespaces(globs) => {
                    for glob in &globs {
                        namespaces.entry(glob, || at);
                    }
                }
                Scope::Selector(selector) => selectors.push(selector, at),
            }
            overrides.push(one.action);
        }
        let mut exempt = GlobMap::default();
        for glob in &parts.exempt {
            exempt.entry(glob, || ());
        }
        Self {
            index: Index::build(&parts.entries, &parts.public),
            suggestions: Suggestions::build(&parts.entries, &parts.public),
            entries: parts.entries,
            public: parts.public,
            unknown: UnknownImages {
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

    /// Whether the namespace is exempt: pullpass neither patches nor judges its pods.
    #[must_use]
    pub fn exempts(&self, namespace: &str) -> bool {
        self.exempt.literal(namespace).is_some() || self.exempt.globs(namespace).next().is_some()
    }

    /// What happens to images that no rule covers; without a namespace, the map's default.
    ///
    /// It fails if the labels of the namespace are not known and an override with a
    /// selector precedes the first override that certainly applies.
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

    /// Whether an entry or an override has a label selector, so that decisions need the
    /// labels of namespaces.
    #[must_use]
    pub fn uses_selectors(&self) -> bool {
        !self.unknown.selectors.is_empty()
            || self
                .entries
                .iter()
                .any(|entry| matches!(entry.scope, Scope::Selector(_)))
    }

    /// The text that the map adds to messages about unknown registries.
    #[must_use]
    pub fn unknown_reason(&self) -> Option<&str> {
        self.unknown.reason.as_deref()
    }

    /// The contact that every denial ends with.
    #[must_use]
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    /// The identity of the map: `sha256:` and the digest of the bytes of its files,
    /// concatenated in the order of their names (`cat map/*.yaml | sha256sum`).
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The entries in the map's order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The patterns of `publicRegistries`, or the default patterns if the map has none.
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
