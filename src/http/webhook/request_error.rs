//! Why a request gets no review, as an HTTP status and a sentence for whoever reads the API
//! server's log.
//!
//! Every 503 carries `Retry-After`, because only then does the API server retry (client-go
//! `rest/with_retry.go`). This module must not quote a body, except what the core says about it.

use crate::http::body::BodyError;
use crate::observe::metrics::CallerRefusal;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use pullpass_core::admission::ReviewError;
use pullpass_core::text;
use std::fmt;

/// Why a request gets no review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    Unauthenticated(CallerRefusal),
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
    GivenUp,
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
            BodyError::GivenUp => Self::GivenUp,
            BodyError::TooSlow => Self::TooSlow,
            BodyError::Broken => Self::Broken,
        }
    }
}

impl RequestError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Broken | Self::BadReview(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotReady
            | Self::LabelsUnknown
            | Self::NoMemory
            | Self::GivenUp
            | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Encode | Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated(CallerRefusal::NoCertificate) => {
                "no client certificate was sent; pullpass answers only callers with one \
                 (docs/api-server-authentication.md)"
            }
            Self::Unauthenticated(CallerRefusal::OtherName) => {
                "the name of the client certificate is not one that pullpass answers; \
                 allow it with --client-name (docs/api-server-authentication.md)"
            }
            Self::NotFound => {
                "no such path; reviews go to /mutate, /validate, /validate-workloads/warn, \
                 /validate-workloads/deny and /validate-map"
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
            Self::GivenUp => {
                "the body came slowly while others waited for its memory; try again in a second"
            }
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
        if self == Self::Method {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // The rest of the body is not read, so that no request can follow on this connection.
        if let Self::Unauthenticated(_)
        | Self::TooLarge
        | Self::TooSlow
        | Self::Broken
        | Self::NoMemory
        | Self::GivenUp = self
        {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
