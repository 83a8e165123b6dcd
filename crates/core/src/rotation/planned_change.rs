//! A planned change of the Secret, and the certificates that it needs.
//!
//! This module must not make keys, which needs randomness.

use super::certificate::{Authority, Leaf, TrustAnchor};
use super::content::{SecretChange, SecretState};
use jiff::Timestamp;
use std::fmt;

/// Makes keys and certificates. The program implements it, because it needs randomness.
pub trait MakeCertificates {
    /// The reason for which a certificate cannot be made.
    type Error;

    /// Makes a CA with a new key and this validity.
    fn authority(&mut self, validity: Validity) -> Result<Authority, Self::Error>;

    /// Makes a leaf with a new key, issued by this CA.
    fn leaf(&mut self, issuer: &Authority, order: &LeafRequest) -> Result<Leaf, Self::Error>;
}

/// The time in which a certificate is valid; both ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first valid moment.
    pub not_before: Timestamp,
    /// The last valid moment.
    pub not_after: Timestamp,
}

impl Validity {
    pub(super) fn within(self, end: Timestamp) -> Self {
        let not_after = self.not_after.min(end);
        Self { not_after, ..self }
    }
}

/// The leaf that a change needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRequest {
    /// The time in which the leaf is valid.
    pub validity: Validity,
    /// The DNS names and IP addresses that the leaf is for.
    pub names: Vec<String>,
}

/// Why the Secret is written. The log shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationReason {
    /// There is no CA, and no client trusts one.
    FirstAuthority,
    /// The CA expires soon, or can no longer issue.
    NextAuthority,
    /// Every `caBundle` contains the next CA.
    Published,
    /// Somebody removed the next CA from a `caBundle`.
    Unpublished,
    /// Every client trusts the next CA, so it issues from now on.
    Promotion,
    /// The leaf expires soon, or cannot be used.
    Leaf,
    /// The last leaf of an old CA has expired.
    Retirement,
    /// It is not known when the last leaf of an old CA expires.
    Retiring,
    /// The Secret no longer contains the CA of the leaf that a replica serves.
    StillServed,
}

impl fmt::Display for RotationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstAuthority => "the first CA and certificate are made",
            Self::NextAuthority => "the next CA is made beside the one in use",
            Self::Published => "the next CA is published",
            Self::Unpublished => "the next CA is no longer published everywhere",
            Self::Promotion => "the next CA issues from now on",
            Self::Leaf => "the next certificate is made",
            Self::Retirement => "an old CA is no longer needed",
            Self::Retiring => "an old CA stays trusted for the lifetime of a certificate",
            Self::StillServed => "the CA of the served certificate is missing",
        })
    }
}

/// A change of the Secret that is planned and not yet made.
#[derive(Debug)]
pub struct PlannedChange {
    /// Why the change is made.
    pub reason: RotationReason,
    pub(super) state: SecretState,
    authority: Option<(AuthoritySlot, Validity)>,
    leaf: Option<LeafRequest>,
}

#[derive(Debug, Clone, Copy)]
enum AuthoritySlot {
    Issuer,
    Next,
}

impl PlannedChange {
    pub(super) fn new(reason: RotationReason, state: &SecretState) -> Self {
        Self {
            reason,
            state: state.clone(),
            authority: None,
            leaf: None,
        }
    }

    pub(super) fn with_first_authority(self, validity: Validity) -> Self {
        let authority = Some((AuthoritySlot::Issuer, validity));
        Self { authority, ..self }
    }

    pub(super) fn with_next_authority(self, validity: Validity) -> Self {
        let authority = Some((AuthoritySlot::Next, validity));
        Self { authority, ..self }
    }

    pub(super) fn with_leaf(self, order: LeafRequest) -> Self {
        let leaf = Some(order);
        Self { leaf, ..self }
    }

    /// Keeps a CA trusted, at least until the given time.
    pub(super) fn retire(&mut self, anchor: TrustAnchor, until: Timestamp) {
        let SecretState { retired, times, .. } = &mut self.state;
        times.retired_until = match times.retired_until {
            Some(before) if !retired.is_empty() => Some(before.max(until)),
            // Without a time each CA stays until it expires.
            None if !retired.is_empty() => None,
            _ => Some(until),
        };
        if !retired.contains(&anchor) {
            retired.push(anchor);
        }
    }

    /// Makes the certificates that the change needs, and returns what to write.
    ///
    /// # Errors
    ///
    /// A certificate cannot be made.
    pub fn make<M: MakeCertificates>(self, maker: &mut M) -> Result<SecretChange, M::Error> {
        let Self {
            mut state,
            authority,
            leaf,
            reason: _,
        } = self;
        if let Some((slot, validity)) = authority {
            let made = Some(maker.authority(validity)?);
            match slot {
                AuthoritySlot::Issuer => state.issuer = made,
                AuthoritySlot::Next => state.next = made,
            }
        }
        if let (Some(order), Some(issuer)) = (leaf, &state.issuer) {
            let leaf = maker.leaf(issuer, &order)?;
            let end = leaf.not_after();
            let before = state.times.leaves_expire;
            let before = before.or(state.leaf.as_ref().map(|(leaf, _)| leaf.not_after()));
            state.times.leaves_expire = before.max(Some(end));
            state.leaf = Some((leaf, issuer.anchor.clone()));
        }
        Ok(state.change())
    }
}
