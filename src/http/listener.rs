//! Accepts connections on one port, and takes them through the TLS handshake.
//!
//! A port accepts whatever its clients do: the [table](super::table) finds the place. Handshakes
//! are what a stranger can make the server compute for nothing, so only some are computed at a
//! time, by turns among the peers, and the processors stay free for reviews. This module must not
//! know what a connection is for.

use super::caller::Caller;
use super::connection::{self, Ending};
use super::shares::Shares;
use super::standing::{Phase, Standing};
use super::table::{ConnectionTable, Seat};
use super::{Limits, half_the_processors};
use crate::observe::metrics::{HandshakeFailure, Metrics};
use crate::observe::throttle::Throttle;
use axum::Router;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause after an error that concerns the whole process (no file descriptor left), so
/// that the log does not fill while it lasts.
const PAUSE: Duration = Duration::from_millis(200);

/// One port and what is served on it.
pub(super) struct Listener {
    /// Plain HTTP where there is none.
    pub(super) tls: Option<Tls>,
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) table: Arc<ConnectionTable>,
    pub(super) metrics: Arc<Metrics>,
    /// Of the log line about client certificates that do not verify.
    pub(super) refused_certificate: Throttle,
    pub(super) ending: Ending,
    pub(super) connections: TaskTracker,
}

/// TLS, and the turns of those who compute for it.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    turns: Shares,
}

impl Tls {
    pub(super) fn new(config: rustls::ServerConfig) -> Self {
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            // The table bounds how many wait.
            turns: Shares::new(half_the_processors(), usize::MAX),
        }
    }
}

impl Listener {
    /// Accepts connections until `stop`; those that are open then go on.
    pub(super) async fn accept(self, socket: TcpListener, stop: CancellationToken) {
        let this = Arc::new(self);
        let accept_all = async {
            loop {
                match socket.accept().await {
                    Ok((stream, address)) => {
                        let seat = this.table.admit(address.into()).await;
                        let this = Arc::clone(&this);
                        let connections = this.connections.clone();
                        connections
                            .spawn(async move { this.serve(stream, address.ip(), seat).await });
                    }
                    Err(error) if of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections; trying again");
                        this.table.make_room();
                        sleep(PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept_all => {}
        }
    }

    async fn serve(&self, stream: TcpStream, peer: IpAddr, seat: Seat) {
        let _open = self.metrics.connection(self.table.port());
        // Without it an answer in two segments waits 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let router = self.router.clone();
        let (limits, ending) = (&self.limits, &self.ending);
        let Some(tls) = &self.tls else {
            let caller = Caller::new(peer, None);
            return connection::serve(stream, &seat, caller, router, limits, ending).await;
        };
        if let Some(stream) = self.shake_hands(tls, stream, peer, &seat.standing).await {
            // A client may connect ahead of its first request, and Go's does.
            seat.standing.begin(Phase::Idle);
            let caller = Caller::new(peer, stream.get_ref().1.peer_certificates());
            connection::serve(stream, &seat, caller, router, limits, ending).await;
        }
    }

    /// The connection behind the handshake; `None` if there is none, which is counted.
    async fn shake_hands(
        &self,
        tls: &Tls,
        stream: TcpStream,
        peer: IpAddr,
        standing: &Standing,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            // Whoever speaks TLS speaks first.
            timeout(self.limits.first_byte_timeout, stream.peek(&mut [0])).await??;
            let accept = tls.acceptor.accept(stream);
            by_turns(&tls.turns, standing, accept).await
        };
        let handshake = timeout(self.limits.handshake_timeout, handshake);
        let result = tokio::select! {
            () = standing.displaced() => return None,
            () = self.ending.cut.cancelled() => return None,
            result = handshake => result,
        };
        match result {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
                self.handshake_failed(&error, peer);
            }
            Ok(Err(_)) | Err(_) => self.metrics.handshake_failed(HandshakeFailure::Timeout),
        }
        None
    }

    fn handshake_failed(&self, error: &io::Error, peer: IpAddr) {
        let tls = error.get_ref().and_then(|error| error.downcast_ref());
        let failure = match tls {
            Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)) => {
                HandshakeFailure::Refused
            }
            // On a server this is the client's.
            Some(rustls::Error::InvalidCertificate(_)) => HandshakeFailure::ClientCertificate,
            _ => HandshakeFailure::Broken,
        };
        self.metrics.handshake_failed(failure);
        if failure == HandshakeFailure::ClientCertificate && self.refused_certificate.is_due() {
            tracing::warn!(
                %error,
                %peer,
                "a client certificate does not verify; if it is an API server's, compare its \
                 issuer and dates with --client-ca"
            );
        } else {
            tracing::debug!(%error, %peer, ?failure, "TLS handshake failed");
        }
    }
}

/// Polls a handshake to its end, and takes a turn for each step. While it waits for its turn the
/// server owes the next step; while it waits for the client, the client does.
async fn by_turns<T>(
    turns: &Shares,
    standing: &Standing,
    handshake: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut handshake = pin!(handshake);
    loop {
        standing.begin(Phase::Greeting);
        let turn = turns.take(Some(standing.peer), 1).await;
        let turn = turn.ok_or(io::ErrorKind::TimedOut)?;
        let step = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
        drop(turn);
        if let Poll::Ready(result) = step {
            return result;
        }
        standing.begin(Phase::Handshake);
        woken().await;
    }
}

/// Ready when the task was woken once more.
async fn woken() {
    let mut was_polled = false;
    poll_fn(|_| {
        if std::mem::replace(&mut was_polled, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Whether the client was gone before it was accepted, which is nothing to log.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
