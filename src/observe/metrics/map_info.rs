//! Which map is in force, as a series whose label is the map's digest.
//!
//! There is one series at a time: a reload ends the one before.

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// The digest of the map in force, empty before the first; clones see the same.
#[derive(Debug, Clone, Default)]
pub(super) struct MapInfo(Arc<ArcSwap<String>>);

impl MapInfo {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let info = Self::default();
        registry.register_collector(Box::new(info.clone()));
        info
    }

    pub(super) fn set(&self, digest: &str) {
        self.0.store(Arc::new(digest.to_owned()));
    }
}

impl Collector for MapInfo {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let digest = self.0.load();
        if digest.is_empty() {
            return Ok(());
        }
        let help = "The registry map in force, by the digest of its files.";
        let mut family = encoder.encode_descriptor("map_info", help, None, MetricType::Gauge)?;
        let labels = [("digest", digest.as_str())];
        ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)
    }
}
