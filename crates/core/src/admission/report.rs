//! What is to be counted and logged about a review, as values: the pure half does
//! neither. Holds no object of the request, only what is safe to write down.

use super::record::Record;
use super::request::{Operation, Request};
use super::verdict::Words;
use crate::policy::{Action, Decision, Rule, Unknown};
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
    /// Admitted with warnings, because refusals are not meant.
    WouldBeRefused,
    /// Refused.
    Refused,
}

impl Outcome {
    /// All of them, so that a metric can show each from the start.
    pub const ALL: [Self; 6] = [
        Self::Untouched,
        Self::Patched,
        Self::Audited,
        Self::Warned,
        Self::WouldBeRefused,
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
            Self::WouldBeRefused => "would_be_refused",
            Self::Refused => "refused",
        }
    }

    pub(super) fn of(words: &Words) -> Self {
        if words.refusal.is_some() {
            Self::Refused
        } else if words.would_be_refused {
            Self::WouldBeRefused
        } else if !words.warnings.is_empty() {
            Self::Warned
        } else if words.record.is_some() {
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
    pub words: Words,
    /// How many images fell under which rule; only where verdicts are given, and not
    /// on a dry run, so that each image counts once.
    pub tallies: Vec<Tally<'p>>,
    /// For whoever keeps records of decisions, where one was asked for.
    pub record: Option<Box<Record>>,
}

impl Report<'_> {
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
            words: Words::default(),
            tallies: Vec::new(),
            record: None,
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
    /// The namespace is exempt.
    Exempt,
}

impl<'p> From<Rule<'p>> for Source<'p> {
    fn from(rule: Rule<'p>) -> Self {
        match rule {
            Rule::Entry(entry, _) => Self::Entry(&entry.name),
            Rule::Public(_) => Self::Public,
            Rule::Unknown(Unknown::NoEntry) => Self::Unknown,
            Rule::Unknown(Unknown::InvalidReference | Unknown::InvalidPort) => Self::Invalid,
            Rule::Exempt => Self::Exempt,
        }
    }
}

pub(super) fn tallies<'p>(decision: &Decision<'p, '_>) -> Vec<Tally<'p>> {
    let mut counts: HashMap<(Source<'p>, Action), u64> = HashMap::new();
    for verdict in &decision.verdicts {
        let source = Source::from(verdict.judgement.rule);
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
