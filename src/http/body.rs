//! Reads a request's body into one contiguous buffer, within bounds.
//!
//! Bytes are counted while they are read, whatever a header declares. A small body lies in
//! memory that its connection has anyway, or that the number of connections bounds. A large one
//! waits for its whole memory before it is read. So neither one huge review nor many at once can
//! exhaust memory, and no large one can keep a small one waiting. This module must not know what
//! the bytes mean.

use super::memory::{Budget, Reservation};
use super::peer::Peer;
use super::shares::Share;
use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::timeout;

/// A body up to this size is small: nearly every review is. Each connection may hold one.
pub(super) const SMALL: usize = 64 * 1024;

/// A whole body; its memory goes back to the budget when this is dropped.
#[derive(Debug)]
pub struct Collected {
    bytes: Buffer,
    _held: Option<Share>,
}

impl Deref for Collected {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Buffer::Received(bytes) => bytes,
            Buffer::Joined(bytes) => bytes,
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is above the limit, or declares a length above it.
    TooLarge,
    /// There was no memory for it in time.
    NoMemory,
    /// Others waited for its memory.
    GivenUp,
    /// It did not arrive in time.
    TooSlow,
    /// The client went away or broke HTTP's framing.
    Broken,
}

/// Reads the whole body of this peer: at most `limit` bytes, within `time`.
pub async fn collect(
    body: Body,
    peer: Option<Peer>,
    limit: usize,
    time: Duration,
    budget: &Budget,
) -> Result<Collected, BodyError> {
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    // Fits: it is not above `limit`, a usize.
    let declared = usize::try_from(declared).unwrap_or(limit);
    let mut reader = Reader {
        body,
        peer,
        limit,
        budget,
        reservation: None,
        is_waiting: false,
    };
    let result = timeout(time, reader.read(declared)).await;
    match result {
        Ok(result) => result,
        Err(_) if reader.is_waiting => Err(BodyError::NoMemory),
        Err(_) => Err(BodyError::TooSlow),
    }
}

#[derive(Debug)]
enum Buffer {
    /// The body came in one piece, which is used where it lies.
    Received(Bytes),
    Joined(Vec<u8>),
}

struct Reader<'b> {
    body: Body,
    peer: Option<Peer>,
    limit: usize,
    budget: &'b Budget,
    reservation: Option<Reservation>,
    /// Whether the body waits for memory, and not for its client.
    is_waiting: bool,
}

