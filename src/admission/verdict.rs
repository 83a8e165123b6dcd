//! What `/validate` says about a decision: refuse, warn, record, or nothing.
//!
//! It speaks about the final object, after every mutation, and never patches.
//! A fault never gets here: whatever this module returns is the map's word. Pure.

use super::pod::Pod;
use super::request::{Operation, Request, Subject};
use crate::image::DOCKER_HUB;
use crate::policy::message::{self, Circumstances};
use crate::policy::{Action, Decision, Rule, Verdict};
use crate::pull_secret;
use std::borrow::Cow;
use std::collections::HashSet;

/// What is answered besides yes or no.
#[derive(Debug, Default)]
pub struct Words {
    /// Why the object is refused; `None` admits it.
    pub refusal: Option<String>,
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
    request: &Request<'_>,
    pod: &Pod<'_>,
    decision: &Decision<'_, '_>,
) -> Words {
    let of = |action| -> Vec<&Verdict<'_, '_>> {
        decision
            .verdicts
            .iter()
            .filter(|verdict| verdict.judgement.action == action)
            .collect()
    };
    let found: Vec<_> = decision
        .verdicts
        .iter()
        .filter(|verdict| verdict.judgement.action != Action::Allow)
        .collect();
    let record = (!found.is_empty()).then(|| (decision.action(), circumstances.record(&found)));
    let refused = of(Action::Deny);
    if !refused.is_empty() {
        return Words {
            refusal: Some(circumstances.refusal(&refused)),
            warnings: Vec::new(),
            record,
        };
    }
    Words {
        refusal: None,
        warnings: warnings(circumstances, request, pod, decision),
        record,
    }
}

/// What is said about an admitted pod: registries that are on their way out, then
/// pull secrets that will not do what the map means them to do.
fn warnings(
    circumstances: &Circumstances<'_>,
    request: &Request<'_>,
    pod: &Pod<'_>,
    decision: &Decision<'_, '_>,
) -> Vec<String> {
    let verdicts = &decision.verdicts;
    let missing = super::patch::missing(pod, &decision.pull_secrets);
    let remedy = remedy(request);
    let registries = verdicts
        .iter()
        .filter(|verdict| {
            verdict.judgement.action == Action::Warn
                || verdict.judgement.ends_soon(circumstances.now).is_some()
        })
        .map(|verdict| circumstances.warning(verdict));
    let secrets = missing.iter().filter_map(|name| {
        let verdict = verdicts
            .iter()
            .find(|verdict| verdict.judgement.pull_secrets.iter().any(|s| s == name))?;
        Some(message::secret_missing(name, verdict, remedy))
    });
    let spellings = verdicts
        .iter()
        .filter_map(|verdict| Some(message::spelling(verdict, &unlike_the_entry(verdict)?)));
    message::limited(registries.chain(secrets).chain(spellings))
}

/// What can be done about a missing secret.
fn remedy(request: &Request<'_>) -> &'static str {
    match (request.subject, request.operation) {
        (Subject::EphemeralContainers, _) => {
            "it cannot be added to a running pod, so use an image that the node has or can pull \
             without it, or delete the pod so that it is made anew"
        }
        (_, Operation::Update) => {
            "it cannot be added to an existing pod, so delete the pod, or change its workload, so \
             that it is made anew"
        }
        _ => "another webhook removed it, or pullpass was not asked when the pod was made",
    }
}

/// The key under which the entry's credentials are most likely stored, where the
/// image is spelled so that the kubelet will not find them there.
fn unlike_the_entry<'p>(verdict: &Verdict<'p, '_>) -> Option<Cow<'p, str>> {
    let judgement = &verdict.judgement;
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
    (!pull_secret::key_matches(&key, &reference.name())).then_some(key)
}
