//! The connections of one port, so many at a time, and which one goes when one more comes.
//!
//! A port always accepts. When its table is full, a connection loses its place: one that has
//! never got an answer or that stalls in the middle of a request, while there are many of those
//! or no others; else the one that is idle longest for what it was used. So whoever opens
//! connections and holds them pays with those, and the API server keeps its own. A connection to
//! which the server owes an answer never goes. This module must not know bytes, TLS or HTTP.

use super::peer::Peer;
use super::standing::{Phase, Standing};
use crate::observe::metrics::{Displacement, Metrics, Port};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Connections that have never got an answer may have a quarter of the places before they are
/// the first to go: enough for new ones to become useful while others are held.
const USELESS_SHARE: usize = 4;

/// One in so many connections goes at once, so that a flood does not cost a look at all
/// connections for each of its own.
const BATCH: usize = 64;

/// The pause before another look when no connection may go.
const PAUSE: Duration = Duration::from_millis(5);

/// The connections that are open on one port.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    port: Port,
    places: usize,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Open {
    standings: HashMap<u64, Arc<Standing>>,
    /// Counts connections.
    next: u64,
}

/// A connection's place in the table, until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    table: Arc<ConnectionTable>,
    number: u64,
    pub(super) standing: Arc<Standing>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.open().standings.remove(&self.number);
    }
}

impl ConnectionTable {
    pub(super) fn new(port: Port, places: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            port,
            places,
            open: Mutex::default(),
            metrics,
        }
    }

    pub(super) fn port(&self) -> Port {
        self.port
    }

    /// A place for a connection that was accepted. If the table is full it is another's; if none
    /// may lose its own, this waits until one may, which never depends on a client for long.
    pub(super) async fn admit(self: &Arc<Self>, peer: Peer) -> Seat {
        loop {
            let is_full = self.open().standings.len() >= self.places;
            if !is_full || self.make_room() {
                break;
            }
            sleep(PAUSE).await;
        }
        let standing = Arc::new(Standing::new(peer));
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        open.standings.insert(number, Arc::clone(&standing));
        Seat {
            table: Arc::clone(self),
            number,
            standing,
        }
    }

    /// Takes the places of the least deserving connections; `false` if all may keep theirs.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.open();
        // Those in their times of grace count too: else a flood of connections that are all
        // young would cost useful ones.
        let standings = open.standings.values();
        let useless = standings.filter(|standing| !standing.is_useful()).count();
        let candidates = open.candidates(|_| true);
        let (idle, others): (Vec<_>, Vec<_>) =
            (candidates.into_iter()).partition(|candidate| candidate.why == Displacement::Idle);
        let candidates =
            if useless > self.places / USELESS_SHARE || !others.is_empty() && idle.is_empty() {
                others
            } else {
                idle
            };
        self.displace(&mut open, candidates, (self.places / BATCH).max(1))
    }

    /// Ends the connection that takes its answer most slowly; `false` if none stalls.
    pub(super) fn displace_slowest_reader(&self) -> bool {
        let mut open = self.open();
        let readers = open.candidates(|standing| standing.phase() == Phase::Answer);
        self.displace(&mut open, readers, 1)
    }

    /// Takes the places of so many of the candidates.
    fn displace(&self, open: &mut Open, candidates: Vec<Candidate>, count: usize) -> bool {
        let leaving = heaviest(candidates, count);
        for candidate in &leaving {
            if let Some(standing) = open.standings.remove(&candidate.number) {
                standing.displace();
            }
            self.metrics.displaced(self.port, candidate.why);
        }
        !leaving.is_empty()
    }

    /// Nothing in here panics while it holds the lock, so a poisoned lock means nothing.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The connections of these that may lose their places.
    fn candidates(&self, of: impl Fn(&Standing) -> bool) -> Vec<Candidate> {
        let standings = self.standings.iter().filter(|(_, standing)| of(standing));
        let candidates = standings.filter_map(|(&number, standing)| {
            let (why, weight) = standing.weigh()?;
            Some(Candidate {
                number,
                peer: standing.peer,
                weight,
                why,
            })
        });
        candidates.collect()
    }
}

/// A connection that may lose its place.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    number: u64,
    peer: Peer,
    weight: Duration,
    why: Displacement,
}

