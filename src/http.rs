//! The HTTP part: two ports and their life, from binding to the last answer.
//!
//! The states are types: a [`Server`] is bound to its ports, a [`Bound`] serves until it is
//! told to end. Everything that changes while it serves comes in as a handle ([`Handles`],
//! [`ServedCertificate`]); nothing is loaded or started here. Decides nothing about images.

use crate::audit::AuditSinks;
use crate::certs::served::ServedCertificate;
use crate::observe::metrics::{Metrics, Port};
use crate::state::map_store::MapStore;
use crate::state::namespaces::Namespaces;
use pullpass_core::admission::Mode;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub mod admin;
pub mod body;
mod connection;
pub mod deadline;
mod listener;
mod tls;
pub mod webhook;

use admin::Admin;
use connection::Ending;
use listener::Listener;
use webhook::Webhook;

/// What the endpoints read, count and write to; others keep it up to date.
#[derive(Debug, Clone)]
pub struct Handles {
    /// The registry map in force.
    pub maps: Arc<MapStore>,
    /// The labels of namespaces.
    pub namespaces: Arc<Namespaces>,
    /// The enforcement mode.
    pub mode: Mode,
    /// Where the records of decisions go.
    pub audit: AuditSinks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Handles {
    /// These maps and metrics; no labels of namespaces, no records, and all else as by default.
    #[must_use]
    pub fn new(maps: Arc<MapStore>, metrics: Arc<Metrics>) -> Self {
        Self {
            maps,
            namespaces: Arc::new(Namespaces::new(Arc::clone(&metrics))),
            mode: Mode::default(),
            audit: AuditSinks::default(),
            metrics,
        }
    }
}

/// Where the two ports are.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Where the API server connects, HTTPS.
    pub webhook: SocketAddr,
    /// Where probes and Prometheus connect, plain HTTP.
    pub admin: SocketAddr,
}

/// Bounds of time and memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections on the webhook's port at a time; more wait.
    pub max_connections: usize,
    /// Bytes that the bodies of all requests may hold together.
    pub body_memory: usize,
    /// Bytes of one body. A review with a full-size object and old object, each
    /// character escaped to six, comes to about 30 MiB.
    pub max_body: usize,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// For a request's header, from its first byte.
    pub header_timeout: Duration,
    /// For a request's body, from the header's end.
    pub body_timeout: Duration,
    /// For a connection without a request. Above the 90 s after which the API server
    /// closes idle connections itself (Go `net/http` `DefaultTransport`).
    pub idle_timeout: Duration,
    /// After this a connection's next answer is its last, so that new certificates
    /// and new replicas reach connections that never fall idle.
    pub max_age: Duration,
    /// How long the server still accepts connections, and keeps idle ones, after it was told
    /// to end: until the last API server has learnt that this replica is not ready, and has
    /// used up its idle connections. Go keeps those by the Service's name, not by replica, and
    /// sends on them whoever is ready; a POST that crosses with the end of its connection is
    /// lost, because Go does not repeat it (`net/http` `shouldRetryRequest`).
    pub shutdown_delay: Duration,
    /// How long requests may then take to end.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            body_memory: 256 << 20,
            max_body: 32 << 20,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_mins(2),
            max_age: Duration::from_mins(10),
            shutdown_delay: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// TLS cannot be set up.
    #[error("cannot serve HTTPS: {0}")]
    Tls(#[from] rustls::Error),
    /// A port cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// What is served, before there are ports.
#[derive(Debug)]
pub struct Server {
    /// What the endpoints work with.
    pub handles: Handles,
    /// The certificate of the webhook's port.
    pub certificate: Arc<ServedCertificate>,
    /// How long and how much.
    pub limits: Limits,
}

/// A server whose ports are taken and which does not accept yet.
pub struct Bound {
    webhook: (TcpListener, Listener),
    admin: (TcpListener, Listener),
    limits: Limits,
}

impl Server {
    /// Takes both ports.
    pub async fn bind(self, addresses: Addresses) -> Result<Bound, BindError> {
        let Self {
            handles,
            certificate,
            limits,
        } = self;
        let metrics = Arc::clone(&handles.metrics);
        let tls = tls::server_config(Arc::clone(&certificate))?;
        let ending = Ending::default();
        let webhook = Webhook::new(handles.clone(), limits);
        let admin = Admin {
            handles,
            certificate,
            budget: webhook.budget(),
            shutting_down: Arc::clone(&ending.last_answers),
        };
        let listener = |port, tls, router, ending| Listener {
            port,
            tls,
            router,
            limits,
            metrics: Arc::clone(&metrics),
            ending,
            connections: TaskTracker::new(),
        };
        // Probes are answered until the process ends, so nothing tells their connections to end.
        let admin = listener(Port::Admin, None, admin.router(), Ending::default());
        let tls = Some(TlsAcceptor::from(Arc::new(tls)));
        let webhook = listener(Port::Webhook, tls, webhook.router(), ending);
        Ok(Bound {
            webhook: (listen(addresses.webhook).await?, webhook),
            admin: (listen(addresses.admin).await?, admin),
            limits,
        })
    }
}

/// The default address is `[::]`, which means IPv4 too; where the kernel has no IPv6
/// it is `0.0.0.0`.
async fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    let any_ipv6 = address.is_ipv6() && address.ip().is_unspecified();
    let taken = matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    );
    if any_ipv6 && !taken {
        let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        if let Ok(listener) = TcpListener::bind(ipv4).await {
            return Ok(listener);
        }
    }
    Err(BindError::Listen { address, error })
}

impl Bound {
    /// Where the ports are, which are known even when 0 was asked for.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            webhook: self.webhook.0.local_addr()?,
            admin: self.admin.0.local_addr()?,
        })
    }

    /// Serves until `shutdown` comes, then ends in order. `false` when requests had
    /// to be cut because they took too long.
    ///
    /// First this replica is not ready and answers each request with `Connection: close`,
    /// while it still accepts. Then nobody sends to it any more, so it closes idle connections
    /// without harm, and waits for the others.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> bool {
        let stop = CancellationToken::new();
        let connections = self.webhook.1.connections.clone();
        let ending = self.webhook.1.ending.clone();
        let (socket, listener) = self.admin;
        let admin = tokio::spawn(listener.accept(socket, CancellationToken::new()));
        let (socket, listener) = self.webhook;
        let webhook = tokio::spawn(listener.accept(socket, stop.clone()));

        shutdown.await;
        tracing::info!(delay = ?self.limits.shutdown_delay, "shutting down: not ready from now on");
        ending.last_answers.store(true, Relaxed);
        sleep(self.limits.shutdown_delay).await;
        stop.cancel();
        // The listening socket is closed when this has ended.
        let _ = webhook.await;
        ending.close_idle.cancel();
        connections.close();
        let is_whole = timeout(self.limits.drain_timeout, connections.wait())
            .await
            .is_ok();
        if !is_whole {
            tracing::warn!(
                connections = connections.len(),
                "cutting connections that did not end in time"
            );
            ending.cut.cancel();
            connections.wait().await;
        }
        admin.abort();
        is_whole
    }
}