impl Reader<'_> {
    async fn read(&mut self, declared: usize) -> Result<Collected, BodyError> {
        if declared > SMALL {
            self.reserve(declared).await?;
        }
        // Memory that nothing is written to costs nothing, so a client that declares 32 MiB and
        // sends nothing holds nothing but its reservation.
        let mut joined = Vec::new();
        while let Some(piece) = self.next().await? {
            if piece.len() > self.limit - joined.len() {
                return Err(BodyError::TooLarge);
            }
            if joined.is_empty() && self.body.is_end_stream() {
                let bytes = piece.len();
                return Ok(self.whole(Buffer::Received(piece), bytes));
            }
            if joined.is_empty() {
                joined.reserve_exact(declared.max(piece.len()));
            }
            let needed = joined.len() + piece.len();
            if needed > SMALL && self.reservation.is_none() {
                // Nobody knows how long it will be.
                self.reserve(self.limit).await?;
            }
            if needed > joined.capacity() {
                let target = (joined.capacity() * 2).clamp(needed, self.limit);
                joined.reserve_exact(target - joined.len());
            }
            joined.extend_from_slice(&piece);
            if let Some(reservation) = &self.reservation {
                reservation.received(joined.len());
            }
        }
        let bytes = joined.capacity();
        Ok(self.whole(Buffer::Joined(joined), bytes))
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = match &self.reservation {
                None => self.body.frame().await,
                Some(reservation) => tokio::select! {
                    biased;
                    frame = self.body.frame() => frame,
                    () = reservation.given_up() => return Err(BodyError::GivenUp),
                },
            };
            let Some(frame) = frame else { return Ok(None) };
            // Trailers are not data; nothing in a review needs them.
            if let Ok(piece) = frame.map_err(|_| BodyError::Broken)?.into_data() {
                return Ok(Some(piece));
            }
        }
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.is_waiting = true;
        let reservation = self.budget.reserve(self.peer, bytes).await;
        self.is_waiting = false;
        self.reservation = Some(reservation.ok_or(BodyError::NoMemory)?);
        Ok(())
    }

    /// The body with the memory that it needs.
    fn whole(&mut self, bytes: Buffer, memory: usize) -> Collected {
        let reservation = self.reservation.take();
        Collected {
            bytes,
            _held: reservation.and_then(|reservation| reservation.arrived(memory)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Frame;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    const SECOND: Duration = Duration::from_secs(1);

    /// A body that comes in pieces of these sizes, with no length declared.
    struct Pieces(Vec<usize>);

    impl axum::body::HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let size = (!self.0.is_empty()).then(|| self.0.remove(0));
            Poll::Ready(size.map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; size])))))
        }
    }

    async fn read(body: Body, limit: usize, budget: &Budget) -> Result<Collected, BodyError> {
        collect(body, None, limit, SECOND, budget).await
    }

    async fn read_pieces(
        sizes: &[usize],
        limit: usize,
        budget: &Budget,
    ) -> Result<Collected, BodyError> {
        read(Body::new(Pieces(sizes.to_vec())), limit, budget).await
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied_and_a_small_one_takes_no_memory_of_others() {
        let budget = Budget::new(0);
        let sent = Bytes::from_static(b"review");
        let body = read(Body::from(sent.clone()), 100, &budget).await.unwrap();
        assert_eq!(body.as_ptr(), sent.as_ptr());
        let body = read_pieces(&[SMALL / 2, SMALL / 2], SMALL, &budget).await;
        assert_eq!(body.unwrap().len(), SMALL);
    }

    #[tokio::test]
    async fn pieces_become_one_buffer_whose_capacity_is_what_the_budget_holds() {
        let budget = Budget::new(32 << 20);
        let body = read_pieces(&[70_000; 20], 32 << 20, &budget).await.unwrap();
        assert_eq!(body.len(), 1_400_000);
        let Buffer::Joined(bytes) = &body.bytes else {
            panic!("one piece");
        };
        assert_eq!(budget.used(), bytes.capacity());
        drop(body);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn the_limit_holds_for_bytes_that_nobody_declared() {
        let budget = Budget::new(1 << 20);
        assert_eq!(
            read_pieces(&[60, 40], 100, &budget).await.unwrap().len(),
            100
        );
        let error = read_pieces(&[60, 41], 100, &budget).await.unwrap_err();
        assert_eq!(error, BodyError::TooLarge);
        let error = read_pieces(&[SMALL, SMALL], SMALL + 1, &budget).await;
        assert_eq!(error.unwrap_err(), BodyError::TooLarge);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_declared_length_above_the_limit_is_refused_unread() {
        let budget = Budget::new(0);
        let body = Body::from(vec![0; 101]);
        let error = read(body, 100, &budget).await.unwrap_err();
        assert_eq!(error, BodyError::TooLarge);
    }

    #[tokio::test]
    async fn a_body_for_which_there_is_no_memory_in_time_is_refused() {
        let budget = Budget::new(SMALL * 2);
        let large = || Body::from(vec![b'x'; SMALL * 2]);
        let held = read(large(), SMALL * 2, &budget).await;
        let error = collect(large(), None, SMALL * 2, SECOND / 20, &budget).await;
        drop(held.unwrap());
        assert_eq!(error.unwrap_err(), BodyError::NoMemory);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        struct Silent;
        impl axum::body::HttpBody for Silent {
            type Data = Bytes;
            type Error = Infallible;
            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                Poll::Pending
            }
        }
        let body = Body::new(Silent);
        let error = collect(body, None, 100, SECOND / 50, &Budget::new(100)).await;
        assert_eq!(error.unwrap_err(), BodyError::TooSlow);
    }
}
