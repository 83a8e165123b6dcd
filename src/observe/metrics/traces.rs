//! What became of decision records and Events: what is dropped must show.

use super::families::Labels;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a decision record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFate {
    /// It is where it should be.
    Written,
    /// Too many waited.
    Dropped,
    /// It could not be written.
    Failed,
}

/// What became of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFate {
    /// It was made.
    Made,
    /// The same had been made, by this replica or another.
    Repeated,
    /// There were enough for the time being.
    Limited,
    /// Too many waited.
    Dropped,
    /// The API server did not take it.
    Failed,
}

#[derive(Debug)]
pub(super) struct TraceMetrics {
    records: [Counter; 3],
    events: [Counter; 5],
}

impl TraceMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let records = Family::<Labels, Counter>::default();
        let help = "Decision records, by what became of them";
        registry.register("decision_records", help, records.clone());
        let events = Family::<Labels, Counter>::default();
        let help = "Events about pods that controllers made, by what became of them";
        registry.register("events", help, events.clone());
        let of = |family: &Family<Labels, Counter>, result| {
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
