//! What is said about a workload: what its pods will meet.
//!
//! A courtesy to whoever applies it. The pods are judged when they are made, by
//! `/validate`; so nothing here needs to be proof against tricks, and what is said
//! once to a person is not said again to a controller. Pure; never patches.

use super::pod::Pod;
use super::request::{Operation, Request, Subject};
use super::verdict::{Words, unlike_the_entry};
use super::{Mode, Severity};
use crate::policy::message::{self, Circumstances};
use crate::policy::{Action, Decision, Verdict};
use std::borrow::Cow;

/// The workload as a pod of its own, where there is something to say.
///
/// One that a controller owns (the ReplicaSet of a Deployment, the Job of a `CronJob`)
/// was said to the owner's author, and its own is a controller that reads no warnings;
/// a refusal would be a second one beside that of the pods. To write such an owner by
/// hand hides a workload from this webhook and its pods from none.
pub fn to_be_judged<'r, 'a>(request: &'r Request<'a>) -> Option<&'r Pod<'a>> {
    let pod = request.object.as_ref()?;
    let is_asked = matches!(request.subject, Subject::Workload(_))
        && matches!(request.operation, Operation::Create | Operation::Update);
    let is_going = request
        .old_object
        .as_ref()
        .is_some_and(Pod::is_being_deleted);
    (is_asked && !is_going && pod.controller().is_none()).then_some(pod)
}

/// One thing to be said.
enum Remark<'d, 'p, 'i> {
    /// The pods will be refused, or would be where refusals are meant.
    Refusal(&'d Verdict<'p, 'i>),
    /// The pods will be warned about.
    Warning(&'d Verdict<'p, 'i>),
    /// The kubelet will find no credentials under this spelling.
    Spelling(Cow<'p, str>, &'d Verdict<'p, 'i>),
}

/// Puts a decision about a template into words.
///
/// Nothing is said about pull secrets that the template lacks: its pods get them.
#[must_use]
pub fn words(
    circumstances: &Circumstances<'_>,
    mode: Mode,
    severity: Severity,
    decision: &Decision<'_, '_>,
) -> Words {
    let found: Vec<_> = decision
        .verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action != Action::Allow)
        .collect();
    let mut words = Words {
        record: (!found.is_empty()).then(|| (decision.action(), circumstances.record(&found))),
        ..Words::default()
    };
    let refused: Vec<_> = found
        .into_iter()
        .filter(|verdict| verdict.judgement.action == Action::Deny)
        .collect();
    let is_denied = severity == Severity::Deny && !refused.is_empty();
    if is_denied && mode == Mode::Enforce {
        words.refusal = Some(circumstances.refusal(&refused));
        return words;
    }
    words.would_be_refused = is_denied;
    let warned = decision.verdicts.iter().filter(|verdict| {
        verdict.judgement.action == Action::Warn
            || verdict.judgement.ends_soon(circumstances.now).is_some()
    });
    let spelt = decision.verdicts.iter().filter_map(|verdict| {
        let key = unlike_the_entry(&verdict.judgement)?;
        Some(Remark::Spelling(key, verdict))
    });
    let remarks: Vec<_> = refused
        .into_iter()
        .map(Remark::Refusal)
        .chain(warned.map(Remark::Warning))
        .chain(spelt)
        .collect();
    words.warnings = message::limited(&remarks, |remark| match remark {
        Remark::Refusal(verdict) => match mode {
            Mode::Enforce => circumstances.forecast(verdict),
            Mode::Observe => circumstances.would_be_refused(verdict),
        },
        Remark::Warning(verdict) => circumstances.warning(verdict),
        Remark::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
    });
    words
}
