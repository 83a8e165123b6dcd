//! The report of a review: what the caller counts and logs about it.
//!
//! A report must not contain an object of the request, only values that are safe to log.

use super::request::{Operation, Request};
use super::verdict::{Ruling, Statement};
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

    pub(super) fn of(ruling: &Ruling) -> Self {
        match ruling {
            Ruling::Denied(_) => Self::Denied,
            Ruling::WouldDeny(_) => Self::WouldDeny,
            Ruling::Admitted(warnings) if warnings.is_empty() => Self::Untouched,
            Ruling::Admitted(_) => Self::Warned,
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

/// What the response does to the object, or says about it.
#[derive(Debug)]
pub enum ReviewEffect<'p> {
    /// The object is admitted unchanged and without a message, because the endpoint does not
    /// look at it or nothing is missing.
    Nothing,
    /// The object gets pull secrets.
    Patch {
        /// The names of the pull secrets that the patch adds.
        secrets: Vec<&'p str>,
        /// The patch.
        patch: Patch,
    },
    /// The object is judged by the map.
    Judgement {
        /// What the response says; escaped, cut, and without credentials.
        statement: Statement,
        /// How many images each rule decided about. It is empty except on `/validate`, and on
        /// a dry run, so that each image counts once.
        tallies: Vec<Tally<'p>>,
    },
    /// The object is a registry map. The diagnostics quote the map, so only its author gets
    /// them.
    Map {
        /// The outcome.
        outcome: Outcome,
        /// How many errors the map has.
        errors: usize,
    },
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
    /// What the response does or says.
    pub effect: ReviewEffect<'p>,
}

impl<'p> ReviewReport<'p> {
    pub(super) fn of(request: &Request<'_>, effect: ReviewEffect<'p>) -> Self {
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
            effect,
        }
    }

    /// The outcome.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match &self.effect {
            ReviewEffect::Nothing => Outcome::Untouched,
            ReviewEffect::Patch { .. } => Outcome::Patched,
            ReviewEffect::Judgement { statement, .. } => match Outcome::of(&statement.ruling) {
                Outcome::Untouched if statement.audit.is_some() => Outcome::Audited,
                outcome => outcome,
            },
            ReviewEffect::Map { outcome, .. } => *outcome,
        }
    }

    /// The names of the pull secrets that the patch adds.
    #[must_use]
    pub fn secrets(&self) -> &[&'p str] {
        match &self.effect {
            ReviewEffect::Patch { secrets, .. } => secrets,
            ReviewEffect::Nothing | ReviewEffect::Judgement { .. } | ReviewEffect::Map { .. } => {
                &[]
            }
        }
    }

    /// What the response says about the decision, if the map judged the object.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        match &self.effect {
            ReviewEffect::Judgement { statement, .. } => Some(statement),
            ReviewEffect::Nothing | ReviewEffect::Patch { .. } | ReviewEffect::Map { .. } => None,
        }
    }

    /// How many images each rule decided about.
    #[must_use]
    pub fn tallies(&self) -> &[Tally<'p>] {
        match &self.effect {
            ReviewEffect::Judgement { tallies, .. } => tallies,
            ReviewEffect::Nothing | ReviewEffect::Patch { .. } | ReviewEffect::Map { .. } => &[],
        }
    }

    /// How many errors the registry map has, if the review is about a map.
    #[must_use]
    pub fn map_errors(&self) -> Option<usize> {
        match &self.effect {
            ReviewEffect::Map { errors, .. } => Some(*errors),
            ReviewEffect::Nothing | ReviewEffect::Patch { .. } | ReviewEffect::Judgement { .. } => {
                None
            }
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
            Rule::Public(_) | Rule::Unknown | Rule::Invalid | Rule::Exempt => None,
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
