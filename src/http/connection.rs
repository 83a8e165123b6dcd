//! One connection: HTTP/1.1 with time-outs that a client cannot stretch, ended so that the
//! other side gets its answer.
//!
//! hyper's own `header_read_timeout` runs from the moment a connection falls idle. One value
//! would have to be both short, against clients that send a header byte by byte, and above the
//! 90 s for which the API server keeps idle connections. So [`Standing`] measures the time: a
//! connection is idle until a byte comes, and then the header must be complete within a time of
//! its own. The answer has one too: a client that does not read must not keep it.
//!
//! A connection must not be closed while a request may be on its way, because the API server
//! does not repeat a POST whose connection died: age and shutdown end a connection by answering
//! a request with `Connection: close`.

use super::Limits;
use super::caller::Caller;
use super::standing::{Phase, Standing};
use super::table::Seat;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, HeaderValue};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The most bytes of a connection that hyper holds. With the connection cap this bounds the
/// memory.
const READ_BUFFER: usize = 64 * 1024;

/// The longest header, and the longest trailer; a longer one is answered with 431. That of an
/// API server has less than one KiB.
const LONGEST_HEADER: usize = 16 * 1024;

/// How long the client may take to read the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What ends connections from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// Each request is answered with `Connection: close`.
    pub(super) last_answers: Arc<AtomicBool>,
    /// Idle connections are closed too.
    pub(super) close_idle: CancellationToken,
    /// All connections are cut, whatever they do.
    pub(super) cut: CancellationToken,
}

/// Serves one connection until it ends or loses its place; each request has the [`Caller`] as
/// an extension.
pub(super) async fn serve<S>(
    io: S,
    seat: &Seat,
    caller: Caller,
    router: Router,
    limits: &Limits,
    ending: &Ending,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = ending.cut.clone();
    tokio::select! {
        () = cut.cancelled() => {}
        () = serve_to_the_end(io, &seat.standing, caller, router, limits, ending) => {}
    }
}

async fn serve_to_the_end<S>(
    io: S,
    standing: &Arc<Standing>,
    caller: Caller,
    router: Router,
    limits: &Limits,
    ending: &Ending,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = {
        let standing = Arc::clone(standing);
        let last_answers = Arc::clone(&ending.last_answers);
        let old = Instant::now() + limits.max_age;
        service_fn(move |mut request: hyper::Request<Incoming>| {
            let standing = Arc::clone(&standing);
            let last_answers = Arc::clone(&last_answers);
            request.extensions_mut().insert(caller.clone());
            let request = request.map(|body| Body::new(Arriving::new(body, &standing)));
            let answer = router.clone().oneshot(request);
            Box::pin(async move {
                let mut response = answer.await?;
                let is_last = last_answers.load(Relaxed) || standing.is_displaced();
                if is_last || Instant::now() >= old {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                standing.answers(response.status().is_success());
                Ok::<_, std::convert::Infallible>(response)
            })
        })
    };
    let io = Watched {
        io,
        standing: Arc::clone(standing),
    };
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER)
        .max_header_size(LONGEST_HEADER)
        .serve_connection(TokioIo::new(io), service);
    let mut watch = pin!(Watch::new(standing, limits));
    let mut stop = pin!(ending.close_idle.cancelled());
    let mut stopping = false;
    let ended = std::future::poll_fn(|cx| {
        // The connection is polled first, so that a request that has arrived gets its answer.
        if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(result.is_ok());
        }
        if standing.poll_displaced(cx).is_ready() {
            return Poll::Ready(false);
        }
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
            if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
                return Poll::Ready(result.is_ok());
            }
        }
        watch.as_mut().poll_expired(cx).map(|()| false)
    });
    if ended.await {
        standing.begin(Phase::Leaving);
        let io = connection.into_parts().io.into_inner().io;
        tokio::select! {
            () = standing.displaced() => {}
            // The connection ends in any case, so an error has no consequence.
            _ = timeout(LINGER, linger(io)) => {}
        }
    }
}

/// Closes our side and reads on until the client has closed its own.
///
/// Closing a socket while bytes are unread resets the connection, and the reset can
/// overtake the answer: a client that still sends its 40 MiB would not see our 413.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut io: S) -> io::Result<()> {
    io.shutdown().await?;
    let mut unread = vec![0; 8 * 1024];
    while io.read(&mut unread).await? > 0 {}
    Ok(())
}

/// The timer of a [`Standing`]. It is set again when it rings or would ring too late, not at
/// each request: those only store a number.
struct Watch<'a> {
    standing: &'a Standing,
    limits: &'a Limits,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Watch<'a> {
    fn new(standing: &'a Standing, limits: &'a Limits) -> Self {
        let first = standing.deadline(limits).unwrap_or_else(Instant::now);
        Self {
            standing,
            limits,
            timer: Box::pin(sleep_until(first)),
        }
    }

    /// Must be polled after each step of the connection, whose steps move the deadline.
    fn poll_expired(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.standing.deadline(self.limits) else {
                return Poll::Pending;
            };
            if self.timer.is_elapsed() || self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
        }
    }
}

/// A body, which tells the standing when it begins and when it is whole.
struct Arriving {
    body: Incoming,
    standing: Arc<Standing>,
}

impl Arriving {
    fn new(body: Incoming, standing: &Arc<Standing>) -> Self {
        standing.begin(if body.is_end_stream() {
            Phase::Work
        } else {
            Phase::Body
        });
        let standing = Arc::clone(standing);
        Self { body, standing }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if self.body.is_end_stream() || !matches!(frame, Some(Ok(_))) {
            self.standing.body_ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells the standing when bytes move.
struct Watched<S> {
    io: S,
    standing: Arc<Standing>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.standing.received(bytes);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.standing.moved(taken);
        Poll::Ready(Ok(taken))
    }

    // Passed on, so that head and body of an answer leave in one TLS record.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bytes))?;
        self.standing.moved(taken);
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written all that it had.
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.standing.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
