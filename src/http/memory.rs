//! The memory of large bodies: how much they may hold together, and which one is given up when
//! others wait for it.
//!
//! A large body gets its memory as a whole, before it is read, so that no two of them each hold
//! a part and wait for more. A small one needs none: the table of connections bounds how many
//! there are, and so what they hold. This module must not read a body.

use super::peer::Peer;
use super::shares::{Share, Shares};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A body that others wait for must come at this pace: it has the time of grace, and for each of
/// its parts that part of the whole time. So many that come at once are read one after the other
/// and none is given up, and one that stalls is, wherever it stalls.
const GRACE: Duration = Duration::from_secs(1);
const WHOLE: Duration = Duration::from_secs(2);

/// How often those who wait look for a body to give up.
const LOOK: Duration = Duration::from_millis(50);

/// As many requests as may wait for memory.
const MOST_WAITING: usize = 256;

/// The memory that large bodies together may hold; clones are the same memory.
#[derive(Debug, Clone)]
pub struct Budget {
    bytes: Shares,
    arriving: Arc<Mutex<Arrivals>>,
}

#[derive(Debug, Default)]
struct Arrivals {
    bodies: HashMap<u64, Arrival>,
    next: u64,
    /// When bodies were given up last.
    gave_up: Option<Instant>,
}

/// A large body that is being read.
#[derive(Debug)]
struct Arrival {
    peer: Option<Peer>,
    bytes: usize,
    received: Arc<AtomicUsize>,
    began: Instant,
    give_up: CancellationToken,
}

/// The memory of a body that is being read.
#[derive(Debug)]
pub(super) struct Reservation {
    share: Option<Share>,
    number: u64,
    arriving: Arc<Mutex<Arrivals>>,
    received: Arc<AtomicUsize>,
    give_up: CancellationToken,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: Shares::new(bytes, MOST_WAITING),
            arriving: Arc::default(),
        }
    }

    /// How many bytes are held at the moment.
    #[must_use]
    pub fn used(&self) -> usize {
        self.bytes.used()
    }

    /// How many bytes may be held at most.
    #[must_use]
    pub fn total(&self) -> usize {
        self.bytes.total()
    }

    /// Waits for the memory of a body that will have so many bytes. Meanwhile bodies that cost
    /// much are given up. `None` if too many wait.
    pub(super) async fn reserve(&self, peer: Option<Peer>, bytes: usize) -> Option<Reservation> {
        let look = async {
            loop {
                arrivals(&self.arriving).give_up(bytes);
                sleep(LOOK).await;
            }
        };
        let share = tokio::select! {
            biased;
            share = self.bytes.take(peer, bytes) => share?,
            () = look => return None,
        };
        let give_up = CancellationToken::new();
        let received = Arc::<AtomicUsize>::default();
        let mut arriving = arrivals(&self.arriving);
        let number = arriving.next;
        arriving.next += 1;
        let arrival = Arrival {
            peer,
            bytes: share.units(),
            received: Arc::clone(&received),
            began: Instant::now(),
            give_up: give_up.clone(),
        };
        arriving.bodies.insert(number, arrival);
        Some(Reservation {
            share: Some(share),
            number,
            arriving: Arc::clone(&self.arriving),
            received,
            give_up,
        })
    }
}

impl Reservation {
    /// So many bytes of the body are here.
    pub(super) fn received(&self, bytes: usize) {
        self.received.store(bytes, Relaxed);
    }

    /// Ready when the body must be given up.
    pub(super) async fn given_up(&self) {
        self.give_up.cancelled().await;
    }

    /// The body has arrived and has so many bytes; it will not be given up any more.
    pub(super) fn arrived(mut self, bytes: usize) -> Option<Share> {
        let mut share = self.share.take()?;
        share.shrink_to(bytes);
        Some(share)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        arrivals(&self.arriving).bodies.remove(&self.number);
    }
}

