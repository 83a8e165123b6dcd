//! Says in the log when the dates of the map's entries come: what ends soon, what has
//! ended, what is refused from now on. Once, and not with each review; what there is to
//! say is [`Policy::turned`](pullpass_core::policy::Policy::turned)'s. Decides nothing.

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
            for turned in map.policy.turned(told, now) {
                log::turned(&turned);
            }
            map.policy.next_turn(now)
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
