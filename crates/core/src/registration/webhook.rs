//! The webhooks that pullpass registers: their names and paths, what they must be called for,
//! and what it means for pods when they are not called. This module must not
//! compare them with anything.

use super::{ClientConfig, ObservedConfiguration};
use serde_json::Value;
use std::fmt;

/// A webhook of pullpass, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisteredWebhook {
    /// Adds pull secrets to pods.
    Mutate,
    /// Denies pods.
    Validate,
    /// Refuses a registry map with errors.
    ValidateMap,
    /// Tells the authors of workloads what their pods will meet.
    ValidateWorkloads,
}

/// A request that the rules of a webhook must cover: API group, resource, operation.
pub(super) type Call = (&'static str, &'static str, &'static str);

impl RegisteredWebhook {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Mutate,
        Self::Validate,
        Self::ValidateMap,
        Self::ValidateWorkloads,
    ];

    /// The path without its slash, which is also the word for it in flags and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
            Self::ValidateMap => "validate-map",
            Self::ValidateWorkloads => "validate-workloads",
        }
    }

    /// The kind of the object that registers it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Mutate => "MutatingWebhookConfiguration",
            _ => "ValidatingWebhookConfiguration",
        }
    }

    /// The webhook that a configuration is about, by the names and paths of its webhooks.
    #[must_use]
    pub fn of(configuration: &ObservedConfiguration<'_>) -> Option<Self> {
        configuration.webhooks().find_map(|hook| {
            let name = hook.get("name").and_then(Value::as_str);
            let name = name.and_then(|name| name.strip_suffix(".pullpass.dev"));
            let path = ClientConfig::of(hook).path.to_owned();
            Self::ALL
                .into_iter()
                .find(|webhook| name == Some(webhook.as_str()) || webhook.has_path(&path))
        })
    }

    pub(super) fn has_path(self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or_default();
        match self {
            Self::ValidateWorkloads => path
                .strip_prefix(self.as_str())
                .is_some_and(|rest| matches!(rest, "/warn" | "/deny")),
            _ => path == self.as_str(),
        }
    }

    /// What happens while the API server does not call it, or goes on without an answer.
    pub(super) fn without(self) -> &'static str {
        match self {
            Self::Mutate => "pods are created without the pull secrets that the map names",
            Self::Validate => "pods that the map denies are admitted",
            Self::ValidateMap => "a registry map with errors can be stored; no replica loads it",
            Self::ValidateWorkloads => {
                "authors of workloads are told nothing; their pods are judged all the same"
            }
        }
    }

    /// What happens while no call succeeds and `failurePolicy` is `Fail`.
    pub(super) fn denied(self) -> &'static str {
        match self {
            Self::Mutate | Self::Validate => "the API server denies pods (failurePolicy Fail)",
            Self::ValidateMap => "the API server denies changes of the map (failurePolicy Fail)",
            Self::ValidateWorkloads => "the API server denies workloads (failurePolicy Fail)",
        }
    }

    pub(super) fn calls(self) -> &'static [Call] {
        match self {
            Self::Mutate => &[("", "pods", "CREATE")],
            Self::Validate => &[
                ("", "pods", "CREATE"),
                ("", "pods", "UPDATE"),
                ("", "pods/ephemeralcontainers", "UPDATE"),
            ],
            Self::ValidateMap => &[("", "configmaps", "CREATE"), ("", "configmaps", "UPDATE")],
            Self::ValidateWorkloads => &[
                ("apps", "deployments", "CREATE"),
                ("apps", "statefulsets", "CREATE"),
                ("apps", "daemonsets", "CREATE"),
                ("batch", "jobs", "CREATE"),
                ("batch", "cronjobs", "CREATE"),
            ],
        }
    }
}

impl fmt::Display for RegisteredWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
