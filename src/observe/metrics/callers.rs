//! What is counted about who calls: callers that are not answered, what peers are limited in,
//! and the CAs of callers. This module must not take a label from a caller.

use super::LoadMetrics;
use super::families::{MetricLabels, register, register_with_unit};
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Why a caller is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerRefusal {
    /// It sent no client certificate.
    NoCertificate,
    /// Its certificate has another name.
    OtherName,
}

/// What a review causes apart from its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedEffect {
    /// A record in the decision log.
    DecisionRecord,
    /// An Event.
    Event,
    /// A line of the log at level info.
    LogLine,
}

impl LimitedEffect {
    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DecisionRecord => "decision_record",
            Self::Event => "event",
            Self::LogLine => "log_line",
        }
    }
}

/// Who calls, in figures.
#[derive(Debug)]
pub struct CallerMetrics {
    /// The loads of the CAs of callers.
    pub ca: LoadMetrics,
    ca_not_after: Gauge,
    authenticated: Gauge,
    refused: [Counter; 2],
    limited: [Counter; 3],
}

impl CallerMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let refused: Family<MetricLabels, Counter> = register(
            registry,
            "callers_refused",
            "Requests that were answered with 401, by reason; with --client-ca",
        );
        let limited: Family<MetricLabels, Counter> = register(
            registry,
            "limited_effects",
            "What reviews did not cause because their peer had used up its share",
        );
        Self {
            ca: LoadMetrics::register(registry, "client_ca", "the CAs of callers"),
            ca_not_after: register_with_unit(
                registry,
                "client_ca_not_after_timestamp",
                "When the last of the CAs of callers expires, 0 without --client-ca",
                Unit::Seconds,
            ),
            authenticated: register(
                registry,
                "callers_authenticated",
                "1 with --client-ca: only callers with a certificate are answered",
            ),
            refused: ["no_certificate", "other_name"]
                .map(|reason| refused.get_or_create_owned(&vec![("reason", reason)])),
            limited: [
                LimitedEffect::DecisionRecord,
                LimitedEffect::Event,
                LimitedEffect::LogLine,
            ]
            .map(|effect| limited.get_or_create_owned(&vec![("effect", effect.as_str())])),
        }
    }

    /// CAs are in force, of which the last expires then; so callers are authenticated.
    pub fn ca_expires(&self, not_after: Timestamp) {
        self.authenticated.set(1);
        self.ca_not_after.set(not_after.as_second());
    }

    pub(super) fn refused(&self, refusal: CallerRefusal) {
        let [no_certificate, other_name] = &self.refused;
        match refusal {
            CallerRefusal::NoCertificate => no_certificate,
            CallerRefusal::OtherName => other_name,
        }
        .inc();
    }

    pub(super) fn limited(&self, effect: LimitedEffect) {
        let [record, event, line] = &self.limited;
        match effect {
            LimitedEffect::DecisionRecord => record,
            LimitedEffect::Event => event,
            LimitedEffect::LogLine => line,
        }
        .inc();
    }
}
