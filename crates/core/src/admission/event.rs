//! Which decision records become an Event of Kubernetes, and how many Events there are.
//!
//! Nobody sees a warning about a pod that a controller creates, because the controller drops
//! it. People look at the Events of the controller's object instead. There are no Events
//! about denials, because controllers write those themselves (`FailedCreate`).
//!
//! Everybody who reaches the port can post a review, so Events are limited: the same Event
//! once in ten minutes, and a maximum for each namespace and for all namespaces. Peers share
//! both maxima: with n of them each gets a n-th, so that one peer with forged reviews cannot
//! use up what the API server needs. The name of an Event is a digest of its content and of
//! the ten minutes, so that two replicas with the same warning create one Event. This module
//! must not read a clock or call the API server; the time is an argument.

use super::record::{DecisionRecord, Owner};
use super::{Endpoint, Outcome};
use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

/// The window in which the same Event is created once, in seconds.
const WINDOW_SECONDS: i64 = 600;
/// The most Events of one namespace in a window, for all peers.
const MOST_PER_NAMESPACE: usize = 20;
/// The most Events of all namespaces in a window, for all peers.
const MOST_IN_TOTAL: usize = 500;
/// The most peers with a share of their own; all further ones have one together.
const MOST_PEERS: usize = 32;
/// The most bytes of `note` (`pkg/apis/core/validation/events.go`, `NoteLengthLimit`).
const MOST_NOTE_BYTES: usize = 1024;

/// The content of an Event of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The namespace of the pod and of its owner.
    pub namespace: String,
    /// The owner that controls the pod, on whose object the Event appears.
    pub regarding: Owner,
    /// The reason, for programs.
    pub reason: &'static str,
    /// The first message of the record, escaped and cut.
    pub note: String,
}

impl Event {
    /// The Event of a record; `None` if the outcome needs no Event or a user saw the warning.
    #[must_use]
    pub fn of(record: &DecisionRecord) -> Option<Self> {
        let reason = match record.outcome() {
            Outcome::Warned => "PullpassWarning",
            Outcome::WouldDeny => "PullpassWouldDeny",
            Outcome::Untouched | Outcome::Patched | Outcome::Audited | Outcome::Denied => {
                return None;
            }
        };
        let is_new = record.endpoint() == Endpoint::Validate && record.is_create();
        if !is_new || record.is_dry_run() || !is_program(record.username()) {
            return None;
        }
        // It becomes a part of an API path, and whoever reaches the port can post a review.
        if !is_namespace(record.namespace()) {
            return None;
        }
        let (first, more) = record.messages().split_first()?;
        let more = match more.len() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(Self {
            namespace: record.namespace().to_owned(),
            regarding: record.owner()?.clone(),
            reason,
            note: cut_to_bytes(first, MOST_NOTE_BYTES - more.len()).to_owned() + &more,
        })
    }

