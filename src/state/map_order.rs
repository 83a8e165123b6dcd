//! Which of two versions of the registry map is the newer one, when the map comes both from
//! the API server and from files that the kubelet writes later.
//!
//! The API server tells a change at once, and always the newest version. The kubelet writes
//! the same versions into the mounted files, in the same order, a minute or two later. So
//! what the API server tells counts, and a version in the files counts only where it cannot
//! be an old one. This module compares digests, and must not read anything.

use ring::digest::{Context, SHA256};
use std::collections::VecDeque;

/// The versions before the newest one that are remembered.
const EARLIER: usize = 32;

/// The digest of one version of the map, or of why it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version([u8; 32]);

impl Version {
    /// The version with these texts, in their order. Names do not count, because a file may be
    /// mounted under another one.
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut context = Context::new(&SHA256);
        for text in texts {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(digest)
    }
}

/// What the files show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileVersion {
    /// A version.
    Readable(Version),
    /// Nothing that can be read.
    Unreadable,
}

/// The versions so far.
#[derive(Debug, Default)]
pub struct MapOrder {
    newest: Option<Version>,
    // Whether the API server has told a version.
    is_told: bool,
    // Whether the files have shown the newest version since it is the newest.
    is_caught_up: bool,
    shown: Option<Version>,
    earlier: VecDeque<Version>,
}

impl MapOrder {
    /// The API server tells this version; whether it is to be put in force.
    pub fn told(&mut self, version: Version) -> bool {
        self.is_told = true;
        self.advance(version)
    }

    /// The files show something else than before; whether that is to be put in force.
    /// `is_watching` says whether the API server answers.
    pub fn shows(&mut self, file: FileVersion, is_watching: bool) -> bool {
        let FileVersion::Readable(version) = file else {
            // Files that vanish are no new map; without any map the log must say why.
            return !self.is_told;
        };
        self.shown = Some(version);
        if self.newest == Some(version) {
            self.is_caught_up = true;
            return !self.is_told;
        }
        let is_newer = if self.is_told {
            // The kubelet keeps the order: what follows the newest version is newer. Before
            // that, one that nobody has told can be older too, and the API server, while it
            // answers, would have told a newer one.
            self.is_caught_up || (!is_watching && !self.earlier.contains(&version))
        } else {
            true
        };
        let advances = is_newer && self.advance(version);
        // The files themselves have brought it.
        self.is_caught_up |= advances;
        advances
    }

    fn advance(&mut self, version: Version) -> bool {
        if self.newest == Some(version) {
            return false;
        }
        if let Some(before) = self.newest.replace(version) {
            if self.earlier.len() == EARLIER {
                self.earlier.pop_front();
            }
            self.earlier.push_back(before);
        }
        // After a return to an earlier version the files may still show it from before.
        self.is_caught_up = self.shown == Some(version) && !self.earlier.contains(&version);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::of([text].into_iter())
    }

    fn file(text: &str) -> FileVersion {
        FileVersion::Readable(version(text))
    }

    /// After a start with version 1 in the files, which the API server has told too.
    fn started() -> MapOrder {
        let mut order = MapOrder::default();
        assert!(order.shows(file("1"), false));
        assert!(!order.told(version("1")), "the same again is no news");
        order
    }

    #[test]
    fn texts_make_a_version_and_not_what_they_are_joined_to() {
        let of = |texts: &[&str]| Version::of(texts.iter().copied());
        assert_ne!(of(&["a", "bc"]), of(&["ab", "c"]));
        assert_ne!(of(&[""]), of(&[]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    }

    #[test]
    fn without_an_api_server_every_change_of_the_files_counts() {
        let mut order = MapOrder::default();
        assert!(order.shows(FileVersion::Unreadable, false));
        for text in ["1", "2", "1"] {
            assert!(order.shows(file(text), false), "{text}");
        }
        assert!(order.shows(FileVersion::Unreadable, false));
    }

    #[test]
    fn files_that_lag_behind_never_bring_an_older_version_back() {
        for is_watching in [true, false] {
            let mut order = started();
            assert!(order.told(version("2")));
            assert!(order.told(version("3")));
            assert!(!order.shows(file("2"), is_watching));
            assert!(!order.shows(file("3"), is_watching));
        }
    }

    #[test]
    fn a_version_that_the_watch_has_missed_is_old_while_the_api_server_answers() {
        let mut order = started();
        assert!(order.told(version("3")));
        assert!(!order.shows(file("2"), true));
    }

    #[test]
    fn a_start_with_old_files_goes_forward() {
        let mut order = MapOrder::default();
        assert!(order.shows(file("1"), false));
        assert!(order.told(version("2")));
        assert!(!order.shows(file("1"), true));
        assert!(!order.shows(file("2"), true));
    }

    #[test]
    fn while_the_api_server_is_away_the_files_bring_new_versions() {
        let mut order = started();
        // The files have shown version 1: what follows is newer, a return to 1 too.
        for text in ["2", "1", "4"] {
            assert!(order.shows(file(text), false), "{text}");
        }
        // When the API server is back, it tells what is known.
        assert!(!order.told(version("4")));
        // The kubelet never showed version 5, and 6 follows it.
        assert!(order.told(version("5")));
        assert!(order.shows(file("6"), false));
    }

    #[test]
    fn a_rollback_that_the_api_server_tells_counts() {
        let mut order = started();
        assert!(order.told(version("2")));
        assert!(order.told(version("1")));
        // The files have shown version 1 all the time, and now show 2 for a while.
        for is_watching in [true, false] {
            assert!(!order.shows(file("2"), is_watching));
        }
        assert!(!order.shows(file("1"), true));
        assert!(order.shows(file("3"), false));
    }

    #[test]
    fn files_that_vanish_are_no_new_map() {
        let mut order = started();
        assert!(!order.shows(FileVersion::Unreadable, true));
        assert!(!order.shows(FileVersion::Unreadable, false));
    }
}
