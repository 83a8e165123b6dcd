//! Whether what pullpass watches through the API server is there and as it should be: its
//! webhook configurations, and the ConfigMap of the map.
//!
//! All series exist from the start, and 0 stands for "nothing is wrong", also where nothing is
//! watched. This module must not judge an object.

use super::families::{MetricLabels, register};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use pullpass_core::registration::RegisteredWebhook;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchedObject {
    /// The ConfigMap of the registry map.
    Map,
    /// The webhook configurations.
    Webhooks,
}

#[derive(Debug)]
pub(super) struct RegistrationMetrics {
    problems: [(RegisteredWebhook, Gauge); RegisteredWebhook::ALL.len()],
    failing: [Gauge; 2],
    pub(super) map_missing: Gauge,
    pub(super) secret_problems: Counter,
}

impl RegistrationMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let problems: Family<MetricLabels, Gauge> = register(
            registry,
            "webhook_configuration_problems",
            "What is wrong with the webhook configuration: it is missing, or does not call pullpass as it should",
        );
        let failing: Family<MetricLabels, Gauge> = register(
            registry,
            "watch_failing",
            "1 while pullpass cannot read an object that it watches",
        );
        Self {
            problems: RegisteredWebhook::ALL.map(|webhook| {
                let labels = vec![("webhook", webhook.as_str())];
                (webhook, problems.get_or_create_owned(&labels))
            }),
            failing: ["map", "webhooks"]
                .map(|object| failing.get_or_create_owned(&vec![("object", object)])),
            map_missing: register(
                registry,
                "map_configmap_missing",
                "1 while the ConfigMap of the registry map does not exist",
            ),
            secret_problems: register(
                registry,
                "certificate_secret_problems",
                "How often somebody else was found to have written the Secret of the self-signed certificates",
            ),
        }
    }

    pub(super) fn found(&self, webhook: RegisteredWebhook, count: usize) {
        for (of, gauge) in &self.problems {
            if *of == webhook {
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }

    pub(super) fn watch_works(&self, object: WatchedObject, works: bool) {
        let [map, webhooks] = &self.failing;
        match object {
            WatchedObject::Map => map,
            WatchedObject::Webhooks => webhooks,
        }
        .set(i64::from(!works));
    }
}
