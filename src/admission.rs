//! The way of one review, from bytes to bytes.
//!
//! `/mutate` adds what is missing and never refuses, because a later webhook may
//! still change the image. `/validate` sees the final object, carries every
//! verdict and never patches. Both are pure functions of map, review and time: the
//! same input gives the same bytes, on a dry run too. No clock, no network, no
//! logging: what is to be counted and logged is returned as [`Report`].

mod json;
pub mod patch;
pub mod pod;
pub mod request;
pub mod response;
pub mod verdict;

use crate::policy::message::Circumstances;
use crate::policy::{Action, Decision, Policy, Rule, Unknown};
use jiff::Timestamp;
use pod::Pod;
use request::{Operation, Request, Subject};
use std::collections::HashMap;

pub use request::BadReview;

/// Which of the two webhooks is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/mutate`
    Mutate,
    /// `/validate`
    Validate,
}

impl Endpoint {
    /// The word for it in paths, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The sender's fault: HTTP 400.
    #[error(transparent)]
    BadReview(#[from] BadReview),
    /// Ours: HTTP 500.
    #[error("the answer could not be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
}

/// An answer, and what is to be said about it elsewhere.
#[derive(Debug)]
pub struct Answer<'p> {
    /// An AdmissionReview with a response, as JSON.
    pub body: Vec<u8>,
    /// For logs and metrics.
    pub report: Report<'p>,
}

/// Answers a review: the whole way.
///
/// ```text
/// request::parse → Policy::decide → patch::build, or verdict::words → response
/// ```
pub fn review<'p>(
    policy: &'p Policy,
    endpoint: Endpoint,
    body: &[u8],
    now: Timestamp,
) -> Result<Answer<'p>, Fault> {
    let request = request::parse(body)?;
    match endpoint {
        Endpoint::Mutate => mutate(policy, &request, now),
        Endpoint::Validate => validate(policy, &request, now),
    }
}

fn mutate<'p>(
    policy: &'p Policy,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Answer<'p>, Fault> {
    let mut report = Report::of(request);
    let mut patch = None;
    if let Some(pod) = to_be_patched(policy, request) {
        let decision = policy.decide(pod.images(), &request.namespace, now);
        report.secrets = patch::missing(pod, &decision.pull_secrets);
        patch = patch::build(pod, &report.secrets);
    }
    if patch.is_some() {
        report.outcome = Outcome::Patched;
    }
    let body = response::patched(&request.uid, patch.as_ref())?;
    Ok(Answer { body, report })
}

fn validate<'p>(
    policy: &'p Policy,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Answer<'p>, Fault> {
    let mut report = Report::of(request);
    let mut words = verdict::Words::default();
    if let Some(pod) = to_be_judged(policy, request) {
        let decision = policy.decide(verdict::images(request, pod), &request.namespace, now);
        let circumstances = Circumstances {
            policy,
            namespace: Some(&request.namespace),
            now,
        };
        words = verdict::words(&circumstances, request, pod, &decision);
        if !request.dry_run {
            report.tallies = tallies(&decision);
        }
        report.outcome = Outcome::of(&words);
    }
    let body = response::judged(&request.uid, &words)?;
    report.words = words;
    Ok(Answer { body, report })
}

/// The pod, where `/mutate` has something to look at.
///
/// `spec.imagePullSecrets` can only be set when a pod is made: on an `UPDATE` a
/// patch of it is an error (`ValidatePodUpdate`), on `pods/ephemeralcontainers` it
/// is dropped without a word. A mirror pod may not reference any secret
/// (`plugin/pkg/admission/serviceaccount`): a patch would make it vanish.
fn to_be_patched<'r, 'a>(policy: &Policy, request: &'r Request<'a>) -> Option<&'r Pod<'a>> {
    let pod = request.object.as_ref()?;
    let is_new = request.subject == Subject::Pod && request.operation == Operation::Create;
    (is_new && !pod.is_mirror() && !policy.exempts(&request.namespace)).then_some(pod)
}

