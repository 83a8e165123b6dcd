//! Reads a request's body into one contiguous buffer, within bounds.
//!
//! Bytes are counted while they are read, whatever a header declares, and every byte that is
//! held is first taken from a budget that all requests share. So neither one huge review nor
//! many at once can exhaust memory. This module must not
//! know what the bytes mean.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The first size of a buffer, whatever length is declared: a client that declares 32 MiB and
/// sends nothing must not hold 32 MiB.
const FIRST_CAPACITY: usize = 128 * 1024;

/// The memory that the bodies of all requests together may hold, in bytes.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: usize,
}

impl Budget {
    /// A budget of so many bytes; above 2 EiB (no machine has it) it is cut.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let total = bytes.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// How many bytes are held at the moment.
    #[must_use]
    pub fn used(&self) -> usize {
        self.total.saturating_sub(self.free.available_permits())
    }

    /// How many bytes may be held at most.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::TooLarge)?;
        // Does not wait: requests that each hold a part and wait for more would wait for ever.
        Arc::clone(&self.free)
            .try_acquire_many_owned(bytes)
            .map_err(|_| BodyError::NoMemory)
    }
}

/// A whole body; its memory goes back to the budget when this is dropped.
#[derive(Debug)]
pub struct Collected {
    bytes: Buffer,
    _held: Held,
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
    /// The budget is used up for the time being.
    NoMemory,
    /// It did not arrive in time.
    TooSlow,
    /// The client went away or broke HTTP's framing.
    Broken,
}

/// Reads the whole body: at most `limit` bytes, within `time`.
pub async fn collect(
    body: Body,
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
    timeout(time, read(body, declared, limit, budget))
        .await
        .unwrap_or(Err(BodyError::TooSlow))
}

#[derive(Debug)]
enum Buffer {
    /// The body came in one piece, which is used where it lies.
    Received(Bytes),
    Joined(Vec<u8>),
}

/// What has been taken from the budget.
#[derive(Debug, Default)]
struct Held(Option<OwnedSemaphorePermit>);

impl Held {
    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
    }
}

async fn read(
    mut body: Body,
    declared: usize,
    limit: usize,
    budget: &Budget,
) -> Result<Collected, BodyError> {
    let mut held = Held::default();
    let mut joined = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers are not data; nothing in a review needs them.
        let Ok(piece) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        if piece.len() > limit - joined.len() {
            return Err(BodyError::TooLarge);
        }
        if joined.is_empty() && body.is_end_stream() {
            held.add(budget.take(piece.len())?);
            return Ok(Collected {
                bytes: Buffer::Received(piece),
                _held: held,
            });
        }
        make_room(&mut joined, piece.len(), declared, limit, &mut held, budget)?;
        joined.extend_from_slice(&piece);
    }
    Ok(Collected {
        bytes: Buffer::Joined(joined),
        _held: held,
    })
}

/// Grows the buffer by doubling, but never past what was declared or is allowed;
/// the growth is taken from the budget before it is made.
fn make_room(
    buffer: &mut Vec<u8>,
    more: usize,
    declared: usize,
    limit: usize,
    held: &mut Held,
    budget: &Budget,
) -> Result<(), BodyError> {
    let needed = buffer.len() + more;
    if needed <= buffer.capacity() {
        return Ok(());
    }
    let most = if declared > 0 { declared } else { limit };
    let target = (buffer.capacity() * 2)
        .max(FIRST_CAPACITY)
        .min(most)
        .max(needed);
    held.add(budget.take(target - buffer.capacity())?);
    buffer.reserve_exact(target - buffer.len());
    Ok(())
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

    async fn read_pieces(
        sizes: &[usize],
        limit: usize,
        budget: &Budget,
    ) -> Result<Collected, BodyError> {
        collect(Body::new(Pieces(sizes.to_vec())), limit, SECOND, budget).await
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let budget = Budget::new(100);
        let sent = Bytes::from_static(b"review");
        let body = collect(Body::from(sent.clone()), 100, SECOND, &budget)
            .await
            .unwrap();
        assert_eq!(body.as_ptr(), sent.as_ptr());
        assert_eq!(budget.used(), 6);
        drop(body);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn pieces_become_one_buffer_whose_capacity_is_what_the_budget_holds() {
        let budget = Budget::new(10 << 20);
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
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_declared_length_above_the_limit_is_refused_unread() {
        let budget = Budget::new(0);
        let body = Body::from(vec![0; 101]);
        let error = collect(body, 100, SECOND, &budget).await.unwrap_err();
        assert_eq!(error, BodyError::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_got_part_of_the_budget_gives_it_back() {
        let budget = Budget::new(200_000);
        let error = read_pieces(&[100_000; 5], 32 << 20, &budget)
            .await
            .unwrap_err();
        assert_eq!(error, BodyError::NoMemory);
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
        let error = collect(Body::new(Silent), 100, SECOND / 50, &Budget::new(100)).await;
        assert_eq!(error.unwrap_err(), BodyError::TooSlow);
    }
}
