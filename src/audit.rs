//! Where decisions are recorded apart from the answer: the decision log and Events.
//!
//! Both have bounded queues, so that no review waits for them. This module must not decide what a
//! record or an Event says, or which reviews get one; [`pullpass_core::admission`] does.

use decision_log::DecisionLog;
use events::EventQueue;
use pullpass_core::admission::event::Event;
use pullpass_core::admission::record::{DecisionRecord, Recording};

pub mod decision_log;
pub mod events;

/// Where the records of decisions go; clones share the queues.
#[derive(Debug, Clone, Default)]
pub struct AuditSinks {
    /// The decision log, and the reviews that it gets records of.
    pub decision_log: Option<(DecisionLog, Recording)>,
    /// The Events.
    pub events: Option<EventQueue>,
}

impl AuditSinks {
    /// Of which reviews a record is needed; `None` if of no review.
    #[must_use]
    pub fn recording(&self) -> Option<Recording> {
        match &self.decision_log {
            Some((_, recording)) => Some(*recording),
            None => self.events.as_ref().map(|_| Recording::Notable),
        }
    }

    /// Passes the record of a review on; never waits.
    pub fn put(&self, record: Box<DecisionRecord>) {
        if let Some(events) = &self.events
            && let Some(event) = Event::of(&record)
        {
            events.put(event);
        }
        if let Some((log, _)) = &self.decision_log {
            log.put(record);
        }
    }
}
