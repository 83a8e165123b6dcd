//! `POST /mutate`, `/validate` and `/validate-workloads/…`: bytes in,
//! [`review`](pullpass_core::admission::review), bytes out; `POST /validate-map`: the same with
//! [`map_review`].
//!
//! Maps what went wrong to an HTTP status, counts, and logs; decides nothing about
//! images. A fault is never a verdict: it is answered with a 4xx or 5xx, which the
//! API server leaves to the webhook's `failurePolicy`. A 503 carries `Retry-After`,
//! because only then does the API server ask again (client-go `rest/with_retry.go`).
//!
//! The router needs no socket, so that tests are function calls.

use super::body::{self, BodyError, Budget, Collected};
use super::{Limits, deadline};
use crate::audit::decision_log::DecisionLog;
use crate::audit::events::EventQueue;
use crate::observe::log;
use crate::observe::metrics::{HttpRoute, Metrics};
use crate::state::map_store::MapStore;
use crate::state::namespaces::Namespaces;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use jiff::Timestamp;
use pullpass_core::admission::event::Event;
use pullpass_core::admission::record::{DecisionRecord, Recording};
use pullpass_core::admission::{
    self, Endpoint, Mode, ReviewContext, ReviewError, Reviewed, WorkloadMode, map_review,
};
use pullpass_core::map::Options;
use pullpass_core::text;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

/// Above this a review takes milliseconds, and would hold up the other connections
/// of its worker thread.
const LARGE: usize = 256 * 1024;

/// Large reviews that are decided at once, at most.
const MOST_LARGE: usize = 4;

/// The most bytes of a review of the registry map: a `ConfigMap` of 1 MiB and the one
/// before it, with most characters escaped to six.
const MOST_OF_A_MAP: usize = 16 << 20;

/// How a review is decided: [`admission::review`], but for tests of what a server
/// does when that goes wrong.
pub type Review =
    for<'p> fn(&ReviewContext<'p>, Endpoint, &[u8]) -> Result<Reviewed<'p>, ReviewError>;

/// All that the endpoints share.
#[derive(Debug, Clone)]
pub struct Webhook {
    maps: Arc<MapStore>,
    metrics: Arc<Metrics>,
    limits: Limits,
    budget: Budget,
    // Large reviews at once: as many as there are processors, since more would only take
    // turns, and never many, since each holds two or three times its body while it is decided.
    large: Arc<Semaphore>,
    // One at a time: people write maps, and compiling one takes a multiple of its size.
    map_turn: Arc<Semaphore>,
    review: Review,
    map_options: Options,
    namespaces: Option<Arc<Namespaces>>,
    mode: Mode,
    traces: Traces,
}

/// Who is told of decisions, besides the log.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    /// Keeps records of decisions, of these reviews.
    pub decisions: Option<(DecisionLog, Recording)>,
    /// Makes Events.
    pub events: Option<EventQueue>,
}

impl Traces {
    fn recording(&self) -> Recording {
        match &self.decisions {
            Some((_, recording)) => *recording,
            None if self.events.is_some() => Recording::Notable,
            None => Recording::Nothing,
        }
    }

    fn tell(&self, record: Box<DecisionRecord>) {
        if let Some(events) = &self.events
            && let Some(event) = Event::of(&record)
        {
            events.put(event);
        }
        if let Some((log, _)) = &self.decisions {
            log.put(record);
        }
    }
}

