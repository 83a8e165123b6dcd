//! A change of the Secret, and the certificates that have to be made for it first.

use super::certificate::{Anchor, Authority, Leaf};
use super::content::{Change, State};
use jiff::Timestamp;
use std::fmt;

/// Makes keys and certificates: needs randomness, so it is an edge.
pub trait Maker {
    /// What can go wrong.
    type Error;

    /// A CA with a new key, valid for this time.
    fn authority(&mut self, validity: Validity) -> Result<Authority, Self::Error>;

    /// A leaf with a new key, issued by this CA.
    fn leaf(&mut self, issuer: &Authority, order: &LeafOrder) -> Result<Leaf, Self::Error>;
}

/// From when to when; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The last moment.
    pub not_after: Timestamp,
}

impl Validity {
    pub(super) fn within(self, end: Timestamp) -> Self {
        let not_after = self.not_after.min(end);
        Self { not_after, ..self }
    }
}

/// A leaf to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafOrder {
    /// From when to when.
    pub validity: Validity,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
}

/// Why the Secret is written; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There is no CA and nobody trusts one.
    FirstAuthority,
    /// The CA ends in a while, or cannot issue any more.
    NextAuthority,
    /// The next CA is in every `caBundle`.
    Published,
    /// The next CA was taken out of a `caBundle` again.
    Unpublished,
    /// Every client trusts the next CA: from now on it issues.
    Promotion,
    /// The leaf ends in a while, or cannot be used.
    Leaf,
    /// The last leaf of an old CA has ended.
    Retirement,
    /// It is not known when the last leaf of an old CA ends.
    Retiring,
    /// What a replica serves was no longer in the Secret.
    StillServed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstAuthority => "first CA and certificate",
            Self::NextAuthority => "next CA, beside the one in use",
            Self::Published => "the next CA is published",
            Self::Unpublished => "the next CA is no longer published everywhere",
            Self::Promotion => "the next CA issues from now on",
            Self::Leaf => "next certificate",
            Self::Retirement => "an old CA is no longer needed",
            Self::Retiring => "an old CA stays for as long as a certificate lasts",
            Self::StillServed => "the CA of the certificate that is served was missing",
        })
    }
}

/// A change of the Secret.
#[derive(Debug)]
pub struct Recipe {
    /// Why.
    pub reason: Reason,
    pub(super) state: State,
    authority: Option<(Slot, Validity)>,
    leaf: Option<LeafOrder>,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Issuer,
    Next,
}

impl Recipe {
    pub(super) fn new(reason: Reason, state: &State) -> Self {
        Self {
            reason,
            state: state.clone(),
            authority: None,
            leaf: None,
        }
    }

    pub(super) fn with_first_authority(self, validity: Validity) -> Self {
        let authority = Some((Slot::Issuer, validity));
        Self { authority, ..self }
    }

    pub(super) fn with_next_authority(self, validity: Validity) -> Self {
        let authority = Some((Slot::Next, validity));
        Self { authority, ..self }
    }

    pub(super) fn with_leaf(self, order: LeafOrder) -> Self {
        let leaf = Some(order);
        Self { leaf, ..self }
    }

    /// Keeps a CA trusted at least until then.
    pub(super) fn retire(&mut self, anchor: Anchor, until: Timestamp) {
        let State { retired, times, .. } = &mut self.state;
        times.retired_until = match times.retired_until {
            Some(before) if !retired.is_empty() => Some(before.max(until)),
            // Without a time each stays until its own end.
            None if !retired.is_empty() => None,
            _ => Some(until),
        };
        if !retired.contains(&anchor) {
            retired.push(anchor);
        }
    }

    /// What to write, once all that it needs is made.
    pub fn make<M: Maker>(self, maker: &mut M) -> Result<Change, M::Error> {
        let Self {
            mut state,
            authority,
            leaf,
            reason: _,
        } = self;
        if let Some((slot, validity)) = authority {
            let made = Some(maker.authority(validity)?);
            match slot {
                Slot::Issuer => state.issuer = made,
                Slot::Next => state.next = made,
            }
        }
        if let (Some(order), Some(issuer)) = (leaf, &state.issuer) {
            let leaf = maker.leaf(issuer, &order)?;
            let end = leaf.not_after();
            let before = state.times.leaves_end;
            let before = before.or(state.leaf.as_ref().map(|(leaf, _)| leaf.not_after()));
            state.times.leaves_end = before.max(Some(end));
            state.leaf = Some((leaf, issuer.anchor.clone()));
        }
        Ok(state.change())
    }
}