    /// The name of the Event in a window; equal Events have equal names.
    fn name(&self, window: i64) -> String {
        let Owner {
            api_version,
            kind,
            name,
            uid,
        } = &self.regarding;
        let mut context = Context::new(&SHA256);
        context.update(&window.to_be_bytes());
        for part in [&self.namespace, api_version, kind, name, uid, &self.note] {
            context.update(&part.len().to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut text = "pullpass.".to_owned();
        for byte in context.finish().as_ref().iter().take(16) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Whether a text can be the name of a namespace: a DNS label (RFC 1123; `ValidateNamespaceName`
/// in `pkg/apis/core/validation`).
fn is_namespace(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a user is a program, whose warnings nobody sees: a ServiceAccount, or the
/// controllers if they do not have `ServiceAccounts` of their own (`pkg/controller`,
/// `kube-controller-manager` without `--use-service-account-credentials`).
fn is_program(username: &str) -> bool {
    username.starts_with("system:serviceaccount:") || username == "system:kube-controller-manager"
}

fn cut_to_bytes(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes))
        .unwrap_or_default()
}

/// What happens to an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// The caller creates the Event with this name.
    Make(String),
    /// An equal Event was created in this window.
    Repeated,
    /// The window has reached a maximum.
    TooMany,
}

/// The Events that were created in the current window. Its size is bounded by the maxima.
#[derive(Debug, Default)]
pub struct EventBudget {
    window: i64,
    made: HashSet<String>,
    total: PeerCounts,
    namespaces: HashMap<String, PeerCounts>,
}

/// How many Events each peer has caused; `None` stands for all verified callers together, and
/// for those above [`MOST_PEERS`].
#[derive(Debug, Default)]
struct PeerCounts(HashMap<Option<IpAddr>, usize>);

impl PeerCounts {
    /// The peer, or what it is counted with.
    fn counted_as(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        peer.filter(|_| self.0.contains_key(&peer) || self.0.len() < MOST_PEERS)
    }

    /// Whether the peer has caused fewer Events than its share of so many.
    fn is_below(&self, most: usize, peer: Option<IpAddr>) -> bool {
        let made = self.0.get(&peer);
        let peers = self.0.len() + usize::from(made.is_none());
        made.copied().unwrap_or(0) < (most / peers).max(1)
    }

    fn add(&mut self, peer: Option<IpAddr>) {
        *self.0.entry(peer).or_default() += 1;
    }
}

impl EventBudget {
    /// Decides about one Event, and counts it if it is to be created. `peer` is the address
    /// that it comes from, `None` when the caller is verified.
    pub fn ask(&mut self, event: &Event, peer: Option<IpAddr>, now: Timestamp) -> EventOutcome {
        let window = now.as_second().div_euclid(WINDOW_SECONDS);
        if window != self.window {
            *self = Self {
                window,
                ..Self::default()
            };
        }
        let name = event.name(window);
        if self.made.contains(&name) {
            return EventOutcome::Repeated;
        }
        let peer = self.total.counted_as(peer);
        let none = PeerCounts::default();
        let here = self.namespaces.get(&event.namespace).unwrap_or(&none);
        if !here.is_below(MOST_PER_NAMESPACE, peer) || !self.total.is_below(MOST_IN_TOTAL, peer) {
            return EventOutcome::TooMany;
        }
        self.total.add(peer);
        let here = self.namespaces.entry(event.namespace.clone()).or_default();
        here.add(peer);
        self.made.insert(name.clone());
        EventOutcome::Make(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(namespace: &str, owner: &str, note: &str) -> Event {
        Event {
            namespace: namespace.to_owned(),
            regarding: Owner {
                api_version: "apps/v1".to_owned(),
                kind: "ReplicaSet".to_owned(),
                name: owner.to_owned(),
                uid: format!("uid-of-{owner}"),
            },
            reason: "PullpassWarning",
            note: note.to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn equal_events_are_created_once_in_ten_minutes() {
        let mut budget = EventBudget::default();
        let first = budget.ask(&event("shop", "web", "old"), None, at(6000));
        assert!(matches!(&first, EventOutcome::Make(name) if name.len() == "pullpass.".len() + 32));
        for second in [6000, 6001, 6599] {
            let again = budget.ask(&event("shop", "web", "old"), None, at(second));
            assert_eq!(again, EventOutcome::Repeated, "{second}");
        }
        for (namespace, owner, note) in [
            ("shop", "api", "old"),
            ("shop", "web", "new"),
            ("team", "web", "old"),
        ] {
            let other = budget.ask(&event(namespace, owner, note), None, at(6599));
            assert!(
                matches!(other, EventOutcome::Make(_)),
                "{namespace}/{owner} {note}"
            );
        }
        let later = budget.ask(&event("shop", "web", "old"), None, at(6600));
        assert!(matches!(&later, EventOutcome::Make(_)) && later != first);
    }

    #[test]
    fn another_replica_gives_an_equal_event_the_same_name() {
        let [one, two] = [6000, 6321].map(|second| {
            let mut budget = EventBudget::default();
            budget.ask(&event("shop", "web", "old"), None, at(second))
        });
        assert_eq!(one, two);
    }

    #[test]
    fn one_namespace_cannot_use_the_budget_of_all_and_the_total_is_bounded() {
        let mut budget = EventBudget::default();
        let mut makes = |namespace: &str, count: usize| {
            (0..count)
                .map(|number| event(namespace, &number.to_string(), "old"))
                .filter(|event| matches!(budget.ask(event, None, at(0)), EventOutcome::Make(_)))
                .count()
        };
        assert_eq!(makes("loud", 1000), MOST_PER_NAMESPACE);
        assert_eq!(makes("quiet", 3), 3);
        let others: usize = (0..1000)
            .map(|number| makes(&format!("n{number}"), 1))
            .sum();
        assert_eq!(others, MOST_IN_TOTAL - MOST_PER_NAMESPACE - 3);
        assert!(budget.made.len() == MOST_IN_TOTAL && budget.namespaces.len() <= MOST_IN_TOTAL);
        assert!(matches!(
            budget.ask(&event("n999", "web", "old"), None, at(WINDOW_SECONDS)),
            EventOutcome::Make(_)
        ));
    }

    /// How many Events a peer can cause in this namespace.
    fn makes(budget: &mut EventBudget, peer: u8, namespace: &str) -> usize {
        let peer = Some(IpAddr::from([10, 0, 0, peer]));
        (0..2 * MOST_PER_NAMESPACE)
            .map(|number| event(namespace, &format!("{peer:?}-{number}"), "old"))
            .filter(|event| matches!(budget.ask(event, peer, at(0)), EventOutcome::Make(_)))
            .count()
    }

    #[test]
    fn one_peer_cannot_use_up_the_events_of_a_namespace_or_of_all() {
        let mut budget = EventBudget::default();
        assert_eq!(makes(&mut budget, 1, "shop"), MOST_PER_NAMESPACE);
        assert_eq!(makes(&mut budget, 2, "shop"), MOST_PER_NAMESPACE / 2);
        let forged: usize = (0..100)
            .map(|number| makes(&mut budget, 1, &format!("n{number}")))
            .sum();
        assert_eq!(forged, MOST_IN_TOTAL / 2 - MOST_PER_NAMESPACE);
        let honest: usize = (0..10)
            .map(|number| makes(&mut budget, 2, &format!("m{number}")))
            .sum();
        assert_eq!(honest, 10 * MOST_PER_NAMESPACE);
    }

    #[test]
    fn what_many_peers_cause_together_is_bounded() {
        let mut budget = EventBudget::default();
        let all: usize = (0..100)
            .flat_map(|peer| (0..30).map(move |namespace| (peer, format!("n{namespace}"))))
            .map(|(peer, namespace)| makes(&mut budget, peer, &namespace))
            .sum();
        // MOST_IN_TOTAL × (1 + ln 33)
        assert!(all <= 2248, "{all}");
        assert!(budget.made.len() == all && budget.total.0.len() == MOST_PEERS + 1);
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(cut_to_bytes("aé", 2), "a");
        assert_eq!(cut_to_bytes("aé", 3), "aé");
    }
}
