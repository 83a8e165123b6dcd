//! Divides a number of units (bytes, turns) among peers, fairly.
//!
//! Who waits is served in this order: first the peer that holds least, so that a peer which
//! sends much waits for itself and not the others for it; of one peer the smallest wish first,
//! because an ordinary request is small; of equal wishes the oldest. Nobody is passed over for a
//! smaller wish once it is the first. When too many wait, one of the peer that has most wishes in
//! the queue gets nothing. This module must not read a clock: whoever waits brings its own deadline.

use super::peer::Peer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Units that peers share; clones are the same units.
#[derive(Debug, Clone)]
pub struct Shares(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    total: usize,
    free: usize,
    /// What each peer holds; a peer that holds nothing is not in it.
    held: HashMap<Option<Peer>, usize>,
    waiting: Vec<Wish>,
    most_waiting: usize,
    /// Counts the wishes.
    next: u64,
}

#[derive(Debug)]
struct Wish {
    peer: Option<Peer>,
    units: usize,
    number: u64,
    grant: oneshot::Sender<Share>,
}

/// Units that are held; they are given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Shares,
    peer: Option<Peer>,
    units: usize,
}

impl Shares {
    /// So many units, for which so many may wait.
    #[must_use]
    pub fn new(total: usize, most_waiting: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            total,
            free: total,
            held: HashMap::new(),
            waiting: Vec::new(),
            most_waiting,
            next: 0,
        })))
    }

    /// How many units there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.state().total
    }

    /// How many units are held at the moment.
    #[must_use]
    pub fn used(&self) -> usize {
        let state = self.state();
        state.total - state.free
    }

    /// Waits for this many units; for all of them where there are not as many. A peer that is
    /// not known (in a test without a socket) is a peer too. `None` if too many wait.
    pub async fn take(&self, peer: Option<Peer>, units: usize) -> Option<Share> {
        let granted = {
            let mut state = self.state();
            let units = units.min(state.total);
            let (grant, granted) = oneshot::channel();
            let number = state.next;
            state.next += 1;
            state.waiting.push(Wish {
                peer,
                units,
                number,
                grant,
            });
            granted
        };
        self.grant();
        self.state().refuse_surplus();
        granted.await.ok()
    }

    /// Grants wishes for as long as the first one fits.
    fn grant(&self) {
        loop {
            let wish = {
                let mut state = self.state();
                state.waiting.retain(|wish| !wish.grant.is_closed());
                match state.grant_first() {
                    Some(wish) => wish,
                    None => return,
                }
            };
            let share = Share {
                shares: self.clone(),
                peer: wish.peer,
                units: wish.units,
            };
            // Whoever went away meanwhile gets the share back as an error, and dropping it
            // there gives the units back, so the loop goes on with the next wish.
            if let Err(share) = wish.grant.send(share) {
                drop_without_granting(share);
            }
        }
    }

    fn give_back(&self, peer: Option<Peer>, units: usize) {
        let mut state = self.state();
        state.free += units;
        if let Some(held) = state.held.get_mut(&peer) {
            *held = held.saturating_sub(units);
            if *held == 0 {
                state.held.remove(&peer);
            }
        }
    }

    /// Nothing in here panics while it holds the lock, so a poisoned lock means nothing.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops wishes while too many wait: of the peer that has most of them the last in order.
    fn refuse_surplus(&mut self) {
        while self.waiting.len() > self.most_waiting {
            let mut wishes: HashMap<Option<Peer>, usize> = HashMap::new();
            for wish in &self.waiting {
                *wishes.entry(wish.peer).or_default() += 1;
            }
            let order = |wish: &Wish| {
                let wishes = wishes.get(&wish.peer).copied().unwrap_or(0);
                (wishes, wish.units, wish.number)
            };
            let last = (self.waiting.iter().enumerate()).max_by_key(|(_, wish)| order(wish));
            let Some((at, _)) = last else { return };
            self.waiting.swap_remove(at);
        }
    }

    /// Takes the units of the first wish, if there are so many, and the wish out of the queue.
    fn grant_first(&mut self) -> Option<Wish> {
        let held = |wish: &Wish| self.held.get(&wish.peer).copied().unwrap_or(0);
        let order = |wish: &Wish| (held(wish), wish.units, wish.number);
        let first = (self.waiting.iter().enumerate()).min_by_key(|(_, wish)| order(wish));
        let (at, _) = first.filter(|(_, wish)| wish.units <= self.free)?;
        let wish = self.waiting.swap_remove(at);
        self.free -= wish.units;
        *self.held.entry(wish.peer).or_default() += wish.units;
        Some(wish)
    }
}

impl Share {
    /// How many units are held.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Gives back all above this many units.
    pub fn shrink_to(&mut self, units: usize) {
        let more = self.units.saturating_sub(units);
        self.units -= more;
        self.shares.give_back(self.peer, more);
        self.shares.grant();
    }
}