/// So many of the candidates, the heaviest; only of the peer that has more than half of them, if
/// there is one.
fn heaviest(mut candidates: Vec<Candidate>, count: usize) -> Vec<Candidate> {
    let mut of_peer: HashMap<Peer, usize> = HashMap::new();
    for candidate in &candidates {
        *of_peer.entry(candidate.peer).or_default() += 1;
    }
    let majority = of_peer.iter().find(|(_, has)| **has > candidates.len() / 2);
    if let Some((&peer, _)) = majority {
        candidates.retain(|candidate| candidate.peer == peer);
    }
    candidates.sort_unstable_by_key(|candidate| Reverse(candidate.weight));
    candidates.truncate(count);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    fn table(places: usize) -> Arc<ConnectionTable> {
        let metrics = Arc::new(Metrics::default());
        Arc::new(ConnectionTable::new(Port::Webhook, places, metrics))
    }

    fn peer(last: u8) -> Peer {
        Peer::new([10, 0, 0, last].into())
    }

    async fn idle(table: &Arc<ConnectionTable>, of: Peer, answers: u32) -> Seat {
        let seat = table.admit(of).await;
        for _ in 0..answers {
            seat.standing.answers(true);
        }
        seat.standing.begin(Phase::Idle);
        seat
    }

    async fn at_work(table: &Arc<ConnectionTable>, of: Peer) -> Seat {
        let seat = table.admit(of).await;
        seat.standing.begin(Phase::Work);
        seat
    }

    fn has_place(seat: &Seat) -> bool {
        let cx = Context::from_waker(Waker::noop());
        seat.standing.poll_displaced(&cx).is_pending()
    }

    /// Lets the times of grace pass, as far as the shortest one goes.
    async fn wait() {
        sleep(Duration::from_millis(150)).await;
    }

    #[tokio::test]
    async fn who_never_asked_goes_before_who_is_idle() {
        let table = table(3);
        let useful = idle(&table, peer(1), 1).await;
        let silent = table.admit(peer(2)).await;
        let second = idle(&table, peer(1), 1).await;
        wait().await;
        let newest = idle(&table, peer(1), 1).await;
        assert!(!has_place(&silent));
        assert!(has_place(&useful) && has_place(&second) && has_place(&newest));
    }

    #[tokio::test]
    async fn a_few_that_never_asked_have_time_to_while_many_are_idle() {
        let table = table(8);
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(idle(&table, peer(1), 1).await);
        }
        let mut coming = vec![table.admit(peer(2)).await];
        coming.push(table.admit(peer(2)).await);
        wait().await;
        coming.push(table.admit(peer(2)).await);
        assert!(coming.iter().all(has_place));
        assert!(!held.iter().all(has_place));
    }

    #[tokio::test]
    async fn of_idle_connections_the_least_used_goes_and_the_busy_one_never() {
        let table = table(3);
        let used_much = idle(&table, peer(1), 1000).await;
        let at_work = at_work(&table, peer(1)).await;
        let used_once = idle(&table, peer(1), 1).await;
        wait().await;
        let _next = idle(&table, peer(1), 1).await;
        assert!(has_place(&used_much) && has_place(&at_work));
        assert!(!has_place(&used_once));
    }

    #[tokio::test]
    async fn the_peer_that_holds_most_of_them_pays() {
        let table = table(4);
        let oldest = table.admit(peer(1)).await;
        let mut flood = Vec::new();
        for _ in 0..3 {
            flood.push(table.admit(peer(2)).await);
        }
        wait().await;
        let _next = table.admit(peer(3)).await;
        assert!(has_place(&oldest));
        assert_eq!(flood.iter().filter(|seat| has_place(seat)).count(), 2);
    }

    #[tokio::test]
    async fn where_all_are_at_work_the_next_one_waits_for_a_place() {
        let table = table(1);
        let at_work = at_work(&table, peer(1)).await;
        let next = table.admit(peer(1));
        let mut next = std::pin::pin!(next);
        let at_once = tokio::time::timeout(PAUSE * 4, next.as_mut()).await;
        assert!(at_once.is_err() && has_place(&at_work));
        drop(at_work);
        next.await;
    }
}
