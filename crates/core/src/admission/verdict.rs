//! What `/validate` does with a decision: it denies, warns, records, or only admits.
//!
//! In the mode [`Mode::Observe`] it warns about what would be denied. It sees the final
//! object, after every mutation. This module must not patch, and it must not turn an error
//! into a verdict: every denial comes from the map.

use super::Mode;
use super::pod::Pod;
use super::request::{Operation, Request, Subject};
use crate::policy::message::{self, Remedy};
use crate::policy::{Action, Context, Decision, Judgement, Rule, Verdict};
use image_reference::DOCKER_HUB;
use std::borrow::Cow;
use std::collections::HashSet;

/// Whether an object is admitted, with the texts for its user.
#[derive(Debug)]
pub enum Ruling {
    /// The object is admitted with these warnings, which kubectl shows as `Warning: …`.
    Admitted(Vec<String>),
    /// The object is admitted with these warnings, but only because pullpass observes.
    WouldDeny(Vec<String>),
    /// The object is denied for this reason.
    Denied(String),
}

impl Ruling {
    /// The texts for the user: the denial, or the warnings.
    #[must_use]
    pub fn messages(&self) -> &[String] {
        match self {
            Self::Admitted(warnings) | Self::WouldDeny(warnings) => warnings,
            Self::Denied(reason) => std::slice::from_ref(reason),
        }
    }
}

/// What a response says about a decision.
#[derive(Debug)]
pub struct Statement {
    /// Whether the object is admitted.
    pub ruling: Ruling,
    /// What the API server's audit log shows: the strictest action, and the images.
    pub audit: Option<(Action, String)>,
}

impl Statement {
    /// The statement about a decision. `can_deny` says whether a denied image denies the
    /// object; `warnings` is called only if the object is admitted.
    pub(super) fn of(
        context: &Context<'_, '_>,
        mode: Mode,
        can_deny: bool,
        decision: &Decision<'_, '_>,
        warnings: impl FnOnce() -> Vec<String>,
    ) -> Self {
        let found = decision.findings();
        let audit = (!found.is_empty()).then(|| (decision.action(), context.audit(&found)));
        let is_denied = |verdict: &&Verdict<'_, '_>| verdict.judgement.action == Action::Deny;
        let denied: Vec<_> = found.into_iter().filter(is_denied).collect();
        let ruling = match mode {
            _ if denied.is_empty() || !can_deny => Ruling::Admitted(warnings()),
            Mode::Enforce => Ruling::Denied(context.denial(&denied)),
            Mode::Observe => Ruling::WouldDeny(warnings()),
        };
        Self { ruling, audit }
    }
}

/// The response to a decision about a pod.
#[must_use]
pub fn statement(
    context: &Context<'_, '_>,
    mode: Mode,
    request: &Request<'_>,
    pod: &Pod<'_>,
    decision: &Decision<'_, '_>,
) -> Statement {
    Statement::of(context, mode, true, decision, || {
        warnings(context, request, pod, decision)
    })
}

/// One warning about an admitted pod.
enum PodWarning<'d, 'p, 'i> {
    /// An image would be denied if pullpass enforced.
    Denied(&'d Verdict<'p, 'i>),
    /// The map warns about an image, or its entry expires soon.
    Registry(&'d Verdict<'p, 'i>),
    /// The pod does not have a pull secret that an image needs.
    Missing(&'p str, &'d Verdict<'p, 'i>),
    /// The kubelet will not find the credential for this spelling.
    Spelling(Cow<'p, str>, &'d Verdict<'p, 'i>),
}

fn warnings(
    context: &Context<'_, '_>,
    request: &Request<'_>,
    pod: &Pod<'_>,
    decision: &Decision<'_, '_>,
) -> Vec<String> {
    let remedy = remedy(request);
    message::limited(&sorted_warnings(pod, decision), |warning| match warning {
        PodWarning::Denied(verdict) => context.would_deny(verdict),
        PodWarning::Registry(verdict) => context.warning(verdict),
        PodWarning::Missing(secret, verdict) => message::secret_missing(secret, verdict, remedy),
        PodWarning::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
    })
}

/// The warnings, most important first, because a response has a limited number of them.
fn sorted_warnings<'d, 'p, 'i>(
    pod: &Pod<'_>,
    decision: &'d Decision<'p, 'i>,
) -> Vec<PodWarning<'d, 'p, 'i>> {
    let verdicts = &decision.verdicts;
    let denied = verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action == Action::Deny)
        .map(PodWarning::Denied);
    let warned = decision.warned().into_iter();
    let registries = warned.map(PodWarning::Registry);
    let mut missing: HashSet<&str> = super::patch::missing(pod, &decision.pull_secrets)
        .into_iter()
        .collect();
    let secrets = verdicts.iter().flat_map(|verdict| {
        let needed = verdict.judgement.pull_secrets.iter();
        needed.map(move |secret| (secret.as_str(), verdict))
    });
    let secrets = secrets
        // One warning for each pull secret, about the first image that needs it.
        .filter(|(secret, _)| missing.remove(secret))
        .map(|(secret, verdict)| PodWarning::Missing(secret, verdict));
    let spellings = verdicts.iter().filter_map(|verdict| {
        let key = mismatched_key(&verdict.judgement)?;
        Some(PodWarning::Spelling(key, verdict))
    });
    denied
        .chain(registries)
        .chain(secrets)
        .chain(spellings)
        .collect()
}

/// What the user can do about a missing pull secret.
fn remedy(request: &Request<'_>) -> Remedy {
    match (request.subject, request.operation) {
        (Subject::EphemeralContainers, _) => Remedy::DeleteRunningPod,
        (_, Operation::Update) => Remedy::DeletePod,
        _ => Remedy::CheckMutation,
    }
}

/// The key under which the entry's credential is probably stored, if the image is spelled so
/// that the kubelet will not find the credential there.
#[must_use]
pub fn mismatched_key<'p>(judgement: &Judgement<'p, '_>) -> Option<Cow<'p, str>> {
    let (Rule::Entry(_, pattern), Ok(reference)) = (judgement.rule, &judgement.reference) else {
        return None;
    };
    if judgement.pull_secrets.is_empty() {
        return None;
    }
    // Docker Hub has several names; the kubelet looks up this one.
    let key = if pattern.host() != DOCKER_HUB {
        Cow::Borrowed(pattern.text.as_str())
    } else if pattern.path().is_empty() {
        Cow::Borrowed(DOCKER_HUB)
    } else {
        Cow::Owned(format!("{DOCKER_HUB}/{}", pattern.path()))
    };
    (!kubelet_keyring::key_matches(&key, &reference.name())).then_some(key)
}
