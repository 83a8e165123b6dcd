//! The content of the Secret: its keys, and the state that they describe.
//!
//! Anyone with the permission may edit the Secret, so a value that cannot be used counts as
//! missing. This module must not read a clock, so that two replicas whose clocks differ read
//! the same state.

use super::certificate::{Authority, Leaf, TrustAnchor, bundle};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// The key of every CA to trust, including those that no longer issue; the `caBundle`s have
/// the same content.
pub const TRUSTED: &str = "ca.crt";
/// The key of the serving certificate.
pub const CERTIFICATE: &str = "tls.crt";
/// The key of the serving certificate's private key.
pub const KEY: &str = "tls.key";
const ISSUER: [&str; 2] = ["issuer.crt", "issuer.key"];
const NEXT: [&str; 2] = ["next.crt", "next.key"];
const TIMES: &str = "rotation.json";

/// The data of the Secret. `Debug` shows the names of its keys and nothing else.
#[derive(Clone, Default)]
pub struct SecretContent(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl SecretContent {
    /// Adds one key of the Secret's `data` with its decoded value.
    pub fn insert(&mut self, key: impl Into<String>, value: Vec<u8>) {
        self.0.insert(key.into(), Zeroizing::new(value));
    }

    /// Applies a change as the API server applies a merge patch.
    pub fn apply(&mut self, change: &SecretChange) {
        for (key, value) in change.entries() {
            match value {
                Some(value) => self.insert(key, value.to_vec()),
                None => {
                    self.0.remove(key);
                }
            }
        }
    }

    /// One value; empty where the key is missing. It is for the wire and for parsing, and must
    /// never be printed.
    #[must_use]
    pub fn expose(&self, key: &str) -> &[u8] {
        self.0.get(key).map_or(&[], |value| value.as_slice())
    }
}

impl fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What to write to the Secret: each key that pullpass owns with its new value, or `None` where
/// the key is removed. Other keys are not changed.
#[derive(Clone)]
pub struct SecretChange(Vec<(&'static str, Option<Zeroizing<Vec<u8>>>)>);

impl SecretChange {
    /// The keys and their values. They are for the wire, and must never be printed.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(key, value)| (*key, value.as_ref().map(|value| value.as_slice())))
    }
}

impl fmt::Debug for SecretChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(key, _)| key))
            .finish()
    }
}

/// The state that the Secret describes, as far as it can be used.
#[derive(Debug, Clone, Default)]
pub(super) struct SecretState {
    /// The CA that issues leaves.
    pub(super) issuer: Option<Authority>,
    /// The CA that will issue them when all clients trust it.
    pub(super) next: Option<Authority>,
    /// The CAs that no longer issue and are still trusted.
    pub(super) retired: Vec<TrustAnchor>,
    /// The leaf to serve, and the CA of this state that issued it.
    pub(super) leaf: Option<(Leaf, TrustAnchor)>,
    pub(super) times: RotationTimes,
}

/// The times that the certificates do not contain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RotationTimes {
    /// When the last leaf that `issuer` has issued expires.
    pub(super) leaves_expire: Option<Timestamp>,
    /// Since when every `caBundle` contains `next`.
    pub(super) next_published: Option<Timestamp>,
    /// When the last leaf that a retired CA has issued expires.
    pub(super) retired_until: Option<Timestamp>,
}