impl Webhook {
    /// Answers by the map that the store holds at the time.
    #[must_use]
    pub fn new(maps: Arc<MapStore>, metrics: Arc<Metrics>, limits: Limits) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            maps,
            metrics,
            budget: Budget::new(limits.body_memory),
            limits,
            large: Arc::new(Semaphore::new(processors.min(MOST_LARGE))),
            map_turn: Arc::new(Semaphore::new(1)),
            review: admission::review,
            map_options: Options::default(),
            namespaces: None,
            mode: Mode::default(),
            traces: Traces::default(),
        }
    }

    /// Judges a new registry map by what the server compiles its own with.
    #[must_use]
    pub fn with_map_options(mut self, options: Options) -> Self {
        self.map_options = options;
        self
    }

    /// Knows the labels of namespaces from there; from nowhere otherwise.
    #[must_use]
    pub fn with_namespaces(mut self, namespaces: Arc<Namespaces>) -> Self {
        self.namespaces = Some(namespaces);
        self
    }

    /// Says whether refusals are meant, and who is told.
    #[must_use]
    pub fn with_traces(mut self, mode: Mode, traces: Traces) -> Self {
        self.mode = mode;
        self.traces = traces;
        self
    }

    /// Decides by another function: how tests make a review panic or hang.
    #[must_use]
    pub fn with_review(mut self, review: Review) -> Self {
        self.review = review;
        self
    }

    /// The memory that bodies may hold, for the metric.
    #[must_use]
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// The endpoints, and a plain word for every other path and method.
    pub fn router(self) -> Router {
        let endpoint = |route: HttpRoute| {
            let panics = Arc::clone(&self.metrics);
            any(
                move |State(webhook): State<Arc<Webhook>>, request: Request| async move {
                    webhook.answer(route, request).await
                },
            )
            .layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| {
                panics.panicked(route);
                Fault::Panic.into_response()
            }))
        };
        let elsewhere = |State(webhook): State<Arc<Webhook>>, request: Request| async move {
            webhook.answer(HttpRoute::Other, request).await
        };
        Router::new()
            .route("/mutate", endpoint(Endpoint::Mutate.into()))
            .route("/validate", endpoint(Endpoint::Validate.into()))
            .route(
                "/validate-workloads/warn",
                endpoint(Endpoint::Workloads(WorkloadMode::Warn).into()),
            )
            .route(
                "/validate-workloads/deny",
                endpoint(Endpoint::Workloads(WorkloadMode::Deny).into()),
            )
            .route("/validate-map", endpoint(HttpRoute::Map))
            .fallback(elsewhere)
            // One count of references a request, not one for each thing in it.
            .with_state(Arc::new(self))
    }

    async fn answer(&self, route: HttpRoute, request: Request) -> Response {
        let _in_flight = self.metrics.in_flight(route);
        let answer = match route {
            HttpRoute::Review(endpoint) => self.review(endpoint, request).await,
            HttpRoute::Map => self.review_map(request).await,
            HttpRoute::Other => Err(Fault::NotFound),
        };
        let response = match answer {
            Ok(body) => ([(CONTENT_TYPE, JSON)], body).into_response(),
            Err(fault) => {
                log::fault(route, fault.status().as_u16(), &fault);
                fault.into_response()
            }
        };
        self.metrics.answered(route, response.status());
        response
    }

    async fn review(&self, endpoint: Endpoint, request: Request) -> Result<Vec<u8>, Fault> {
        check(&request)?;
        if !self.maps.is_ready() {
            return Err(Fault::NotReady);
        }
        let asked = self.read(request, self.limits.max_body).await?;
        if asked.body.len() <= LARGE {
            return self.decide(endpoint, &asked.body);
        }
        let decide = |body: &[u8]| self.decide(endpoint, body);
        asked.in_turn(&self.large, decide).await
    }

    /// Of a new registry map; there need not be one in force.
    async fn review_map(&self, request: Request) -> Result<Vec<u8>, Fault> {
        check(&request)?;
        let limit = self.limits.max_body.min(MOST_OF_A_MAP);
        let asked = self.read(request, limit).await?;
        let decide = |body: &[u8]| {
            let started = Instant::now();
            let reviewed = map_review::review(&self.map_options, body)?;
            Ok(self.told(HttpRoute::Map, reviewed, started.elapsed()))
        };
        asked.in_turn(&self.map_turn, decide).await
    }

    async fn read(&self, request: Request, limit: usize) -> Result<Asked, Fault> {
        let arrived = Instant::now();
        let allowance = deadline::allowance(request.uri().query());
        let time = allowance.min(self.limits.body_timeout);
        let body = body::collect(request.into_body(), limit, time, &self.budget).await?;
        Ok(Asked {
            body,
            arrived,
            allowance,
        })
    }

    /// One snapshot of the map and of what is known of namespaces, one reading of the clock, one review, one count.
    fn decide(&self, endpoint: Endpoint, body: &[u8]) -> Result<Vec<u8>, Fault> {
        let map = self.maps.current();
        let map = map.as_ref().ok_or(Fault::NotReady)?;
        let labels = self.namespaces.as_ref().map(|known| known.current());
        let started = Instant::now();
        let context = ReviewContext {
            policy: &map.policy,
            now: Timestamp::now(),
            namespaces: labels.as_ref().and_then(|labels| labels.as_deref()),
            mode: self.mode,
            recording: self.traces.recording(),
        };
        let reviewed = (self.review)(&context, endpoint, body)?;
        for tally in &reviewed.report.tallies {
            map.entries.count(tally);
        }
        Ok(self.told(endpoint.into(), reviewed, started.elapsed()))
    }

    /// Counts and logs a review, and returns its answer.
    fn told(&self, route: HttpRoute, reviewed: Reviewed<'_>, took: Duration) -> Vec<u8> {
        let Reviewed {
            body,
            report,
            record,
        } = reviewed;
        self.metrics.reviewed(route, report.outcome, took);
        log::review(route, &report, took);
        if let Some(record) = record {
            self.traces.tell(record);
        }
        body
    }
}

