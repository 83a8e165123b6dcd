//! The way of one review, from bytes to bytes.
//!
//! `/mutate` adds what is missing and never refuses, because a later webhook may
//! still change the image. `/validate` sees the final object, carries every
//! verdict and never patches. `/validate-workloads` says of a workload what its pods
//! will meet. All are pure functions of the review and of what it is judged by
//! ([`Basis`]): the same input gives the same bytes, on a dry run too. No clock, no
//! network, no logging: what is to be counted and logged is returned as [`Report`].

mod context;
pub mod event;
mod json;
pub mod map_review;
pub mod patch;
pub mod pod;
pub mod preview;
pub mod record;
pub mod report;
pub mod request;
pub mod response;
pub mod verdict;
pub mod workload;

use crate::policy::LabelsUnknown;
use crate::policy::message::Circumstances;
use pod::Pod;
use record::Record;
use request::{Operation, Request, Subject};

pub use context::{Basis, Endpoint, Mode, NamespaceLabels, Severity};
pub use report::{Outcome, Report, Source, Tally};
pub use request::BadReview;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The sender's fault: HTTP 400.
    #[error(transparent)]
    BadReview(#[from] BadReview),
    /// Nobody's, and soon over: HTTP 503.
    #[error(transparent)]
    LabelsUnknown(#[from] LabelsUnknown),
    /// Ours: HTTP 500.
    #[error("the answer could not be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
}

/// An answer, and what is to be said about it elsewhere.
#[derive(Debug)]
pub struct Answer<'p> {
    /// An AdmissionReview with a response, as JSON.
    pub body: Vec<u8>,
    /// For logs and metrics.
    pub report: Report<'p>,
}

/// Answers a review: the whole way.
///
/// ```text
/// request::parse → Policy::decide → patch::build, or verdict::words → response
/// ```
pub fn review<'p>(basis: &Basis<'p>, endpoint: Endpoint, body: &[u8]) -> Result<Answer<'p>, Fault> {
    let request = request::parse(body)?;
    match endpoint {
        Endpoint::Mutate => mutate(basis, &request),
        Endpoint::Validate => validate(basis, &request),
        Endpoint::Workloads(severity) => foretell(basis, severity, &request),
    }
}

fn mutate<'p>(basis: &Basis<'p>, request: &Request<'_>) -> Result<Answer<'p>, Fault> {
    let mut report = Report::of(request);
    let mut patch = None;
    let mut verdicts = Vec::new();
    if let Some(pod) = to_be_patched(request) {
        let namespace = basis.namespace(&request.namespace);
        let decision = basis.policy.decide(pod.images(), namespace, basis.now)?;
        report.secrets = patch::missing(pod, &decision.pull_secrets);
        patch = patch::build(pod, &report.secrets);
        verdicts = decision.verdicts;
    }
    if patch.is_some() {
        report.outcome = Outcome::Patched;
    }
    report.record = Record::of(basis, Endpoint::Mutate, request, &verdicts, &report);
    let body = response::patched(&request.uid, patch.as_ref())?;
    Ok(Answer { body, report })
}

fn validate<'p>(basis: &Basis<'p>, request: &Request<'_>) -> Result<Answer<'p>, Fault> {
    let Basis {
        policy, now, mode, ..
    } = *basis;
    let mut report = Report::of(request);
    let mut verdicts = Vec::new();
    let mut words = verdict::Words::default();
    if let Some(pod) = to_be_judged(request) {
        let namespace = basis.namespace(&request.namespace);
        let decision = policy.decide(verdict::images(request, pod), namespace, now)?;
        let circumstances = Circumstances {
            policy,
            namespace: Some(namespace),
            now,
        };
        words = verdict::words(&circumstances, mode, request, pod, &decision);
        if !request.dry_run {
            report.tallies = report::tallies(&decision);
        }
        report.outcome = Outcome::of(&words);
        verdicts = decision.verdicts;
    }
    let body = response::judged(&request.uid, &words)?;
    report.words = words;
    report.record = Record::of(basis, Endpoint::Validate, request, &verdicts, &report);
    Ok(Answer { body, report })
}

fn foretell<'p>(
    basis: &Basis<'p>,
    severity: Severity,
    request: &Request<'_>,
) -> Result<Answer<'p>, Fault> {
    let Basis {
        policy, now, mode, ..
    } = *basis;
    let mut verdicts = Vec::new();
    // No tallies: the images count with the pods.
    let mut report = Report::of(request);
    if let Some(pod) = preview::to_be_judged(request) {
        let namespace = basis.namespace(&request.namespace);
        let decision = policy.decide(verdict::images(request, pod), namespace, now)?;
        let circumstances = Circumstances {
            policy,
            namespace: Some(namespace),
            now,
        };
        report.words = preview::words(&circumstances, mode, severity, &decision);
        report.outcome = Outcome::of(&report.words);
        verdicts = decision.verdicts;
    }
    let endpoint = Endpoint::Workloads(severity);
    report.record = Record::of(basis, endpoint, request, &verdicts, &report);
    let body = response::judged(&request.uid, &report.words)?;
    Ok(Answer { body, report })
}

/// The pod, where `/mutate` has something to look at.
///
/// `spec.imagePullSecrets` can only be set when a pod is made: on an `UPDATE` a
/// patch of it is an error (`ValidatePodUpdate`), on `pods/ephemeralcontainers` it
/// is dropped without a word. A mirror pod may not reference any secret
/// (`plugin/pkg/admission/serviceaccount`): a patch would make it vanish.
fn to_be_patched<'r, 'a>(request: &'r Request<'a>) -> Option<&'r Pod<'a>> {
    let pod = request.object.as_ref()?;
    let is_new = request.subject == Subject::Pod && request.operation == Operation::Create;
    (is_new && !pod.is_mirror()).then_some(pod)
}

/// The pod, where `/validate` has something to judge.
///
/// Only a kubelet makes mirror pods; the annotation alone, which anybody can
/// write, exempts nobody.
fn to_be_judged<'r, 'a>(request: &'r Request<'a>) -> Option<&'r Pod<'a>> {
    let pod = request.object.as_ref()?;
    let is_asked = matches!(
        (request.subject, request.operation),
        (Subject::Pod, Operation::Create | Operation::Update)
            | (Subject::EphemeralContainers, Operation::Update)
    );
    let is_static_pod = pod.is_mirror() && request.from_node;
    let is_going = request
        .old_object
        .as_ref()
        .is_some_and(Pod::is_being_deleted);
    (is_asked && !is_static_pod && !is_going).then_some(pod)
}
