//! The webhook's endpoints: `POST /mutate`, `/validate` and `/validate-workloads/…` pass a
//! body to [`review`](pullpass_core::admission::review), `POST /validate-map` to
//! [`map_review`].
//!
//! Maps errors to an HTTP status, counts and logs; decides nothing about images. An error is
//! never a verdict: it is answered with a 4xx or 5xx, which the API server leaves to the
//! webhook's `failurePolicy`. A 503 carries `Retry-After`, because only then does the API
//! server retry (client-go `rest/with_retry.go`).
//!
//! The router needs no socket, so that tests are function calls.

use super::body::{self, BodyError, Budget, Collected};
use super::{Handles, Limits, deadline};
use crate::observe::log;
use crate::observe::metrics::HttpRoute;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use jiff::Timestamp;
use pullpass_core::admission::{
    self, Endpoint, ReviewContext, ReviewError, Reviewed, WorkloadMode, map_review,
};
use pullpass_core::text;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

/// The size from which on a review takes milliseconds, and would hold up the other
/// connections of its worker thread.
const LARGE_BYTES: usize = 256 * 1024;

/// Large reviews that are decided at once, at most.
const MOST_LARGE: usize = 4;

/// The most bytes of a review of the registry map: a `ConfigMap` of 1 MiB and the one
/// before it, with most characters escaped to six.
const MOST_MAP_BYTES: usize = 16 << 20;

/// How a review is decided: by [`admission::review`], except in tests of what a server does
/// when a review panics or hangs.
pub type Review =
    for<'p> fn(&ReviewContext<'p>, Endpoint, &[u8]) -> Result<Reviewed<'p>, ReviewError>;

/// All that the endpoints share.
#[derive(Debug, Clone)]
pub struct Webhook {
    handles: Handles,
    limits: Limits,
    budget: Budget,
    // Turns of large reviews: as many as there are processors, because more would only compete,
    // and never many, because each holds two or three times its body while it is decided.
    large: Arc<Semaphore>,
    // The one turn of map reviews: they are rare, and each takes a multiple of the map's size.
    map_turn: Arc<Semaphore>,
    review: Review,
}

