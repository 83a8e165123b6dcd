//! The preview of a workload: what is said about what its pods will meet.
//!
//! It is a courtesy to whoever applies the workload. `/validate` judges the pods when
//! they are created, so nothing here needs to be proof against tricks. It never patches.

use super::verdict::{Statement, unlike_the_entry};
use super::{Mode, WorkloadMode};
use crate::policy::message;
use crate::policy::{Action, Context, Decision, Verdict};
use std::borrow::Cow;

/// One thing to be said.
enum Warning<'d, 'p, 'i> {
    /// The pods will be denied, or would be if pullpass enforced.
    Denied(&'d Verdict<'p, 'i>),
    /// The pods will be warned about.
    Warned(&'d Verdict<'p, 'i>),
    /// The kubelet will find no credentials under this spelling.
    Spelling(Cow<'p, str>, &'d Verdict<'p, 'i>),
}

/// Puts a decision about a template into words.
///
/// Nothing is said about pull secrets that the template lacks: its pods get them.
#[must_use]
pub fn statement(
    context: &Context<'_, '_>,
    mode: Mode,
    workloads: WorkloadMode,
    decision: &Decision<'_, '_>,
) -> Statement {
    let found: Vec<_> = decision
        .verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action != Action::Allow)
        .collect();
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
    let warned = decision.verdicts.iter().filter(|verdict| {
        verdict.judgement.action == Action::Warn
            || verdict.judgement.expires_soon(context.now).is_some()
    });
    let spelt = decision.verdicts.iter().filter_map(|verdict| {
        let key = unlike_the_entry(&verdict.judgement)?;
        Some(Warning::Spelling(key, verdict))
    });
    let warnings: Vec<_> = denied
        .into_iter()
        .map(Warning::Denied)
        .chain(warned.map(Warning::Warned))
        .chain(spelt)
        .collect();
    statement.warnings = message::limited(&warnings, |warning| match warning {
        Warning::Denied(verdict) => match mode {
            Mode::Enforce => context.preview(verdict),
            Mode::Observe => context.would_deny(verdict),
        },
        Warning::Warned(verdict) => context.warning(verdict),
        Warning::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
    });
    statement
}
