//! Images, counted by the entry of the map that decided.
//!
//! The series are those of the map in force and no others: a reload carries over the
//! counts of entries that stay and ends the rest. Counting is an atomic addition and must not
//! become more.

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use pullpass_core::admission::Tally;
use pullpass_core::policy::{Action, RuleKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const ACTIONS: [Action; 4] = [Action::Allow, Action::Audit, Action::Warn, Action::Deny];

/// The labels of images that no entry covers. A pattern cannot be written so, and an entry is
/// unlikely to have such a name.
const UNKNOWN: &str = "(unknown)";
const INVALID: &str = "(invalid)";
const EXEMPT: &str = "(exempt)";
/// The label of images that `publicRegistries` covers.
const PUBLIC: &str = "(public)";

/// One counter an action.
#[derive(Debug, Default)]
struct ByAction([AtomicU64; ACTIONS.len()]);

/// The counters of one map's entries.
#[derive(Debug, Default)]
pub struct EntryCounters {
    entries: HashMap<Box<str>, Arc<ByAction>>,
    unknown: Arc<ByAction>,
    invalid: Arc<ByAction>,
    exempt: Arc<ByAction>,
    public: Arc<ByAction>,
}

impl EntryCounters {
    /// Counts the images of a pod that one entry decided.
    pub fn count(&self, tally: &Tally<'_>) {
        let counters = match tally.rule.kind {
            RuleKind::Entry => match tally.rule.entry.and_then(|name| self.entries.get(name)) {
                Some(counters) => counters,
                // The counters and the map are always of one load.
                None => return,
            },
            RuleKind::Public => &self.public,
            RuleKind::Unknown => &self.unknown,
            RuleKind::Invalid => &self.invalid,
            RuleKind::Exempt => &self.exempt,
        };
        let [allow, audit, warn, deny] = &counters.0;
        match tally.action {
            Action::Allow => allow,
            Action::Audit => audit,
            Action::Warn => warn,
            Action::Deny => deny,
        }
        .fetch_add(tally.images, Relaxed);
    }

    /// How many entries the map has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The counters of the map in force; clones see the same.
#[derive(Debug, Clone, Default)]
pub(super) struct EntryFamily(Arc<ArcSwap<EntryCounters>>);

impl EntryFamily {
    /// Counters for a new map; what the old one has counted stays where names stay.
    pub(super) fn replace<'n>(&self, names: impl Iterator<Item = &'n str>) -> Arc<EntryCounters> {
        let old = self.0.load();
        let kept = |name: &str| old.entries.get(name).map(Arc::clone).unwrap_or_default();
        let new = Arc::new(EntryCounters {
            entries: names.map(|name| (name.into(), kept(name))).collect(),
            unknown: Arc::clone(&old.unknown),
            invalid: Arc::clone(&old.invalid),
            exempt: Arc::clone(&old.exempt),
            public: Arc::clone(&old.public),
        });
        self.0.store(Arc::clone(&new));
        new
    }
}

impl Collector for EntryFamily {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let counters = self.0.load();
        let help = "Images judged by /validate, dry runs left out, by the map's entry that decided and its action.";
        let mut family = encoder.encode_descriptor("images", help, None, MetricType::Counter)?;
        let entries = counters.entries.iter().map(|(name, by)| (&**name, by));
        let others = [
            (UNKNOWN, &counters.unknown),
            (INVALID, &counters.invalid),
            (EXEMPT, &counters.exempt),
            (PUBLIC, &counters.public),
        ];
        for (name, by_action) in entries.chain(others) {
            for (action, count) in ACTIONS.iter().zip(&by_action.0) {
                let count = count.load(Relaxed);
                // Four series an entry, nearly all of them zero, would be a burden with a
                // large map.
                if count > 0 {
                    let labels = [("entry", name), ("action", action.as_str())];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
