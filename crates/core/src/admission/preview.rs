//! The preview of a workload: warnings, or a denial, about what its pods will meet.
//!
//! It helps users who apply workloads, and it is not a security boundary: `/validate` judges
//! the pods when they are created. This module must not patch.

use super::verdict::{Statement, mismatched_key};
use super::{Mode, WorkloadMode};
use crate::policy::message;
use crate::policy::{Action, Context, Decision, Verdict};
use std::borrow::Cow;

/// One warning about a workload.
enum WorkloadWarning<'d, 'p, 'i> {
    /// The pods will be denied, or would be denied if pullpass enforced.
    Denied(&'d Verdict<'p, 'i>),
    /// The pods will get a warning.
    Warned(&'d Verdict<'p, 'i>),
    /// The kubelet will not find the credential for this spelling.
    Spelling(Cow<'p, str>, &'d Verdict<'p, 'i>),
}

/// The response to a decision about the template of a workload.
///
/// There is no warning about pull secrets that the template lacks, because its pods get them.
#[must_use]
pub fn statement(
    context: &Context<'_, '_>,
    mode: Mode,
    workloads: WorkloadMode,
    decision: &Decision<'_, '_>,
) -> Statement {
    let can_deny = workloads == WorkloadMode::Deny;
    Statement::of(context, mode, can_deny, decision, || {
        warnings(context, mode, decision)
    })
}

fn warnings(context: &Context<'_, '_>, mode: Mode, decision: &Decision<'_, '_>) -> Vec<String> {
    let verdicts = &decision.verdicts;
    let denied = verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action == Action::Deny)
        .map(WorkloadWarning::Denied);
    let warned = decision.warned().into_iter();
    let spelt = verdicts.iter().filter_map(|verdict| {
        let key = mismatched_key(&verdict.judgement)?;
        Some(WorkloadWarning::Spelling(key, verdict))
    });
    let warnings: Vec<_> = denied
        .chain(warned.map(WorkloadWarning::Warned))
        .chain(spelt)
        .collect();
    message::limited(&warnings, |warning| match warning {
        WorkloadWarning::Denied(verdict) => match mode {
            Mode::Enforce => context.preview(verdict),
            Mode::Observe => context.would_deny(verdict),
        },
        WorkloadWarning::Warned(verdict) => context.warning(verdict),
        WorkloadWarning::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
    })
}
