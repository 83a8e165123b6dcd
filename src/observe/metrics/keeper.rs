//! What is counted about the self-signed certificate.

use super::families::{Labels, gauge};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What the keeper of the certificate does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeeperAction {
    /// Writes the Secret.
    Write,
    /// Writes the `caBundle`s.
    Publish,
    /// Serves another certificate.
    Adopt,
}

#[derive(Debug)]
pub(super) struct KeeperMetrics {
    actions: [[Counter; 2]; 3],
    pub(super) well: Gauge,
    pub(super) authority_not_after: Gauge,
}

impl KeeperMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        registry.register(
            "certificate_keeper_actions",
            "What was done to keep the self-signed certificate, by result",
            family.clone(),
        );
        let actions = ["write", "publish", "adopt"].map(|action| {
            ["ok", "failed"].map(|result| {
                family.get_or_create_owned(&vec![("action", action), ("result", result)])
            })
        });
        let help = "1 when the self-signed certificate can be kept, 0 when something is in the way or it is not self-signed";
        let well = gauge(registry, "certificate_keeper_working", help, None);
        let help = "When the CA of the self-signed certificate ends, 0 when there is none";
        let name = "certificate_authority_not_after_timestamp";
        Self {
            actions,
            well,
            authority_not_after: gauge(registry, name, help, Some(Unit::Seconds)),
        }
    }

    pub(super) fn count(&self, action: KeeperAction, good: bool) {
        let [write, publish, adopt] = &self.actions;
        let [ok, failed] = match action {
            KeeperAction::Write => write,
            KeeperAction::Publish => publish,
            KeeperAction::Adopt => adopt,
        };
        if good { ok } else { failed }.inc();
    }
}
