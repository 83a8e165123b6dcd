//! The webhook that is called, and the context of a review: the map, the time, the labels
//! of namespaces and the enforcement mode.
//!
//! This module must not decide anything; it holds values only.

use super::record::Recording;
use crate::policy::{Context, LabelMap, Labels, Namespace, Policy};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::sync::Arc;

/// The webhook that the API server calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/mutate`
    Mutate,
    /// `/validate`
    Validate,
    /// `/validate-workloads/warn` and `/validate-workloads/deny`
    Workloads(WorkloadMode),
}

/// What happens to a workload whose pods will be denied. The path selects it, not a flag of
/// the server, because it must fit the rules and the `failurePolicy` in the same webhook
/// configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkloadMode {
    /// The workload is admitted with warnings.
    Warn,
    /// The workload is denied.
    Deny,
}

impl Endpoint {
    /// The name of the endpoint in paths, logs and metrics.
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
    /// pullpass denies what the map denies.
    #[default]
    Enforce,
    /// pullpass denies nothing: it admits what the map denies with a warning, and records
    /// and counts it as `would_deny`.
    Observe,
}

impl Mode {
    /// The name of the mode in annotations and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// What the decision about a review depends on. A review uses one value from start to end.
#[derive(Debug, Clone, Copy)]
pub struct ReviewContext<'p> {
    /// The map.
    pub policy: &'p Policy,
    /// The time, which the caller reads once for each review.
    pub now: Timestamp,
    /// The labels of namespaces, as far as they are known. Only decisions by maps with
    /// selectors need them.
    pub namespaces: Option<&'p NamespaceLabels>,
    /// The enforcement mode. It changes the response, not the decision.
    pub mode: Mode,
    /// Which reviews get a [`DecisionRecord`](super::record::DecisionRecord); `None` if no
    /// review does.
    pub recording: Option<Recording>,
}

/// The labels of namespaces by name. The labels of other namespaces are not known.
pub type NamespaceLabels = HashMap<Arc<str>, Arc<LabelMap>>;

impl<'p> ReviewContext<'p> {
    /// The context of decisions about objects in a namespace.
    #[must_use]
    pub(super) fn for_namespace<'n>(&self, namespace: &'n str) -> Context<'p, 'n>
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
