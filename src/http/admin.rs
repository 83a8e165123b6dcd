//! The admin port's three paths: `/livez`, `/readyz` and `/metrics`.
//!
//! They are plain HTTP, for the kubelet and Prometheus: they must not show
//! a secret or change anything.

use super::Handles;
use super::scrape::Scrapes;
use super::webhook::Memory;
use crate::certs::served::ServedCertificate;
use crate::observe::metrics::{ExpositionFormat, Used};
use crate::state::map_store::MapError;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, VARY};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use pullpass_core::admission::Mode;
use pullpass_core::text::visible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What the admin port shows.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    /// What the endpoints of the webhook work with.
    pub(super) handles: Handles,
    /// The certificate in force.
    pub(super) certificate: Arc<ServedCertificate>,
    /// The memory that large reviews share.
    pub(super) memory: Memory,
    /// What `/metrics` says.
    pub(super) scrapes: Scrapes,
    /// Whether the process is about to end.
    pub(super) shutting_down: Arc<AtomicBool>,
}

impl Admin {
    /// The three paths, and a plain answer on every other one.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .route("/metrics", get(render))
            .fallback(elsewhere)
            .with_state(self)
    }

    fn metrics(&self, format: ExpositionFormat) -> String {
        let metrics = &self.handles.metrics;
        let Memory { bodies, decisions } = &self.memory;
        let used = |bytes, limit| Used { bytes, limit };
        metrics.set_memory([
            used(bodies.used(), bodies.total()),
            used(decisions.used(), decisions.total()),
        ]);
        metrics.render(format)
    }

    /// Every condition under which a review gets an answer, in words.
    fn checks(&self, now: Timestamp) -> Vec<Check> {
        let mut checks = vec![
            self.check_mode(),
            self.check_callers(),
            self.check_map(),
            self.check_certificate(now),
            self.check_shutdown(),
        ];
        checks.extend(self.check_namespaces());
        checks.extend(self.check_webhooks());
        checks
    }

    /// Never fails: only decisions that depend on labels wait for them, and the others are
    /// answered meanwhile. Left out where no map asks for labels.
    fn check_namespaces(&self) -> Option<Check> {
        if !*self.handles.maps.asks_for_labels().borrow() {
            return None;
        }
        let mut words = match &*self.handles.namespaces.current() {
            Some(known) => format!("the labels of {} are known", known.len()),
            None => "labels are not known yet; reviews that depend on them are answered with 503"
                .to_owned(),
        };
        if let Some(problem) = self.handles.namespaces.watch().problem() {
            let _ = write!(
                words,
                "; the watch was interrupted, last by: {}",
                visible(&problem)
            );
        }
        Some(Check::new("namespaces", true, words))
    }

    /// Never fails; people look for the mode here.
    fn check_mode(&self) -> Check {
        match self.handles.mode {
            Mode::Observe => Check::new("mode", true, "observing: nothing is denied"),
            Mode::Enforce if self.handles.registration.state().enforces_nothing() => {
                Check::warning(
                    "mode",
                    "set to enforce, but nothing is enforced: see webhooks",
                )
            }
            Mode::Enforce => Check::new("mode", true, "enforcing"),
        }
    }

    /// Never fails: a replica that is not ready would make it worse. Left out where no webhook
    /// configuration is watched.
    fn check_webhooks(&self) -> Option<Check> {
        let name = "webhooks";
        let state = self.handles.registration.state();
        if state.watched == 0 {
            return None;
        }
        let unread = self.handles.registration.reading().problem();
        if state.problems.is_empty() {
            let known = format!("{} configurations are as they should be", state.watched);
            return Some(match unread {
                Some(problem) => Check::warning(
                    name,
                    format!("the configurations cannot be read: {}", visible(&problem)),
                ),
                None if state.is_known => Check::new(name, true, known),
                None => Check::new(name, true, "not read yet"),
            });
        }
        let problems = state.problems.iter().map(|problem| {
            let finding = &problem.finding;
            format!(
                "{}: {}; {}; {}",
                problem.object, finding.problem, finding.meanwhile, finding.remedy
            )
        });
        let mut words = problems.collect::<Vec<_>>().join(" | ");
        if let Some(problem) = unread {
            let _ = write!(words, " | since then unread: {}", visible(&problem));
        }
        Some(Check::warning(name, words))
    }

    /// Never fails: what keeps callers out is not this replica's.
    fn check_callers(&self) -> Check {
        Check::new("callers", true, self.handles.callers.to_string())
    }

    fn check_certificate(&self, now: Timestamp) -> Check {
        let not_after = self.certificate.not_after();
        // A client that verifies refuses an expired certificate; another replica may have a
        // valid one.
        let ok = not_after.is_some_and(|end| now <= end);
        let mut words = match not_after {
            Some(end) => format!("{} {end:.0}", if ok { "until" } else { "expired" }),
            None => "none yet".to_owned(),
        };
        if let Some(problem) = self.certificate.renewal().problem() {
            let _ = write!(words, "; {problem}");
        }
        if let Some(foreign) = self.certificate.foreign_secret() {
            let _ = write!(
                words,
                "; somebody else wrote the Secret, seen {:.0}: {}",
                foreign.at, foreign.problem
            );
        }
        Check::new("certificate", ok, words)
    }

    fn check_shutdown(&self) -> Check {
        let ok = !self.shutting_down.load(Relaxed);
        Check::new("shutdown", ok, if ok { "serving" } else { "shutting down" })
    }

    fn check_map(&self) -> Check {
        let name = "registry-map";
        let refused = self.handles.maps.refused();
        let Some(map) = &*self.handles.maps.current() else {
            let words = refused.map_or("not loaded yet".to_owned(), |refused| {
                format!("none since the start: {}", first_line(&refused.error))
            });
            return Check::new(name, false, words);
        };
        let mut words = format!("loaded {:.0}", map.loaded);
        if let Some(refused) = refused {
            let _ = write!(
                words,
                "; a newer version was refused {:.0}: {}",
                refused.at,
                first_line(&refused.error)
            );
        }
        let object = self.handles.maps.object();
        if let Some(problem) = object.watch().problem() {
            let _ = write!(
                words,
                "; its ConfigMap cannot be read: {}",
                visible(&problem)
            );
        }
        match object.missing() {
            Some(missing) => {
                let (object, since) = (&missing.object, missing.since);
                let _ = write!(
                    words,
                    "; {object} does not exist since {since:.0}: create it again"
                );
                Check::warning(name, words)
            }
            None => Check::new(name, true, words),
        }
    }
}

