//! Lets one log line a minute through, however often its cause comes.
//!
//! Clients can cause such lines as often as they like; what is left out is in a metric. This
//! module must not log.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_mins(1);

/// When a line may be logged again.
#[derive(Debug)]
pub struct Throttle {
    started: Instant,
    /// Milliseconds after `started`.
    next: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            next: AtomicU64::default(),
        }
    }
}

impl Throttle {
    /// Whether the line is due; it is then not due again for a minute.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_due_after(self.started.elapsed())
    }

    fn is_due_after(&self, time: Duration) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(time);
        let next = self.next.load(Relaxed);
        // Of several threads one succeeds.
        now >= next
            && self
                .next
                .compare_exchange(next, millis(time + PAUSE), Relaxed, Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_once_a_minute() {
        let throttle = Throttle::default();
        let due = [0, 1, 59, 60, 61, 119, 300]
            .map(|second| throttle.is_due_after(Duration::from_secs(second)));
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }
}
