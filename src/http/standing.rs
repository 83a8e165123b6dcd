//! What one connection is doing, and since when: for its own time-outs, and for the
//! [table](super::table) that must choose which connection goes when there are too many.
//!
//! The connection's own task writes it, and the table reads it. So it is a few atomic numbers:
//! no request waits for a lock. This module must not decide about other connections, or close one.

use super::Limits;
use super::peer::Peer;
use crate::observe::metrics::Displacement;
use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// A client that is slower than this for longer than [`SLOW_GRACE`] has stalled, as far as the
/// table goes: it may lose its place to others. A pod of 3 MiB within the 15 s that a body has
/// comes at three times this rate.
const SLOW_BYTES_PER_SECOND: u64 = 64 * 1024;
const SLOW_GRACE: Duration = Duration::from_secs(1);

/// For so long a client that has just come keeps its place, and one that is in the handshake or
/// has just left it: an API server that opens a thousand connections at once must not push out
/// its own. Much longer times would let a flood of new connections fill the table.
const KNOCK_GRACE: Duration = Duration::from_millis(100);
const FIRST_GRACE: Duration = Duration::from_millis(250);

/// What the server and the client are at. All but [`Phase::Greeting`] and [`Phase::Work`] wait for
/// the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The client must send its first byte.
    Knock,
    /// The client must send the next part of the TLS handshake.
    Handshake,
    /// The server owes the next step of the handshake.
    Greeting,
    /// No request is on its way, as far as the server knows.
    Idle,
    /// A request's header is arriving.
    Header,
    /// A request's body is arriving, or waits for memory.
    Body,
    /// The server owes an answer.
    Work,
    /// The client must take the answer.
    Answer,
    /// The last answer is sent; what the client still sends is read and dropped.
    Leaving,
}

/// A connection as the table sees it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) peer: Peer,
    opened: Instant,
    /// The phase and its beginning, see [`Moment`].
    moment: AtomicU64,
    /// Bytes that the client sent or took in this phase.
    moved: AtomicU64,
    /// Requests that were answered, and not with an error.
    answered: AtomicU32,
    /// The moment at which the table took the place away; [`PLACED`] before that.
    displaced: AtomicU64,
    waker: AtomicWaker,
}

const PLACED: u64 = u64::MAX;

/// A phase and the microseconds from the connection's opening to its beginning, in one number,
/// so that the table never sees one without the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(u64);

const PHASE_BITS: u32 = 4;

impl Moment {
    fn new(phase: Phase, since: Duration) -> Self {
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX >> PHASE_BITS);
        Self(micros << PHASE_BITS | phase as u64)
    }

    fn phase(self) -> Phase {
        const ALL: [Phase; 9] = [
            Phase::Knock,
            Phase::Handshake,
            Phase::Greeting,
            Phase::Idle,
            Phase::Header,
            Phase::Body,
            Phase::Work,
            Phase::Answer,
            Phase::Leaving,
        ];
        let at = usize::try_from(self.0 & ((1 << PHASE_BITS) - 1)).unwrap_or(0);
        ALL.get(at).copied().unwrap_or(Phase::Leaving)
    }

    fn since(self) -> Duration {
        Duration::from_micros(self.0 >> PHASE_BITS)
    }
}

