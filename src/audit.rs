//! Where decisions are recorded apart from the answer: the decision log and Events.
//!
//! Both have bounded queues, so that no review waits for them, and peers that are not verified
//! get fair shares of them (see [`peer_limits`]). This module must not decide what a record or
//! an Event says, or which reviews get one; [`pullpass_core::admission`] does.

use crate::observe::metrics::{LimitedEffect, Metrics};
use decision_log::DecisionLog;
use events::EventQueue;
use peer_limits::PeerLimits;
use pullpass_core::admission::event::Event;
use pullpass_core::admission::record::{DecisionRecord, Recording};
use std::net::IpAddr;
use std::sync::Arc;

pub mod decision_log;
pub mod events;
pub mod fair_share;
pub mod peer_limits;

/// Where a review comes from, as far as its effects are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Whether the caller is known to be an API server; only the effects of others are limited.
    pub is_verified: bool,
}

/// Where the records of decisions go; clones share the queues.
#[derive(Debug, Clone)]
pub struct AuditSinks {
    /// The decision log, and the reviews that it gets records of.
    pub decision_log: Option<(DecisionLog, Recording)>,
    /// The Events.
    pub events: Option<EventQueue>,
    limits: Arc<PeerLimits>,
}

impl AuditSinks {
    /// No decision log and no Events.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            decision_log: None,
            events: None,
            limits: Arc::new(PeerLimits::new(metrics)),
        }
    }

    /// Of which reviews a record is needed; `None` if of no review.
    #[must_use]
    pub fn recording(&self) -> Option<Recording> {
        match &self.decision_log {
            Some((_, recording)) => Some(*recording),
            None => self.events.as_ref().map(|_| Recording::Notable),
        }
    }

    /// Whether a review from there may still cause a line of the log in this moment.
    #[must_use]
    pub fn may_log(&self, origin: Origin) -> bool {
        self.limits.allow(origin, LimitedEffect::LogLine, 1)
    }

    /// Passes the record of a review on, if its origin has a share left; never waits.
    pub fn put(&self, record: Box<DecisionRecord>, origin: Origin) {
        if let Some(events) = &self.events
            && let Some(event) = Event::of(&record)
            && self.limits.allow(origin, LimitedEffect::Event, 1)
        {
            events.put(event, origin);
        }
        if let Some((log, _)) = &self.decision_log {
            let kibibytes = record.approximate_bytes().div_ceil(1024);
            if self
                .limits
                .allow(origin, LimitedEffect::DecisionRecord, kibibytes)
            {
                log.put(record);
            }
        }
    }
}
