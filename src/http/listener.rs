//! Accepts connections on one port, no more at a time than are allowed.
//!
//! A place is taken before a connection is accepted: connections above the cap wait in the
//! kernel's queue and cost nothing.

use super::Limits;
use super::connection::{self, Ending};
use super::peer::Peer;
use crate::observe::metrics::{HandshakeFailure, Metrics, Port};
use axum::Router;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause after an error that concerns the whole process (no file descriptor left), so
/// that the log does not fill while it lasts.
const PAUSE: Duration = Duration::from_millis(200);

/// Connections on the admin port: probes and Prometheus need few, and a flood there must not
/// take the webhook's memory.
const ADMIN_CONNECTIONS: usize = 64;

/// One port and what is served on it.
pub(super) struct Listener {
    pub(super) port: Port,
    /// Plain HTTP where there is none.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) ending: Ending,
    pub(super) connections: TaskTracker,
}

impl Listener {
    /// Accepts connections until `stop`; those that are open then go on.
    pub(super) async fn accept(self, socket: TcpListener, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(match self.port {
            Port::Webhook => self.limits.max_connections,
            Port::Admin => ADMIN_CONNECTIONS,
        }));
        let this = Arc::new(self);
        let accept_all = async {
            // The semaphore is never closed.
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                match socket.accept().await {
                    Ok((stream, address)) => {
                        let this = Arc::clone(&this);
                        let connections = this.connections.clone();
                        connections.spawn(async move {
                            this.serve(stream, address.into()).await;
                            drop(place);
                        });
                    }
                    Err(error) if of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections; trying again");
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

    async fn serve(&self, stream: TcpStream, peer: Peer) {
        let _open = self.metrics.connection(self.port);
        // Without it an answer in two segments waits 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let router = self.router.clone();
        let Some(tls) = &self.tls else {
            return connection::serve(stream, peer, router, &self.limits, &self.ending).await;
        };
        match timeout(self.limits.handshake_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                connection::serve(stream, peer, router, &self.limits, &self.ending).await
            }
            Ok(Err(error)) => self.handshake_failed(&error),
            Err(_) => self.metrics.handshake_failed(HandshakeFailure::Timeout),
        }
    }

    fn handshake_failed(&self, error: &io::Error) {
        let tls = error.get_ref().and_then(|error| error.downcast_ref());
        let failure = match tls {
            Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)) => {
                HandshakeFailure::Refused
            }
            _ => HandshakeFailure::Broken,
        };
        self.metrics.handshake_failed(failure);
        tracing::debug!(%error, ?failure, "TLS handshake failed");
    }
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
