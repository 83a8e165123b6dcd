//! The composition root: builds metrics, certificate, registry map and background tasks, and
//! hands the HTTP part what it serves.
//!
//! This is the one place that knows all of them. The states are types: a [`Config`] becomes
//! [`Bound`] to its ports, and serves until it is told to end. Decides nothing.

use crate::audit::AuditSinks;
use crate::audit::decision_log::{DecisionLog, Destination};
use crate::audit::events::{self, EventQueue, EventSource};
use crate::certs::pair::{Pair, PairError, PairFiles};
use crate::certs::rotator::{CertificateRotator, Rotation};
use crate::certs::served::ServedCertificate;
use crate::http::{self, Addresses, BindError, Handles, Limits};
use crate::observe::metrics::Metrics;
use crate::state::expiry_log;
use crate::state::map_store::{MapFile, MapStore};
use crate::state::namespaces::{self, Namespaces};
use background_tasks::BackgroundTasks;
use pullpass_core::admission::Mode;
use pullpass_core::admission::record::Recording;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub mod background_tasks;
mod reload;

/// How often files are read again, unless the configuration says otherwise.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What to serve and where.
#[derive(Debug)]
pub struct Config {
    /// The ports.
    pub addresses: Addresses,
    /// Where the serving certificate comes from.
    pub certificate: CertificateSource,
    /// The registry map.
    pub map: MapFile,
    /// The enforcement mode.
    pub mode: Mode,
    /// Where decision records go, and of which reviews there are any.
    pub decision_log: Option<(Destination, Recording)>,
    /// Where Events are created.
    pub events: Option<EventSource>,
    /// Bounds of the HTTP part.
    pub limits: Limits,
    /// How often files are read again.
    pub poll_interval: Duration,
}

/// Where the serving certificate comes from.
#[derive(Debug)]
pub enum CertificateSource {
    /// From the certificate rotator, which brings the first one later, and others after it.
    Rotated(Box<Rotation>),
    /// From two files, read again when they change.
    Files(PairFiles),
    /// From memory, for as long as the process lives.
    Memory(Box<Pair>),
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The certificate cannot be used.
    #[error("cannot serve HTTPS: {0}")]
    Certificate(#[from] PairError),
    /// The decision records cannot be written.
    #[error("cannot write decision records to {path}: {error}")]
    DecisionLog {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// TLS cannot be set up, or a port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl Config {
    /// Loads certificate and map, starts the background tasks, then takes both ports.
    ///
    /// A certificate that cannot be used is an error, because nothing can be answered without
    /// one. A map that cannot be used is not: see [`crate::state::map_store`].
    pub async fn bind(self) -> Result<Bound, StartError> {
        let metrics = Arc::new(Metrics::default());
        metrics.in_mode(self.mode);
        let mut tasks = BackgroundTasks::default();
        let certificate =
            serve_certificate(self.certificate, self.poll_interval, &metrics, &mut tasks)?;
        let maps = Arc::new(MapStore::new(Arc::clone(&metrics)));
        let audit = record_decisions(self.decision_log, self.events, &metrics, &mut tasks)?;
        let namespaces = Arc::new(Namespaces::new(Arc::clone(&metrics)));
        let watch = namespaces::run(Arc::clone(&namespaces), maps.asks_for_labels());
        tasks.start("namespaces", watch);
        let reload = reload::map(self.map, Arc::clone(&maps));
        tasks.start("map reload", reload::poll(self.poll_interval, reload));
        tasks.start("expiry log", expiry_log::run(Arc::clone(&maps)));
        let decision_log = audit.decision_log.clone().map(|(log, _)| log);
        let server = http::Server {
            handles: Handles {
                maps,
                namespaces,
                mode: self.mode,
                audit,
                metrics,
            },
            certificate,
            limits: self.limits,
        };
        let http = server.bind(self.addresses).await?;
        Ok(Bound::new(http, tasks, decision_log))
    }
}

/// The certificate, and the task that replaces it where there is one.
fn serve_certificate(
    source: CertificateSource,
    poll_interval: Duration,
    metrics: &Arc<Metrics>,
    tasks: &mut BackgroundTasks,
) -> Result<Arc<ServedCertificate>, StartError> {
    let metrics = Arc::clone(metrics);
    Ok(match source {
        CertificateSource::Memory(pair) => Arc::new(ServedCertificate::new(*pair, metrics)),
        CertificateSource::Files(files) => {
            let (certificate, reload) = reload::certificate(files, metrics)?;
            tasks.start("certificate reload", reload::poll(poll_interval, reload));
            certificate
        }
        CertificateSource::Rotated(rotation) => {
            let certificate = Arc::new(ServedCertificate::awaited(Arc::clone(&metrics)));
            let served = Arc::clone(&certificate);
            let rotator = CertificateRotator::new(*rotation, served, metrics);
            tasks.start_essential("certificate rotator", rotator.run());
            certificate
        }
    })
}

/// The sinks, and the task that creates Events where they are wanted.
fn record_decisions(
    decision_log: Option<(Destination, Recording)>,
    events: Option<EventSource>,
    metrics: &Arc<Metrics>,
    tasks: &mut BackgroundTasks,
) -> Result<AuditSinks, StartError> {
    let mut sinks = AuditSinks::default();
    if let Some((destination, recording)) = decision_log {
        destination
            .check()
            .map_err(|error| StartError::DecisionLog {
                path: destination.to_string(),
                error,
            })?;
        let log = DecisionLog::start(destination, Arc::clone(metrics));
        sinks.decision_log = Some((log, recording));
    }
    if let Some(source) = events {
        let (queue, waiting) = EventQueue::new(Arc::clone(metrics));
        sinks.events = Some(queue);
        tasks.start(
            "events",
            events::create(source, waiting, Arc::clone(metrics)),
        );
    }
    Ok(sinks)
}

/// A server whose ports are taken and which does not accept yet, with its background tasks.
pub struct Bound {
    http: http::Bound,
    tasks: BackgroundTasks,
    decision_log: Option<DecisionLog>,
}

impl Bound {
    /// Serves this, with these tasks in the background; flushes the log at the end.
    #[must_use]
    pub fn new(
        http: http::Bound,
        tasks: BackgroundTasks,
        decision_log: Option<DecisionLog>,
    ) -> Self {
        Self {
            http,
            tasks,
            decision_log,
        }
    }

    /// Where the ports are, which are known even when 0 was asked for.
    pub fn addresses(&self) -> io::Result<Addresses> {
        self.http.addresses()
    }

    /// Serves until `shutdown` comes or an essential task ends, then ends in order. `false`
    /// when requests had to be cut because they took too long.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> bool {
        let mut tasks = self.tasks;
        let told_to_end = async {
            tokio::select! {
                () = shutdown => {}
                // A server whose certificate expires unnoticed one day is better restarted.
                task = tasks.essential_ended() => {
                    tracing::error!(task, "an essential background task has ended: shutting down");
                }
            }
            // From now on the rotator must not write: after an uninstall and a new install the
            // Secret and the webhooks of that name belong to others.
            tasks.end_essential();
        };
        let is_whole = self.http.serve(told_to_end).await;
        drop(tasks);
        if let Some(log) = self.decision_log {
            // It waits on a channel, and must not block a thread of the runtime.
            let _ = tokio::task::spawn_blocking(move || log.flush()).await;
        }
        tracing::info!("shut down");
        is_whole
    }
}
