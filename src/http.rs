//! The server: two ports, their life from binding to the last answer.
//!
//! The states are types: a [`Config`] is bound to its ports, a [`Bound`] serves until
//! it is told to end. Certificates are loaded before a port is bound, so that nobody
//! connects to a server that cannot answer. Decides nothing about images.

use crate::audit::decision_log::{DecisionLog, Destination};
use crate::audit::events::{self, EventQueue, EventSource};
use crate::observe::metrics::{Metrics, Port};
use crate::state::expiry_log;
use crate::state::file_watch::Watch;
use crate::state::map_store::{MapFile, MapStore};
use crate::state::namespaces::{self, Namespaces};
use jiff::Timestamp;
use pullpass_core::admission::Mode;
use pullpass_core::admission::record::Recording;
use std::fmt;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub mod admin;
pub mod body;
mod connection;
pub mod deadline;
mod listener;
pub mod tls;
pub mod webhook;

use admin::Admin;
use connection::Ending;
use listener::Listener;
use tls::{Certificate, Pair, PairError, PairFiles};
use webhook::{Review, Traces, Webhook};

/// Probes and Prometheus; a flood here must not take the webhook's memory.
const ADMIN_CONNECTIONS: usize = 64;

/// What to serve and where.
#[derive(Debug)]
pub struct Config {
    /// Where the API server connects, HTTPS.
    pub listen: SocketAddr,
    /// Where probes and Prometheus connect, plain HTTP.
    pub admin_listen: SocketAddr,
    /// What to show to those who connect.
    pub certificate: CertificateSource,
    /// What to decide by.
    pub map: MapFile,
    /// Whether refusals are meant.
    pub mode: Mode,
    /// Where decision records go, and of which reviews there are any.
    pub decisions: Option<(Destination, Recording)>,
    /// Where Events are made.
    pub events: Option<EventSource>,
    /// How long and how much.
    pub limits: Limits,
    /// [`admission::review`](pullpass_core::admission::review); tests put something in its place that panics.
    pub review: Review,
}

/// Hands certificates to the server for as long as it lives; ends only by a fault.
pub struct Keep(Box<StartKeeping>);

type StartKeeping = dyn FnOnce(Arc<Certificate>, Arc<Metrics>) -> Keeping + Send;
type Keeping = Task;

impl Keep {
    /// Such as [`Keeper::run`](crate::certs::rotator::Keeper::run).
    pub fn new<F: Future<Output = ()> + Send + 'static>(
        run: impl FnOnce(Arc<Certificate>, Arc<Metrics>) -> F + Send + 'static,
    ) -> Self {
        Self(Box::new(|certificate, metrics| {
            Box::pin(run(certificate, metrics))
        }))
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}

