//! When and how the self-signed certificates change: the brain of
//! [`certificate_keeper`](crate::certificate_keeper).
//!
//! From what was observed (the Secret, the `caBundle`s, what this replica serves) and
//! the time it says what is to be done next. It makes no certificates (it asks a
//! [`Maker`]), writes nothing and looks at no clock. Any number of replicas may
//! follow it at the same time: all that they have to agree on is in the Secret, which
//! they write only in the version that they have read.
//!
//! # The order
//!
//! A handshake succeeds when the client trusts the CA of the leaf that it is shown.
//! So a new CA is first written beside the old one ([`Reason::NextAuthority`]), then
//! published, then waited for ([`settle`](Settings#structfield.settle)), and only then issues the next
//! leaf ([`Reason::Promotion`]). The old CA stays published until the last leaf of its
//! has ended ([`Reason::Retirement`]), whichever replica still serves it.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

mod certificate;
mod content;
mod recipe;
mod settings;

pub use certificate::{Anchor, Authority, Leaf, PrivateKey, names};
use content::State;
pub use content::{CERTIFICATE, Change, Content, KEY, TRUSTED};
pub use recipe::{LeafOrder, Maker, Reason, Recipe, Validity};
pub use settings::Settings;
use settings::{later, signed};

/// CAs that are trusted at a time, at the most.
const MOST_RETIRED: usize = 8;
/// Names in a certificate, at the most.
const MOST_NAMES: usize = 32;
/// How much the clocks of replicas and clients may differ.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What a replica sees. The `caBundle`s must have been read before the Secret, and
/// may only be written in the version that was read: then nobody takes back what
/// another replica has published since.
#[derive(Debug, Default)]
pub struct Observed {
    /// The data of the Secret.
    pub secret: Content,
    /// The `caBundle` of every webhook, PEM, empty where there is none. A webhook that
    /// does not exist has none that could be wrong.
    pub bundles: Vec<Vec<u8>>,
}

/// What this replica serves, and since when it has seen each CA published.
#[derive(Debug, Default)]
pub struct Memory {
    serving: Option<(Leaf, Anchor)>,
    published: Vec<(Anchor, Timestamp)>,
}

/// What is to be done now; each part on its own, whether the others succeed or not.
#[derive(Debug)]
pub struct Plan {
    /// What to write to the Secret, unless it has changed.
    pub write: Option<Recipe>,
    /// What to write to every `caBundle` that holds something else.
    pub publish: Option<String>,
    /// What to serve from now on.
    pub adopt: Option<Adoption>,
    /// When to look again, if nothing changes before.
    pub wake: Option<Timestamp>,
    /// When the CA that issues leaves ends.
    pub authority_ends: Option<Timestamp>,
}

/// A leaf to serve.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Certificate and key.
    pub leaf: Leaf,
    anchor: Anchor,
}

impl Memory {
    /// The leaf is served from now on.
    pub fn adopted(&mut self, adoption: Adoption) {
        self.serving = Some((adoption.leaf, adoption.anchor));
    }

    /// What is served.
    #[must_use]
    pub fn serving(&self) -> Option<&Leaf> {
        self.serving.as_ref().map(|(leaf, _)| leaf)
    }

    /// What is to be done about what was observed.
    pub fn plan(&mut self, observed: &Observed, now: Timestamp, settings: &Settings) -> Plan {
        let state = State::read(&observed.secret);
        let bundles = Bundles::read(&observed.bundles);
        self.note(&bundles, &state, now);
        let view = View {
            state: &state,
            bundles: &bundles,
            memory: self,
            now,
            settings,
        };
        let write = view.write();
        let publish = match &write {
            // What is about to be added again must not go for a moment.
            Some(recipe) if recipe.reason == Reason::StillServed => None,
            _ => view.publish(),
        };
        Plan {
            publish,
            adopt: view.adopt(),
            wake: view.wake(),
            authority_ends: state
                .issuer
                .as_ref()
                .map(|issuer| issuer.anchor.not_after()),
            write,
        }
    }

