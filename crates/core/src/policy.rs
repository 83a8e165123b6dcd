//! The registry map, compiled: which registries may be pulled from, with which
//! pull secrets, and what happens to all others.
//!
//! A [`Policy`] can only be made valid ([`crate::map::load`]). [`Context`] is the one
//! place where an image meets the map; everything else (the server, every command)
//! asks it. The clock is an argument, and nothing here reads a file, logs, or knows
//! what an `AdmissionReview` is.

use std::fmt;

mod canonical;
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

use glob::GlobMap;
use index::{Index, Target};
use selectors::Selectors;
use suggest::Suggestions;

/// A registry map that holds no contradiction. Made by [`map::load`] only.
pub struct Policy {
    entries: Vec<Entry>,
    public: Vec<Pattern>,
    unknown: UnknownRegistries,
    exempt: GlobMap<()>,
    contact: Option<String>,
    index: Index,
    suggestions: Suggestions,
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
    pub(crate) scope: Scope,
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

    /// Whether the namespace is exempt: its pods are neither patched nor judged.
    #[must_use]
    pub fn exempts(&self, namespace: &str) -> bool {
        self.exempt.literal(namespace).is_some() || self.exempt.globs(namespace).next().is_some()
    }

    /// What happens to images that no rule covers; without a namespace, by default.
    ///
    /// The error is that an override by selector precedes the first that certainly
    /// holds, and the labels are not known.
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
                .any(|entry| matches!(entry.scope, Scope::Selector(_)))
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
