//! When entries of the map in force begin to deny or expire, as series by entry.
//!
//! Only entries with such a date have a series, and a reload ends those of the map before it.
//! A date stays when it has passed, so that expired entries can be found and removed.

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use pullpass_core::policy::Entry;
use std::fmt;
use std::sync::Arc;

/// A series by entry: its name, and seconds since 1970.
type Dates = Vec<(Box<str>, i64)>;

#[derive(Debug, Default)]
struct Both {
    from: Dates,
    until: Dates,
}

/// The dates of the map in force; clones see the same.
#[derive(Debug, Clone, Default)]
pub(super) struct EntryDates(Arc<ArcSwap<Both>>);

impl EntryDates {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let dates = Self::default();
        registry.register_collector(Box::new(dates.clone()));
        dates
    }

    pub(super) fn set(&self, entries: &[Entry]) {
        let dates = |of: fn(&Entry) -> Option<Timestamp>| {
            let dated = entries.iter().filter_map(|entry| Some((entry, of(entry)?)));
            dated
                .map(|(entry, at)| (entry.name.as_str().into(), at.as_second()))
                .collect()
        };
        self.0.store(Arc::new(Both {
            from: dates(|entry| entry.from),
            until: dates(|entry| entry.until),
        }));
    }
}

impl Collector for EntryDates {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let both = self.0.load();
        let families = [
            (
                "entry_from_timestamp",
                "When an entry of the map begins to deny.",
                &both.from,
            ),
            (
                "entry_until_timestamp",
                "When an entry of the map expires.",
                &both.until,
            ),
        ];
        for (name, help, dates) in families {
            // A family without series would show its help alone.
            if dates.is_empty() {
                continue;
            }
            let unit = Some(&Unit::Seconds);
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for (entry, at) in dates {
                let labels = [("entry", &**entry)];
                ConstGauge::new(*at).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
