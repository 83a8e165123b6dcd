//! A histogram of how long reviews take, counted without a lock.
//!
//! The histogram of `prometheus-client` takes a mutex for each observation, and a review must not
//! wait for one.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets in microseconds, from the shortest review to one that
/// the API server notices; the last bucket has none.
const BOUNDS: [u32; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000,
];

/// A histogram of durations; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    buckets: [AtomicU64; BOUNDS.len()],
    above: AtomicU64,
    // Wraps after 584 years of reviewing.
    nanoseconds: AtomicU64,
}

impl Durations {
    pub(super) fn observe(&self, took: Duration) {
        let fits = |bound: &u32| took <= Duration::from_micros(u64::from(*bound));
        let index = BOUNDS.iter().position(fits);
        index
            .and_then(|index| self.0.buckets.get(index))
            .unwrap_or(&self.0.above)
            .fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS.iter().map(|bound| f64::from(*bound) / 1e6);
        let buckets: Vec<(f64, u64)> = bounds
            .zip(&self.0.buckets)
            .chain([(f64::INFINITY, &self.0.above)])
            .map(|(bound, count)| (bound, count.load(Relaxed)))
            .collect();
        // The sum of the buckets and not a counter of its own, which could disagree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.nanoseconds.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
