//! The admin port's three paths: `/livez`, `/readyz` and `/metrics`.
//!
//! Plain HTTP, for the kubelet and Prometheus; holds nothing secret and changes
//! nothing.

use super::body::Budget;
use super::tls::Certificate;
use crate::observe::metrics::{Format, Metrics};
use crate::state::map_store::{MapError, MapStore};
use crate::state::namespaces::Namespaces;
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

/// What the admin port looks at.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Whether refusals are meant.
    pub mode: Mode,
    /// The map in force.
    pub maps: Arc<MapStore>,
    /// What is known of namespaces.
    pub namespaces: Arc<Namespaces>,
    /// The certificate in force.
    pub certificate: Arc<Certificate>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The memory that bodies hold.
    pub budget: Budget,
    /// Set when the process is about to end.
    pub shutting_down: Arc<AtomicBool>,
}

impl Admin {
    /// The three paths, and a plain word for every other one.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .route("/metrics", get(render))
            .fallback(elsewhere)
            .with_state(self)
    }

    /// Every condition under which a review gets an answer, in words.
    fn checks(&self, now: Timestamp) -> Vec<Check> {
        let mut checks = vec![
            self.check_mode(),
            self.check_map(),
            self.check_certificate(now),
            self.check_shutdown(),
        ];
        checks.extend(self.check_namespaces());
        checks
    }

    /// Never fails: only what hangs on labels waits for them, and nobody is helped by a
    /// server that answers nothing else either. Not spoken of where nobody asks.
    fn check_namespaces(&self) -> Option<Check> {
        if !*self.maps.asks_for_labels().borrow() {
            return None;
        }
        let mut words = match &*self.namespaces.current() {
            Some(known) => format!("the labels of {} are known", known.len()),
            None => "labels are not known yet; what hangs on them is answered with 503".to_owned(),
        };
        if let Some(trouble) = self.namespaces.trouble() {
            let _ = write!(
                words,
                "; the watch was interrupted, last by: {}",
                visible(&trouble)
            );
        }
        Some(Check {
            name: "namespaces",
            ok: true,
            words,
        })
    }

    /// Never fails; it is what people look for here.
    fn check_mode(&self) -> Check {
        let words = match self.mode {
            Mode::Enforce => "enforcing",
            Mode::Observe => "observing: nothing is refused",
        };
        Check {
            name: "mode",
            ok: true,
            words: words.to_owned(),
        }
    }

    fn check_certificate(&self, now: Timestamp) -> Check {
        let not_after = self.certificate.not_after();
        // Nobody who verifies an ended one connects any more; another replica may have
        // a better one.
        let ok = not_after.is_some_and(|end| now <= end);
        let mut words = match not_after {
            Some(end) => format!("{} {end:.0}", if ok { "until" } else { "ended" }),
            None => "none yet".to_owned(),
        };
        if let Some(trouble) = self.certificate.trouble() {
            let _ = write!(words, "; {trouble}");
        }
        Check {
            name: "certificate",
            ok,
            words,
        }
    }

    fn check_shutdown(&self) -> Check {
        let ok = !self.shutting_down.load(Relaxed);
        let words = if ok {
            "serving"
        } else {
            "a signal told it to end"
        };
        Check {
            name: "shutdown",
            ok,
            words: words.to_owned(),
        }
    }

    fn check_map(&self) -> Check {
        let name = "registry-map";
        let refused = self.maps.refused();
        let Some(map) = &*self.maps.current() else {
            let words = refused.map_or("not loaded yet".to_owned(), |refused| {
                format!("none since the start: {}", first_line(&refused.error))
            });
            return Check {
                name,
                ok: false,
                words,
            };
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
        Check {
            name,
            ok: true,
            words,
        }
    }
}

/// The whole of it, with lines of the map, is for the log and not for whoever asks.
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
    words: String,
}

async fn live() -> &'static str {
    "ok\n"
}

/// As kube-apiserver does it: `ok`, or every check when one fails or `?verbose` asks.
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
    for Check { name, ok, words } in checks {
        let (sign, state) = if ok { ('+', "ok") } else { ('-', "failed") };
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
    let Admin {
        metrics, budget, ..
    } = &admin;
    metrics.set_body_memory(budget.used(), budget.total());
    let accept = headers.get_all(ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    let headers = [(CONTENT_TYPE, format.media_type()), (VARY, "accept")];
    (headers, metrics.render(format)).into_response()
}

async fn elsewhere() -> Response {
    let words = "no such path; there are /livez, /readyz and /metrics\n";
    (StatusCode::NOT_FOUND, words).into_response()
}
