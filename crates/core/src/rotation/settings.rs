//! The lifetimes of certificates, and arithmetic with times that cannot overflow. This module
//! must not read a clock.

use super::certificate::{Leaf, TrustAnchor};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The names and lifetimes of the certificates.
#[derive(Debug, Clone)]
pub struct RotationSettings {
    /// The DNS names and IP addresses that the certificate must be for.
    pub names: Vec<String>,
    /// How long a CA is valid. The change to the next CA happens in the last third.
    pub authority_lifetime: Duration,
    /// How long a leaf is valid. It is renewed when a third of the time is left. It must be at
    /// most a third of the lifetime of a CA, so that no leaf is cut short by the expiry of its
    /// CA.
    pub leaf_lifetime: Duration,
    /// How long it takes until every API server knows a `caBundle` that was written.
    pub settle: Duration,
}

impl RotationSettings {
    /// The usual settings: a CA is valid for 365 days and a leaf for 30 days, and the settle
    /// time is 30 seconds.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            authority_lifetime: Duration::from_hours(365 * 24),
            leaf_lifetime: Duration::from_hours(30 * 24),
            settle: Duration::from_secs(30),
        }
    }

    /// What is wrong with the settings, if anything, in a sentence about the flags.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if self.leaf_lifetime > self.authority_lifetime / 3 {
            return Some(
                "a certificate must not be valid for longer than a third of the time of the CA",
            );
        }
        if self.settle < Duration::from_secs(1) {
            return Some(
                "the settle time must be at least a second, because API servers learn about a new CA after it was written",
            );
        }
        if self.settle > self.leaf_lifetime / 6 {
            return Some(
                "the settle time must not be longer than a sixth of the time of a certificate",
            );
        }
        if self.leaf_lifetime < Duration::from_secs(6) {
            return Some("a certificate must be valid for at least six seconds");
        }
        None
    }

    pub(super) fn settle(&self) -> SignedDuration {
        signed(self.settle)
    }

    pub(super) fn renew_authority(&self, anchor: &TrustAnchor) -> Timestamp {
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
    let limit = if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    time.checked_add(by).unwrap_or(limit)
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    later(time, -signed(by))
}