impl Arrival {
    /// The age up to which the body is not late.
    fn pace(&self) -> Duration {
        let received = self.received.load(Relaxed).min(self.bytes);
        let micros = WHOLE.as_micros() * received as u128 / self.bytes.max(1) as u128;
        GRACE + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl Arrivals {
    /// Gives up bodies that come too slowly, until so many bytes are free: of the peer that holds
    /// most the one that has cost most, which is its bytes times its age. So a large one goes
    /// before an ordinary one.
    fn give_up(&mut self, bytes: usize) {
        let now = Instant::now();
        if self.gave_up.is_some_and(|last| now - last < LOOK) {
            return;
        }
        let mut of_peer: HashMap<Option<Peer>, usize> = HashMap::new();
        for body in self.bodies.values() {
            *of_peer.entry(body.peer).or_default() += body.bytes;
        }
        let is_late = |body: &&Arrival| now - body.began >= body.pace();
        let mut late: Vec<_> = (self.bodies.values())
            .filter(|body| is_late(body) && !body.give_up.is_cancelled())
            .collect();
        let cost = |body: &Arrival| body.bytes as u128 * (now - body.began).as_millis();
        late.sort_by_key(|body| Reverse((of_peer.get(&body.peer).copied(), cost(body))));
        let mut freed = 0;
        for body in late {
            if freed >= bytes {
                break;
            }
            body.give_up.cancel();
            freed += body.bytes;
            self.gave_up = Some(now);
        }
    }
}

/// Nothing panics while it holds the lock, so a poisoned lock means nothing.
fn arrivals(arriving: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arriving.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(20);

    fn peer(last: u8) -> Peer {
        Peer::new([10, 0, 0, last].into())
    }

    impl Budget {
        async fn reserved(&self, of: u8, bytes: usize) -> Reservation {
            let reservation = timeout(SOON, self.reserve(Some(peer(of)), bytes)).await;
            reservation.unwrap().unwrap()
        }

        /// As if the body had begun this long ago.
        fn make_older(&self, reservation: &Reservation, age: Duration) {
            let mut arriving = arrivals(&self.arriving);
            arriving.bodies.get_mut(&reservation.number).unwrap().began -= age;
        }
    }

    fn is_given_up(reservation: &Reservation) -> bool {
        reservation.give_up.is_cancelled()
    }

    #[tokio::test]
    async fn what_is_not_needed_and_what_is_dropped_comes_back() {
        let budget = Budget::new(100);
        let body = budget.reserved(1, 80).await;
        assert_eq!(budget.used(), 80);
        let share = body.arrived(30);
        assert_eq!(budget.used(), 30);
        drop(share);
        drop(budget.reserved(1, 100).await);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn the_body_that_has_cost_most_is_given_up_and_the_others_are_not() {
        let budget = Budget::new(100);
        let large = budget.reserved(1, 50).await;
        let small = budget.reserved(1, 10).await;
        let young = budget.reserved(1, 40).await;
        budget.make_older(&large, GRACE * 3);
        budget.make_older(&small, GRACE * 3);
        let next = budget.reserve(Some(peer(1)), 30);
        tokio::pin!(next);
        tokio::select! {
            _ = &mut next => panic!("there is no memory"),
            () = large.given_up() => {}
        }
        assert!(!is_given_up(&small) && !is_given_up(&young));
        drop(large);
        assert!(timeout(SOON, next).await.unwrap().is_some());
        assert!(!is_given_up(&small) && !is_given_up(&young));
    }

    #[tokio::test]
    async fn a_body_that_keeps_the_pace_is_not_given_up() {
        let budget = Budget::new(100);
        let body = budget.reserved(1, 100).await;
        body.received(50);
        budget.make_older(&body, GRACE + WHOLE / 4);
        let next = budget.reserve(Some(peer(2)), 1);
        tokio::pin!(next);
        assert!(timeout(LOOK * 3, &mut next).await.is_err());
        assert!(!is_given_up(&body));
        budget.make_older(&body, WHOLE / 4);
        assert!(timeout(LOOK * 3, &mut next).await.is_err());
        assert!(is_given_up(&body));
    }

    #[tokio::test]
    async fn the_peer_that_holds_most_pays() {
        let budget = Budget::new(100);
        let one = budget.reserved(1, 40).await;
        let others = [budget.reserved(2, 30).await, budget.reserved(2, 30).await];
        budget.make_older(&one, GRACE * 9);
        budget.make_older(&others[1], GRACE * 2);
        let next = budget.reserve(Some(peer(3)), 30);
        tokio::pin!(next);
        tokio::select! {
            _ = &mut next => panic!("there is no memory"),
            () = others[1].given_up() => {}
        }
        assert!(!is_given_up(&one));
    }

    #[tokio::test]
    async fn a_body_that_has_arrived_is_not_given_up() {
        let budget = Budget::new(100);
        let body = budget.reserved(1, 100).await;
        budget.make_older(&body, GRACE * 2);
        let share = body.arrived(100);
        let next = budget.reserve(Some(peer(2)), 1);
        assert!(timeout(LOOK * 3, next).await.is_err());
        drop(share);
        let _next = budget.reserved(2, 1).await;
    }
}
