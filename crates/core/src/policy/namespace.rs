//! What is known of the namespace that a decision is made in, and the label selectors
//! of the map.
//!
//! Labels can be unknown: a server learns of a namespace by a watch, which is late by
//! nature. What hangs on labels that are unknown has no answer ([`LabelsUnknown`]),
//! and must never get a guessed one. Pure; who keeps the labels is not its business.

use std::collections::{BTreeMap, BTreeSet};

/// The label that the API server puts on each namespace, with the namespace's name,
/// and that nobody can change (`pkg/apis/core/v1/defaults.go`, KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The labels of an object.
pub type LabelMap = BTreeMap<String, String>;

/// A namespace, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Namespace<'n> {
    /// Its name.
    pub name: &'n str,
    /// Its labels.
    pub labels: Labels<'n>,
}

/// What is known of a namespace's labels.
#[derive(Debug, Clone, Copy)]
pub enum Labels<'n> {
    /// All of them.
    Known(&'n LabelMap),
    /// Not yet known: what hangs on them is [`LabelsUnknown`].
    Unknown,
    /// They will not be known: whatever is for namespaces by label is left out, as
    /// entries for some namespaces are where no namespace is named. For commands that
    /// say so; a server must not answer by it.
    LeftOut,
}

/// The decision hangs on labels of the namespace that are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the decision hangs on labels of the namespace, which are not known yet")]
pub struct LabelsUnknown;

impl<'n> Namespace<'n> {
    /// A namespace of which nobody will say the labels ([`Labels::LeftOut`]).
    #[must_use]
    pub fn named(name: &'n str) -> Self {
        Self {
            name,
            labels: Labels::LeftOut,
        }
    }

    /// A namespace with these labels.
    #[must_use]
    pub fn labelled(name: &'n str, labels: &'n LabelMap) -> Self {
        Self {
            name,
            labels: Labels::Known(labels),
        }
    }

    /// Whether a requirement holds: `None` where the label is not known.
    fn meets(&self, requirement: &Requirement) -> Option<bool> {
        if requirement.key == NAME_LABEL {
            return Some(requirement.holds(Some(self.name)));
        }
        match self.labels {
            Labels::Known(labels) => {
                let value = labels.get(&requirement.key).map(String::as_str);
                Some(requirement.holds(value))
            }
            Labels::Unknown | Labels::LeftOut => None,
        }
    }

    /// The label that each namespace has, and the others as far as they are known.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&'n str, &'n str)> {
        let known = match self.labels {
            Labels::Known(labels) => Some(labels),
            Labels::Unknown | Labels::LeftOut => None,
        };
        let known = known.into_iter().flatten();
        let known = known.map(|(key, value)| (key.as_str(), value.as_str()));
        std::iter::once((NAME_LABEL, self.name)).chain(known.filter(|(key, _)| *key != NAME_LABEL))
    }
}

/// A label selector as Kubernetes has it (`metav1.LabelSelector`): all its
/// requirements must hold. At least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespaceSelector {
    requirements: BTreeSet<Requirement>,
}

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Requirement {
    pub(crate) key: String,
    pub(crate) operator: Operator,
}

/// What a label must hold (`k8s.io/apimachinery/pkg/labels`, `Requirement.Matches`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operator {
    In(BTreeSet<String>),
    /// Also where there is no such label.
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Requirement {
    fn holds(&self, label: Option<&str>) -> bool {
        match &self.operator {
            Operator::In(values) => label.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => label.is_none_or(|value| !values.contains(value)),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
        }
    }

    /// Whether some value, or none, meets both of two requirements on one key.
    fn agrees_with(&self, other: &Self) -> bool {
        use Operator::{DoesNotExist, Exists, In, NotIn};
        match (&self.operator, &other.operator) {
            (In(a), In(b)) => !a.is_disjoint(b),
            (In(a), NotIn(b)) | (NotIn(b), In(a)) => !a.is_subset(b),
            (DoesNotExist, In(_) | Exists) | (In(_) | Exists, DoesNotExist) => false,
            _ => true,
        }
    }
}

impl NamespaceSelector {
    /// `None` without any requirement: it would select every namespace.
    pub(crate) fn new(requirements: BTreeSet<Requirement>) -> Option<Self> {
        (!requirements.is_empty()).then_some(Self { requirements })
    }

    /// Whether it selects a namespace; `None` where that hangs on labels that are not
    /// known.
    #[must_use]
    pub fn selects(&self, namespace: &Namespace<'_>) -> Option<bool> {
        let mut known = true;
        for requirement in &self.requirements {
            match namespace.meets(requirement) {
                Some(false) => return Some(false),
                Some(true) => {}
                None => known = false,
            }
        }
        known.then_some(true)
    }

    /// Whether there can be a namespace that both select, as far as two requirements
    /// on one label tell.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        self.requirements.iter().all(|one| {
            let mut same_key = other.requirements.iter().filter(|two| two.key == one.key);
            same_key.all(|two| one.agrees_with(two))
        })
    }

    /// Labels of which a selected namespace has one, if there is such a list: the
    /// shortest, so that few selectors share an item.
    pub(crate) fn one_of(&self) -> Option<(&str, &BTreeSet<String>)> {
        let lists = self.requirements.iter().filter_map(|requirement| {
            let Operator::In(values) = &requirement.operator else {
                return None;
            };
            Some((requirement.key.as_str(), values))
        });
        lists.min_by_key(|(key, values)| (values.len(), *key != NAME_LABEL))
    }

    /// A label that a selected namespace has, if it must have one.
    pub(crate) fn needs(&self) -> Option<&str> {
        let exists = |requirement: &&Requirement| requirement.operator == Operator::Exists;
        let requirement = self.requirements.iter().find(exists)?;
        Some(&requirement.key)
    }
}
