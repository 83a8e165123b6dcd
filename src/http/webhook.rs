//! The webhook's endpoints: `POST /mutate`, `/validate` and `/validate-workloads/…` pass a
//! body to [`review`](pullpass_core::admission::review), `POST /validate-map` to
//! [`map_review`].
//!
//! This module asks [`caller`](super::caller) who is answered before anything of a request is
//! read, counts and logs. It must not decide about images, and an error must not become a
//! verdict: it is answered with a 4xx or 5xx (`request_error`), which the API server leaves to
//! the webhook's `failurePolicy`.
//!
//! The router needs no socket, so that tests are function calls.

use super::body::{self, BodyError, Collected};
use super::caller::{Caller, Identity};
use super::memory::Budget;
use super::peer::Peer;
use super::shares::Shares;
use super::{Handles, Limits, deadline, half_the_processors, off_the_workers};
use crate::audit::Origin;
use crate::observe::log;
use crate::observe::metrics::{CallerRefusal, HttpRoute};
use crate::observe::throttle::Throttle;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use jiff::Timestamp;
use pullpass_core::admission::{
    self, Endpoint, ReviewContext, ReviewError, Reviewed, WorkloadMode, map_review,
};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower_http::catch_panic::CatchPanicLayer;

mod request_error;

use request_error::RequestError;

/// A decision that may take more memory than this may also take milliseconds, and would hold up
/// the other connections of its worker thread. An ordinary review is far below it.
const HEAVY: usize = 1 << 20;

/// As many reviews as may wait for their turn.
const MOST_WAITING: usize = 256;

/// What a decision takes at its peak at most, apart from the body: for each byte of a list that
/// is nothing but elements, for each object, since it may name an image, and in all, because a
/// pod has a limited number of images. Measured, see docs/measurements.md.
const MEMORY_OF_A_BYTE: usize = 6;
const MEMORY_OF_AN_OBJECT: usize = 640;
const MOST_DECISION_MEMORY: usize = 96 << 20;

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
    memory: Memory,
    // The one turn of map reviews: they are rare, and each takes a multiple of the map's size.
    map_turn: Shares,
    // Of the log line about callers that are not answered.
    refused_caller: Arc<Throttle>,
    review: Review,
}

/// The memory that large reviews share.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// For their bodies.
    pub(super) bodies: Budget,
    /// For the decisions about them. Each takes at least an equal part, so that only so many are
    /// decided at once as there are processors for.
    pub(super) decisions: Shares,
}

impl Webhook {
    /// Answers by what the handles lead to at the time.
    #[must_use]
    pub fn new(handles: Handles, limits: Limits) -> Self {
        Self {
            handles,
            memory: Memory {
                bodies: Budget::new(limits.body_memory / 2),
                decisions: Shares::new(limits.body_memory / 2, MOST_WAITING),
            },
            limits,
            map_turn: Shares::new(1, MOST_WAITING),
            refused_caller: Arc::default(),
            review: admission::review,
        }
    }

    /// Decides by another function, with which tests make a review panic or hang.
    #[must_use]
    pub fn with_review(mut self, review: Review) -> Self {
        self.review = review;
        self
    }

