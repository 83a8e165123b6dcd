//! Every metric: its name, its help, its labels.
//!
//! Labels are closed sets: enums, and the names of the map's own entries. A label must not be a
//! host, an image or a namespace from a request. Counting on the way of a review is an atomic
//! addition: no series is looked up, made or locked there. Only the admin port reads what is
//! counted.
//!
//! `prometheus-client` holds and encodes the metrics. The modules below do what it does not:
//! a histogram without a lock, series that end with a reload, the text format 0.0.4, and
//! the figures of the process.

use axum::http::StatusCode;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use pullpass_core::admission::{Endpoint, Mode, Outcome, WorkloadMode};
use pullpass_core::policy::Entry;
use pullpass_core::registration::RegisteredWebhook;
use std::sync::Arc;
use std::time::Duration;

mod audit;
mod callers;
mod durations;
mod entries;
mod exposition;
mod families;
mod map_series;
mod memory;
mod process;
mod registration;
mod rotator;

use audit::AuditMetrics;
pub use audit::{EventFate, RecordFate};
pub use callers::{CallerMetrics, CallerRefusal, LimitedEffect};
use durations::Durations;
pub use entries::EntryCounters;
use entries::EntryFamily;
pub use exposition::ExpositionFormat;
use families::{MetricLabels, PortFamilies, ReviewFamilies, register, register_with_unit};
use map_series::MapSeries;
use memory::MemoryMetrics;
pub use memory::Used;
use registration::RegistrationMetrics;
pub use registration::WatchedObject;
pub use rotator::RotatorAction;
use rotator::RotatorMetrics;

/// Where a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpRoute {
    /// Where reviews are answered.
    Review(Endpoint),
    /// `/validate-map`.
    Map,
    /// Any other path.
    Other,
}

impl HttpRoute {
    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review(endpoint) => endpoint.as_str(),
            Self::Map => "validate-map",
            Self::Other => "other",
        }
    }
}

impl From<Endpoint> for HttpRoute {
    fn from(endpoint: Endpoint) -> Self {
        Self::Review(endpoint)
    }
}

/// Which of the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// HTTPS, for the API server.
    Webhook,
    /// Plain HTTP, for probes and Prometheus.
    Admin,
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It took too long.
    Timeout,
    /// The client refused our certificate, or the TLS that we offer.
    Refused,
    /// The connection ended, or what came was not TLS.
    Broken,
    /// The client's certificate did not verify.
    ClientCertificate,
}

/// Why a connection lost its place to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Displacement {
    /// It had never sent a request that deserved an answer.
    Unused,
    /// It sent a request, or took an answer, too slowly.
    Stalled,
    /// It was idle.
    Idle,
}

/// All that pullpass counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    mutate: ReviewMetrics,
    validate: ReviewMetrics,
    workloads: ReviewMetrics,
    validate_map: ReviewMetrics,
    other_codes: Codes,
    panics: Counter,
    webhook: PortMetrics,
    admin: PortMetrics,
    handshake_failures: [Counter; 4],
    memory: MemoryMetrics,
    entries: EntryFamily,
    /// The registry map's loads.
    pub map: LoadMetrics,
    /// How many entries the map in force has.
    map_entries: Gauge,
    /// When the map in force was loaded, seconds since 1970.
    map_loaded: Gauge,
    /// The certificate's loads.
    pub certificate: LoadMetrics,
    certificate_not_after: Gauge,
    rotator: RotatorMetrics,
    registration: RegistrationMetrics,
    map_series: MapSeries,
    audit: AuditMetrics,
    /// Who calls.
    pub callers: CallerMetrics,
    observing: Gauge,
    namespaces: Gauge,
}

/// Counts and times what happens at one endpoint.
#[derive(Debug)]
struct ReviewMetrics {
    outcomes: [(Outcome, Counter); Outcome::ALL.len()],
    codes: Codes,
    durations: Durations,
    in_flight: Gauge,
}

/// Answers by class: `2xx`, `4xx`, `5xx`.
#[derive(Debug)]
struct Codes([Counter; 3]);

#[derive(Debug)]
struct PortMetrics {
    open: Gauge,
    accepted: Counter,
    displaced: [Counter; 3],
}

/// Loads of a file that is read again when it changes.
#[derive(Debug)]
pub struct LoadMetrics {
    good: Counter,
    failed: Counter,
    last: Gauge,
}

impl LoadMetrics {
    /// Counts one load, and remembers how the last one went.
    pub fn loaded(&self, good: bool) {
        // The gauge first: whoever sees the count finds the gauge of the same load.
        self.last.set(i64::from(good));
        if good { &self.good } else { &self.failed }.inc();
    }
}

