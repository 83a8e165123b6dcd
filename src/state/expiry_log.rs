//! Logs when the dates of the map's entries come: an entry expires soon, has expired, or
//! denies from now on.
//!
//! Each date is logged once and not with each review. This module must not decide what there is to
//! say; [`Policy::date_events`](pullpass_core::policy::Policy::date_events) does.

use crate::clock::wait_until;
use crate::observe::log;
use crate::state::map_store::MapStore;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The longest wait, because the clock of the machine may be set.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Logs the dates of the map in force and of those that replace it; ends with the last
/// [`MapStore`].
pub async fn run(maps: Arc<MapStore>) {
    let mut replaced = maps.replaced();
    let mut told = None;
    loop {
        let now = Timestamp::now();
        let map = Option::clone(&maps.current());
        let next = map.as_ref().and_then(|map| {
            for event in map.policy.date_events(told, now) {
                log::date_event(&event);
            }
            map.policy.next_date_event(now)
        });
        told = map.map(|_| now);
        let wait = next.map_or(LONGEST_WAIT, |at| wait_until(now, at).min(LONGEST_WAIT));
        tokio::select! {
            () = sleep(wait) => {}
            more = replaced.changed() => match more {
                Ok(()) => told = None,
                Err(_) => return,
            }
        }
    }
}
