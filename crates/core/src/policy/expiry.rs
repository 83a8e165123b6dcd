//! What the dates of entries do to a map as time goes by: what is soon to change, and
//! what has changed. It must not look at a clock; who tells people is an edge.

use super::{Action, ENDS_SOON, Entry, Policy};
use jiff::Timestamp;

/// Something that time does to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its `until` is less than 14 days away.
    EndsSoon,
    /// Its `until` has come: it is as if absent.
    Ended,
    /// Its `from` is less than 14 days away.
    DeniesSoon,
    /// Its `from` has come: what was a warning is a refusal.
    Denies,
}

/// A turn, when it comes.
#[derive(Debug, Clone, Copy)]
pub struct Turned<'p> {
    /// Whose.
    pub entry: &'p Entry,
    /// What.
    pub turn: Turn,
    /// The `until` or `from` that it is about.
    pub date: Timestamp,
    at: Timestamp,
}

impl Policy {
    /// What has turned after one instant and up to another, in the order of time.
    ///
    /// Without the first instant, as for a map that was just loaded: what is soon to
    /// turn, and what has ended and could be taken out of the map.
    #[must_use]
    pub fn turned(&self, after: Option<Timestamp>, now: Timestamp) -> Vec<Turned<'_>> {
        let mut turned: Vec<Turned<'_>> = self
            .entries
            .iter()
            .flat_map(turns)
            .filter(|turned| turned.at <= now)
            .filter(|turned| match after {
                Some(after) => after < turned.at,
                None => match turned.turn {
                    Turn::EndsSoon | Turn::DeniesSoon => now < turned.date,
                    Turn::Ended => true,
                    // A deny like any other by now.
                    Turn::Denies => false,
                },
            })
            .collect();
        turned.sort_by_key(|turned| turned.at);
        turned
    }

    /// When [`Self::turned`] next has something to say.
    #[must_use]
    pub fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        let turns = self.entries.iter().flat_map(turns);
        turns.map(|turned| turned.at).filter(|at| now < *at).min()
    }
}

fn turns(entry: &Entry) -> impl Iterator<Item = Turned<'_>> {
    let of = move |date: Option<Timestamp>, soon, then| {
        let turns = date.map(|date| {
            // A date at the beginning of time is long over.
            let before = date.checked_sub(ENDS_SOON).unwrap_or(Timestamp::MIN);
            [(soon, before), (then, date)].map(|(turn, at)| Turned {
                entry,
                turn,
                date,
                at,
            })
        });
        turns.into_iter().flatten()
    };
    let from = entry.from.filter(|_| entry.action == Action::Deny);
    of(entry.until, Turn::EndsSoon, Turn::Ended).chain(of(from, Turn::DeniesSoon, Turn::Denies))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{self, Options, SourceFile};

    fn policy() -> Policy {
        let text = "apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: guest, match: guest.example, until: 2027-01-31}
  - {name: old, match: old.example, action: deny, from: 2027-01-20}
  - {name: plain, match: plain.example}
";
        let files = [SourceFile {
            name: "map".to_owned(),
            text: text.to_owned(),
        }];
        map::load(&files, &Options::default()).unwrap().policy
    }

    fn at(text: &str) -> Timestamp {
        format!("{text}Z").parse().unwrap()
    }

    fn told(after: Option<&str>, now: &str) -> Vec<(String, Turn)> {
        let policy = policy();
        let turned = policy.turned(after.map(at), at(now));
        let turned = turned.iter();
        turned
            .map(|turned| (turned.entry.name.clone(), turned.turn))
            .collect()
    }

    #[test]
    fn each_turn_is_told_once_whenever_one_looks() {
        use Turn::{Denies, DeniesSoon, Ended, EndsSoon};
        let all = [
            ("old", DeniesSoon),
            ("guest", EndsSoon),
            ("old", Denies),
            ("guest", Ended),
        ]
        .map(|(name, turn)| (name.to_owned(), turn));
        let policy = policy();
        let mut now = at("2026-12-01T00:00:00");
        let mut seen = told(None, "2026-12-01T00:00:00");
        assert_eq!(seen, []);
        while let Some(next) = policy.next_turn(now) {
            for turned in policy.turned(Some(now), next) {
                seen.push((turned.entry.name.clone(), turned.turn));
            }
            assert_eq!(policy.turned(Some(next), next).len(), 0);
            now = next;
        }
        assert_eq!(seen, all);
        assert_eq!(now, at("2027-02-01T00:00:00"), "the day counts to its end");
        // Who slept through all of it hears it in one go.
        assert_eq!(
            told(Some("2026-12-01T00:00:00"), "2030-01-01T00:00:00"),
            all
        );
    }

    #[test]
    fn a_map_that_is_loaded_tells_what_is_worth_a_change() {
        let named = |name: &str, turn| vec![(name.to_owned(), turn)];
        assert_eq!(told(None, "2027-01-05T23:59:59"), []);
        assert_eq!(
            told(None, "2027-01-06T00:00:00"),
            named("old", Turn::DeniesSoon)
        );
        assert_eq!(
            told(None, "2027-01-21T00:00:00"),
            named("guest", Turn::EndsSoon)
        );
        assert_eq!(
            told(None, "2027-02-01T00:00:00"),
            named("guest", Turn::Ended)
        );
    }
}
