//! The answer to an admission review: from the bytes of the request to the bytes of the
//! response.
//!
//! `/mutate` adds missing pull secrets and never denies, because a later webhook may still
//! change the image. `/validate` sees the final object, gives every verdict and never
//! patches. `/validate-workloads` gives a preview of what the pods of a workload will meet.
//! All of them are pure functions of the review and its [`ReviewContext`]: the same input
//! gives the same bytes, on a dry run too. This module must not read a clock, use the
//! network or log; its caller counts and logs what a [`ReviewReport`] says.

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
pub use report::{Outcome, ReviewEffect, ReviewReport, RuleLabel, Tally};
pub use request::BadReview;

/// Why there is no response to a review.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The sender's request is not valid: HTTP 400.
    #[error(transparent)]
    BadReview(#[from] BadReview),
    /// The decision depends on labels that will soon be known: HTTP 503.
    #[error(transparent)]
    LabelsUnknown(#[from] LabelsUnknown),
    /// pullpass failed: HTTP 500.
    #[error("cannot write the response as JSON: {0}")]
    Encode(#[from] serde_json::Error),
}

/// The response to a review, and what the caller logs, counts and records about it.
#[derive(Debug)]
pub struct Reviewed<'p> {
    /// The response: an AdmissionReview as JSON.
    pub body: Vec<u8>,
    /// What logs and metrics show.
    pub report: ReviewReport<'p>,
    /// The record for the decision log and for Events, if the context asks for one.
    pub record: Option<Box<DecisionRecord>>,
}

/// Answers a review.
///
/// It fails if the body is not a review that pullpass can answer, or if the decision depends
/// on labels of the namespace that are not known.
pub fn review<'p>(
    context: &ReviewContext<'p>,
    endpoint: Endpoint,
    body: &[u8],
) -> Result<Reviewed<'p>, ReviewError> {
    let request = request::parse(body)?;
    let mut effect = ReviewEffect::Nothing;
    let mut verdicts = Vec::new();
    if let Some(pod) = subject::pod(endpoint, &request) {
        let decision_context = context.for_namespace(&request.namespace);
        let decision = decision_context.decide(subject::images(&request, pod))?;
        match endpoint {
            Endpoint::Mutate => {
                let secrets = patch::missing(pod, &decision.pull_secrets);
                if let Some(patch) = patch::build(pod, &secrets) {
                    effect = ReviewEffect::Patch { secrets, patch };
                }
            }
            Endpoint::Validate => {
                let mode = context.mode;
                effect = ReviewEffect::Judgement {
                    statement: verdict::statement(
                        &decision_context,
                        mode,
                        &request,
                        pod,
                        &decision,
                    ),
                    tallies: report::tallies(&request, &decision),
                };
            }
            Endpoint::Workloads(workloads) => {
                let mode = context.mode;
                effect = ReviewEffect::Judgement {
                    statement: preview::statement(&decision_context, mode, workloads, &decision),
                    // The images are counted with the pods.
                    tallies: Vec::new(),
                };
            }
        }
        verdicts = decision.verdicts;
    }
    let report = ReviewReport::of(&request, effect);
    let record = DecisionRecord::of(context, endpoint, &request, &verdicts, &report);
    let body = response::write(&request.uid, &report.effect)?;
    Ok(Reviewed {
        body,
        report,
        record,
    })
}
