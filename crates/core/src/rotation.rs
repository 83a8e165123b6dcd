//! Plans when and how the self-signed certificates change.
//!
//! The plan depends on the observation (the Secret, the `caBundle`s, what this replica
//! serves) and on the time, and says what to do next. This module must not make certificates
//! (it calls [`MakeCertificates`]), write anything or read a clock. Any number of replicas
//! may follow the plan at the same time. Everything that they must agree on is in the Secret,
//! and a replica writes the Secret only in the version that it has read.
//!
//! # The order
//!
//! A handshake succeeds when the client trusts the CA of the leaf that the server shows.
//! So a new CA is first written beside the old one ([`RotationReason::NextAuthority`]), then
//! published, then waited for ([`settle`](RotationSettings#structfield.settle)), and only then issues the next
//! leaf ([`RotationReason::Promotion`]). The old CA stays published until the last leaf of its
//! has ended ([`RotationReason::Retirement`]), whichever replica still serves it.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

mod certificate;
mod content;
mod planned_change;
mod settings;

pub use certificate::{Authority, Leaf, PrivateKey, TrustAnchor, names};
use content::SecretState;
pub use content::{CERTIFICATE, KEY, SecretChange, SecretContent, TRUSTED};
pub use planned_change::{LeafRequest, MakeCertificates, PlannedChange, RotationReason, Validity};
pub use settings::RotationSettings;
use settings::{later, signed};

/// The number of retired CAs that are trusted at the same time.
const MOST_RETIRED: usize = 8;
/// The number of names in a certificate.
const MOST_NAMES: usize = 32;
/// The difference that is allowed between the clocks of replicas and clients.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What a replica observes. The caller must read the `caBundle`s before the Secret, and must
/// write a `caBundle` only in the version that it has read. Then no replica takes back what
/// another replica publishes in between.
#[derive(Debug, Default)]
pub struct Observation {
    /// The data of the Secret.
    pub secret: SecretContent,
    /// The `caBundle` of every webhook that exists, as PEM; empty where the webhook has none.
    pub bundles: Vec<Vec<u8>>,
}

/// What this replica serves, and since when it sees each CA published.
#[derive(Debug, Default)]
pub struct ReplicaState {
    serving: Option<(Leaf, TrustAnchor)>,
    published: Vec<(TrustAnchor, Timestamp)>,
}

/// What to do now. The caller does each part independently of the success of the others.
#[derive(Debug)]
pub struct RotationPlan {
    /// What to write to the Secret, in the version that was observed.
    pub write: Option<PlannedChange>,
    /// What to write to every `caBundle` that holds something else.
    pub publish: Option<String>,
    /// What to serve from now on.
    pub adopt: Option<Adoption>,
    /// When to plan again, if nothing changes before.
    pub wake: Option<Timestamp>,
    /// When the CA that issues leaves expires.
    pub authority_expires: Option<Timestamp>,
    /// What the Secret contains or lacks because somebody else has written it, in words. The
    /// plan repairs what cannot be used.
    pub foreign: Vec<&'static str>,
}

/// A leaf to serve.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Certificate and key.
    pub leaf: Leaf,
    anchor: TrustAnchor,
}

impl ReplicaState {
    /// Records that this replica now serves the leaf.
    pub fn adopted(&mut self, adoption: Adoption) {
        self.serving = Some((adoption.leaf, adoption.anchor));
    }

    /// The leaf that this replica serves.
    #[must_use]
    pub fn serving(&self) -> Option<&Leaf> {
        self.serving.as_ref().map(|(leaf, _)| leaf)
    }

    /// Plans what to do next.
    pub fn plan(
        &mut self,
        observed: &Observation,
        now: Timestamp,
        settings: &RotationSettings,
    ) -> RotationPlan {
        let state = SecretState::read(&observed.secret);
        let bundles = CaBundles::read(&observed.bundles);
        self.note(&bundles, &state, now);
        let view = Planner {
            state: &state,
            bundles: &bundles,
            memory: self,
            now,
            settings,
        };
        let write = view.write();
        let publish = match &write {
            // The change adds a CA again, and publishing before it would remove the CA for a
            // moment.
            Some(change) if change.reason == RotationReason::StillServed => None,
            _ => view.publish(),
        };
        let mut foreign = state.foreign(&observed.secret);
        if view.is_serving_untrusted() {
            foreign.push("it does not contain the CA of the certificate that this replica serves");
        }
        RotationPlan {
            foreign,
            publish,
            adopt: view.adopt(),
            wake: view.wake(),
            authority_expires: state
                .issuer
                .as_ref()
                .map(|issuer| issuer.anchor.not_after()),
            write,
        }
    }

