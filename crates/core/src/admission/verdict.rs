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

/// What a response says about a decision.
#[derive(Debug, Default)]
pub struct Statement {
    /// Why the object is denied; `None` if it is admitted.
    pub denial: Option<String>,
    /// Whether the object is admitted only because pullpass observes.
    pub would_deny: bool,
    /// Warnings, which kubectl shows as `Warning: …`.
    pub warnings: Vec<String>,
    /// What the API server's audit log shows: the strictest action, and the images.
    pub audit: Option<(Action, String)>,
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
    let found = decision.findings();
    let audit = (!found.is_empty()).then(|| (decision.action(), context.audit(&found)));
    let is_denied = |verdict: &&Verdict<'_, '_>| verdict.judgement.action == Action::Deny;
    let denied: Vec<_> = found.into_iter().filter(is_denied).collect();
    if !denied.is_empty() && mode == Mode::Enforce {
        return Statement {
            denial: Some(context.denial(&denied)),
            audit,
            ..Statement::default()
        };
    }
    Statement {
        denial: None,
        would_deny: !denied.is_empty(),
        warnings: warnings(context, request, pod, decision),
        audit,
    }
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
    message::limited(
        &sorted_warnings(context, pod, decision),
        |warning| match warning {
            PodWarning::Denied(verdict) => context.would_deny(verdict),
            PodWarning::Registry(verdict) => context.warning(verdict),
            PodWarning::Missing(secret, verdict) => {
                message::secret_missing(secret, verdict, remedy)
            }
            PodWarning::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
        },
    )
}

/// The warnings, most important first, because a response has a limited number of them.
fn sorted_warnings<'d, 'p, 'i>(
    context: &Context<'_, '_>,
    pod: &Pod<'_>,
    decision: &'d Decision<'p, 'i>,
) -> Vec<PodWarning<'d, 'p, 'i>> {
    let verdicts = &decision.verdicts;
    let denied = verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action == Action::Deny)
        .map(PodWarning::Denied);
    let warned = decision.warned(context.now).into_iter();
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
