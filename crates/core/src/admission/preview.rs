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
    let found = decision.findings();
    let mut statement = Statement {
        audit: (!found.is_empty()).then(|| (decision.action(), context.audit(&found))),
        ..Statement::default()
    };
    let denied: Vec<_> = found
        .into_iter()
        .filter(|verdict| verdict.judgement.action == Action::Deny)
        .collect();
    let is_denied = workloads == WorkloadMode::Deny && !denied.is_empty();
    if is_denied && mode == Mode::Enforce {
        statement.denial = Some(context.denial(&denied));
        return statement;
    }
    statement.would_deny = is_denied;
    let warned = decision.warned(context.now).into_iter();
    let spelt = decision.verdicts.iter().filter_map(|verdict| {
        let key = mismatched_key(&verdict.judgement)?;
        Some(WorkloadWarning::Spelling(key, verdict))
    });
    let warnings: Vec<_> = denied
        .into_iter()
        .map(WorkloadWarning::Denied)
        .chain(warned.map(WorkloadWarning::Warned))
        .chain(spelt)
        .collect();
    statement.warnings = message::limited(&warnings, |warning| match warning {
        WorkloadWarning::Denied(verdict) => match mode {
            Mode::Enforce => context.preview(verdict),
            Mode::Observe => context.would_deny(verdict),
        },
        WorkloadWarning::Warned(verdict) => context.warning(verdict),
        WorkloadWarning::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
    });
    statement
}
