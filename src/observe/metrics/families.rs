//! Makes and registers the series, all of them at the start: a series that first appears with
//! its first count has no rate. This module must not count.

use super::durations::Durations;
use super::{Codes, HttpRoute, LoadMetrics, PortMetrics, ReviewMetrics};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry, Unit};
use pullpass_core::admission::Outcome;

/// Labels of metrics whose values are all written in this program.
pub(super) type MetricLabels = Vec<(&'static str, &'static str)>;

/// The label of a path. Not `endpoint`: the Prometheus operator gives each target a label
/// of that name (the port's), and the series would have `exported_endpoint` instead.
const ROUTE: &str = "route";

/// The families from which the metrics of one endpoint are taken.
pub(super) struct ReviewFamilies {
    outcomes: Family<MetricLabels, Counter>,
    codes: Family<MetricLabels, Counter>,
    durations: Family<MetricLabels, Durations>,
    in_flight: Family<MetricLabels, Gauge>,
}

impl ReviewFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            outcomes: register(registry, "reviews", "Reviews answered, by outcome"),
            codes: register(
                registry,
                "http_responses",
                "HTTP answers on the webhook's port, by class of their status",
            ),
            durations: register_with_unit(
                registry,
                "review_duration",
                "Time from a request's last byte to the decision",
                Unit::Seconds,
            ),
            in_flight: register(
                registry,
                "requests_in_flight",
                "Requests that are being read or answered",
            ),
        }
    }

    pub(super) fn of(&self, route: HttpRoute) -> ReviewMetrics {
        let label = (ROUTE, route.as_str());
        let outcome = |outcome: Outcome| {
            let labels = vec![label, ("outcome", outcome.as_str())];
            (outcome, self.outcomes.get_or_create_owned(&labels))
        };
        ReviewMetrics {
            outcomes: Outcome::ALL.map(outcome),
            codes: self.codes(route),
            durations: self.durations.get_or_create_owned(&vec![label]),
            in_flight: self.in_flight.get_or_create_owned(&vec![label]),
        }
    }

    pub(super) fn codes(&self, route: HttpRoute) -> Codes {
        let code = |code| {
            let labels = vec![(ROUTE, route.as_str()), ("code", code)];
            self.codes.get_or_create_owned(&labels)
        };
        Codes(["2xx", "4xx", "5xx"].map(code))
    }
}

pub(super) struct PortFamilies {
    open: Family<MetricLabels, Gauge>,
    accepted: Family<MetricLabels, Counter>,
    displaced: Family<MetricLabels, Counter>,
}

impl PortFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            open: register(registry, "open_connections", "Open connections"),
            accepted: register(registry, "connections", "Connections accepted"),
            displaced: register(
                registry,
                "connections_displaced",
                "Connections that lost their places to others, by what they did",
            ),
        }
    }

    pub(super) fn of(&self, port: &'static str) -> PortMetrics {
        let labels = vec![("port", port)];
        let displaced = |why| {
            let labels = vec![("port", port), ("reason", why)];
            self.displaced.get_or_create_owned(&labels)
        };
        PortMetrics {
            displaced: ["unused", "stalled", "idle"].map(displaced),
            open: self.open.get_or_create_owned(&labels),
            accepted: self.accepted.get_or_create_owned(&labels),
        }
    }
}

impl LoadMetrics {
    pub(super) fn register(registry: &mut Registry, name: &str, what: &str) -> Self {
        let loads: Family<MetricLabels, Counter> = register(
            registry,
            format!("{name}_loads"),
            format!("Loads of {what}, by result"),
        );
        let last = register(
            registry,
            format!("{name}_last_load_successful"),
            format!("1 when the newest version of {what} is in force, 0 when it was refused"),
        );
        let [good, failed] =
            ["ok", "failed"].map(|result| loads.get_or_create_owned(&vec![("result", result)]));
        Self { good, failed, last }
    }
}

/// A metric, or a family of them, under this name.
pub(super) fn register<M: Metric + Default + Clone>(
    registry: &mut Registry,
    name: impl Into<String>,
    help: impl Into<String>,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The same with a unit, which becomes a part of the name.
pub(super) fn register_with_unit<M: Metric + Default + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Unit,
) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}
