//! Logs the dates of the map's entries when they come: which entry expires soon or has
//! expired, which denies from now on. It logs each date once, not with each review, and
//! decides nothing: [`Policy::date_events`](pullpass_core::policy::Policy::date_events)
//! says what there is to log.

use crate::observe::log;
use crate::state::map_store::MapStore;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// A clock may be set; so the wait is never longer.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Tells of the map in force, from one map to the next; ends when there can be no more.
pub async fn tell(maps: Arc<MapStore>) {
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
        let wait = next.map_or(LONGEST_WAIT, |at| {
            // A little later, so that the moment is over.
            let wait = at.duration_since(now) + jiff::SignedDuration::from_millis(20);
            Duration::try_from(wait)
                .unwrap_or_default()
                .min(LONGEST_WAIT)
        });
        tokio::select! {
            () = sleep(wait) => {}
            more = replaced.changed() => match more {
                Ok(()) => told = None,
                Err(_) => return,
            }
        }
    }
}