    /// The memory that large reviews share.
    pub(super) fn memory(&self) -> Memory {
        self.memory.clone()
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
        let answer = match self.admit(&request) {
            Err(refusal) => Err(RequestError::Unauthenticated(refusal)),
            Ok(origin) => match route {
                HttpRoute::Review(endpoint) => self.review(endpoint, origin, request).await,
                HttpRoute::Map => self.review_map(origin, request).await,
                HttpRoute::Other => Err(RequestError::NotFound),
            },
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

    /// Who sent the request; an error if nothing else is to be done with it.
    fn admit(&self, request: &Request) -> Result<Origin, CallerRefusal> {
        let caller = Caller::of(request.extensions());
        self.handles.callers.admit(&caller).inspect_err(|refusal| {
            self.handles.metrics.caller_refused(*refusal);
            if self.refused_caller.is_due() {
                let names = match &caller.identity {
                    Identity::Anonymous => String::new(),
                    Identity::Certificate(names) => names.join(","),
                };
                log::caller_refused(*refusal, caller.peer, &names);
            }
        })
    }

    async fn review(
        &self,
        endpoint: Endpoint,
        origin: Origin,
        request: Request,
    ) -> Result<Vec<u8>, RequestError> {
        check(&request)?;
        if !self.handles.maps.is_ready() {
            return Err(RequestError::NotReady);
        }
        let received = self.read(request, self.limits.max_body).await?;
        let memory = decision_memory(&received.body);
        if memory <= HEAVY {
            return self.decide(endpoint, origin, &received.body);
        }
        let decisions = &self.memory.decisions;
        let part = decisions.total() / half_the_processors();
        let decide = |body: &[u8]| self.decide(endpoint, origin, body);
        received.in_turn(decisions, memory.max(part), decide).await
    }

    /// Reviews a new registry map; there need not be one in force.
    async fn review_map(&self, origin: Origin, request: Request) -> Result<Vec<u8>, RequestError> {
        check(&request)?;
        let limit = self.limits.max_body.min(MOST_MAP_BYTES);
        let received = self.read(request, limit).await?;
        let decide = |body: &[u8]| {
            let started = Instant::now();
            let reviewed = map_review::review(body)?;
            Ok(self.publish(HttpRoute::Map, origin, reviewed, started.elapsed()))
        };
        received.in_turn(&self.map_turn, 1, decide).await
    }

    async fn read(&self, request: Request, limit: usize) -> Result<Received, RequestError> {
        let arrived = Instant::now();
        let caller = request.extensions().get::<Caller>();
        let peer = caller.map(|caller| Peer::new(caller.peer));
        let allowance = deadline::allowance(request.uri().query());
        let time = allowance.min(self.limits.body_timeout);
        let bodies = &self.memory.bodies;
        let body = body::collect(request.into_body(), peer, limit, time, bodies).await;
        if matches!(body, Err(BodyError::GivenUp)) {
            self.handles.metrics.body_displaced();
        }
        Ok(Received {
            body: body?,
            peer,
            arrived,
            allowance,
        })
    }

    /// Decides by one snapshot of the map and of the labels, and by one reading of the clock.
    fn decide(
        &self,
        endpoint: Endpoint,
        origin: Origin,
        body: &[u8],
    ) -> Result<Vec<u8>, RequestError> {
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
        for tally in reviewed.report.tallies() {
            map.entries.count(tally);
        }
        Ok(self.publish(endpoint.into(), origin, reviewed, started.elapsed()))
    }

    /// Counts, logs and records a review, and returns its answer. How much is logged and
    /// recorded depends on where it comes from; the answer does not.
    fn publish(
        &self,
        route: HttpRoute,
        origin: Origin,
        reviewed: Reviewed<'_>,
        took: Duration,
    ) -> Vec<u8> {
        let Reviewed {
            body,
            report,
            record,
        } = reviewed;
        self.handles.metrics.reviewed(route, report.outcome(), took);
        let level = log::level_of(&report, || self.handles.audit.may_log(origin));
        log::review(level, route, &report, took, origin.peer);
        if let Some(record) = record {
            self.handles.audit.put(record, origin);
        }
        body
    }
}

/// A request that has arrived as a whole, and how long its sender waits.
struct Received {
    body: Collected,
    peer: Option<Peer>,
    arrived: Instant,
    allowance: Duration,
}

impl Received {
    /// Does long work when its turn comes, within the time of the sender.
    async fn in_turn(
        self,
        turns: &Shares,
        units: usize,
        work: impl FnOnce(&[u8]) -> Result<Vec<u8>, RequestError>,
    ) -> Result<Vec<u8>, RequestError> {
        let left = self.allowance.saturating_sub(self.arrived.elapsed());
        let turn = tokio::time::timeout(left, turns.take(self.peer, units)).await;
        let _turn = turn.ok().flatten().ok_or(RequestError::Overloaded)?;
        let answer = off_the_workers(|| work(&self.body))?;
        // The sender has given up; the error is for the log and the metrics.
        if self.arrived.elapsed() > self.allowance {
            return Err(RequestError::Overloaded);
        }
        Ok(answer)
    }
}

/// The most memory that the decision about a review can take, in bytes, without its body.
fn decision_memory(body: &[u8]) -> usize {
    let of_bytes = body.len() * MEMORY_OF_A_BYTE;
    if of_bytes >= MOST_DECISION_MEMORY {
        return MOST_DECISION_MEMORY;
    }
    let objects = memchr::memchr_iter(b'{', body).count();
    (of_bytes + objects * MEMORY_OF_AN_OBJECT).min(MOST_DECISION_MEMORY)
}

const JSON: &str = "application/json";

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
