//! How much of what reviews cause, apart from their answers, a peer may cause that is not
//! verified.
//!
//! This module must not limit an answer. It does not limit the effects of a verified caller
//! either: such a caller is an API server, and no record of its reviews may get lost.

use super::Origin;
use super::fair_share::{FairShares, WINDOW};
use crate::observe::metrics::{LimitedEffect, Metrics};
use crate::observe::throttle::Throttle;
use std::sync::Arc;
use std::time::Instant;

/// Decision records of one window, in KiB: 500 records of ordinary size a second, about four
/// times what the pods of a large cluster cause. A burst of one peer fits into the queue of the
/// decision log.
const RECORD_KIBIBYTES: u32 = 1000;
/// Events of one window, fewer than may wait.
const EVENTS: u32 = 200;
/// Log lines of one window: as many as records of ordinary size.
const LINES: u32 = 1000;

/// The shares of all effects.
#[derive(Debug)]
pub struct PeerLimits {
    records: FairShares,
    events: FairShares,
    lines: FairShares,
    started: Instant,
    warning: Throttle,
    metrics: Arc<Metrics>,
}

impl PeerLimits {
    /// Nothing is used yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            records: FairShares::new(RECORD_KIBIBYTES),
            events: FairShares::new(EVENTS),
            lines: FairShares::new(LINES),
            started: Instant::now(),
            warning: Throttle::default(),
            metrics,
        }
    }

    /// Takes units from the share of a peer. If they are not left, that is counted, and logged
    /// once a minute at most.
    #[must_use]
    pub fn allow(&self, origin: Origin, effect: LimitedEffect, units: usize) -> bool {
        if origin.is_verified {
            return true;
        }
        let shares = match effect {
            LimitedEffect::DecisionRecord => &self.records,
            LimitedEffect::Event => &self.events,
            LimitedEffect::LogLine => &self.lines,
        };
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        if shares.take(origin.peer, units, self.started.elapsed()) {
            return true;
        }
        self.metrics.limited(effect);
        if self.warning.is_due() {
            tracing::warn!(
                peer = %origin.peer,
                effect = effect.as_str(),
                window = ?WINDOW,
                "a peer has used up its share of what reviews cause beside their answers; \
                 if it is not an API server, restrict who may connect, or set --client-ca"
            );
        }
        false
    }
}
