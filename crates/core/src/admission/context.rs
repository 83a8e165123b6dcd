//! Which webhook is called, and by what a review is decided: the map, the time, the
//! labels of namespaces and the enforcement mode. Values only; nothing is decided here.

use super::record::Recording;
use crate::policy::{Context, LabelMap, Labels, Namespace, Policy};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::sync::Arc;

/// Which of the webhooks is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/mutate`
    Mutate,
    /// `/validate`
    Validate,
    /// `/validate-workloads/warn` and `/validate-workloads/deny`
    Workloads(WorkloadMode),
}

/// What is done with a workload whose pods will be denied. The path says it and not a
/// flag, since it belongs to the rules and the `failurePolicy` that stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkloadMode {
    /// It is admitted with warnings.
    Warn,
    /// It is denied.
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

/// The enforcement mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What the map denies is denied.
    #[default]
    Enforce,
    /// Nothing is denied: what the map denies is admitted with a warning, and recorded
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

/// By what a review is decided; one value for the whole of the review.
#[derive(Debug, Clone, Copy)]
pub struct ReviewContext<'p> {
    /// The map.
    pub policy: &'p Policy,
    /// The time, read once.
    pub now: Timestamp,
    /// The labels of namespaces, as far as they are known; needed only where the map
    /// has selectors.
    pub namespaces: Option<&'p NamespaceLabels>,
    /// The enforcement mode. It changes the answer, not the decision.
    pub mode: Mode,
    /// Which reviews get a [`DecisionRecord`](super::record::DecisionRecord).
    pub recording: Recording,
}

/// The labels of namespaces by their names. One that is not among them is not known.
pub type NamespaceLabels = HashMap<Arc<str>, Arc<LabelMap>>;

impl<'p> ReviewContext<'p> {
    /// The context of decisions about objects in a namespace.
    #[must_use]
    pub(super) fn at<'n>(&self, namespace: &'n str) -> Context<'p, 'n>
    where
        'p: 'n,
    {
        let known = self.namespaces.and_then(|all| all.get(namespace));
        let namespace = Namespace {
            name: namespace,
            labels: known.map_or(Labels::Unknown, |labels| Labels::Known(labels)),
        };
        self.policy.context(Some(namespace), self.now)
    }
}
