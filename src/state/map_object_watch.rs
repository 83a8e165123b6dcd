//! Whether the ConfigMap of the registry map exists and can be watched.
//!
//! The log says each change once, and reminds of a ConfigMap that is missing. This module
//! must not touch the map in force.

use crate::observe::health::Health;
use crate::observe::metrics::{Metrics, WatchedObject};
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// How often a ConfigMap that is still missing is logged again.
const REMINDER: Duration = Duration::from_hours(1);

/// What the watch has shown.
#[derive(Debug)]
pub struct MapObjectWatch {
    missing: ArcSwapOption<MissingObject>,
    watch: Health,
    metrics: Arc<Metrics>,
}

/// A ConfigMap that does not exist.
#[derive(Debug, Clone)]
pub struct MissingObject {
    /// Its kind, namespace and name.
    pub object: String,
    /// Since when this replica knows.
    pub since: Timestamp,
    told: Timestamp,
}

impl MapObjectWatch {
    /// Nothing is known.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            missing: ArcSwapOption::empty(),
            watch: Health::default(),
            metrics,
        }
    }

    /// The ConfigMap, where it does not exist.
    #[must_use]
    pub fn missing(&self) -> Option<Arc<MissingObject>> {
        self.missing.load_full()
    }

    /// Why it cannot be read; `None` while it can, and where nobody watches it.
    #[must_use]
    pub fn watch(&self) -> &Health {
        &self.watch
    }

    pub(super) fn is_present(&self, object: &impl Display) {
        self.works(object);
        self.metrics.map_object_missing(false);
        if self.missing.swap(None).is_some() {
            tracing::info!(%object, "the ConfigMap of the registry map exists again");
        }
    }

    pub(super) fn is_missing(&self, object: &impl Display, now: Timestamp) {
        self.works(object);
        self.metrics.map_object_missing(true);
        let before = self.missing();
        let is_due = before
            .as_ref()
            .is_none_or(|before| now.duration_since(before.told).unsigned_abs() >= REMINDER);
        if is_due {
            tracing::warn!(
                %object,
                "the ConfigMap of the registry map does not exist; the map in force stays, but a \
                 new pod of pullpass cannot start: create the ConfigMap again"
            );
        }
        self.missing.store(Some(Arc::new(MissingObject {
            object: object.to_string(),
            since: before.as_ref().map_or(now, |before| before.since),
            told: if is_due {
                now
            } else {
                before.map_or(now, |before| before.told)
            },
        })));
    }

    pub(super) fn is_unknown(&self, object: &impl Display, error: &str) {
        self.metrics.watch_works(WatchedObject::Map, false);
        if self.watch.fails(error) {
            tracing::warn!(
                %object,
                error,
                "cannot read the ConfigMap of the registry map, trying again: meanwhile a change \
                 comes with the mounted files, up to two minutes later; pullpass needs the right \
                 to get, list and watch it by name"
            );
        }
    }

    fn works(&self, object: &impl Display) {
        self.metrics.watch_works(WatchedObject::Map, true);
        if self.watch.succeeds() {
            tracing::info!(%object, "the ConfigMap of the registry map can be read again");
        }
    }
}
