//! What is counted about the rotation of the self-signed certificate. This module must not know how
//! a rotation works.

use super::families::{MetricLabels, register, register_with_unit};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What the certificate rotator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotatorAction {
    /// Writes the Secret.
    Write,
    /// Writes the `caBundle`s.
    Publish,
    /// Serves another certificate.
    Adopt,
}

#[derive(Debug)]
pub(super) struct RotatorMetrics {
    actions: [[Counter; 2]; 3],
    pub(super) working: Gauge,
    pub(super) authority_not_after: Gauge,
}

impl RotatorMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family: Family<MetricLabels, Counter> = register(
            registry,
            "certificate_rotator_actions",
            "What the rotator of the self-signed certificate did, by result",
        );
        let actions = ["write", "publish", "adopt"].map(|action| {
            ["ok", "failed"].map(|result| {
                family.get_or_create_owned(&vec![("action", action), ("result", result)])
            })
        });
        Self {
            actions,
            working: register(
                registry,
                "certificate_rotator_working",
                "1 when the certificate rotator can do its work, 0 when it cannot or the certificate is not self-signed",
            ),
            authority_not_after: register_with_unit(
                registry,
                "certificate_authority_not_after_timestamp",
                "When the CA of the self-signed certificate expires, 0 when there is none",
                Unit::Seconds,
            ),
        }
    }

    pub(super) fn count(&self, action: RotatorAction, is_ok: bool) {
        let [write, publish, adopt] = &self.actions;
        let [ok, failed] = match action {
            RotatorAction::Write => write,
            RotatorAction::Publish => publish,
            RotatorAction::Adopt => adopt,
        };
        if is_ok { ok } else { failed }.inc();
    }
}
