//! What `/validate` says about a decision: refuse, warn, record, or nothing.
//!
//! Where refusals are not meant ([`Mode::Observe`]) it says what would have been.
//! It speaks about the final object, after every mutation, and never patches.
//! A fault never gets here: whatever this module returns is the map's word. Pure.

use super::Mode;
use super::pod::Pod;
use super::request::{Operation, Request, Subject};
use crate::policy::message::{self, Circumstances};
use crate::policy::{Action, Decision, Judgement, Rule, Verdict};
use image_reference::DOCKER_HUB;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;

/// What is answered besides yes or no.
#[derive(Debug, Default)]
pub struct Words {
    /// Why the object is refused; `None` admits it.
    pub refusal: Option<String>,
    /// Whether it is admitted only because refusals are not meant.
    pub would_be_refused: bool,
    /// Shown to whoever asked, by kubectl as `Warning: …`.
    pub warnings: Vec<String>,
    /// For the API server's audit log: the strictest action, and the images.
    pub record: Option<(Action, String)>,
}

/// The images of the request that are to be judged.
///
/// On `UPDATE` those that the pod did not have before, in any field: an old pod
/// must stay changeable (labels, finalizers) when the map has changed, and what is
/// running has been admitted. The API server reasons the same way in
/// `plugin/pkg/admission/alwayspullimages` (`isUpdateWithNoNewImages`).
pub fn images<'r>(
    request: &'r Request<'_>,
    pod: &'r Pod<'_>,
) -> impl Iterator<Item = (crate::policy::Field, &'r str)> {
    let old: HashSet<&str> = match (request.operation, &request.old_object) {
        (Operation::Update, Some(old)) => old.images().map(|(_, image)| image).collect(),
        _ => HashSet::new(),
    };
    pod.images().filter(move |(_, image)| !old.contains(image))
}

/// Puts a decision into words.
#[must_use]
pub fn words(
    circumstances: &Circumstances<'_>,
    mode: Mode,
    request: &Request<'_>,
    pod: &Pod<'_>,
    decision: &Decision<'_, '_>,
) -> Words {
    let mut found: Vec<&Verdict<'_, '_>> = decision
        .verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action != Action::Allow)
        .collect();
    // A record names only so many: lesser cases in front must not hide the worst.
    found.sort_by_key(|verdict| Reverse(verdict.judgement.action));
    let record = (!found.is_empty()).then(|| (decision.action(), circumstances.record(&found)));
    let is_refused = |verdict: &&Verdict<'_, '_>| verdict.judgement.action == Action::Deny;
    let refused: Vec<_> = found.into_iter().filter(is_refused).collect();
    let is_denied = !refused.is_empty();
    if is_denied && mode == Mode::Enforce {
        return Words {
            refusal: Some(circumstances.refusal(&refused)),
            would_be_refused: false,
            warnings: Vec::new(),
            record,
        };
    }
    Words {
        refusal: None,
        would_be_refused: is_denied,
        warnings: warnings(circumstances, request, pod, decision),
        record,
    }
}

/// One thing to be said about an admitted pod.
enum Remark<'d, 'p, 'i> {
    /// A registry that is denied, where refusals are not meant.
    Denied(&'d Verdict<'p, 'i>),
    /// A registry that is on its way out.
    Registry(&'d Verdict<'p, 'i>),
    /// A pull secret that the pod lacks.
    Missing(&'p str, &'d Verdict<'p, 'i>),
    /// A spelling under which the kubelet finds no credentials.
    Spelling(Cow<'p, str>, &'d Verdict<'p, 'i>),
}

fn warnings(
    circumstances: &Circumstances<'_>,
    request: &Request<'_>,
    pod: &Pod<'_>,
    decision: &Decision<'_, '_>,
) -> Vec<String> {
    let remedy = remedy(request);
    message::limited(
        &remarks(circumstances, pod, decision),
        |remark| match remark {
            Remark::Denied(verdict) => circumstances.would_be_refused(verdict),
            Remark::Registry(verdict) => circumstances.warning(verdict),
            Remark::Missing(secret, verdict) => message::secret_missing(secret, verdict, remedy),
            Remark::Spelling(key, verdict) => message::spelling(&verdict.judgement, key),
        },
    )
}

/// In order of their weight, since an answer holds only so many.
fn remarks<'d, 'p, 'i>(
    circumstances: &Circumstances<'_>,
    pod: &Pod<'_>,
    decision: &'d Decision<'p, 'i>,
) -> Vec<Remark<'d, 'p, 'i>> {
    let verdicts = &decision.verdicts;
    let denied = verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action == Action::Deny)
        .map(Remark::Denied);
    let mut registries: Vec<_> = verdicts
        .iter()
        .filter(|verdict| {
            verdict.judgement.action == Action::Warn
                || verdict.judgement.ends_soon(circumstances.now).is_some()
        })
        .collect();
    registries.sort_by_key(|verdict| Reverse(verdict.judgement.action));
    let registries = registries.into_iter().map(Remark::Registry);
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
        .map(|(secret, verdict)| Remark::Missing(secret, verdict));
    let spellings = verdicts.iter().filter_map(|verdict| {
        let key = unlike_the_entry(&verdict.judgement)?;
        Some(Remark::Spelling(key, verdict))
    });
    denied
        .chain(registries)
        .chain(secrets)
        .chain(spellings)
        .collect()
}

/// What can be done about a missing secret.
fn remedy(request: &Request<'_>) -> &'static str {
    match (request.subject, request.operation) {
        (Subject::EphemeralContainers, _) => "a running pod cannot get it; delete the pod",
        (_, Operation::Update) => "a pod cannot get it later; delete the pod",
        _ => "another webhook removed it, or /mutate was not asked",
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