/// Where the serving certificate comes from.
#[derive(Debug)]
pub enum CertificateSource {
    /// From somebody who brings the first one later, and others after it.
    Kept(Keep),
    /// From two files, read again when they change.
    Files(PairFiles),
    /// From memory, for as long as the process lives.
    Memory(Box<Pair>),
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
    /// How often files are looked at for changes.
    pub poll_interval: Duration,
    /// How long connections are still accepted, and idle ones kept, once the process is
    /// to end: until the last API server has learnt that this replica is not ready, and
    /// has used up its idle connections. Go keeps them by the Service's name, not by
    /// replica, and sends on them whoever is ready; a POST that crosses with the end of
    /// its connection is lost, because Go does not repeat it (`net/http`
    /// `shouldRetryRequest`). So the fewer are left the better.
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
            poll_interval: Duration::from_secs(1),
            shutdown_delay: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The certificate cannot be used.
    #[error("cannot serve HTTPS: {0}")]
    Certificate(#[from] PairError),
    /// TLS cannot be set up.
    #[error("cannot serve HTTPS: {0}")]
    Tls(#[from] rustls::Error),
    /// The decision records cannot be written.
    #[error("cannot write decision records to {path}: {error}")]
    DecisionLog {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// A port cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// A server whose ports are taken and which does not accept yet.
pub struct Bound {
    webhook: (TcpListener, Listener),
    admin: (TcpListener, Listener),
    limits: Limits,
    reloads: Vec<Reload>,
    keeping: Keeping,
    // What is done besides answering.
    besides: Vec<Task>,
    decisions: Option<DecisionLog>,
}

impl Config {
    /// Loads certificate and map, then takes both ports.
    ///
    /// A certificate that cannot be used is an error, since nothing can be answered
    /// without one. A map that cannot be used is not: see [`crate::state::map_store`].
    pub async fn bind(self) -> Result<Bound, StartError> {
        let metrics = Arc::new(Metrics::default());
        let Loaded {
            certificate,
            reload: certificate_reload,
            keeping,
        } = load_certificate(self.certificate, &metrics)?;
        let maps = Arc::new(MapStore::new(Arc::clone(&metrics)));
        let Self { limits, mode, .. } = self;
        metrics.in_mode(mode);
        let (traces, making_events) = start_traces(self.decisions, self.events, &metrics)?;
        let decisions = traces.decisions.as_ref().map(|(log, _)| log.clone());
        let (namespaces, following) = follow_namespaces(&maps, &metrics);
        let webhook = Webhook::new(Arc::clone(&maps), Arc::clone(&metrics), limits)
            .with_review(self.review)
            .with_namespaces(Arc::clone(&namespaces))
            .with_map_options(self.map.options().clone())
            .with_traces(mode, traces);
        let map_reload = load_map(self.map, Arc::clone(&maps));
        let ending = Ending::default();
        let admin = Admin {
            mode,
            maps: Arc::clone(&maps),
            namespaces,
            certificate: Arc::clone(&certificate),
            metrics: Arc::clone(&metrics),
            budget: webhook.budget(),
            shutting_down: Arc::clone(&ending.last_answers),
        };
        let webhook = Listener {
            port: Port::Webhook,
            tls: Some(TlsAcceptor::from(Arc::new(tls::server_config(
                certificate,
            )?))),
            router: webhook.router(),
            limits,
            max_connections: limits.max_connections,
            metrics,
            ending,
            connections: TaskTracker::new(),
        };
        let admin = Listener {
            port: Port::Admin,
            tls: None,
            router: admin.router(),
            max_connections: ADMIN_CONNECTIONS,
            // The probes must be answered as before until the process ends.
            ending: Ending::default(),
            connections: TaskTracker::new(),
            ..webhook.clone()
        };
        Ok(Bound {
            webhook: (listen(self.listen).await?, webhook),
            admin: (listen(self.admin_listen).await?, admin),
            limits,
            reloads: vec![certificate_reload, map_reload],
            keeping,
            besides: vec![making_events, following, Box::pin(expiry_log::tell(maps))],
            decisions,
        })
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn start_traces(
    decisions: Option<(Destination, Recording)>,
    events: Option<EventSource>,
    metrics: &Arc<Metrics>,
) -> Result<(Traces, Task), StartError> {
    let mut traces = Traces::default();
    if let Some((destination, recording)) = decisions {
        destination
            .check()
            .map_err(|error| StartError::DecisionLog {
                path: destination.to_string(),
                error,
            })?;
        let log = DecisionLog::start(destination, Arc::clone(metrics));
        traces.decisions = Some((log, recording));
    }
    let making: Task = match events {
        None => Box::pin(pending()),
        Some(source) => {
            let (queue, waiting) = EventQueue::new(Arc::clone(metrics));
            traces.events = Some(queue);
            Box::pin(events::make(source, waiting, Arc::clone(metrics)))
        }
    };
    Ok((traces, making))
}

/// What is known of namespaces, and what keeps it so.
fn follow_namespaces(maps: &MapStore, metrics: &Arc<Metrics>) -> (Arc<Namespaces>, Task) {
    let namespaces = Arc::new(Namespaces::new(Arc::clone(metrics)));
    let following = namespaces::keep(Arc::clone(&namespaces), maps.asks_for_labels());
    (namespaces, Box::pin(following))
}

/// The default address is `[::]`, which means IPv4 too; where the kernel has no IPv6
/// it is `0.0.0.0`.
async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
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
    Err(StartError::Listen { address, error })
}

/// Looks for a change and takes it; called again and again. Reads files.
type Reload = Box<dyn FnMut() + Send>;

/// A certificate, and what replaces it: one of two ways, the other does nothing.
struct Loaded {
    certificate: Arc<Certificate>,
    reload: Reload,
    keeping: Keeping,
}

fn load_certificate(
    source: CertificateSource,
    metrics: &Arc<Metrics>,
) -> Result<Loaded, StartError> {
    let kept = |certificate, keeping| Loaded {
        certificate,
        reload: Box::new(|| {}),
        keeping,
    };
    let files = match source {
        CertificateSource::Files(files) => files,
        CertificateSource::Memory(pair) => {
            let certificate = Certificate::new(*pair, Arc::clone(metrics));
            return Ok(kept(Arc::new(certificate), Box::pin(pending())));
        }
        CertificateSource::Kept(Keep(start)) => {
            let certificate = Arc::new(Certificate::awaited(Arc::clone(metrics)));
            let keeping = start(Arc::clone(&certificate), Arc::clone(metrics));
            return Ok(kept(certificate, keeping));
        }
    };
    let mut watch = Watch::new(move || files.read());
    let pair = match watch.content() {
        Ok(bytes) => bytes.parse()?,
        Err(error) => return Err(error.clone().into()),
    };
    let certificate = Arc::new(Certificate::new(pair, Arc::clone(metrics)));
    let watched = Arc::clone(&certificate);
    let reload = move || {
        if let Some(new) = watch.changed() {
            let new = new
                .as_ref()
                .map_err(Clone::clone)
                .and_then(tls::PairBytes::parse);
            watched.replace(new, Timestamp::now());
        }
    };
    Ok(Loaded {
        certificate,
        reload: Box::new(reload),
        keeping: Box::pin(pending()),
    })
}

fn load_map(file: MapFile, maps: Arc<MapStore>) -> Reload {
    let reading = file.clone();
    let mut watch = Watch::new(move || reading.read());
    let take = move |content: &Result<Vec<_>, _>| {
        let new = content
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|files| file.compile(files));
        maps.replace(new, Timestamp::now());
    };
    take(watch.content());
    Box::new(move || {
        if let Some(new) = watch.changed() {
            take(new);
        }
    })
}

impl Bound {
    /// Where the webhook listens; the port is known even when 0 was asked for.
    pub fn webhook_address(&self) -> io::Result<SocketAddr> {
        self.webhook.0.local_addr()
    }

    /// Where the admin port listens.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.0.local_addr()
    }

    /// Serves until `shutdown` comes, then ends in order. `false` when requests had
    /// to be cut because they took too long.
    ///
    /// First this replica is not ready and answers each request with
    /// `Connection: close`, while it still accepts; then nobody sends to it any more,
    /// and idle connections can be closed without harm; then what is left ends.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> bool {
        let stop = CancellationToken::new();
        let connections = self.webhook.1.connections.clone();
        let ending = self.webhook.1.ending.clone();
        let reloading = tokio::spawn(reload(self.reloads, self.limits.poll_interval));
        let (socket, listener) = self.admin;
        let admin = tokio::spawn(listener.accept(socket, CancellationToken::new()));
        let (socket, listener) = self.webhook;
        let webhook = tokio::spawn(listener.accept(socket, stop.clone()));

        let besides: Vec<_> = self.besides.into_iter().map(tokio::spawn).collect();
        let mut keeping = tokio::spawn(self.keeping);
        tokio::select! {
            () = shutdown => {}
            // A server whose certificate ends one day unseen is better begun anew.
            _ = &mut keeping => tracing::error!("nobody keeps the certificate any more: ending"),
        }
        // Who is to end writes nothing any more: after an uninstall and a new install the
        // Secret and the webhooks of that name belong to others.
        keeping.abort();
        tracing::info!(delay = ?self.limits.shutdown_delay, "shutting down: not ready from now on");
        ending.last_answers.store(true, Relaxed);
        sleep(self.limits.shutdown_delay).await;
        stop.cancel();
        // The listening socket is closed when this has ended.
        let _ = webhook.await;
        ending.close_idle.cancel();
        connections.close();
        let whole = timeout(self.limits.drain_timeout, connections.wait())
            .await
            .is_ok();
        if !whole {
            tracing::warn!(
                connections = connections.len(),
                "cutting connections that did not end in time"
            );
            ending.cut.cancel();
            connections.wait().await;
        }
        admin.abort();
        reloading.abort();
        besides.iter().for_each(JoinHandle::abort);
        if let Some(decisions) = self.decisions {
            // Waits on a channel: not for a thread of the runtime.
            let _ = tokio::task::spawn_blocking(move || decisions.flush()).await;
        }
        tracing::info!("shut down");
        whole
    }
}

async fn reload(mut reloads: Vec<Reload>, interval: Duration) {
    loop {
        sleep(interval).await;
        // Reading and compiling a large map takes long enough to hold up reviews.
        let step = tokio::task::spawn_blocking(move || {
            for reload in &mut reloads {
                reload();
            }
            reloads
        });
        match step.await {
            Ok(again) => reloads = again,
            Err(error) => {
                tracing::error!(%error, "files are not looked at any more, restart pullpass");
                return;
            }
        }
    }
}