impl SecretState {
    pub(super) fn read(content: &SecretContent) -> Self {
        let authority = |[certificate, key]: [&str; 2]| {
            Authority::from_bytes(content.expose(certificate), content.expose(key))
        };
        let (issuer, next) = (authority(ISSUER), authority(NEXT));
        let mut retired = TrustAnchor::all_in_pem(content.expose(TRUSTED));
        // A CA whose key is lost stays trusted, because a replica may still serve its leaves.
        for [certificate, _] in [ISSUER, NEXT] {
            for anchor in TrustAnchor::all_in_pem(content.expose(certificate)) {
                if !retired.contains(&anchor) {
                    retired.push(anchor);
                }
            }
        }
        let issuing = [&issuer, &next].into_iter().flatten();
        let issuing: Vec<&TrustAnchor> = issuing.map(|authority| &authority.anchor).collect();
        retired.retain(|anchor| !issuing.contains(&anchor));
        let mut read = Self {
            issuer,
            next,
            retired,
            leaf: None,
            times: RotationTimes::read(content.expose(TIMES)),
        };
        let leaf = Leaf::from_bytes(content.expose(CERTIFICATE), content.expose(KEY));
        read.leaf = leaf.and_then(|leaf| {
            let anchor = read.trusted().find(|anchor| anchor.issued(&leaf))?.clone();
            Some((leaf, anchor))
        });
        read
    }

    /// What of this content, from which the state was read, pullpass never writes so: somebody
    /// else has written it.
    pub(super) fn foreign(&self, content: &SecretContent) -> Vec<&'static str> {
        let has = |keys: &[&str]| keys.iter().any(|key| !content.expose(key).is_empty());
        let trusted = TrustAnchor::all_in_pem(content.expose(TRUSTED));
        // Every change writes all CAs into `ca.crt`.
        let is_unknown = |authority: &Option<Authority>| {
            let anchor = authority.as_ref().map(|authority| &authority.anchor);
            anchor.is_some_and(|anchor| !trusted.contains(anchor))
        };
        let leaf = Leaf::from_bytes(content.expose(CERTIFICATE), content.expose(KEY));
        let table = [
            (
                self.issuer.is_none() && has(&ISSUER),
                "issuer.crt and issuer.key are not a CA and its key",
            ),
            (
                self.next.is_none() && has(&NEXT),
                "next.crt and next.key are not a CA and its key",
            ),
            (
                trusted.is_empty() && has(&[TRUSTED]),
                "ca.crt contains no CA",
            ),
            (
                is_unknown(&self.issuer),
                "ca.crt does not contain the CA of issuer.crt",
            ),
            (
                is_unknown(&self.next),
                "ca.crt does not contain the CA of next.crt",
            ),
            (
                leaf.is_none() && has(&[CERTIFICATE, KEY]),
                "tls.crt and tls.key are not a serving certificate and its key",
            ),
            (
                leaf.is_some() && self.leaf.is_none(),
                "tls.crt was issued by a CA that the Secret does not contain",
            ),
        ];
        let found = table.into_iter().filter(|(is_foreign, _)| *is_foreign);
        found.map(|(_, words)| words).collect()
    }

    /// Every CA that clients should trust, in the order in which it is written.
    pub(super) fn trusted(&self) -> impl Iterator<Item = &TrustAnchor> {
        let issuing = [&self.issuer, &self.next].into_iter().flatten();
        issuing
            .map(|authority| &authority.anchor)
            .chain(&self.retired)
    }

    pub(super) fn bundle(&self) -> String {
        bundle(self.trusted())
    }

    pub(super) fn change(&self) -> SecretChange {
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
        SecretChange(change)
    }
}

const LEAVES_EXPIRE: &str = "leavesEnd";
const NEXT_PUBLISHED: &str = "nextPublished";
const RETIRED_UNTIL: &str = "retiredUntil";

impl RotationTimes {
    /// Reads the times. A time that cannot be read is `None`, which every user handles.
    fn read(text: &[u8]) -> Self {
        let object: Map<String, Value> = serde_json::from_slice(text).unwrap_or_default();
        let time = |key| object.get(key)?.as_str()?.parse().ok();
        Self {
            leaves_expire: time(LEAVES_EXPIRE),
            next_published: time(NEXT_PUBLISHED),
            retired_until: time(RETIRED_UNTIL),
        }
    }

    fn write(self) -> String {
        let times = [
            (LEAVES_EXPIRE, self.leaves_expire),
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
