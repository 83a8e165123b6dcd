//! Stub of the admission core, only so that this branch compiles; the real one wins on merge.
#![allow(missing_docs, clippy::allow_attributes, clippy::missing_errors_doc)]

use crate::policy::{Action, Policy};
use jiff::Timestamp;
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Mutate,
    Validate,
}

impl Endpoint {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

#[derive(Debug)]
pub struct Answer<'a> {
    pub body: Vec<u8>,
    pub report: Report<'a>,
}

#[derive(Debug)]
pub struct Report<'a> {
    pub uid: Cow<'a, str>,
    pub namespace: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub operation: &'a str,
    pub dry_run: bool,
    pub outcome: Outcome,
    pub secrets: Vec<&'a str>,
    pub images: Vec<ImageReport<'a>>,
}

#[derive(Debug)]
pub struct ImageReport<'a> {
    pub field: String,
    pub image: Cow<'a, str>,
    pub entry: Option<&'a str>,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Untouched,
    Patched,
    Allowed,
    Audited,
    Warned,
    Refused,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Patched => "patched",
            Self::Allowed => "allowed",
            Self::Audited => "audited",
            Self::Warned => "warned",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadReview(String);

pub fn review<'a>(
    policy: &'a Policy,
    endpoint: Endpoint,
    body: &'a [u8],
    now: Timestamp,
) -> Result<Answer<'a>, BadReview> {
    let _ = (policy, now);
    #[derive(serde::Deserialize)]
    struct Review<'a> {
        #[serde(rename = "apiVersion")]
        api_version: &'a str,
        kind: &'a str,
        #[serde(borrow)]
        request: Request<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Request<'a> {
        uid: &'a str,
        #[serde(default)]
        namespace: &'a str,
        #[serde(default)]
        name: &'a str,
    }
    let review: Review<'a> =
        serde_json::from_slice(body).map_err(|e| BadReview(format!("not a review: {e}")))?;
    if review.api_version != "admission.k8s.io/v1" || review.kind != "AdmissionReview" {
        return Err(BadReview(
            "not an admission.k8s.io/v1 AdmissionReview".into(),
        ));
    }
    let answer = serde_json::json!({"apiVersion": review.api_version, "kind": review.kind,
        "response": {"uid": review.request.uid, "allowed": true}});
    Ok(Answer {
        body: answer.to_string().into_bytes(),
        report: Report {
            uid: review.request.uid.into(),
            namespace: review.request.namespace.into(),
            name: review.request.name.into(),
            operation: "CREATE",
            dry_run: false,
            outcome: match endpoint {
                Endpoint::Mutate => Outcome::Untouched,
                Endpoint::Validate => Outcome::Warned,
            },
            secrets: Vec::new(),
            images: vec![ImageReport {
                field: "spec.containers[0].image".into(),
                image: "quay.io/x/y".into(),
                entry: policy.entry_names().next(),
                action: Action::Warn,
            }],
        },
    })
}