/// Lowers a gauge when what it counts has ended.
#[derive(Debug)]
pub struct Counted<'m>(&'m Gauge);

impl<'m> Counted<'m> {
    fn begin(gauge: &'m Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A review that was answered: with what, and how long the decision took.
    pub fn reviewed(&self, route: impl Into<HttpRoute>, outcome: Outcome, took: Duration) {
        let Some(metrics) = self.reviews(route.into()) else {
            return;
        };
        metrics.durations.observe(took);
        if let Some((_, counter)) = metrics.outcomes.iter().find(|(of, _)| *of == outcome) {
            counter.inc();
        }
    }

    /// An HTTP answer.
    pub fn answered(&self, route: HttpRoute, status: StatusCode) {
        let Codes([success, client, server]) = self
            .reviews(route)
            .map_or(&self.other_codes, |metrics| &metrics.codes);
        match status.as_u16() {
            ..400 => success,
            400..500 => client,
            500.. => server,
        }
        .inc();
    }

    /// A review that panicked and was answered with 500.
    pub fn panicked(&self, route: HttpRoute) {
        self.panics.inc();
        self.answered(route, StatusCode::INTERNAL_SERVER_ERROR);
    }

    /// A request that is being answered, until the value is dropped.
    #[must_use]
    pub fn in_flight(&self, route: HttpRoute) -> Option<Counted<'_>> {
        self.reviews(route)
            .map(|metrics| Counted::begin(&metrics.in_flight))
    }

