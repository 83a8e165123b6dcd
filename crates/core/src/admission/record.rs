//! The decision record: one review as one line of JSON, for a SIEM.
//!
//! A promise to programs that read it: `docs/audit.md` says what each field means and
//! `docs/decision-record.schema.json` is its schema. Within [`API_VERSION`] fields are
//! only added. It holds no object and no credential; what a request names is escaped,
//! cut and counted, because whoever creates pods chooses it. Pure: the same review, map
//! and time give the same record.

use super::pod::Pod;
use super::report::{Outcome, ReviewReport};
use super::request::{Operation, Request, Subject};
use super::{Endpoint, Mode, ReviewContext};
use crate::policy::{Action, Verdict};
use crate::text::{cut, visible};
use serde::Serialize;

/// The version of the record's form.
pub const API_VERSION: &str = "pullpass.dev/v1";

/// How much of one text is kept, in characters: the longest name Kubernetes allows, and
/// nearly every image with its digest.
const LONGEST: usize = 256;
/// How many images a record names, the worst first; the others are counted.
const IMAGES: usize = 20;

/// Which reviews get a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recording {
    /// None.
    #[default]
    Nothing,
    /// Those in which there was something to say about an image.
    Notable,
    /// All.
    All,
}

impl Recording {
    /// Whether a review that came to this gets one.
    #[must_use]
    pub fn wants(self, endpoint: Endpoint, outcome: Outcome) -> bool {
        match self {
            Self::Nothing => false,
            Self::Notable => endpoint != Endpoint::Mutate && outcome != Outcome::Untouched,
            Self::All => true,
        }
    }
}

/// What was decided about one review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    api_version: &'static str,
    kind: &'static str,
    time: String,
    uid: String,
    endpoint: Endpoint,
    operation: &'static str,
    dry_run: bool,
    mode: &'static str,
    outcome: Outcome,
    object: ObjectRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    requester: Requester,
    images: Vec<Judged>,
    #[serde(skip_serializing_if = "is_zero")]
    more_images: usize,
    pull_secrets_added: Vec<String>,
    messages: Vec<String>,
    map: Map,
    pullpass: Program,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_resource: Option<&'static str>,
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    generate_name: String,
}

/// Who controls the pod, such as its ReplicaSet. Only the pod's word: pullpass does not
/// ask the API server on the way of a review, so it is one link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name, in the pod's namespace.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Requester {
    username: String,
    groups: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    more_groups: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Judged {
    field: String,
    image: String,
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
    pull_secrets: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Map {
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Program {
    version: &'static str,
}

impl DecisionRecord {
    /// The record of a review, where one is wanted.
    pub(super) fn of(
        context: &ReviewContext<'_>,
        endpoint: Endpoint,
        request: &Request<'_>,
        verdicts: &[Verdict<'_, '_>],
        report: &ReviewReport<'_>,
    ) -> Option<Box<Self>> {
        if !context.recording.wants(endpoint, report.outcome) {
            return None;
        }
        // /mutate judges nothing, and for a workload's author it depends on the path.
        let judged = (endpoint == Endpoint::Validate).then_some(context.mode);
        let statement = &report.statement;
        Some(Box::new(Self {
            api_version: API_VERSION,
            kind: "Decision",
            time: format!("{:.6}", context.now),
            uid: shown(&request.uid),
            endpoint,
            operation: request.operation.as_str(),
            dry_run: request.dry_run,
            mode: context.mode.as_str(),
            outcome: report.outcome,
            object: ObjectRef::of(request),
            owner: request.object.as_ref().and_then(Owner::of),
            requester: Requester {
                username: shown(&request.username),
                groups: request.groups.iter().map(|group| shown(group)).collect(),
                more_groups: request.more_groups,
            },
            images: images(verdicts, judged),
            more_images: verdicts.len().saturating_sub(IMAGES),
            pull_secrets_added: report.secrets.iter().map(|name| shown(name)).collect(),
            messages: statement
                .denial
                .iter()
                .chain(&statement.warnings)
                .cloned()
                .collect(),
            map: Map {
                digest: context.policy.digest().to_owned(),
            },
            pullpass: Program {
                version: env!("CARGO_PKG_VERSION"),
            },
        }))
    }

    /// The endpoint that was asked.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What the review came to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the result is thrown away.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether the object is made, not changed.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.operation == Operation::Create.as_str()
    }

    /// The object's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.object.namespace
    }

    /// Who controls the pod.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Who asked.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.requester.username
    }

    /// What was said: the denial, or the warnings.
    #[must_use]
    pub fn messages(&self) -> &[String] {
        &self.messages
    }
}

impl ObjectRef {
    fn of(request: &Request<'_>) -> Self {
        let pod = request.object.as_ref();
        let stem = pod.map_or("", Pod::generate_name);
        // Where the name is still to be made, a pod's `name` is its stem.
        let name = match pod {
            Some(pod) if request.name.is_empty() && pod.name() != stem => pod.name(),
            _ => &request.name,
        };
        let (kind, sub_resource) = match request.subject {
            Subject::Pod => ("Pod", None),
            Subject::EphemeralContainers => ("Pod", Some("ephemeralcontainers")),
            Subject::Workload(kind) => (kind.as_str(), None),
            Subject::Other | Subject::Unsaid => ("other", None),
        };
        Self {
            kind,
            sub_resource,
            namespace: shown(&request.namespace),
            name: shown(name),
            generate_name: shown(stem),
        }
    }
}

impl Owner {
    fn of(pod: &Pod<'_>) -> Option<Self> {
        pod.controller().map(|owner| Self {
            api_version: shown(&owner.api_version.0),
            kind: shown(&owner.kind.0),
            name: shown(&owner.name.0),
            uid: shown(&owner.uid.0),
        })
    }
}

/// The worst first, so that what is left out is the least of it.
fn images(verdicts: &[Verdict<'_, '_>], judged: Option<Mode>) -> Vec<Judged> {
    let mut worst: Vec<_> = verdicts.iter().collect();
    worst.sort_by_key(|verdict| std::cmp::Reverse(verdict.judgement.action));
    worst.truncate(IMAGES);
    worst
        .into_iter()
        .map(|verdict| image(verdict, judged))
        .collect()
}

fn image(verdict: &Verdict<'_, '_>, judged: Option<Mode>) -> Judged {
    let judgement = &verdict.judgement;
    Judged {
        field: verdict.field.to_string(),
        image: shown(judgement.image),
        rule: judgement.rule.kind().as_str(),
        entry: judgement.rule.name().map(shown),
        action: judgement.action.as_str(),
        effect: judged.map(|mode| effect(judgement.action, mode)),
        pull_secrets: judgement
            .pull_secrets
            .iter()
            .map(|name| shown(name))
            .collect(),
    }
}

/// What an action comes to in an answer, by itself.
fn effect(action: Action, mode: Mode) -> &'static str {
    match (action, mode) {
        (Action::Allow, _) => "allowed",
        (Action::Audit, _) => "audited",
        (Action::Warn, _) => "warned",
        (Action::Deny, Mode::Observe) => "would_deny",
        (Action::Deny, Mode::Enforce) => "denied",
    }
}

fn shown(text: &str) -> String {
    // One more than is kept, so that it shows where something was cut; of the rest,
    // which can be megabytes, nothing is looked at.
    let end = text.char_indices().nth(LONGEST + 1);
    let start = text.get(..end.map_or(text.len(), |(at, _)| at));
    cut(visible(start.unwrap_or_default()), LONGEST)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