impl Webhook {
    /// Answers by what the handles lead to at the time.
    #[must_use]
    pub fn new(handles: Handles, limits: Limits) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            handles,
            budget: Budget::new(limits.body_memory),
            limits,
            large: Arc::new(Semaphore::new(processors.min(MOST_LARGE))),
            map_turn: Arc::new(Semaphore::new(1)),
            review: admission::review,
        }
    }

    /// Decides by another function, with which tests make a review panic or hang.
    #[must_use]
    pub fn with_review(mut self, review: Review) -> Self {
        self.review = review;
        self
    }

    /// The memory that bodies may hold.
    #[must_use]
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// The endpoints, and a plain answer on every other path and method.
    pub fn router(self) -> Router {
        let endpoint = |route: HttpRoute| {
            let panics = Arc::clone(&self.handles.metrics);
            any(
                move |State(webhook): State<Arc<Webhook>>, request: Request| async move {
                    webhook.answer(route, request).await
                },
            )
            .layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| {
                panics.panicked(route);
                RequestError::Panic.into_response()
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
        let _in_flight = self.handles.metrics.in_flight(route);
        let answer = match route {
            HttpRoute::Review(endpoint) => self.review(endpoint, request).await,
            HttpRoute::Map => self.review_map(request).await,
            HttpRoute::Other => Err(RequestError::NotFound),
        };
        let response = match answer {
            Ok(body) => ([(CONTENT_TYPE, JSON)], body).into_response(),
            Err(error) => {
                log::request_error(route, error.status().as_u16(), &error);
                error.into_response()
            }
        };
        self.handles.metrics.answered(route, response.status());
        response
    }

    async fn review(&self, endpoint: Endpoint, request: Request) -> Result<Vec<u8>, RequestError> {
        check(&request)?;
        if !self.handles.maps.is_ready() {
            return Err(RequestError::NotReady);
        }
        let received = self.read(request, self.limits.max_body).await?;
        if received.body.len() <= LARGE_BYTES {
            return self.decide(endpoint, &received.body);
        }
        let decide = |body: &[u8]| self.decide(endpoint, body);
        received.in_turn(&self.large, decide).await
    }

    /// Reviews a new registry map; there need not be one in force.
    async fn review_map(&self, request: Request) -> Result<Vec<u8>, RequestError> {
        check(&request)?;
        let limit = self.limits.max_body.min(MOST_MAP_BYTES);
        let received = self.read(request, limit).await?;
        let decide = |body: &[u8]| {
            let started = Instant::now();
            let reviewed = map_review::review(body)?;
            Ok(self.publish(HttpRoute::Map, reviewed, started.elapsed()))
        };
        received.in_turn(&self.map_turn, decide).await
    }

    async fn read(&self, request: Request, limit: usize) -> Result<Received, RequestError> {
        let arrived = Instant::now();
        let allowance = deadline::allowance(request.uri().query());
        let time = allowance.min(self.limits.body_timeout);
        let body = body::collect(request.into_body(), limit, time, &self.budget).await?;
        Ok(Received {
            body,
            arrived,
            allowance,
        })
    }

    /// Decides by one snapshot of the map and of the labels, and by one reading of the clock.
    fn decide(&self, endpoint: Endpoint, body: &[u8]) -> Result<Vec<u8>, RequestError> {
        let map = self.handles.maps.current();
        let map = map.as_ref().ok_or(RequestError::NotReady)?;
        let labels = self.handles.namespaces.current();
        let started = Instant::now();
        let context = ReviewContext {
            policy: &map.policy,
            now: Timestamp::now(),
            namespaces: labels.as_deref(),
            mode: self.handles.mode,
            recording: self.handles.audit.recording(),
        };
        let reviewed = (self.review)(&context, endpoint, body)?;
        for tally in &reviewed.report.tallies {
            map.entries.count(tally);
        }
        Ok(self.publish(endpoint.into(), reviewed, started.elapsed()))
    }

    /// Counts, logs and records a review, and returns its answer.
    fn publish(&self, route: HttpRoute, reviewed: Reviewed<'_>, took: Duration) -> Vec<u8> {
        let Reviewed {
            body,
            report,
            record,
        } = reviewed;
        self.handles.metrics.reviewed(route, report.outcome, took);
        log::review(route, &report, took);
        if let Some(record) = record {
            self.handles.audit.put(record);
        }
        body
    }
}

/// A request that has arrived as a whole, and how long its sender waits.
struct Received {
    body: Collected,
    arrived: Instant,
    allowance: Duration,
}

impl Received {
    /// Does long work when its turn comes, within the time of the sender.
    async fn in_turn(
        self,
        turns: &Semaphore,
        work: impl FnOnce(&[u8]) -> Result<Vec<u8>, RequestError>,
    ) -> Result<Vec<u8>, RequestError> {
        let left = self.allowance.saturating_sub(self.arrived.elapsed());
        let _turn = tokio::time::timeout(left, turns.acquire())
            .await
            .map_err(|_| RequestError::Overloaded)?;
        let answer = off_the_workers(|| work(&self.body))?;
        // The sender has given up; the error is for the log and the metrics.
        if self.arrived.elapsed() > self.allowance {
            return Err(RequestError::Overloaded);
        }
        Ok(answer)
    }
}

const JSON: &str = "application/json";

/// Runs long work where it holds up no other connection.
fn off_the_workers<T>(work: impl FnOnce() -> T) -> T {
    // Only this flavour can move the other tasks away; tests use the other one.
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn check(request: &Request) -> Result<(), RequestError> {
    if request.method() != Method::POST {
        return Err(RequestError::Method);
    }
    check_media_type(request.headers())
}

fn check_media_type(headers: &HeaderMap) -> Result<(), RequestError> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON)) {
        return Err(RequestError::MediaType);
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
        Err(RequestError::Encoding)
    }
}

/// Why a request gets no review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
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

impl From<ReviewError> for RequestError {
    fn from(error: ReviewError) -> Self {
        match error {
            ReviewError::BadReview(bad) => Self::BadReview(text::visible(&bad.to_string())),
            ReviewError::LabelsUnknown(_) => Self::LabelsUnknown,
            ReviewError::Encode(_) => Self::Encode,
        }
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::NoMemory => Self::NoMemory,
            BodyError::TooSlow => Self::TooSlow,
            BodyError::Broken => Self::Broken,
        }
    }
}

impl RequestError {
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

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => {
                "no such path; reviews go to /mutate, /validate, /validate-workloads/warn or /deny, and /validate-map"
            }
            Self::Method => "only POST is answered here, with an AdmissionReview as the body",
            Self::MediaType => {
                "the media type must be application/json; set the header content-type"
            }
            Self::Encoding => "a compressed body is not accepted; send it without content-encoding",
            Self::TooLarge => "the body is above the limit; no review of an API server is so large",
            Self::TooSlow => "the body did not arrive in time",
            Self::Broken => "the body is incomplete; send the whole body",
            Self::BadReview(reason) => return f.write_str(reason),
            Self::NotReady => "no registry map is loaded yet; try again in a second",
            Self::LabelsUnknown => {
                "the review depends on the labels of the namespace, which are not known yet; \
                 try again in a second"
            }
            Self::NoMemory => "too many large reviews at once; try again in a second",
            Self::Overloaded => "too many reviews at once; try again in a second",
            Self::Encode | Self::Panic => {
                "the review failed because of a defect of pullpass; its log says where"
            }
        })
    }
}

impl IntoResponse for RequestError {
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
            // The rest of the body is not read, so that no request can follow on this connection.
            Self::TooLarge | Self::TooSlow | Self::Broken => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
