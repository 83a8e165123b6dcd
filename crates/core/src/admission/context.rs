//! Who is asked, and by what a review is judged: the map, the time, the labels of
//! namespaces, and whether refusals are meant. Values only; nothing is decided here.

use super::record::Recording;
use crate::policy::{LabelMap, Labels, Namespace, Policy};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::sync::Arc;

/// Which of the webhooks is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/mutate`
    Mutate,
    /// `/validate`
    Validate,
    /// `/validate-workloads/warn` and `/validate-workloads/deny`
    Workloads(Severity),
}

/// What is done with a workload whose pods will be refused. Said by the path and not by
/// a flag, since it belongs to the rules and the `failurePolicy` that stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// It is admitted with warnings.
    Warn,
    /// It is refused.
    Deny,
}

impl Endpoint {
    /// The word for it in paths, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
            Self::Workloads(_) => "validate-workloads",
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

/// Whether refusals are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What the map denies is refused.
    #[default]
    Enforce,
    /// Nothing is refused: what the map denies is admitted with a warning, and recorded
    /// and counted as what it would have been.
    Observe,
}

impl Mode {
    /// The word for it in annotations and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// What a review is judged by: the same for the whole of one review.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'p> {
    /// The map.
    pub policy: &'p Policy,
    /// The time, read once.
    pub now: Timestamp,
    /// The labels of namespaces, as far as they are known; needed only where the map
    /// has selectors.
    pub namespaces: Option<&'p NamespaceLabels>,
    /// Whether refusals are meant. The decision is the same, the answer is not.
    pub mode: Mode,
    /// Which reviews get a [`Record`](super::record::Record).
    pub recording: Recording,
}

/// The labels of namespaces by their names. One that is not among them is not known.
pub type NamespaceLabels = HashMap<Arc<str>, Arc<LabelMap>>;

impl<'p> Basis<'p> {
    /// What is known of a namespace.
    #[must_use]
    pub fn namespace<'n>(&self, name: &'n str) -> Namespace<'n>
    where
        'p: 'n,
    {
        let known = self.namespaces.and_then(|namespaces| namespaces.get(name));
        Namespace {
            name,
            labels: known.map_or(Labels::Unknown, |labels| Labels::Known(labels)),
        }
    }
}
