//! The dates of entries: which entries change a decision soon, and which have changed one.
//!
//! This module must not read a clock; callers pass the time and report the events.

use super::{Entry, Policy};
use jiff::{SignedDuration, Timestamp};

/// How long before a date of an entry pullpass speaks of it.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// When pullpass begins to speak of a date.
fn notice_of(date: Timestamp) -> Timestamp {
    // The subtraction fails only for dates near the earliest timestamp.
    date.checked_sub(NOTICE).unwrap_or(Timestamp::MIN)
}

/// Whether a date has not come yet and pullpass speaks of it.
pub(super) fn is_soon(date: Timestamp, now: Timestamp) -> bool {
    now < date && notice_of(date) <= now
}

/// What a date does to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateEventKind {
    /// Its `until` is less than 14 days away.
    ExpiresSoon,
    /// Its `until` has passed: the entry has no effect.
    Expired,
    /// Its `from` is less than 14 days away.
    DeniesSoon,
    /// Its `from` has passed: images that got a warning are denied.
    Denies,
}

/// A date of an entry that has passed or is near.
#[derive(Debug, Clone, Copy)]
pub struct DateEvent<'p> {
    /// The entry.
    pub entry: &'p Entry,
    /// What the date does to it.
    pub kind: DateEventKind,
    /// The `until` or `from`.
    pub date: Timestamp,
    // When the event happens: `date`, or 14 days before it.
    at: Timestamp,
}

impl DateEvent<'_> {
    /// Whether the event changes decisions; the other events only announce a change.
    fn is_change(&self) -> bool {
        matches!(self.kind, DateEventKind::Expired | DateEventKind::Denies)
    }
}

impl Policy {
    /// The events after one instant and up to another, in the order of time.
    ///
    /// Without the first instant, which means that the map was just loaded, these are the
    /// changes that are near and the entries that have expired and can be removed from the
    /// map.
    #[must_use]
    pub fn date_events(&self, after: Option<Timestamp>, now: Timestamp) -> Vec<DateEvent<'_>> {
        let mut events: Vec<DateEvent<'_>> = self
            .all_date_events()
            .filter(|event| event.at <= now)
            .filter(|event| match after {
                Some(after) => after < event.at,
                None => match event.kind {
                    DateEventKind::ExpiresSoon | DateEventKind::DeniesSoon => now < event.date,
                    DateEventKind::Expired => true,
                    // The entry denies now, as entries without `from` do.
                    DateEventKind::Denies => false,
                },
            })
            .collect();
        events.sort_by_key(|event| event.at);
        events
    }

    /// When the next event of [`Self::date_events`] happens.
    #[must_use]
    pub fn next_date_event(&self, now: Timestamp) -> Option<Timestamp> {
        let dates = self.all_date_events().map(|event| event.at);
        dates.filter(|at| now < *at).min()
    }

    /// When decisions next change although the map does not: an entry expires, or a deny
    /// takes effect.
    #[must_use]
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let changes = self.all_date_events().filter(DateEvent::is_change);
        changes.map(|event| event.at).filter(|at| now < *at).min()
    }

    fn all_date_events(&self) -> impl Iterator<Item = DateEvent<'_>> {
        self.entries.iter().flat_map(events_of)
    }
}

fn events_of(entry: &Entry) -> impl Iterator<Item = DateEvent<'_>> {
    let of = move |date: Option<Timestamp>, soon, then| {
        let events = date.map(|date| {
            [(soon, notice_of(date)), (then, date)].map(|(kind, at)| DateEvent {
                entry,
                kind,
                date,
                at,
            })
        });
        events.into_iter().flatten()
    };
    of(
        entry.until(),
        DateEventKind::ExpiresSoon,
        DateEventKind::Expired,
    )
    .chain(of(
        entry.from(),
        DateEventKind::DeniesSoon,
        DateEventKind::Denies,
    ))
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

    fn events(after: Option<&str>, now: &str) -> Vec<(String, DateEventKind)> {
        let policy = policy();
        let events = policy.date_events(after.map(at), at(now));
        events
            .iter()
            .map(|event| (event.entry.name.clone(), event.kind))
            .collect()
    }

    #[test]
    fn each_event_is_returned_once_whatever_the_interval() {
        use DateEventKind::{Denies, DeniesSoon, Expired, ExpiresSoon};
        let all = [
            ("old", DeniesSoon),
            ("guest", ExpiresSoon),
            ("old", Denies),
            ("guest", Expired),
        ]
        .map(|(name, kind)| (name.to_owned(), kind));
        let policy = policy();
        let mut now = at("2026-12-01T00:00:00");
        let mut seen = events(None, "2026-12-01T00:00:00");
        assert_eq!(seen, []);
        while let Some(next) = policy.next_date_event(now) {
            for event in policy.date_events(Some(now), next) {
                seen.push((event.entry.name.clone(), event.kind));
            }
            assert_eq!(policy.date_events(Some(next), next).len(), 0);
            now = next;
        }
        assert_eq!(seen, all);
        assert_eq!(
            now,
            at("2027-02-01T00:00:00"),
            "the entry is valid to the end of the day"
        );
        // A long interval returns all its events at once.
        assert_eq!(
            events(Some("2026-12-01T00:00:00"), "2030-01-01T00:00:00"),
            all
        );
    }

    #[test]
    fn a_map_that_was_just_loaded_returns_what_needs_a_change() {
        let named = |name: &str, kind| vec![(name.to_owned(), kind)];
        assert_eq!(events(None, "2027-01-05T23:59:59"), []);
        assert_eq!(
            events(None, "2027-01-06T00:00:00"),
            named("old", DateEventKind::DeniesSoon)
        );
        assert_eq!(
            events(None, "2027-01-21T00:00:00"),
            named("guest", DateEventKind::ExpiresSoon)
        );
        assert_eq!(
            events(None, "2027-02-01T00:00:00"),
            named("guest", DateEventKind::Expired)
        );
    }
}