/// The first line of an error. The others quote the map, and are for the log alone.
fn first_line(error: &MapError) -> String {
    let words = error.to_string();
    match words.split_once('\n') {
        Some((first, _)) => format!("{first} (more in the log)"),
        None => words,
    }
}

/// One line of `/readyz?verbose`.
struct Check {
    name: &'static str,
    ok: bool,
    // Whether somebody should look although the replica is ready.
    warns: bool,
    words: String,
}

impl Check {
    fn new(name: &'static str, ok: bool, words: impl Into<String>) -> Self {
        Self {
            name,
            ok,
            warns: false,
            words: words.into(),
        }
    }

    fn warning(name: &'static str, words: impl Into<String>) -> Self {
        Self {
            warns: true,
            ..Self::new(name, true, words)
        }
    }
}

async fn live() -> &'static str {
    "ok\n"
}

/// Answers as kube-apiserver does: `ok`, or every check when one fails or `?verbose` asks.
async fn ready(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let checks = admin.checks(Timestamp::now());
    let ok = checks.iter().all(|check| check.ok);
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some("verbose"))
    });
    if ok && !verbose {
        return "ok\n".into_response();
    }
    let mut text = String::new();
    for check in checks {
        let Check { name, words, .. } = &check;
        let (sign, state) = match check {
            Check { ok: false, .. } => ('-', "failed"),
            Check { warns: true, .. } => ('!', "warning"),
            Check { .. } => ('+', "ok"),
        };
        let _ = writeln!(text, "[{sign}]{name} {state}: {words}");
    }
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let _ = writeln!(
        text,
        "readyz check {}",
        if ok { "passed" } else { "failed" }
    );
    (status, text).into_response()
}

async fn render(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = ExpositionFormat::accepted(&accept.join(","));
    let text = admin.scrapes.text(format, || admin.metrics(format)).await;
    let Some(text) = text else {
        let words = "too many clients read the metrics, and too slowly; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    };
    let headers = [(CONTENT_TYPE, format.media_type()), (VARY, "accept")];
    (headers, text).into_response()
}

async fn elsewhere() -> Response {
    let words = "no such path; there are /livez, /readyz and /metrics\n";
    (StatusCode::NOT_FOUND, words).into_response()
}
