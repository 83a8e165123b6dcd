//! Waiting for a date. This module must not read a clock; its callers pass the time.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Timers and clocks differ by some milliseconds.
const MARGIN: SignedDuration = SignedDuration::from_millis(20);

/// How long to wait from `now` on, so that `date` has come when the wait is over.
#[must_use]
pub fn wait_until(now: Timestamp, date: Timestamp) -> Duration {
    let wait = date.duration_since(now) + MARGIN;
    Duration::try_from(wait).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_has_come_after_the_wait_and_one_in_the_past_is_not_waited_for() {
        let now = Timestamp::UNIX_EPOCH;
        let hour = Duration::from_hours(1);
        let wait = wait_until(now, now + hour);
        assert!(wait > hour && wait < hour + Duration::from_secs(1));
        assert_eq!(wait_until(now + hour, now), Duration::ZERO);
    }
}