    fn note(&mut self, bundles: &Bundles<'_>, state: &State, now: Timestamp) {
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
struct Bundles<'a> {
    texts: &'a [Vec<u8>],
    anchors: Vec<Vec<Anchor>>,
}

impl<'a> Bundles<'a> {
    fn read(texts: &'a [Vec<u8>]) -> Self {
        let anchors = texts.iter().map(|pem| Anchor::all_in_pem(pem)).collect();
        Self { texts, anchors }
    }

    fn all_hold(&self, anchor: &Anchor) -> bool {
        self.anchors.iter().all(|held| held.contains(anchor))
    }
}

/// One look at everything.
struct View<'a> {
    state: &'a State,
    bundles: &'a Bundles<'a>,
    memory: &'a Memory,
    now: Timestamp,
    settings: &'a Settings,
}

impl View<'_> {
    /// The one change of the Secret that comes first.
    fn write(&self) -> Option<Recipe> {
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

    /// Somebody has put back an older Secret, or emptied it: what this replica serves
    /// must be trusted until the change to the new content has been gone through.
    fn still_served(&self) -> Option<Recipe> {
        let (leaf, anchor) = self.memory.serving.as_ref()?;
        let lost = leaf.not_after() > self.now && !self.state.trusted().any(|a| a == anchor);
        // With nobody to issue the next leaf, the next recipe keeps it.
        (lost && self.issuer().is_some()).then(|| {
            let mut recipe = Recipe::new(Reason::StillServed, self.state);
            recipe.retire(anchor.clone(), leaf.not_after());
            recipe
        })
    }

    /// The next CA on its way to be the one that issues.
    fn advance(&self, next: &Anchor) -> Option<Recipe> {
        let published = self.state.times.next_published;
        // A clock was wrong when it was written, or is now.
        let published = published.filter(|at| *at <= later(self.now, SKEW));
        if !self.bundles.all_hold(next) {
            // Somebody took it out again: the wait begins anew.
            return published.map(|_| {
                let mut recipe = Recipe::new(Reason::Unpublished, self.state);
                recipe.state.times.next_published = None;
                recipe
            });
        }
        let Some(published) = published else {
            let mut recipe = Recipe::new(Reason::Published, self.state);
            recipe.state.times.next_published = Some(self.now);
            return Some(recipe);
        };
        if self.now < later(published, self.settings.settle()) {
            return None;
        }
        let mut recipe = Recipe::new(Reason::Promotion, self.state);
        if let Some(old) = recipe.state.issuer.take() {
            let known = recipe.state.times.leaves_end;
            let until = known.unwrap_or(old.anchor.not_after());
            let leaf = self.state.leaf.as_ref();
            let leaf_ends = leaf.map_or(until, |(leaf, _)| leaf.not_after());
            recipe.retire(old.anchor, until.max(leaf_ends));
        }
        recipe.state.issuer = recipe.state.next.take();
        recipe.state.times.next_published = None;
        recipe.state.times.leaves_end = None;
        Some(recipe.with_leaf(self.leaf_order(next)))
    }

    fn next_authority(&self) -> Option<Recipe> {
        let due = match self.issuer() {
            Some(issuer) => self.now >= self.settings.renew_authority(&issuer.anchor),
            None => true,
        };
        if !due {
            return None;
        }
        let validity = self.validity(self.settings.authority_lifetime);
        let mut recipe = Recipe::new(Reason::NextAuthority, self.state);
        if self.issuer().is_none() {
            self.keep_known(&mut recipe);
        }
        recipe.state.times.next_published = None;
        if recipe.state.trusted().next().is_some() {
            return Some(recipe.with_next_authority(validity));
        }
        // Nobody trusts anything yet, so nobody's trust can be lost.
        recipe.reason = Reason::FirstAuthority;
        let names = self.leaf_names();
        let leaf = self.validity(self.settings.leaf_lifetime);
        let leaf = LeafOrder {
            validity: leaf.within(validity.not_after),
            names,
        };
        Some(recipe.with_first_authority(validity).with_leaf(leaf))
    }

    /// With nobody to issue leaves any more, all CAs that a replica may still serve
    /// from stay trusted for as long as such a leaf can last.
    fn keep_known(&self, recipe: &mut Recipe) {
        let until = later(self.now, signed(self.settings.leaf_lifetime));
        if let Some(lost) = recipe.state.next.take() {
            recipe.retire(lost.anchor, until);
        }
        let served = self.memory.serving.iter().map(|(_, anchor)| anchor);
        let known: Vec<Anchor> = self
            .bundles
            .anchors
            .iter()
            .flatten()
            .chain(served)
            .cloned()
            .collect();
        for anchor in known {
            recipe.retire(anchor, until);
        }
        let retired = &mut recipe.state.retired;
        retired.retain(|anchor| anchor.not_after() > self.now);
        retired.sort_by_key(|anchor| std::cmp::Reverse(anchor.not_after()));
        retired.truncate(MOST_RETIRED);
        if recipe
            .state
            .issuer
            .as_ref()
            .is_some_and(|issuer| issuer.anchor.not_after() <= self.now)
        {
            recipe.state.issuer = None;
        }
    }

    fn next_leaf(&self) -> Option<Recipe> {
        let issuer = self.issuer()?;
        let good = self.state.leaf.as_ref().is_some_and(|(leaf, anchor)| {
            // One that its CA's end has cut short is not renewed again and again.
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
            Recipe::new(Reason::Leaf, self.state).with_leaf(self.leaf_order(&issuer.anchor))
        })
    }

    /// CAs whose last leaf has ended, or which have ended themselves.
    fn retirement(&self) -> Option<Recipe> {
        let State { retired, leaf, .. } = self.state;
        let leaf = leaf.as_ref();
        let over = self.state.times.retired_until;
        let over = over.is_some_and(|until| self.now >= until);
        let goes = |anchor: &Anchor| {
            let served = leaf.is_some_and(|(leaf, by)| by == anchor && leaf.not_after() > self.now);
            (over || self.now >= anchor.not_after()) && !served
        };
        if retired.iter().any(goes) {
            let mut recipe = Recipe::new(Reason::Retirement, self.state);
            recipe.state.retired.retain(|anchor| !goes(anchor));
            if recipe.state.retired.is_empty() {
                recipe.state.times.retired_until = None;
            }
            return Some(recipe);
        }
        (!retired.is_empty() && self.state.times.retired_until.is_none()).then(|| {
            let until = later(self.now, signed(self.settings.leaf_lifetime));
            let leaf_ends = leaf.map_or(until, |(leaf, _)| leaf.not_after());
            let mut recipe = Recipe::new(Reason::Retiring, self.state);
            recipe.state.times.retired_until = Some(until.max(leaf_ends));
            recipe
        })
    }

    fn publish(&self) -> Option<String> {
        let wanted = self.state.bundle();
        let differs = |bundle: &Vec<u8>| bundle.as_slice() != wanted.as_bytes();
        (!wanted.is_empty() && self.bundles.texts.iter().any(differs)).then_some(wanted)
    }

    /// The Secret's leaf, once every client can have learnt to trust it. A replica that
    /// serves nothing yet need not wait: it has nothing better.
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

    /// From when on clients can be relied on to trust the CA.
    fn settled(&self, anchor: &Anchor) -> Option<Timestamp> {
        let mut published = self.memory.published.iter();
        let (_, since) = published.find(|(known, _)| known == anchor)?;
        Some(later(*since, self.settings.settle()))
    }

    /// The next time at which the answer changes by itself.
    fn wake(&self) -> Option<Timestamp> {
        let State {
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
        let ends = retired.iter().map(|anchor| Some(anchor.not_after()));
        let times = times.into_iter().chain(ends).flatten();
        times.filter(|at| *at > self.now).min()
    }

    fn leaf_order(&self, issuer: &Anchor) -> LeafOrder {
        LeafOrder {
            validity: self
                .validity(self.settings.leaf_lifetime)
                .within(issuer.not_after()),
            names: self.leaf_names(),
        }
    }

    /// Ours, and those of the leaf before it: during an upgrade old and new replicas
    /// may want different names, and must not take them from each other in turns.
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

    /// From a little before now, for clients whose clock is behind.
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
