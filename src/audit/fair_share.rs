//! Fair shares of what reviews may cause apart from their answers.
//!
//! Whoever reaches the port can post a review, and each may leave a record, an Event or a line
//! of the log. In each window of two seconds a replica has so many units of such an effect to
//! give away. A peer alone may use all of them; with n peers each gets a n-th, so that no peer
//! can use up what the others need. What comes first may be given away before the second peer
//! is seen, so all peers together use at most `units × (1 + ln n)`.
//!
//! The table has a fixed size, whatever clients do, and is made of atomics: a review never
//! waits for it. Two peers whose addresses fall on the same place (one pair in 4,096) have one
//! share; the hash has a key of its own in each process, so that nobody can aim at the place of
//! another. This module must not read a clock: the time is an argument.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// After which everybody has a full share again.
pub const WINDOW: Duration = Duration::from_secs(2);

const PLACES: usize = 4096;

/// Shares of one effect.
#[derive(Debug)]
pub struct FairShares {
    units: u32,
    /// The number of the window (upper half), and the units used in it.
    places: Box<[AtomicU64]>,
    /// The number of the window (upper half), and the peers that were seen in it.
    peers: AtomicU64,
    hasher: RandomState,
}

impl FairShares {
    /// So many units for all peers in a window.
    #[must_use]
    pub fn new(units: u32) -> Self {
        Self {
            units,
            places: (0..PLACES).map(|_| AtomicU64::default()).collect(),
            peers: AtomicU64::default(),
            hasher: RandomState::new(),
        }
    }

    /// Takes units of the share of a peer; `false`, and nothing is taken, if so many are not
    /// left. `time` is how long the process runs.
    pub fn take(&self, peer: IpAddr, units: u32, time: Duration) -> bool {
        let Some(place) = self.place(peer) else {
            return false;
        };
        let before = place.load(Relaxed);
        // Another thread may have read its clock later than this one.
        let window = window(time).max(split(before).0);
        if split(before).0 < window
            && place
                .compare_exchange(before, join(window, 0), Relaxed, Relaxed)
                .is_ok()
        {
            self.arrived(window);
        }
        let share = self.share(window);
        let taken = place.fetch_update(Relaxed, Relaxed, |now| {
            let (of, used) = split(now);
            let used = used.checked_add(units).filter(|used| *used <= share)?;
            (of == window).then(|| join(window, used))
        });
        taken.is_ok()
    }

    fn arrived(&self, window: u32) {
        let _ = self.peers.fetch_update(Relaxed, Relaxed, |now| {
            let (of, peers) = split(now);
            let peers = if of < window { 0 } else { peers };
            Some(join(of.max(window), peers.saturating_add(1)))
        });
    }

    fn share(&self, window: u32) -> u32 {
        let (of, peers) = split(self.peers.load(Relaxed));
        let peers = if of == window { peers } else { 1 };
        self.units / peers.max(1)
    }

    fn place(&self, peer: IpAddr) -> Option<&AtomicU64> {
        let hash = self.hasher.hash_one(prefix(peer));
        let place = usize::try_from(hash % PLACES as u64).ok()?;
        self.places.get(place)
    }
}

/// What one machine has: an IPv4 address, or the first half of an IPv6 address, of whose second
/// half a machine has as many as it likes (RFC 4291).
fn prefix(peer: IpAddr) -> u64 {
    match peer.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d]
                .into_iter()
                .fold(0, |prefix, segment| prefix << 16 | u64::from(segment))
        }
    }
}

/// The number of the window; from 1, because the table begins with zeros.
fn window(time: Duration) -> u32 {
    let number = time.as_millis() / WINDOW.as_millis() + 1;
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn join(upper: u32, lower: u32) -> u64 {
    u64::from(upper) << 32 | u64::from(lower)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each half is what is wanted"
)]
fn split(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// How many single units a peer gets when it takes all it can at this time.
    fn flood(shares: &FairShares, number: u8, second: u64) -> u32 {
        let time = Duration::from_secs(second);
        (0..10_000)
            .map(|_| u32::from(shares.take(peer(number), 1, time)))
            .sum()
    }

    #[test]
    fn a_peer_alone_has_everything_and_again_in_the_next_window() {
        let shares = FairShares::new(1000);
        assert_eq!(flood(&shares, 1, 0), 1000);
        assert_eq!(flood(&shares, 1, 1), 0);
        assert_eq!(flood(&shares, 1, 2), 1000);
    }

    #[test]
    fn one_peer_cannot_use_up_what_others_need_whoever_comes_first() {
        let shares = FairShares::new(1000);
        assert_eq!(flood(&shares, 1, 0), 1000);
        assert_eq!(flood(&shares, 2, 0), 500);
        assert_eq!(flood(&shares, 3, 1), 333);
        assert_eq!(flood(&shares, 1, 1), 0);
        // The next window knows nothing of the one before.
        assert_eq!(flood(&shares, 3, 2), 1000);
    }

    #[test]
    fn what_all_peers_use_together_is_bounded() {
        let shares = FairShares::new(1000);
        let all: u32 = (0..=255).map(|number| flood(&shares, number, 0)).sum();
        // 1000 × (1 + ln 256)
        assert!(all <= 6546, "{all}");
    }

    #[test]
    fn what_does_not_fit_takes_nothing() {
        let shares = FairShares::new(10);
        let take = |units| shares.take(peer(1), units, Duration::ZERO);
        assert!(take(6));
        assert!(!take(5));
        assert!(!take(u32::MAX));
        assert!(take(4));
    }

    #[test]
    fn a_thread_whose_clock_was_read_before_takes_of_the_newer_window() {
        let shares = FairShares::new(10);
        assert!(shares.take(peer(1), 6, Duration::from_secs(2)));
        assert!(!shares.take(peer(1), 6, Duration::from_secs(1)));
        assert!(shares.take(peer(1), 4, Duration::from_secs(1)));
    }

    #[test]
    fn the_second_half_of_an_ipv6_address_makes_no_other_peer() {
        let shares = FairShares::new(10);
        let take = |text: &str| shares.take(text.parse().unwrap(), 10, Duration::ZERO);
        assert!(take("2001:db8::1"));
        assert!(!take("2001:db8::ffff:1"));
        assert!(!take("2001:db8::2"));
        assert!(shares.take("::ffff:10.0.0.1".parse().unwrap(), 5, Duration::ZERO));
        assert!(!shares.take(peer(1), 1, Duration::ZERO));
    }

    #[test]
    fn threads_together_take_no_more_than_there_is() {
        let shares = FairShares::new(1000);
        let taken: u32 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| flood(&shares, 1, 0)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1000);
    }
}