/// A request that is here as a whole, and how long its sender waits.
struct Asked {
    body: Collected,
    arrived: Instant,
    allowance: Duration,
}

impl Asked {
    /// Does long work, no more of it at once than there are turns.
    async fn in_turn(
        self,
        turns: &Semaphore,
        work: impl FnOnce(&[u8]) -> Result<Vec<u8>, Fault>,
    ) -> Result<Vec<u8>, Fault> {
        let left = self.allowance.saturating_sub(self.arrived.elapsed());
        let _turn = tokio::time::timeout(left, turns.acquire())
            .await
            .map_err(|_| Fault::Overloaded)?;
        let answer = off_the_workers(|| work(&self.body))?;
        // Whoever asked has gone; to be told so it would have to ask again anyway.
        if self.arrived.elapsed() > self.allowance {
            return Err(Fault::Overloaded);
        }
        Ok(answer)
    }
}

const JSON: &str = "application/json";

/// Runs long work where it holds up no other connection.
fn off_the_workers<T>(work: impl FnOnce() -> T) -> T {
    // Only this flavour can move the other tasks away; the other one is found in tests.
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn check(request: &Request) -> Result<(), Fault> {
    if request.method() != Method::POST {
        return Err(Fault::Method);
    }
    check_media_type(request.headers())
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Fault> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON)) {
        return Err(Fault::MediaType);
    }
    let plain = |value: &HeaderValue| {
        let codings = value.to_str().unwrap_or("?").split(',');
        codings
            .map(str::trim)
            .all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
    };
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        Ok(())
    } else {
        Err(Fault::Encoding)
    }
}

/// Why a request got no review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    NotFound,
    Method,
    MediaType,
    Encoding,
    TooLarge,
    TooSlow,
    Broken,
    BadReview(String),
    NotReady,
    LabelsUnknown,
    NoMemory,
    Overloaded,
    Encode,
    Panic,
}

impl From<ReviewError> for Fault {
    fn from(fault: ReviewError) -> Self {
        match fault {
            ReviewError::BadReview(bad) => Self::BadReview(text::visible(&bad.to_string())),
            ReviewError::LabelsUnknown(_) => Self::LabelsUnknown,
            ReviewError::Encode(_) => Self::Encode,
        }
    }
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::NoMemory => Self::NoMemory,
            BodyError::TooSlow => Self::TooSlow,
            BodyError::Broken => Self::Broken,
        }
    }
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Broken | Self::BadReview(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotReady | Self::LabelsUnknown | Self::NoMemory | Self::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Encode | Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => {
                "no such path; reviews go to /mutate, /validate, /validate-workloads/warn or /deny, and /validate-map"
            }
            Self::Method => "only POST is answered here, with an AdmissionReview as the body",
            Self::MediaType => {
                "the media type must be application/json; set the header content-type"
            }
            Self::Encoding => "a compressed body is not taken; send it without content-encoding",
            Self::TooLarge => "the body is above the limit; no review of an API server is so large",
            Self::TooSlow => "the body did not arrive in time",
            Self::Broken => "the body broke off; send it whole",
            Self::BadReview(reason) => return f.write_str(reason),
            Self::NotReady => "no registry map is loaded yet; try again in a second",
            Self::LabelsUnknown => {
                "the labels of the namespace, on which this hangs, are not known yet; try again in a \
                 second"
            }
            Self::NoMemory => "too many large reviews at once; try again in a second",
            Self::Overloaded => "too many reviews at once; try again in a second",
            Self::Encode | Self::Panic => {
                "the review failed by a fault of pullpass; its log says where"
            }
        })
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Self::NotReady | Self::LabelsUnknown | Self::NoMemory | Self::Overloaded => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // The rest of the body is not read, so nothing can follow on this connection.
            Self::TooLarge | Self::TooSlow | Self::Broken => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
