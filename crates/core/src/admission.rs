//! The way of one review, from bytes to bytes.
//!
//! `/mutate` adds what is missing and never denies, because a later webhook may still
//! change the image. `/validate` sees the final object, carries every verdict and never
//! patches. `/validate-workloads` says of a workload what its pods will meet. All of
//! them are pure functions of the review and of its [`ReviewContext`]: the same input
//! gives the same bytes, on a dry run too. There is no clock, no network and no logging
//! here: what is to be counted and logged is returned as a [`ReviewReport`].

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
mod subject;
pub mod verdict;
pub mod workload;

use crate::policy::LabelsUnknown;
use record::DecisionRecord;

pub use context::{Endpoint, Mode, NamespaceLabels, ReviewContext, WorkloadMode};
pub use report::{Outcome, ReviewReport, RuleLabel, Tally};
pub use request::BadReview;

/// Why a review has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The sender's fault: HTTP 400.
    #[error(transparent)]
    BadReview(#[from] BadReview),
    /// Nobody's fault, and soon over: HTTP 503.
    #[error(transparent)]
    LabelsUnknown(#[from] LabelsUnknown),
    /// A fault of pullpass: HTTP 500.
    #[error("the answer could not be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
}

/// An answer, and what is to be said about it elsewhere.
#[derive(Debug)]
pub struct Reviewed<'p> {
    /// An AdmissionReview with a response, as JSON.
    pub body: Vec<u8>,
    /// For logs and metrics.
    pub report: ReviewReport<'p>,
    /// For the decision log and for Events, where a record was asked for.
    pub record: Option<Box<DecisionRecord>>,
}

/// Answers a review: parse, decide, patch or speak, respond.
pub fn review<'p>(
    context: &ReviewContext<'p>,
    endpoint: Endpoint,
    body: &[u8],
) -> Result<Reviewed<'p>, ReviewError> {
    let request = request::parse(body)?;
    let mut report = ReviewReport::of(&request);
    let mut patch = None;
    let mut verdicts = Vec::new();
    if let Some(pod) = subject::pod(endpoint, &request) {
        let at = context.at(&request.namespace);
        let decision = at.decide(subject::images(&request, pod))?;
        match endpoint {
            Endpoint::Mutate => {
                report.secrets = patch::missing(pod, &decision.pull_secrets);
                patch = patch::build(pod, &report.secrets);
            }
            Endpoint::Validate => {
                report.statement = verdict::statement(&at, context.mode, &request, pod, &decision);
                report.tallies = report::tallies(&request, &decision);
            }
            // There are no tallies: the images count with the pods.
            Endpoint::Workloads(mode) => {
                report.statement = preview::statement(&at, context.mode, mode, &decision);
            }
        }
        verdicts = decision.verdicts;
    }
    report.outcome = Outcome::of(patch.as_ref(), &report.statement);
    let record = DecisionRecord::of(context, endpoint, &request, &verdicts, &report);
    let body = response::write(&request.uid, patch.as_ref(), &report.statement)?;
    Ok(Reviewed {
        body,
        report,
        record,
    })
}
