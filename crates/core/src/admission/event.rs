//! Which records become an Event of Kubernetes, and how many.
//!
//! A warning about a pod that a controller made is shown to nobody: the controller
//! drops it. An Event on the controller's object is where people look. Denials are
//! left out, since the controllers write those themselves (`FailedCreate`).
//!
//! A review proves nothing, whoever reaches the port can post one, so Events are few:
//! each text once in ten minutes for an owner, so many a namespace, so many together.
//! The name of an Event is made of what it says and of the ten minutes, so that two
//! replicas that say the same make one Event. Pure: the time is an argument.

use super::record::{DecisionRecord, Owner};
use super::{Endpoint, Outcome};
use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// How long an Event stands for all that are like it, in seconds.
const WINDOW: i64 = 600;
/// The most Events of one namespace in that time.
const OF_A_NAMESPACE: usize = 20;
/// The most Events of all namespaces in that time.
const TOGETHER: usize = 500;
/// The most bytes of `note` (`pkg/apis/core/validation/events.go`, `NoteLengthLimit`).
const NOTE: usize = 1024;

/// What an Event says, and about whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The namespace of the pod and of its owner.
    pub namespace: String,
    /// The owner that controls the pod.
    pub regarding: Owner,
    /// A word for programs.
    pub reason: &'static str,
    /// What was said, escaped and cut.
    pub note: String,
}

impl Event {
    /// The Event of a record: none where somebody at a terminal was told, or nothing
    /// happened.
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
        let (first, more) = record.messages().split_first()?;
        let more = match more.len() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(Self {
            namespace: record.namespace().to_owned(),
            regarding: record.owner()?.clone(),
            reason,
            note: fitting(first, NOTE - more.len()).to_owned() + &more,
        })
    }

    /// The Event's name in a window: the same for the same Event.
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
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Whether a user is a program, which shows warnings to nobody: a ServiceAccount, or
/// the controllers where they have none of their own (`pkg/controller`,
/// `kube-controller-manager` without `--use-service-account-credentials`).
fn is_program(username: &str) -> bool {
    username.starts_with("system:serviceaccount:") || username == "system:kube-controller-manager"
}

fn fitting(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes))
        .unwrap_or_default()
}

/// What becomes of an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// It is to be made, by this name.
    Make(String),
    /// The same was made in this window.
    Repeated,
    /// There were enough in this window.
    TooMany,
}

/// What was made in the current window. Bounded: it grows only with what is made.
#[derive(Debug, Default)]
pub struct Budget {
    window: i64,
    made: HashSet<String>,
    namespaces: HashMap<String, usize>,
}

impl Budget {
    /// Decides about one Event, and remembers.
    pub fn ask(&mut self, event: &Event, now: Timestamp) -> Share {
        let window = now.as_second().div_euclid(WINDOW);
        if window != self.window {
            *self = Self {
                window,
                ..Self::default()
            };
        }
        let name = event.name(window);
        if self.made.contains(&name) {
            return Share::Repeated;
        }
        let of_it = self.namespaces.get(&event.namespace).copied().unwrap_or(0);
        if of_it >= OF_A_NAMESPACE || self.made.len() >= TOGETHER {
            return Share::TooMany;
        }
        self.namespaces.insert(event.namespace.clone(), of_it + 1);
        self.made.insert(name.clone());
        Share::Make(name)
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
    fn the_same_is_said_once_in_ten_minutes() {
        let mut budget = Budget::default();
        let first = budget.ask(&event("shop", "web", "old"), at(6000));
        assert!(matches!(&first, Share::Make(name) if name.len() == "pullpass.".len() + 32));
        for second in [6000, 6001, 6599] {
            let again = budget.ask(&event("shop", "web", "old"), at(second));
            assert_eq!(again, Share::Repeated, "{second}");
        }
        for (namespace, owner, note) in [
            ("shop", "api", "old"),
            ("shop", "web", "new"),
            ("team", "web", "old"),
        ] {
            let other = budget.ask(&event(namespace, owner, note), at(6599));
            assert!(
                matches!(other, Share::Make(_)),
                "{namespace}/{owner} {note}"
            );
        }
        let later = budget.ask(&event("shop", "web", "old"), at(6600));
        assert!(matches!(&later, Share::Make(_)) && later != first);
    }

    #[test]
    fn another_replica_gives_it_the_same_name() {
        let [one, two] = [6000, 6321].map(|second| {
            let mut budget = Budget::default();
            budget.ask(&event("shop", "web", "old"), at(second))
        });
        assert_eq!(one, two);
    }

    #[test]
    fn one_namespace_cannot_take_the_share_of_all_and_all_have_a_bound() {
        let mut budget = Budget::default();
        let mut makes = |namespace: &str, count: usize| {
            (0..count)
                .map(|number| event(namespace, &number.to_string(), "old"))
                .filter(|event| matches!(budget.ask(event, at(0)), Share::Make(_)))
                .count()
        };
        assert_eq!(makes("loud", 1000), OF_A_NAMESPACE);
        assert_eq!(makes("quiet", 3), 3);
        let others: usize = (0..1000)
            .map(|number| makes(&format!("n{number}"), 1))
            .sum();
        assert_eq!(others, TOGETHER - OF_A_NAMESPACE - 3);
        assert!(budget.made.len() == TOGETHER && budget.namespaces.len() <= TOGETHER);
        assert!(matches!(
            budget.ask(&event("n999", "web", "old"), at(WINDOW)),
            Share::Make(_)
        ));
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(fitting("aé", 2), "a");
        assert_eq!(fitting("aé", 3), "aé");
    }
}
