//! The decision record: one review as one line of JSON, for a SIEM.
//!
//! The record is a contract with the programs that read it: `docs/audit.md` says what each
//! field means and `docs/decision-record.schema.json` is its schema. Within [`API_VERSION`]
//! fields can only be added. A record must not contain an object or a credential, and texts
//! of the request are escaped, cut and limited in number, because whoever creates pods
//! chooses them. The same review, map and time give the same record.

use super::pod::Pod;
use super::report::{Outcome, ReviewReport};
use super::request::{Operation, Request, Subject};
use super::{Endpoint, Mode, ReviewContext};
use crate::policy::{Action, Verdict};
use crate::text::{cut, visible};
use serde::Serialize;

/// The version of the record's format.
pub const API_VERSION: &str = "pullpass.dev/v1";

/// How many characters of a text a record contains: enough for the longest name that
/// Kubernetes allows and for nearly every image with its digest.
const LONGEST: usize = 256;
/// How many images a record names, the strictest action first; it only counts the others.
const MOST_IMAGES: usize = 20;

/// Which reviews get a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Reviews on which pullpass denied, warned or audited get a record.
    Notable,
    /// Every review gets a record.
    All,
}

impl Recording {
    /// Whether a review with this outcome gets a record.
    #[must_use]
    pub fn wants(self, endpoint: Endpoint, outcome: Outcome) -> bool {
        match self {
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
    images: Vec<ImageRecord>,
    #[serde(skip_serializing_if = "is_zero")]
    more_images: usize,
    pull_secrets_added: Vec<String>,
    messages: Vec<String>,
    map: MapVersion,
    pullpass: PullpassVersion,
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

/// The owner that controls the pod, such as its ReplicaSet, as the pod names it.
///
/// The owner's own owner, such as a Deployment, is not known, because pullpass does not call
/// the API server while it answers a review.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The API version, such as `apps/v1`.
    pub api_version: String,
    /// The kind, such as `ReplicaSet`.
    pub kind: String,
    /// The name; the owner is in the pod's namespace.
    pub name: String,
    /// The uid.
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
struct ImageRecord {
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
struct MapVersion {
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PullpassVersion {
    version: &'static str,
}

impl DecisionRecord {
    /// The record of a review, if the context asks for one.
    pub(super) fn of(
        context: &ReviewContext<'_>,
        endpoint: Endpoint,
        request: &Request<'_>,
        verdicts: &[Verdict<'_, '_>],
        report: &ReviewReport<'_>,
    ) -> Option<Box<Self>> {
        let outcome = report.outcome();
        if !context.recording?.wants(endpoint, outcome) {
            return None;
        }
        // An image has an effect only on `/validate`: `/mutate` judges nothing, and the effect
        // on a workload depends on the path.
        let effect_mode = (endpoint == Endpoint::Validate).then_some(context.mode);
        Some(Box::new(Self {
            api_version: API_VERSION,
            kind: "Decision",
            time: format!("{:.6}", context.now),
            uid: shown(&request.uid),
            endpoint,
            operation: request.operation.as_str(),
            dry_run: request.dry_run,
            mode: context.mode.as_str(),
            outcome,
            object: ObjectRef::of(request),
            owner: request.object.as_ref().and_then(Owner::of),
            requester: Requester {
                username: shown(&request.username),
                groups: request.groups.iter().map(|group| shown(group)).collect(),
                more_groups: request.more_groups,
            },
            images: images(verdicts, effect_mode),
            more_images: verdicts.len().saturating_sub(MOST_IMAGES),
            pull_secrets_added: report.secrets().iter().map(|name| shown(name)).collect(),
            messages: report
                .statement()
                .map(|statement| statement.ruling.messages().to_vec())
                .unwrap_or_default(),
            map: MapVersion {
                digest: context.policy.digest().to_owned(),
            },
            pullpass: PullpassVersion {
                version: env!("CARGO_PKG_VERSION"),
            },
        }))
    }

    /// The endpoint that was called.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The outcome of the review.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the request is a dry run.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether the request creates the object.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.operation == Operation::Create.as_str()
    }

    /// The object's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.object.namespace
    }

    /// The owner that controls the pod.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// The name of the user who sent the request.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.requester.username
    }

    /// About how many bytes the record has as a line of JSON: its texts, and what surrounds
    /// them. It is for limits, and cheaper than writing the line.
    #[must_use]
    pub fn approximate_bytes(&self) -> usize {
        const SURROUNDINGS: usize = 700;
        const AROUND_AN_IMAGE: usize = 120;
        let texts = |texts: &[String]| texts.iter().map(|text| text.len() + 3).sum::<usize>();
        let images = self.images.iter().map(|image| {
            let entry = image.entry.as_ref().map_or(0, String::len);
            let names = texts(&image.pull_secrets);
            AROUND_AN_IMAGE + image.field.len() + image.image.len() + entry + names
        });
        let owner = self.owner.as_ref().map_or(0, |owner| {
            owner.api_version.len() + owner.kind.len() + owner.name.len() + owner.uid.len()
        });
        SURROUNDINGS
            + images.sum::<usize>()
            + owner
            + self.requester.username.len()
            + texts(&self.requester.groups)
            + texts(&self.pull_secrets_added)
            + texts(&self.messages)
    }

    /// The messages of the response: the denial, or the warnings.
    #[must_use]
    pub fn messages(&self) -> &[String] {
        &self.messages
    }
}

impl ObjectRef {
    fn of(request: &Request<'_>) -> Self {
        let pod = request.object.as_ref();
        let stem = pod.map_or("", Pod::generate_name);
        // If the API server is to generate the name, `Pod::name` returns `generateName`.
        let name = match pod {
            Some(pod) if request.name.is_empty() && pod.name() != stem => pod.name(),
            _ => &request.name,
        };
        let (kind, sub_resource) = match request.subject {
            Subject::Pod => ("Pod", None),
            Subject::EphemeralContainers => ("Pod", Some("ephemeralcontainers")),
            Subject::Workload(kind) => (kind.as_str(), None),
            Subject::Other | Subject::Missing => ("other", None),
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

/// The images with the strictest actions, the strictest first.
fn images(verdicts: &[Verdict<'_, '_>], effect_mode: Option<Mode>) -> Vec<ImageRecord> {
    let mut strictest: Vec<_> = verdicts.iter().collect();
    strictest.sort_by_key(|verdict| std::cmp::Reverse(verdict.judgement.action));
    strictest.truncate(MOST_IMAGES);
    strictest
        .into_iter()
        .map(|verdict| image(verdict, effect_mode))
        .collect()
}

fn image(verdict: &Verdict<'_, '_>, effect_mode: Option<Mode>) -> ImageRecord {
    let judgement = &verdict.judgement;
    ImageRecord {
        field: verdict.field.to_string(),
        image: shown(judgement.image),
        rule: judgement.rule.kind().as_str(),
        entry: judgement.rule.name().map(shown),
        action: judgement.action.as_str(),
        effect: effect_mode.map(|mode| effect(judgement.action, mode)),
        pull_secrets: judgement
            .pull_secrets
            .iter()
            .map(|name| shown(name))
            .collect(),
    }
}

/// The effect of the action of one image in an enforcement mode.
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
    // One character more than the record contains, so that `cut` marks a longer text. The
    // rest can be megabytes and is not read.
    let end = text.char_indices().nth(LONGEST + 1);
    let start = text.get(..end.map_or(text.len(), |(at, _)| at));
    cut(visible(start.unwrap_or_default()), LONGEST)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
