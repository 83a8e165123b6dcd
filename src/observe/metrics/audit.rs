//! What became of decision records and Events, so that a dropped one shows. This module must not
//! hold up the writers: counting is an atomic addition.

use super::families::{MetricLabels, register};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a decision record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFate {
    /// It was written.
    Written,
    /// Too many waited.
    Dropped,
    /// It could not be written.
    Failed,
}

/// What became of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFate {
    /// It was created.
    Made,
    /// The same one had been created, by this replica or another.
    Repeated,
    /// There were too many in a short time.
    Limited,
    /// Too many waited.
    Dropped,
    /// The API server refused it, or did not answer.
    Failed,
}

#[derive(Debug)]
pub(super) struct AuditMetrics {
    records: [Counter; 3],
    events: [Counter; 5],
}

impl AuditMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let records = register(
            registry,
            "decision_records",
            "Decision records, by what became of them",
        );
        let events = register(
            registry,
            "events",
            "Events about pods that controllers made, by what became of them",
        );
        let of = |family: &Family<MetricLabels, Counter>, result| {
            family.get_or_create_owned(&vec![("result", result)])
        };
        Self {
            records: ["written", "dropped", "failed"].map(|result| of(&records, result)),
            events: ["made", "repeated", "limited", "dropped", "failed"]
                .map(|result| of(&events, result)),
        }
    }

    pub(super) fn record(&self, fate: RecordFate) {
        let [written, dropped, failed] = &self.records;
        match fate {
            RecordFate::Written => written,
            RecordFate::Dropped => dropped,
            RecordFate::Failed => failed,
        }
        .inc();
    }

    pub(super) fn event(&self, fate: EventFate) {
        let [made, repeated, limited, dropped, failed] = &self.events;
        match fate {
            EventFate::Made => made,
            EventFate::Repeated => repeated,
            EventFate::Limited => limited,
            EventFate::Dropped => dropped,
            EventFate::Failed => failed,
        }
        .inc();
    }
}