/// The pod, where `/validate` has something to judge.
///
/// Only a kubelet makes mirror pods; the annotation alone, which anybody can
/// write, exempts nobody.
fn to_be_judged<'r, 'a>(policy: &Policy, request: &'r Request<'a>) -> Option<&'r Pod<'a>> {
    let pod = request.object.as_ref()?;
    let is_asked = match (request.subject, request.operation) {
        (Subject::Pod, Operation::Create | Operation::Update)
        | (Subject::EphemeralContainers, Operation::Update) => true,
        (Subject::Pod | Subject::EphemeralContainers | Subject::Other, _) => false,
    };
    let is_static_pod = pod.is_mirror() && request.from_node;
    // On CREATE the API server wipes the field, so there it would be a forgery.
    let is_going = request.operation == Operation::Update && pod.is_being_deleted();
    let is_exempt = is_static_pod || is_going || policy.exempts(&request.namespace);
    (is_asked && !is_exempt).then_some(pod)
}

/// What a review came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing to do or to say.
    Untouched,
    /// Pull secrets were added.
    Patched,
    /// Recorded in the audit log, not said.
    Audited,
    /// Admitted with warnings.
    Warned,
    /// Refused.
    Refused,
}

impl Outcome {
    /// All of them, so that a metric can show each from the start.
    pub const ALL: [Self; 5] = [
        Self::Untouched,
        Self::Patched,
        Self::Audited,
        Self::Warned,
        Self::Refused,
    ];

    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Patched => "patched",
            Self::Audited => "audited",
            Self::Warned => "warned",
            Self::Refused => "refused",
        }
    }

    fn of(words: &verdict::Words) -> Self {
        if words.refusal.is_some() {
            Self::Refused
        } else if !words.warnings.is_empty() {
            Self::Warned
        } else if words.record.is_some() {
            Self::Audited
        } else {
            Self::Untouched
        }
    }
}

/// What is to be counted and logged about a review. It holds no object, only what
/// is safe to write down.
#[derive(Debug)]
pub struct Report<'p> {
    /// The request's uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// The pod's name, or the generated name's stem.
    pub name: String,
    /// The operation.
    pub operation: Operation,
    /// Whether the result is thrown away.
    pub dry_run: bool,
    /// What it came to.
    pub outcome: Outcome,
    /// The pull secrets that were added.
    pub secrets: Vec<&'p str>,
    /// What was said; escaped, cut, and without secrets.
    pub words: verdict::Words,
    /// How many images fell under which rule; only where verdicts are given, and not
    /// on a dry run, so that each image counts once.
    pub tallies: Vec<Tally<'p>>,
}

impl Report<'_> {
    fn of(request: &Request<'_>) -> Self {
        let name = match &request.object {
            Some(pod) if request.name.is_empty() => pod.name(),
            _ => &request.name,
        };
        Self {
            uid: request.uid.clone().into_owned(),
            namespace: request.namespace.clone().into_owned(),
            name: name.to_owned(),
            operation: request.operation,
            dry_run: request.dry_run,
            outcome: Outcome::Untouched,
            secrets: Vec::new(),
            words: verdict::Words::default(),
            tallies: Vec::new(),
        }
    }
}

/// Images of one pod that fell under the same rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally<'p> {
    /// The rule.
    pub source: Source<'p>,
    /// What it came to.
    pub action: Action,
    /// How many images.
    pub images: u64,
}

/// A rule of the map, as a metric's label: names of the map only, never a text
/// from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source<'p> {
    /// The entry of that name.
    Entry(&'p str),
    /// `publicRegistries`.
    Public,
    /// No entry.
    Unknown,
    /// No valid reference.
    Invalid,
}

fn tallies<'p>(decision: &Decision<'p, '_>) -> Vec<Tally<'p>> {
    let mut counts: HashMap<(Source<'p>, Action), u64> = HashMap::new();
    for verdict in &decision.verdicts {
        let source = match verdict.judgement.rule {
            Rule::Entry(entry, _) => Source::Entry(&entry.name),
            Rule::Public(_) => Source::Public,
            Rule::Unknown(Unknown::NoEntry) => Source::Unknown,
            Rule::Unknown(Unknown::InvalidReference | Unknown::InvalidPort) => Source::Invalid,
        };
        *counts
            .entry((source, verdict.judgement.action))
            .or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((source, action), images)| Tally {
            source,
            action,
            images,
        })
        .collect()
}