/// For [`Shares::grant`], which is a loop and must not call itself.
fn drop_without_granting(mut share: Share) {
    let units = std::mem::take(&mut share.units);
    share.shares.give_back(share.peer, units);
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.units > 0 {
            self.shares.give_back(self.peer, self.units);
            self.shares.grant();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    fn peer(last: u8) -> Peer {
        Peer::new([10, 0, 0, last].into())
    }

    type Taking<'s> = Pin<Box<dyn Future<Output = Option<Share>> + 's>>;

    /// A wish that stands in the queue, or has been granted.
    fn wish(shares: &Shares, of: Peer, units: usize) -> Taking<'_> {
        let mut taking: Taking<'_> = Box::pin(shares.take(Some(of), units));
        match granted(&mut taking) {
            Some(share) => Box::pin(std::future::ready(Some(share))),
            None => taking,
        }
    }

    fn granted(taking: &mut Taking<'_>) -> Option<Share> {
        match taking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(share) => Some(share.expect("refused")),
            Poll::Pending => None,
        }
    }

    #[test]
    fn units_come_back_when_they_are_dropped_or_not_needed() {
        let shares = Shares::new(10, 9);
        let mut six = granted(&mut wish(&shares, peer(1), 6)).unwrap();
        assert_eq!((shares.used(), six.units()), (6, 6));
        let mut waiting = wish(&shares, peer(1), 5);
        assert!(granted(&mut waiting).is_none());
        six.shrink_to(5);
        let five = granted(&mut waiting).unwrap();
        assert_eq!(shares.used(), 10);
        drop((six, five));
        assert_eq!(shares.used(), 0);
    }

    #[test]
    fn a_wish_above_the_total_gets_all_of_it() {
        let shares = Shares::new(10, 9);
        assert_eq!(
            granted(&mut wish(&shares, peer(1), 50)).unwrap().units(),
            10
        );
    }

    #[test]
    fn the_peer_that_holds_least_is_served_first() {
        let shares = Shares::new(4, 9);
        let held: Vec<_> = (0..4)
            .map(|_| granted(&mut wish(&shares, peer(1), 1)).unwrap())
            .collect();
        let mut first = wish(&shares, peer(1), 1);
        let mut other = wish(&shares, peer(2), 1);
        let mut held = held.into_iter();
        drop(held.next());
        let _other = granted(&mut other).expect("the other peer holds nothing");
        assert!(granted(&mut first).is_none());
        drop(held.next());
        assert!(granted(&mut first).is_some());
    }

    #[test]
    fn of_one_peer_the_smallest_is_first_and_of_equals_the_oldest() {
        let shares = Shares::new(8, 9);
        let all = granted(&mut wish(&shares, peer(1), 8)).unwrap();
        let mut giant = wish(&shares, peer(1), 8);
        let mut older = wish(&shares, peer(1), 5);
        let mut newer = wish(&shares, peer(1), 5);
        drop(all);
        let share = granted(&mut older).unwrap();
        assert!(granted(&mut newer).is_none() && granted(&mut giant).is_none());
        drop(share);
        drop(granted(&mut newer).unwrap());
        assert!(granted(&mut giant).is_some());
    }

    #[test]
    fn the_first_is_not_passed_over_for_one_that_would_fit() {
        let shares = Shares::new(4, 9);
        let three = granted(&mut wish(&shares, peer(1), 3)).unwrap();
        // Both peers hold less than the first one does.
        let mut large = wish(&shares, peer(2), 2);
        let mut small = wish(&shares, peer(1), 1);
        assert!(granted(&mut large).is_none() && granted(&mut small).is_none());
        drop(three);
        assert!(granted(&mut large).is_some());
        assert!(granted(&mut small).is_some());
    }

    #[test]
    fn who_goes_away_leaves_the_queue_and_gives_back_what_was_on_its_way() {
        let shares = Shares::new(1, 9);
        let one = granted(&mut wish(&shares, peer(1), 1)).unwrap();
        let gone = wish(&shares, peer(1), 1);
        let mut stays = wish(&shares, peer(1), 1);
        drop(gone);
        drop(one);
        let one = granted(&mut stays).unwrap();
        let granted_but_gone = wish(&shares, peer(1), 1);
        drop(one);
        drop(granted_but_gone);
        assert_eq!(shares.used(), 0);
    }

    #[test]
    fn when_too_many_wait_the_peer_with_most_wishes_loses_its_last() {
        let shares = Shares::new(1, 2);
        let one = granted(&mut wish(&shares, peer(1), 1)).unwrap();
        let mut flood: Vec<_> = (0..2).map(|_| wish(&shares, peer(1), 1)).collect();
        let mut other = wish(&shares, peer(2), 1);
        let mut context = Context::from_waker(Waker::noop());
        let refused = flood[1].as_mut().poll(&mut context);
        assert!(matches!(refused, Poll::Ready(None)));
        drop(one);
        drop(granted(&mut flood[0]).unwrap());
        assert!(granted(&mut other).is_some());
    }
}
