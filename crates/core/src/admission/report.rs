//! The report of a review: what the caller counts and logs about it.
//!
//! A report must not contain an object of the request, only values that are safe to log.

use super::request::{Operation, Request};
use super::verdict::Statement;
use crate::policy::{Action, Decision, Rule, RuleKind};
use json_patch::Patch;
use serde::{Serialize, Serializer};
use std::collections::HashMap;

/// The outcome of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The object is admitted unchanged and without a message.
    Untouched,
    /// The patch adds pull secrets.
    Patched,
    /// The object is admitted and recorded in the audit log, without a message.
    Audited,
    /// The object is admitted with warnings.
    Warned,
    /// The object is admitted with warnings, but would be denied if pullpass enforced.
    WouldDeny,
    /// The object is denied.
    Denied,
}

impl Outcome {
    /// All outcomes, so that metrics show each from the start.
    pub const ALL: [Self; 6] = [
        Self::Untouched,
        Self::Patched,
        Self::Audited,
        Self::Warned,
        Self::WouldDeny,
        Self::Denied,
    ];

    /// The name of the outcome in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Patched => "patched",
            Self::Audited => "audited",
            Self::Warned => "warned",
            Self::WouldDeny => "would_deny",
            Self::Denied => "denied",
        }
    }

    pub(super) fn of(patch: Option<&Patch>, statement: &Statement) -> Self {
        if patch.is_some() {
            Self::Patched
        } else if statement.denial.is_some() {
            Self::Denied
        } else if statement.would_deny {
            Self::WouldDeny
        } else if !statement.warnings.is_empty() {
            Self::Warned
        } else if statement.audit.is_some() {
            Self::Audited
        } else {
            Self::Untouched
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

/// What the caller counts and logs about a review.
#[derive(Debug)]
pub struct ReviewReport<'p> {
    /// The uid of the request.
    pub uid: String,
    /// The namespace of the request.
    pub namespace: String,
    /// The name of the object, or its `generateName`.
    pub name: String,
    /// The operation.
    pub operation: Operation,
    /// Whether the request is a dry run.
    pub dry_run: bool,
    /// The outcome.
    pub outcome: Outcome,
    /// The names of the pull secrets that the patch adds.
    pub secrets: Vec<&'p str>,
    /// What the response says; escaped, cut, and without credentials.
    pub statement: Statement,
    /// How many images each rule decided about. It is empty except on `/validate`, and on a
    /// dry run, so that each image counts once.
    pub tallies: Vec<Tally<'p>>,
    /// How many errors the registry map has, if the review is about a map.
    pub map_errors: Option<usize>,
}

impl ReviewReport<'_> {
    pub(super) fn of(request: &Request<'_>) -> Self {
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
            statement: Statement::default(),
            tallies: Vec::new(),
            map_errors: None,
        }
    }
}

/// The number of images of a pod that the same rule decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally<'p> {
    /// The rule.
    pub rule: RuleLabel<'p>,
    /// The action of the rule.
    pub action: Action,
    /// The number of images.
    pub images: u64,
}

/// A rule of the map as a label of metrics. It contains names of the map only, never a text
/// of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleLabel<'p> {
    /// The kind of the rule.
    pub kind: RuleKind,
    /// The name of the entry, if the rule is an entry.
    pub entry: Option<&'p str>,
}

impl<'p> From<Rule<'p>> for RuleLabel<'p> {
    fn from(rule: Rule<'p>) -> Self {
        let entry = match rule {
            Rule::Entry(entry, _) => Some(entry.name.as_str()),
            Rule::Public(_) | Rule::Unknown(_) | Rule::Exempt => None,
        };
        Self {
            kind: rule.kind(),
            entry,
        }
    }
}

/// The images of a decision, counted by rule; none on a dry run, so that each counts once.
pub(super) fn tallies<'p>(request: &Request<'_>, decision: &Decision<'p, '_>) -> Vec<Tally<'p>> {
    if request.dry_run {
        return Vec::new();
    }
    let mut counts: HashMap<(RuleLabel<'p>, Action), u64> = HashMap::new();
    for verdict in &decision.verdicts {
        let rule = RuleLabel::from(verdict.judgement.rule);
        *counts.entry((rule, verdict.judgement.action)).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((rule, action), images)| Tally {
            rule,
            action,
            images,
        })
        .collect()
}
