//! Series whose labels come from the registry map in force: its digest, and the dates on which
//! its entries begin to deny or expire.
//!
//! A reload ends the series of the map before it. Only entries with a date have a series, and it
//! stays when the date has passed, so that expired entries can be found and removed. This module
//! must not compare a date with the time.

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use pullpass_core::policy::Entry;
use std::fmt;
use std::sync::Arc;

/// Series of one family: the value of the label, and the value of the gauge.
type Series = Vec<(String, i64)>;

/// The series of the map in force, none before the first; clones see the same.
#[derive(Debug, Clone, Default)]
pub(super) struct MapSeries(Arc<ArcSwapOption<[Series; 3]>>);

impl MapSeries {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let series = Self::default();
        registry.register_collector(Box::new(series.clone()));
        series
    }

    pub(super) fn set(&self, digest: &str, entries: &[Entry]) {
        let dates = |of: fn(&Entry) -> Option<Timestamp>| {
            let dated = entries.iter().filter_map(|entry| Some((entry, of(entry)?)));
            dated
                .map(|(entry, at)| (entry.name.clone(), at.as_second()))
                .collect()
        };
        self.0.store(Some(Arc::new([
            vec![(digest.to_owned(), 1)],
            dates(Entry::from),
            dates(Entry::until),
        ])));
    }
}

impl Collector for MapSeries {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let digest = "The registry map in force, by the digest of its files.";
        let from = "When an entry of the map begins to deny.";
        let until = "When an entry of the map expires.";
        let seconds = Some(&Unit::Seconds);
        let families = [
            ("map_info", digest, None, "digest"),
            ("entry_from_timestamp", from, seconds, "entry"),
            ("entry_until_timestamp", until, seconds, "entry"),
        ];
        let all = self.0.load();
        for ((name, help, unit, label), series) in families
            .into_iter()
            .zip(all.iter().flat_map(|all| all.iter()))
        {
            // A family without series would show its help alone.
            if series.is_empty() {
                continue;
            }
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for (value, number) in series {
                let labels = [(label, value.as_str())];
                ConstGauge::new(*number).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