    fn note(&mut self, bundles: &CaBundles<'_>, state: &SecretState, now: Timestamp) {
        self.published
            .retain(|(anchor, _)| bundles.all_hold(anchor));
        for (_, since) in &mut self.published {
            *since = now.min(*since);
        }
        for anchor in state.trusted() {
            let known = self.published.iter().any(|(known, _)| known == anchor);
            if !known && bundles.all_hold(anchor) {
                self.published.push((anchor.clone(), now));
            }
        }
    }
}

/// The `caBundle`s, parsed.
struct CaBundles<'a> {
    texts: &'a [Vec<u8>],
    anchors: Vec<Vec<TrustAnchor>>,
}

impl<'a> CaBundles<'a> {
    fn read(texts: &'a [Vec<u8>]) -> Self {
        let anchors = texts
            .iter()
            .map(|pem| TrustAnchor::all_in_pem(pem))
            .collect();
        Self { texts, anchors }
    }

    fn all_hold(&self, anchor: &TrustAnchor) -> bool {
        self.anchors.iter().all(|held| held.contains(anchor))
    }
}

/// Everything that a plan depends on.
struct Planner<'a> {
    state: &'a SecretState,
    bundles: &'a CaBundles<'a>,
    memory: &'a ReplicaState,
    now: Timestamp,
    settings: &'a RotationSettings,
}

