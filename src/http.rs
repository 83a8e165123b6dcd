//! The HTTP part: two ports and their life, from binding to the last answer.
//!
//! The states are types: a [`Server`] is bound to its ports, a [`Bound`] serves until it is
//! told to end. Everything that changes while it serves comes in as a handle ([`Handles`],
//! [`ServedCertificate`]); nothing is loaded or started here. This room must
//! not decide about images.

use crate::audit::AuditSinks;
use crate::certs::served::ServedCertificate;
use crate::observe::metrics::{Metrics, Port};
use crate::observe::throttle::Throttle;
use crate::registration::Registration;
use crate::state::map_store::MapStore;
use crate::state::namespaces::Namespaces;
use pullpass_core::admission::Mode;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub mod admin;
pub mod body;
pub mod caller;
mod connection;
pub mod deadline;
mod descriptors;
mod listener;
pub mod memory;
pub mod peer;
mod scrape;
pub mod shares;
mod standing;
mod table;
mod tls;
pub mod webhook;

use admin::Admin;
use caller::CallerPolicy;
use connection::Ending;
use listener::{Listener, Tls};
use scrape::Scrapes;
use table::ConnectionTable;
use webhook::Webhook;

/// What the endpoints read, count and write to; others keep it up to date.
#[derive(Debug, Clone)]
pub struct Handles {
    /// The registry map in force.
    pub maps: Arc<MapStore>,
    /// The labels of namespaces.
    pub namespaces: Arc<Namespaces>,
    /// Whether the API server calls this replica as it should.
    pub registration: Arc<Registration>,
    /// The enforcement mode.
    pub mode: Mode,
    /// Who is answered.
    pub callers: CallerPolicy,
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
            registration: Arc::default(),
            mode: Mode::default(),
            callers: CallerPolicy::default(),
            audit: AuditSinks::new(Arc::clone(&metrics)),
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
    /// Connections on the webhook's port at a time; one more takes the place of another.
    pub max_connections: usize,
    /// Bytes that large bodies and the decisions about them may hold together, half of it each.
    pub body_memory: usize,
    /// Bytes of one body. A review with a full-size object and old object, each
    /// character escaped to six, comes to about 30 MiB.
    pub max_body: usize,
    /// For the first byte of the TLS handshake, which clients send at once.
    pub first_byte_timeout: Duration,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// For a request's header, from its first byte.
    pub header_timeout: Duration,
    /// For a request's body, from the header's end.
    pub body_timeout: Duration,
    /// For the client to take an answer, from when it is ready.
    pub answer_timeout: Duration,
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
            body_memory: 192 << 20,
            max_body: 32 << 20,
            first_byte_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_mins(2),
            max_age: Duration::from_mins(10),
            shutdown_delay: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Connections on the admin port: probes and Prometheus need few, and a flood there must not
/// take the webhook's memory. It is enough that a probe is answered long before a flood of new
/// connections has pushed it out.
const ADMIN_CONNECTIONS: usize = 256;

/// As many of what keeps a processor busy for long as may run at once: the others are for
/// ordinary reviews and for probes.
fn half_the_processors() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).max(1)
}

/// Runs long work where it holds up no other connection.
fn off_the_workers<T>(work: impl FnOnce() -> T) -> T {
    // Only this flavour can move the other tasks away; tests use the other one.
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
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
    #[expect(
        clippy::unused_async,
        reason = "sockets need a runtime, and whoever awaits this has one"
    )]
    pub async fn bind(self, addresses: Addresses) -> Result<Bound, BindError> {
        let Self {
            handles,
            certificate,
            limits,
        } = self;
        let metrics = Arc::clone(&handles.metrics);
        let tls = tls::server_config(Arc::clone(&certificate), &handles.callers)?;
        let ending = Ending::default();
        let table = |port, places| {
            let metrics = Arc::clone(&metrics);
            Arc::new(ConnectionTable::new(port, places, metrics))
        };
        let for_connections = descriptors::available().saturating_sub(ADMIN_CONNECTIONS);
        let places = limits.max_connections.min(for_connections.max(1));
        let [webhook_table, admin_table] = [
            table(Port::Webhook, places),
            table(Port::Admin, ADMIN_CONNECTIONS),
        ];
        let webhook = Webhook::new(handles.clone(), limits);
        let admin = Admin {
            handles,
            certificate,
            memory: webhook.memory(),
            scrapes: Scrapes::new(Arc::clone(&admin_table)),
            shutting_down: Arc::clone(&ending.last_answers),
        };
        let listener = |table, tls, router, ending| Listener {
            tls,
            router,
            limits,
            table,
            metrics: Arc::clone(&metrics),
            refused_certificate: Throttle::default(),
            ending,
            connections: TaskTracker::new(),
        };
        // Probes are answered until the process ends, so nothing tells their connections to end.
        let admin = listener(admin_table, None, admin.router(), Ending::default());
        let tls = Some(Tls::new(tls));
        let webhook = listener(webhook_table, tls, webhook.router(), ending);
        Ok(Bound {
            webhook: (listen(addresses.webhook)?, webhook),
            admin: (listen(addresses.admin)?, admin),
            limits,
        })
    }
}

/// How many connections the kernel may hold for us before we accept them; it takes at most
/// `net.core.somaxconn`, which is 4096 on most systems.
const BACKLOG: u32 = 4096;

/// The default address is `[::]`, which means IPv4 too; where the kernel has no IPv6
/// it is `0.0.0.0`.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bind = |address: SocketAddr| {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // As `TcpListener::bind` does: a new process may use the port at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let error = match bind(address) {
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
        if let Ok(listener) = bind(ipv4) {
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
