//! What the Secret holds: which keys there are, and the state that they spell.
//!
//! Reading is tolerant, since anybody with the right may have edited the Secret:
//! what cannot be used counts as not there. Reading looks at no clock, so that two
//! replicas whose clocks differ read the same.

use super::certificate::{Anchor, Authority, Leaf, bundle};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Every CA to trust, those that no longer issue too; what the `caBundle`s hold.
pub const TRUSTED: &str = "ca.crt";
/// The serving certificate.
pub const CERTIFICATE: &str = "tls.crt";
/// The serving certificate's key.
pub const KEY: &str = "tls.key";
const ISSUER: [&str; 2] = ["issuer.crt", "issuer.key"];
const NEXT: [&str; 2] = ["next.crt", "next.key"];
const TIMES: &str = "rotation.json";

/// The data of the Secret. `{:?}` shows the names of its keys and nothing else.
#[derive(Clone, Default)]
pub struct Content(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl Content {
    /// Adds one key of the Secret's `data`, decoded.
    pub fn insert(&mut self, key: impl Into<String>, value: Vec<u8>) {
        self.0.insert(key.into(), Zeroizing::new(value));
    }

    /// Applies a change as the API server does with a merge patch.
    pub fn apply(&mut self, change: &Change) {
        for (key, value) in change.entries() {
            match value {
                Some(value) => self.insert(key, value.to_vec()),
                None => {
                    self.0.remove(key);
                }
            }
        }
    }

    /// One value. For the wire and for parsing, never for output.
    #[must_use]
    pub fn expose(&self, key: &str) -> &[u8] {
        self.0.get(key).map_or(&[], |value| value.as_slice())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is to be written to the Secret: each key of ours with its new value, or none
/// where it is to go. Keys of others are left alone.
#[derive(Clone)]
pub struct Change(Vec<(&'static str, Option<Zeroizing<Vec<u8>>>)>);

impl Change {
    /// Key and value. For the wire, never for output.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(key, value)| (*key, value.as_ref().map(|value| value.as_slice())))
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(key, _)| key))
            .finish()
    }
}

/// What the Secret says, as far as it can be used.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The CA that issues leaves.
    pub(super) issuer: Option<Authority>,
    /// The CA that will issue them when all clients trust it.
    pub(super) next: Option<Authority>,
    /// CAs that issue no more and are still trusted.
    pub(super) retired: Vec<Anchor>,
    /// What is to be served, and which of these CAs has issued it.
    pub(super) leaf: Option<(Leaf, Anchor)>,
    pub(super) times: Times,
}

/// What the certificates do not say themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// When the last leaf ends that `issuer` has issued.
    pub(super) leaves_end: Option<Timestamp>,
    /// Since when every `caBundle` holds `next`.
    pub(super) next_published: Option<Timestamp>,
    /// When the last leaf ends that a retired CA has issued.
    pub(super) retired_until: Option<Timestamp>,
}

impl State {
    pub(super) fn read(content: &Content) -> Self {
        let authority = |[certificate, key]: [&str; 2]| {
            Authority::from_bytes(content.expose(certificate), content.expose(key))
        };
        let (issuer, next) = (authority(ISSUER), authority(NEXT));
        let mut retired = Anchor::all_in_pem(content.expose(TRUSTED));
        // A CA whose key was lost is still trusted: leaves of its are served.
        for [certificate, _] in [ISSUER, NEXT] {
            for anchor in Anchor::all_in_pem(content.expose(certificate)) {
                if !retired.contains(&anchor) {
                    retired.push(anchor);
                }
            }
        }
        let issuing = [&issuer, &next].into_iter().flatten();
        let issuing: Vec<&Anchor> = issuing.map(|authority| &authority.anchor).collect();
        retired.retain(|anchor| !issuing.contains(&anchor));
        let mut read = Self {
            issuer,
            next,
            retired,
            leaf: None,
            times: Times::read(content.expose(TIMES)),
        };
        let leaf = Leaf::from_bytes(content.expose(CERTIFICATE), content.expose(KEY));
        read.leaf = leaf.and_then(|leaf| {
            let anchor = read.trusted().find(|anchor| anchor.issued(&leaf))?.clone();
            Some((leaf, anchor))
        });
        read
    }

    /// Every CA that clients are to trust, in the order in which it is written.
    pub(super) fn trusted(&self) -> impl Iterator<Item = &Anchor> {
        let issuing = [&self.issuer, &self.next].into_iter().flatten();
        issuing
            .map(|authority| &authority.anchor)
            .chain(&self.retired)
    }

    pub(super) fn bundle(&self) -> String {
        bundle(self.trusted())
    }

    pub(super) fn change(&self) -> Change {
        let mut change = Vec::new();
        let mut put = |key, value: Option<&[u8]>| {
            change.push((key, value.map(|value| Zeroizing::new(value.to_vec()))));
        };
        put(TRUSTED, Some(self.bundle().as_bytes()));
        for ([certificate, key], authority) in [(ISSUER, &self.issuer), (NEXT, &self.next)] {
            let pem = authority
                .as_ref()
                .map(|authority| authority.anchor.to_pem());
            put(certificate, pem.as_deref().map(str::as_bytes));
            let pem = authority.as_ref().map(|authority| &authority.key);
            put(key, pem.map(|key| key.expose_pem().as_bytes()));
        }
        let leaf = self.leaf.as_ref().map(|(leaf, _)| leaf);
        let pem = leaf.map(Leaf::to_pem);
        put(CERTIFICATE, pem.as_deref().map(str::as_bytes));
        let key = leaf.map(Leaf::key);
        put(KEY, key.map(|key| key.expose_pem().as_bytes()));
        put(TIMES, Some(self.times.write().as_bytes()));
        Change(change)
    }
}

const LEAVES_END: &str = "leavesEnd";
const NEXT_PUBLISHED: &str = "nextPublished";
const RETIRED_UNTIL: &str = "retiredUntil";

impl Times {
    /// What cannot be read is not there; whoever uses a time has an answer to that.
    fn read(text: &[u8]) -> Self {
        let object: Map<String, Value> = serde_json::from_slice(text).unwrap_or_default();
        let time = |key| object.get(key)?.as_str()?.parse().ok();
        Self {
            leaves_end: time(LEAVES_END),
            next_published: time(NEXT_PUBLISHED),
            retired_until: time(RETIRED_UNTIL),
        }
    }

    fn write(self) -> String {
        let times = [
            (LEAVES_END, self.leaves_end),
            (NEXT_PUBLISHED, self.next_published),
            (RETIRED_UNTIL, self.retired_until),
        ];
        let object: Map<String, Value> = times
            .into_iter()
            .filter_map(|(key, time)| Some((key.to_owned(), Value::String(time?.to_string()))))
            .collect();
        Value::Object(object).to_string()
    }
}