impl Standing {
    /// A connection that was accepted now, from which a first byte is expected.
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            peer,
            opened: Instant::now(),
            moment: AtomicU64::new(Moment::new(Phase::Knock, Duration::ZERO).0),
            moved: AtomicU64::new(0),
            answered: AtomicU32::new(0),
            displaced: AtomicU64::new(PLACED),
            waker: AtomicWaker::new(),
        }
    }

    /// From now on this is what happens.
    pub(super) fn begin(&self, phase: Phase) {
        self.begin_at(phase, self.opened.elapsed());
    }

    /// The same at a time since the opening.
    fn begin_at(&self, phase: Phase, now: Duration) {
        let since = match phase {
            // A client that sends its handshake byte by byte is not young again with each.
            Phase::Knock | Phase::Handshake | Phase::Greeting => Duration::ZERO,
            _ => now,
        };
        self.moved.store(0, Relaxed);
        self.moment.store(Moment::new(phase, since).0, Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        self.moment().phase()
    }

    /// Bytes came from the client.
    pub(super) fn received(&self, bytes: usize) {
        if matches!(self.phase(), Phase::Knock | Phase::Idle) {
            self.begin(Phase::Header);
        }
        self.moved(bytes);
    }

    /// The client took bytes.
    pub(super) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Relaxed);
    }

    /// The whole body of a request is here.
    pub(super) fn body_ended(&self) {
        if self.phase() == Phase::Body {
            self.begin(Phase::Work);
        }
    }

    /// An answer is ready to be sent. Errors earn nothing: whoever wants a place for long must
    /// send reviews.
    pub(super) fn answers(&self, is_success: bool) {
        if is_success {
            self.answered.fetch_add(1, Relaxed);
        }
        self.begin(Phase::Answer);
    }

    /// All that was to be sent has left.
    pub(super) fn flushed(&self) {
        if self.phase() == Phase::Answer {
            self.begin(Phase::Idle);
        }
    }

    /// When the client's time ends; `None` while others bound it: the handshake and the body
    /// have time-outs of their own, and work has the sender's.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let moment = self.moment();
        let time = match moment.phase() {
            Phase::Knock => limits.first_byte_timeout,
            Phase::Idle => limits.idle_timeout,
            Phase::Header => limits.header_timeout,
            Phase::Answer => limits.answer_timeout,
            Phase::Handshake | Phase::Greeting | Phase::Body | Phase::Work | Phase::Leaving => {
                return None;
            }
        };
        Some(self.opened + moment.since() + time)
    }

    /// Whether the connection has got an answer that was not an error, or is getting one.
    pub(super) fn is_useful(&self) -> bool {
        self.answered.load(Relaxed) > 0 || self.phase() == Phase::Work
    }

    /// Why the connection may lose its place, and how much its waiting weighs against that of
    /// others; `None` while it may not: when the server owes the next step, and in the times of
    /// grace.
    pub(super) fn weigh(&self) -> Option<(Displacement, Duration)> {
        self.weigh_at(self.opened.elapsed())
    }

    fn weigh_at(&self, now: Duration) -> Option<(Displacement, Duration)> {
        let moment = self.moment();
        let waited = now.saturating_sub(moment.since());
        let late = waited.saturating_sub(self.expected());
        let answered = self.answered.load(Relaxed);
        let (why, weight, grace) = match moment.phase() {
            Phase::Greeting | Phase::Work => return None,
            Phase::Leaving => (Displacement::Stalled, waited, FIRST_GRACE),
            Phase::Body | Phase::Answer => (Displacement::Stalled, late, SLOW_GRACE),
            Phase::Knock => (Displacement::Unused, waited, KNOCK_GRACE),
            Phase::Handshake | Phase::Idle | Phase::Header if answered == 0 => {
                (Displacement::Unused, waited, FIRST_GRACE)
            }
            Phase::Header => (Displacement::Stalled, waited, SLOW_GRACE),
            // A connection that is used much may be idle longer.
            Phase::Handshake | Phase::Idle => {
                let weight = waited / answered.saturating_add(1);
                (Displacement::Idle, weight, Duration::ZERO)
            }
        };
        (weight >= grace).then_some((why, weight))
    }

    /// The time in which an honest client moves what was moved.
    fn expected(&self) -> Duration {
        let bytes = self.moved.load(Relaxed);
        Duration::from_millis(bytes.saturating_mul(1000) / SLOW_BYTES_PER_SECOND)
    }

    /// Takes the place away: the connection ends as soon as it can.
    pub(super) fn displace(&self) {
        self.displaced.store(self.moment().0, Relaxed);
        self.waker.wake();
    }

    /// Whether the next answer must be the last one.
    pub(super) fn is_displaced(&self) -> bool {
        self.displaced.load(Relaxed) != PLACED
    }

    /// Ready when the connection has lost its place and must end now. A request that came while
    /// the table chose is answered first, because the API server would not repeat it.
    pub(super) fn poll_displaced(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        let displaced = self.displaced.load(Relaxed);
        if displaced == PLACED {
            return Poll::Pending;
        }
        let moment = self.moment();
        let was_answered = self.answered.load(Relaxed) > 0;
        let has_request = match moment.phase() {
            Phase::Body | Phase::Work | Phase::Answer => true,
            Phase::Header => was_answered,
            Phase::Knock | Phase::Handshake | Phase::Greeting | Phase::Idle | Phase::Leaving => {
                false
            }
        };
        if has_request && moment.0 != displaced {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Waits for [`Standing::poll_displaced`].
    pub(super) async fn displaced(&self) {
        std::future::poll_fn(|cx| self.poll_displaced(cx)).await;
    }

    fn moment(&self) -> Moment {
        Moment(self.moment.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    const SECOND: Duration = Duration::from_secs(1);

    fn standing() -> Standing {
        Standing::new(Peer::new([10, 0, 0, 1].into()))
    }

    fn must_end(standing: &Standing) -> bool {
        let cx = Context::from_waker(Waker::noop());
        standing.poll_displaced(&cx).is_ready()
    }

    #[test]
    fn who_has_just_come_keeps_the_place_and_bytes_do_not_make_the_time_longer() {
        let standing = standing();
        assert_eq!(standing.weigh_at(KNOCK_GRACE / 2), None);
        standing.begin_at(Phase::Greeting, KNOCK_GRACE);
        assert_eq!(standing.weigh_at(SECOND), None);
        standing.begin_at(Phase::Handshake, FIRST_GRACE / 2);
        assert_eq!(standing.weigh_at(FIRST_GRACE / 2), None);
        let weighed = standing.weigh_at(FIRST_GRACE);
        assert_eq!(weighed, Some((Displacement::Unused, FIRST_GRACE)));
    }

    #[test]
    fn a_body_that_moves_keeps_its_place_and_one_that_stalls_does_not() {
        let standing = standing();
        standing.begin_at(Phase::Body, SECOND);
        standing.received(1 << 20);
        // A mebibyte may take 16 s.
        assert_eq!(standing.weigh_at(SECOND * 17), None);
        let weighed = standing.weigh_at(SECOND * 19);
        assert_eq!(weighed, Some((Displacement::Stalled, SECOND * 2)));
    }

    #[test]
    fn an_idle_connection_weighs_less_the_more_it_was_used() {
        let standing = standing();
        standing.answers(true);
        standing.begin_at(Phase::Idle, SECOND);
        let weighed = standing.weigh_at(SECOND * 11);
        assert_eq!(weighed, Some((Displacement::Idle, SECOND * 5)));
        for _ in 0..3 {
            standing.answers(true);
        }
        standing.begin_at(Phase::Idle, SECOND);
        let weighed = standing.weigh_at(SECOND * 11);
        assert_eq!(weighed, Some((Displacement::Idle, SECOND * 2)));
    }

    #[test]
    fn an_error_earns_nothing() {
        let standing = standing();
        standing.answers(false);
        standing.begin_at(Phase::Idle, SECOND);
        let (why, _) = standing.weigh_at(SECOND * 2).unwrap();
        assert_eq!(why, Displacement::Unused);
    }

    #[test]
    fn a_request_that_comes_while_its_connection_is_displaced_is_answered_first() {
        let standing = standing();
        standing.answers(true);
        standing.begin_at(Phase::Idle, SECOND);
        assert!(!must_end(&standing) && !standing.is_displaced());
        standing.displace();
        assert!(must_end(&standing) && standing.is_displaced());
        standing.received(100);
        assert!(!must_end(&standing));
        standing.begin(Phase::Work);
        assert!(!must_end(&standing));
        standing.answers(true);
        assert!(!must_end(&standing));
        standing.flushed();
        assert!(must_end(&standing));
    }

    #[test]
    fn a_stalled_request_is_not_waited_for() {
        let standing = standing();
        standing.begin(Phase::Body);
        standing.displace();
        assert!(must_end(&standing));
    }
}
