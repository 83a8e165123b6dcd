//! The memory that large requests hold, and what became of those that were given up for it. This module
//! must not measure anything.

use super::families::{register, register_with_unit};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// How much of something is used, and how much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// So many bytes are held.
    pub bytes: usize,
    /// So many bytes may be held.
    pub limit: usize,
}

#[derive(Debug)]
pub(super) struct MemoryMetrics {
    bodies: [Gauge; 2],
    decisions: [Gauge; 2],
    pub(super) displaced: Counter,
}

impl MemoryMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut bytes = |name, help| register_with_unit(registry, name, help, Unit::Bytes);
        Self {
            bodies: [
                bytes("body_memory", "Memory that large request bodies hold"),
                bytes(
                    "body_memory_limit",
                    "Memory that large request bodies may hold together",
                ),
            ],
            decisions: [
                bytes(
                    "decision_memory",
                    "Memory set aside for the decisions about large reviews",
                ),
                bytes(
                    "decision_memory_limit",
                    "Memory that may be set aside for decisions together",
                ),
            ],
            displaced: register(
                registry,
                "bodies_displaced",
                "Large bodies given up while they arrived, because others waited for their memory",
            ),
        }
    }

    pub(super) fn set(&self, bodies: Used, decisions: Used) {
        for (gauges, used) in [(&self.bodies, bodies), (&self.decisions, decisions)] {
            for (gauge, bytes) in gauges.iter().zip([used.bytes, used.limit]) {
                gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        }
    }
}
