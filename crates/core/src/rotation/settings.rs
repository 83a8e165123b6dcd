//! How long things last, and arithmetic with times that cannot overflow.

use super::certificate::{Anchor, Leaf};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How long things last.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The DNS names and addresses that the certificate must be for.
    pub names: Vec<String>,
    /// How long a CA lasts; the last third of it is for changing to the next one.
    pub authority_lifetime: Duration,
    /// How long a leaf lasts; it is renewed when a third of it is left. Shorter than
    /// a third of the CA's, so that no leaf is cut short by its CA's end.
    pub leaf_lifetime: Duration,
    /// How long after a `caBundle` was written the last API server has learnt of it.
    pub settle: Duration,
}

impl Settings {
    /// A year for the CA, a month for leaves, half a minute for news to spread.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            authority_lifetime: Duration::from_hours(365 * 24),
            leaf_lifetime: Duration::from_hours(30 * 24),
            settle: Duration::from_secs(30),
        }
    }

    /// What is wrong with them, if something is; in words about flags.
    #[must_use]
    pub fn complaint(&self) -> Option<&'static str> {
        if self.leaf_lifetime > self.authority_lifetime / 3 {
            return Some("a certificate must not last longer than a third of the CA's time");
        }
        if self.settle > self.leaf_lifetime / 6 {
            return Some("the settle time must not be longer than a sixth of a certificate's time");
        }
        if self.leaf_lifetime < Duration::from_secs(6) {
            return Some("a certificate must last six seconds or longer");
        }
        None
    }

    pub(super) fn settle(&self) -> SignedDuration {
        signed(self.settle)
    }

    pub(super) fn renew_authority(&self, anchor: &Anchor) -> Timestamp {
        before(anchor.not_after(), self.authority_lifetime / 3)
    }

    pub(super) fn renew_leaf(&self, leaf: &Leaf) -> Timestamp {
        before(leaf.not_after(), self.leaf_lifetime / 3)
    }
}

pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    time.checked_add(by).unwrap_or(end)
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    later(time, -signed(by))
}
