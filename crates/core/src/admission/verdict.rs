//! What `/validate` says about a decision: it denies, warns, records, or says nothing.
//!
//! While pullpass observes ([`Mode::Observe`]) it says what would have been denied. It
//! speaks about the final object, after every mutation, and never patches. A fault never
//! gets here: whatever this module returns is the map's word.

use super::Mode;
use super::pod::Pod;
use super::request::{Operation, Request, Subject};
use crate::policy::message::{self, Remedy};
use crate::policy::{Action, Context, Decision, Judgement, Rule, Verdict};
use image_reference::DOCKER_HUB;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;

/// What an answer says besides yes or no.
#[derive(Debug, Default)]
pub struct Statement {
    /// Why the object is denied; `None` admits it.
    pub denial: Option<String>,
    /// Whether the object is admitted only because pullpass observes.
    pub would_deny: bool,
    /// Shown to whoever asked, by kubectl as `Warning: …`.
    pub warnings: Vec<String>,
    /// For the API server's audit log: the strictest action, and the images.
    pub audit: Option<(Action, String)>,
}

/// Puts a decision into words.
#[must_use]
pub fn statement(
    context: &Context<'_, '_>,
    mode: Mode,
    request: &Request<'_>,
    pod: &Pod<'_>,
    decision: &Decision<'_, '_>,
) -> Statement {
    let mut found: Vec<&Verdict<'_, '_>> = decision
        .verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action != Action::Allow)
        .collect();
    // The annotation names only so many: lesser cases in front must not hide the worst.
    found.sort_by_key(|verdict| Reverse(verdict.judgement.action));
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

/// One thing to be said about an admitted pod.
enum Warning<'d, 'p, 'i> {
    /// A registry that is denied, while pullpass observes.
    Denied(&'d Verdict<'p, 'i>),
    /// A registry that is on its way out.
    Registry(&'d Verdict<'p, 'i>),
    /// A pull secret that the pod lacks.
    Missing(&'p str, &'d Verdict<'p, 'i>),
    /// A spelling under which the kubelet finds no credentials.
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
            Warning::Denied(verdict) => context.would_deny(verdict),
            Warning::Registry(verdict) => context.warning(verdict),
            Warning::Missing(secret, verdict) => message::secret_missing(secret, verdict, remedy),
            Warning::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
        },
    )
}

/// In order of their weight, since an answer holds only so many.
fn sorted_warnings<'d, 'p, 'i>(
    context: &Context<'_, '_>,
    pod: &Pod<'_>,
    decision: &'d Decision<'p, 'i>,
) -> Vec<Warning<'d, 'p, 'i>> {
    let verdicts = &decision.verdicts;
    let denied = verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action == Action::Deny)
        .map(Warning::Denied);
    let mut registries: Vec<_> = verdicts
        .iter()
        .filter(|verdict| {
            verdict.judgement.action == Action::Warn
                || verdict.judgement.expires_soon(context.now).is_some()
        })
        .collect();
    registries.sort_by_key(|verdict| Reverse(verdict.judgement.action));
    let registries = registries.into_iter().map(Warning::Registry);
    let mut missing: HashSet<&str> = super::patch::missing(pod, &decision.pull_secrets)
        .into_iter()
        .collect();
    let secrets = verdicts.iter().flat_map(|verdict| {
        let needed = verdict.judgement.pull_secrets.iter();
        needed.map(move |secret| (secret.as_str(), verdict))
    });
    let secrets = secrets
        // Each secret once, for the first image that needs it.
        .filter(|(secret, _)| missing.remove(secret))
        .map(|(secret, verdict)| Warning::Missing(secret, verdict));
    let spellings = verdicts.iter().filter_map(|verdict| {
        let key = unlike_the_entry(&verdict.judgement)?;
        Some(Warning::Spelling(key, verdict))
    });
    denied
        .chain(registries)
        .chain(secrets)
        .chain(spellings)
        .collect()
}

/// What can be done about a missing secret.
fn remedy(request: &Request<'_>) -> Remedy {
    match (request.subject, request.operation) {
        (Subject::EphemeralContainers, _) => Remedy::DeleteRunningPod,
        (_, Operation::Update) => Remedy::DeletePod,
        _ => Remedy::CheckMutation,
    }
}

/// The key under which the entry's credentials are most likely stored, where the
/// image is spelled so that the kubelet will not find them there.
#[must_use]
pub fn unlike_the_entry<'p>(judgement: &Judgement<'p, '_>) -> Option<Cow<'p, str>> {
    let (Rule::Entry(_, pattern), Ok(reference)) = (judgement.rule, &judgement.reference) else {
        return None;
    };
    if judgement.pull_secrets.is_empty() {
        return None;
    }
    // Docker Hub has several names, and the kubelet looks under this one.
    let key = if pattern.host() != DOCKER_HUB {
        Cow::Borrowed(pattern.text.as_str())
    } else if pattern.path().is_empty() {
        Cow::Borrowed(DOCKER_HUB)
    } else {
        Cow::Owned(format!("{DOCKER_HUB}/{}", pattern.path()))
    };
    (!kubelet_keyring::key_matches(&key, &reference.name())).then_some(key)
}