    /// A connection that is open, until the value is dropped.
    #[must_use]
    pub fn connection(&self, port: Port) -> Counted<'_> {
        let metrics = self.port(port);
        metrics.accepted.inc();
        Counted::begin(&metrics.open)
    }

    /// A connection that lost its place to another one.
    pub fn displaced(&self, port: Port, why: Displacement) {
        let [unused, stalled, idle] = &self.port(port).displaced;
        match why {
            Displacement::Unused => unused,
            Displacement::Stalled => stalled,
            Displacement::Idle => idle,
        }
        .inc();
    }

    fn port(&self, port: Port) -> &PortMetrics {
        match port {
            Port::Webhook => &self.webhook,
            Port::Admin => &self.admin,
        }
    }

    /// A TLS handshake that failed.
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        let [timeout, refused, broken, client_certificate] = &self.handshake_failures;
        match failure {
            HandshakeFailure::Timeout => timeout,
            HandshakeFailure::Refused => refused,
            HandshakeFailure::Broken => broken,
            HandshakeFailure::ClientCertificate => client_certificate,
        }
        .inc();
    }

    /// How many bytes the large bodies and their decisions hold now, and may hold at most.
    pub fn set_memory(&self, [bodies, decisions]: [Used; 2]) {
        self.memory.set(bodies, decisions);
    }

    /// A large body that was given up because others waited for its memory.
    pub fn body_displaced(&self) {
        self.memory.displaced.inc();
    }

    /// A map that is in force from now on; returns the counters of its entries. Entries that
    /// the map before it had too go on counting, the series of all others end.
    #[must_use]
    pub fn map_in_force(
        &self,
        entries: &[Entry],
        digest: &str,
        now: Timestamp,
    ) -> Arc<EntryCounters> {
        self.map_series.set(digest, entries);
        let names = entries.iter().map(|entry| entry.name.as_str());
        let counters = self.entries.replace(names);
        self.map_entries
            .set(i64::try_from(counters.len()).unwrap_or(i64::MAX));
        self.map_loaded.set(now.as_second());
        counters
    }

    /// When the certificate in force expires.
    pub fn certificate_in_force(&self, not_after: Timestamp) {
        self.certificate_not_after.set(not_after.as_second());
    }

    /// The certificate rotator did something, or failed to.
    pub fn rotator_acted(&self, action: RotatorAction, is_ok: bool) {
        self.rotator.count(action, is_ok);
    }

    /// Whether the certificate rotator can do its work.
    pub fn rotator_works(&self, works: bool) {
        self.rotator.working.set(i64::from(works));
    }

    /// When the CA expires that issues the self-signed certificates.
    pub fn authority_in_force(&self, not_after: Option<Timestamp>) {
        let seconds = not_after.map_or(0, Timestamp::as_second);
        self.rotator.authority_not_after.set(seconds);
    }

    /// How much is wrong with the configuration of this webhook.
    pub fn registration_problems(&self, webhook: RegisteredWebhook, count: usize) {
        self.registration.found(webhook, count);
    }

    /// Whether an object that is watched can be read.
    pub fn watch_works(&self, object: WatchedObject, works: bool) {
        self.registration.watch_works(object, works);
    }

    /// Whether the ConfigMap of the map is missing.
    pub fn map_object_missing(&self, is_missing: bool) {
        self.registration.map_missing.set(i64::from(is_missing));
    }

    /// Somebody else has written the Secret of the certificates.
    pub fn secret_changed(&self) {
        self.registration.secret_problems.inc();
    }

    /// The enforcement mode.
    pub fn in_mode(&self, mode: Mode) {
        self.observing.set(i64::from(mode == Mode::Observe));
    }

    /// The number of namespaces whose labels are known.
    pub fn namespaces_known(&self, count: usize) {
        self.namespaces
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// What became of a decision record.
    pub fn recorded(&self, fate: RecordFate) {
        self.audit.record(fate);
    }

    /// What became of an Event.
    pub fn event(&self, fate: EventFate) {
        self.audit.event(fate);
    }

    /// A request that was answered with 401.
    pub fn caller_refused(&self, refusal: CallerRefusal) {
        self.callers.refused(refusal);
    }

    /// An effect of a review that its peer had no share left for.
    pub fn limited(&self, effect: LimitedEffect) {
        self.callers.limited(effect);
    }

    /// Everything, in this format.
    #[must_use]
    pub fn render(&self, format: ExpositionFormat) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail, and a collector of ours adds no failure.
        let _ = encode(&mut text, &self.registry);
        format.of(text)
    }

    fn reviews(&self, route: HttpRoute) -> Option<&ReviewMetrics> {
        match route {
            HttpRoute::Review(Endpoint::Mutate) => Some(&self.mutate),
            HttpRoute::Review(Endpoint::Validate) => Some(&self.validate),
            HttpRoute::Review(Endpoint::Workloads(_)) => Some(&self.workloads),
            HttpRoute::Map => Some(&self.validate_map),
            HttpRoute::Other => None,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        process::register(&mut registry);
        let ours = registry.sub_registry_with_prefix("pullpass");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "The running build", build);
        let reviews = ReviewFamilies::register(ours);
        let ports = PortFamilies::register(ours);
        let help = "TLS handshakes that failed, by reason";
        let handshakes: Family<MetricLabels, Counter> = register(ours, "handshake_failures", help);
        let handshake = |reason| handshakes.get_or_create_owned(&vec![("reason", reason)]);
        let entries = EntryFamily::default();
        ours.register_collector(Box::new(entries.clone()));
        let help = "Reviews that panicked and were answered with 500";
        let panics = register(ours, "panics", help);
        let map = LoadMetrics::register(ours, "map", "the registry map");
        let certificate = LoadMetrics::register(ours, "certificate", "the serving certificate");
        let [map_loaded, certificate_not_after] = dates(ours);
        let rotator = RotatorMetrics::register(ours);
        let [observing, namespaces] = states(ours);
        Self {
            memory: MemoryMetrics::register(ours),
            map_entries: register(ours, "map_entries", "Entries of the registry map in force"),
            map_loaded,
            certificate_not_after,
            rotator,
            registration: RegistrationMetrics::register(ours),
            map_series: MapSeries::register(ours),
            audit: AuditMetrics::register(ours),
            callers: CallerMetrics::register(ours),
            observing,
            namespaces,
            map,
            certificate,
            panics,
            mutate: reviews.of(Endpoint::Mutate.into()),
            validate: reviews.of(Endpoint::Validate.into()),
            workloads: reviews.of(Endpoint::Workloads(WorkloadMode::Warn).into()),
            validate_map: reviews.of(HttpRoute::Map),
            other_codes: reviews.codes(HttpRoute::Other),
            webhook: ports.of("webhook"),
            admin: ports.of("admin"),
            handshake_failures: ["timeout", "refused", "broken", "client_certificate"]
                .map(handshake),
            entries,
            registry,
        }
    }
}

/// When the map in force was loaded, and when the certificate expires.
fn dates(ours: &mut Registry) -> [Gauge; 2] {
    [
        (
            "map_loaded_timestamp",
            "When the registry map in force was loaded",
        ),
        (
            "certificate_not_after_timestamp",
            "When the serving certificate in force expires",
        ),
    ]
    .map(|(name, help)| register_with_unit(ours, name, help, Unit::Seconds))
}

/// What the server is doing: whether it observes, and how many namespaces it knows.
fn states(ours: &mut Registry) -> [Gauge; 2] {
    [
        (
            "observing",
            "1 with --observe: nothing is denied, and an outcome of its own counts what would have been",
        ),
        (
            "namespaces",
            "Namespaces whose labels are known; they are watched only while the map has a namespaceSelector",
        ),
    ]
    .map(|(name, help)| register(ours, name, help))
}
