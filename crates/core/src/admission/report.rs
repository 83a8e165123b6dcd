//! What is to be counted and logged about a review, as values: the pure half does
//! neither. Holds no object of the request, only what is safe to write down.

use super::request::{Operation, Request};
use super::verdict::Statement;
use crate::policy::{Action, Decision, Rule, RuleKind};
use json_patch::Patch;
use serde::{Serialize, Serializer};
use std::collections::HashMap;

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
    /// Admitted with warnings, because pullpass observes.
    WouldDeny,
    /// Denied.
    Denied,
}

impl Outcome {
    /// All of them, so that a metric can show each from the start.
    pub const ALL: [Self; 6] = [
        Self::Untouched,
        Self::Patched,
        Self::Audited,
        Self::Warned,
        Self::WouldDeny,
        Self::Denied,
    ];

    /// The word for it in logs and metrics.
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

/// What is to be counted and logged about a review. It holds no object, only what
/// is safe to write down.
#[derive(Debug)]
pub struct ReviewReport<'p> {
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
    pub statement: Statement,
    /// How many images fell under which rule; only where verdicts are given, and not
    /// on a dry run, so that each image counts once.
    pub tallies: Vec<Tally<'p>>,
    /// How many errors the registry map has, where the review is about one.
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

/// Images of one pod that fell under the same rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally<'p> {
    /// The rule.
    pub rule: RuleLabel<'p>,
    /// What it came to.
    pub action: Action,
    /// How many images.
    pub images: u64,
}

/// A rule of the map, as a metric's label: names of the map only, never a text
/// from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleLabel<'p> {
    /// Which kind of rule.
    pub kind: RuleKind,
    /// The name of an entry; none of another kind.
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

/// Counts the images of a decision by rule; none on a dry run, so that each counts once.
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
