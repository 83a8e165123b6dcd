//! One connection: HTTP/1.1 with time-outs that a client cannot stretch, ended so that the
//! other side gets its answer.
//!
//! hyper's own `header_read_timeout` runs from the moment a connection falls idle. One value
//! would have to be both short, against clients that send a header byte by byte, and above the
//! 90 s for which the API server keeps idle connections. So [`Activity`] measures the time: a
//! connection is idle until a byte comes, and then the header must be complete within a time of
//! its own.
//!
//! A connection must not be closed while a request may be on its way, because the API server
//! does not repeat a POST whose connection died: age and shutdown end a connection by answering
//! a request with `Connection: close`.

use super::Limits;
use super::peer::Peer;
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The most bytes of a connection that hyper holds; a longer header is answered with 431. With
/// the connection cap this bounds the memory.
const READ_BUFFER: usize = 64 * 1024;

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

/// Serves one connection of this peer until it ends; each request has the peer as an extension.
pub(super) async fn serve<S>(io: S, peer: Peer, router: Router, limits: &Limits, ending: &Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = ending.cut.clone();
    tokio::select! {
        () = cut.cancelled() => {}
        () = serve_to_the_end(io, peer, router, limits, ending) => {}
    }
}

async fn serve_to_the_end<S>(io: S, peer: Peer, router: Router, limits: &Limits, ending: &Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(limits));
    let service = {
        let activity = Arc::clone(&activity);
        let last_answers = Arc::clone(&ending.last_answers);
        let old = Instant::now() + limits.max_age;
        service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            activity.request_begins();
            let activity = Arc::clone(&activity);
            let last_answers = Arc::clone(&last_answers);
            request.extensions_mut().insert(peer);
            let answer = router.clone().oneshot(request.map(Body::new));
            Box::pin(async move {
                let mut response = answer.await?;
                if last_answers.load(Relaxed) || Instant::now() >= old {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                activity.request_ends();
                Ok::<_, std::convert::Infallible>(response)
            })
        })
    };
    let io = Watched {
        io,
        activity: Arc::clone(&activity),
    };
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(io), service);
    let mut watch = pin!(Watch::new(&activity));
    let mut stop = pin!(ending.close_idle.cancelled());
    let mut stopping = false;
    let ended = std::future::poll_fn(|cx| {
        // The connection is polled first, so that a request that has arrived gets its answer.
        if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(result.is_ok());
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
        let io = connection.into_parts().io.into_inner().io;
        // The connection ends in any case, so an error has no consequence.
        let _ = timeout(LINGER, linger(io)).await;
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

/// What a connection is doing, as far as its time-outs go.
#[derive(Debug)]
struct Activity {
    started: Instant,
    idle: Duration,
    header: Duration,
    /// Microseconds after `started`; [`NEVER`] while a request is being answered,
    /// which has deadlines of its own.
    deadline: AtomicU64,
    waiting: AtomicBool,
}

const NEVER: u64 = u64::MAX;

impl Activity {
    /// Idle: a client may connect ahead of its first request, and Go's does.
    fn new(limits: &Limits) -> Self {
        let activity = Self {
            started: Instant::now(),
            idle: limits.idle_timeout,
            header: limits.header_timeout,
            deadline: AtomicU64::new(NEVER),
            waiting: AtomicBool::new(true),
        };
        activity.end_in(activity.idle);
        activity
    }

    fn bytes_arrived(&self) {
        if self.waiting.swap(false, Relaxed) {
            self.end_in(self.header);
        }
    }

    fn request_begins(&self) {
        self.waiting.store(false, Relaxed);
        self.deadline.store(NEVER, Relaxed);
    }

    /// The time in which the client must take the answer is that of an idle connection.
    fn request_ends(&self) {
        self.end_in(self.idle);
        self.waiting.store(true, Relaxed);
    }

    fn end_in(&self, time: Duration) {
        let at = (self.started.elapsed() + time).as_micros();
        self.deadline
            .store(u64::try_from(at).unwrap_or(NEVER), Relaxed);
    }

    fn deadline(&self) -> Option<Instant> {
        match self.deadline.load(Relaxed) {
            NEVER => None,
            at => Some(self.started + Duration::from_micros(at)),
        }
    }
}

/// The timer of an [`Activity`]. It is set again when it rings or would ring too
/// late, not at each request: those only store a number.
struct Watch<'a> {
    activity: &'a Activity,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Watch<'a> {
    fn new(activity: &'a Activity) -> Self {
        let first = activity.deadline().unwrap_or(activity.started);
        Self {
            activity,
            timer: Box::pin(sleep_until(first)),
        }
    }

    /// Must be polled after each step of the connection, whose steps move the deadline.
    fn poll_expired(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.activity.deadline() else {
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

/// Tells the activity when bytes arrive.
struct Watched<S> {
    io: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.bytes_arrived();
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
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    // Passed on, so that head and body of an answer leave in one TLS record.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