impl Planner<'_> {
    /// The change of the Secret that has to be made first.
    fn write(&self) -> Option<PlannedChange> {
        self.still_served()
            .or_else(|| match self.usable(self.state.next.as_ref()) {
                Some(next) => self.advance(&next.anchor),
                None => self.next_authority(),
            })
            .or_else(|| self.next_leaf())
            .or_else(|| self.retirement())
    }

    fn usable<'s>(&self, authority: Option<&'s Authority>) -> Option<&'s Authority> {
        authority.filter(|authority| {
            let anchor = &authority.anchor;
            self.now < anchor.not_after() && anchor.not_before() <= later(self.now, SKEW)
        })
    }

    fn issuer(&self) -> Option<&Authority> {
        self.usable(self.state.issuer.as_ref())
    }

    /// The Secret was emptied or replaced by an older one. Clients must trust what this replica
    /// serves until the change to the new content is complete.
    fn still_served(&self) -> Option<PlannedChange> {
        let (leaf, anchor) = self.memory.serving.as_ref()?;
        let lost = self.is_serving_untrusted();
        // Where no CA can issue the next leaf, the next change keeps the anchor.
        (lost && self.issuer().is_some()).then(|| {
            let mut change = PlannedChange::new(RotationReason::StillServed, self.state);
            change.retire(anchor.clone(), leaf.not_after());
            change
        })
    }

    /// Whether the Secret lacks the CA of what this replica serves.
    fn is_serving_untrusted(&self) -> bool {
        self.memory.serving.as_ref().is_some_and(|(leaf, anchor)| {
            leaf.not_after() > self.now && !self.state.trusted().any(|a| a == anchor)
        })
    }

    /// The next step of the next CA, until it issues leaves.
    fn advance(&self, next: &TrustAnchor) -> Option<PlannedChange> {
        let published = self.state.times.next_published;
        // A time in the future means that a clock is wrong, now or when it was written.
        let published = published.filter(|at| *at <= later(self.now, SKEW));
        if !self.bundles.all_hold(next) {
            // Somebody removed the CA from a `caBundle`, so the waiting begins again.
            return published.map(|_| {
                let mut change = PlannedChange::new(RotationReason::Unpublished, self.state);
                change.state.times.next_published = None;
                change
            });
        }
        let Some(published) = published else {
            let mut change = PlannedChange::new(RotationReason::Published, self.state);
            change.state.times.next_published = Some(self.now);
            return Some(change);
        };
        if self.now < later(published, self.settings.settle()) {
            return None;
        }
        let mut change = PlannedChange::new(RotationReason::Promotion, self.state);
        if let Some(old) = change.state.issuer.take() {
            let known = change.state.times.leaves_expire;
            let until = known.unwrap_or(old.anchor.not_after());
            let leaf = self.state.leaf.as_ref();
            let leaf_expires = leaf.map_or(until, |(leaf, _)| leaf.not_after());
            change.retire(old.anchor, until.max(leaf_expires));
        }
        change.state.issuer = change.state.next.take();
        change.state.times.next_published = None;
        change.state.times.leaves_expire = None;
        Some(change.with_leaf(self.leaf_order(next)))
    }

    fn next_authority(&self) -> Option<PlannedChange> {
        let due = match self.issuer() {
            Some(issuer) => self.now >= self.settings.renew_authority(&issuer.anchor),
            None => true,
        };
        if !due {
            return None;
        }
        let validity = self.validity(self.settings.authority_lifetime);
        let mut change = PlannedChange::new(RotationReason::NextAuthority, self.state);
        if self.issuer().is_none() {
            self.keep_known(&mut change);
        }
        change.state.times.next_published = None;
        if change.state.trusted().next().is_some() {
            return Some(change.with_next_authority(validity));
        }
        // No client trusts a CA yet, so the first CA can issue at once.
        change.reason = RotationReason::FirstAuthority;
        let names = self.leaf_names();
        let leaf = self.validity(self.settings.leaf_lifetime);
        let leaf = LeafRequest {
            validity: leaf.within(validity.not_after),
            names,
        };
        Some(change.with_first_authority(validity).with_leaf(leaf))
    }

    /// Where no CA can issue leaves any more, all CAs whose leaves a replica may still serve
    /// stay trusted for as long as such a leaf can last.
    fn keep_known(&self, change: &mut PlannedChange) {
        let until = later(self.now, signed(self.settings.leaf_lifetime));
        if let Some(lost) = change.state.next.take() {
            change.retire(lost.anchor, until);
        }
        let served = self.memory.serving.iter().map(|(_, anchor)| anchor);
        let known: Vec<TrustAnchor> = self
            .bundles
            .anchors
            .iter()
            .flatten()
            .chain(served)
            .cloned()
            .collect();
        for anchor in known {
            change.retire(anchor, until);
        }
        let retired = &mut change.state.retired;
        retired.retain(|anchor| anchor.not_after() > self.now);
        retired.sort_by_key(|anchor| std::cmp::Reverse(anchor.not_after()));
        retired.truncate(MOST_RETIRED);
        if change
            .state
            .issuer
            .as_ref()
            .is_some_and(|issuer| issuer.anchor.not_after() <= self.now)
        {
            change.state.issuer = None;
        }
    }

    fn next_leaf(&self) -> Option<PlannedChange> {
        let issuer = self.issuer()?;
        let good = self.state.leaf.as_ref().is_some_and(|(leaf, anchor)| {
            // A leaf that expires with its CA is not renewed again and again.
            let due = if anchor.not_after() <= leaf.not_after() {
                leaf.not_after()
            } else {
                self.settings.renew_leaf(leaf)
            };
            self.now < due
                && leaf.not_before() <= later(self.now, SKEW)
                && self.settings.names.iter().all(|name| has_name(leaf, name))
        });
        (!good).then(|| {
            PlannedChange::new(RotationReason::Leaf, self.state)
                .with_leaf(self.leaf_order(&issuer.anchor))
        })
    }

    /// Removes CAs whose last leaf has expired, or which have expired themselves.
    fn retirement(&self) -> Option<PlannedChange> {
        let SecretState { retired, leaf, .. } = self.state;
        let leaf = leaf.as_ref();
        let expired = self.state.times.retired_until;
        let expired = expired.is_some_and(|until| self.now >= until);
        let is_unneeded = |anchor: &TrustAnchor| {
            let served = leaf.is_some_and(|(leaf, by)| by == anchor && leaf.not_after() > self.now);
            (expired || self.now >= anchor.not_after()) && !served
        };
        if retired.iter().any(is_unneeded) {
            let mut change = PlannedChange::new(RotationReason::Retirement, self.state);
            change.state.retired.retain(|anchor| !is_unneeded(anchor));
            if change.state.retired.is_empty() {
                change.state.times.retired_until = None;
            }
            return Some(change);
        }
        (!retired.is_empty() && self.state.times.retired_until.is_none()).then(|| {
            let until = later(self.now, signed(self.settings.leaf_lifetime));
            let leaf_expires = leaf.map_or(until, |(leaf, _)| leaf.not_after());
            let mut change = PlannedChange::new(RotationReason::Retiring, self.state);
            change.state.times.retired_until = Some(until.max(leaf_expires));
            change
        })
    }

    fn publish(&self) -> Option<String> {
        let wanted = self.state.bundle();
        let differs = |bundle: &Vec<u8>| bundle.as_slice() != wanted.as_bytes();
        (!wanted.is_empty() && self.bundles.texts.iter().any(differs)).then_some(wanted)
    }

    /// The leaf of the Secret, once every client can know its CA. A replica that serves nothing
    /// yet does not wait, because it has no better leaf.
    fn adopt(&self) -> Option<Adoption> {
        let (leaf, anchor) = self.state.leaf.as_ref()?;
        let serving = self.memory.serving.as_ref();
        let serving = serving.filter(|(served, _)| served.not_after() > self.now);
        let settled = match serving {
            Some((_, old)) if old == anchor => true,
            Some(_) => self.settled(anchor).is_some_and(|at| at <= self.now),
            None => true,
        };
        let new = !self.memory.serving().is_some_and(|served| served.is(leaf));
        let usable = leaf.not_after() > self.now && self.bundles.all_hold(anchor);
        (new && usable && settled).then(|| Adoption {
            leaf: leaf.clone(),
            anchor: anchor.clone(),
        })
    }

    /// The time from which all clients trust the CA.
    fn settled(&self, anchor: &TrustAnchor) -> Option<Timestamp> {
        let mut published = self.memory.published.iter();
        let (_, since) = published.find(|(known, _)| known == anchor)?;
        Some(later(*since, self.settings.settle()))
    }

    /// The next time at which the plan changes although nothing else does.
    fn wake(&self) -> Option<Timestamp> {
        let SecretState {
            issuer,
            leaf,
            times,
            retired,
            ..
        } = self.state;
        let settle = self.settings.settle();
        let leaf = leaf.as_ref();
        let serving = self.memory.serving();
        let waiting = leaf.filter(|(leaf, _)| serving.is_some_and(|served| !served.is(leaf)));
        let leaf_settled = waiting.and_then(|(_, anchor)| self.settled(anchor));
        let leaf = leaf.map(|(leaf, _)| leaf);
        let times = [
            issuer
                .as_ref()
                .map(|issuer| self.settings.renew_authority(&issuer.anchor)),
            issuer.as_ref().map(|issuer| issuer.anchor.not_after()),
            leaf.map(|leaf| self.settings.renew_leaf(leaf)),
            leaf.map(Leaf::not_after),
            times.next_published.map(|at| later(at, settle)),
            times.retired_until,
            leaf_settled,
        ];
        let expiries = retired.iter().map(|anchor| Some(anchor.not_after()));
        let times = times.into_iter().chain(expiries).flatten();
        times.filter(|at| *at > self.now).min()
    }

    fn leaf_order(&self, issuer: &TrustAnchor) -> LeafRequest {
        LeafRequest {
            validity: self
                .validity(self.settings.leaf_lifetime)
                .within(issuer.not_after()),
            names: self.leaf_names(),
        }
    }

    /// The names of the settings, and those of the current leaf. During an upgrade old and new
    /// replicas may want different names, and must not remove each other's names in turns.
    fn leaf_names(&self) -> Vec<String> {
        let mut names = self.settings.names.clone();
        if let Some((leaf, _)) = &self.state.leaf
            && !self.settings.names.iter().all(|name| has_name(leaf, name))
        {
            let others = leaf.names().iter();
            names.extend(
                others
                    .filter(|name| !self.settings.names.contains(name))
                    .cloned(),
            );
        }
        names.truncate(MOST_NAMES.max(self.settings.names.len()));
        names
    }

    /// A validity that begins before now, for clients whose clock is late.
    fn validity(&self, lifetime: Duration) -> Validity {
        Validity {
            not_before: later(self.now, -SKEW),
            not_after: later(self.now, signed(lifetime)),
        }
    }
}

fn has_name(leaf: &Leaf, name: &str) -> bool {
    leaf.names()
        .iter()
        .any(|own| own.eq_ignore_ascii_case(name))
}
