//! The namespace of a decision, as far as it is known, and the label selectors of the map.
//!
//! Labels can be unknown, because a server learns of new namespaces through a watch, which
//! always lags behind. A decision that depends on unknown labels fails with
//! [`LabelsUnknown`]; this module must never guess labels, and it must not fetch them.

use std::collections::{BTreeMap, BTreeSet};

/// The label that the API server sets on each namespace to the namespace's name, and that
/// nobody can change (`pkg/apis/core/v1/defaults.go`, KEP-2161).
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
    /// All labels are known.
    Known(&'n LabelMap),
    /// The labels are not known yet: a decision that depends on them is
    /// [`LabelsUnknown`].
    Unknown,
    /// The labels will not become known: entries and overrides with a selector are left
    /// out. This is for commands, which tell their user about it; a server must not
    /// answer a review this way.
    LeftOut,
}

/// The decision depends on labels of the namespace that are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the decision depends on labels of the namespace that are not known yet")]
pub struct LabelsUnknown;

impl<'n> Namespace<'n> {
    /// A namespace whose labels will not become known ([`Labels::LeftOut`]).
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

    /// Whether the namespace meets a requirement; `None` if the label is not known.
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

    /// The name label, which every namespace has, and all other labels that are known.
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

/// A label selector with the meaning of `metav1.LabelSelector`: it selects a namespace that
/// meets all its requirements. It has at least one requirement.
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
    /// Objects without the label meet this requirement too.
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

    /// Whether a label can meet both of two requirements on one key, by some value or by
    /// being absent.
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
    /// `None` if there is no requirement, because it would select every namespace.
    pub(crate) fn new(requirements: BTreeSet<Requirement>) -> Option<Self> {
        (!requirements.is_empty()).then_some(Self { requirements })
    }

    /// Whether it selects a namespace; `None` if that depends on labels that are not known.
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

    /// The number of requirements and of their values.
    pub(crate) fn size(&self) -> usize {
        let values = |requirement: &Requirement| match &requirement.operator {
            Operator::In(values) | Operator::NotIn(values) => values.len(),
            Operator::Exists | Operator::DoesNotExist => 0,
        };
        self.requirements.iter().map(|one| 1 + values(one)).sum()
    }

    /// Whether a namespace may exist that both select. It compares requirements pair by
    /// pair only, so it can say yes where no namespace meets all requirements together.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        self.requirements.iter().all(|one| {
            let mut same_key = other.requirements.iter().filter(|two| two.key == one.key);
            same_key.all(|two| one.agrees_with(two))
        })
    }

    /// A key and values of which every selected namespace has one, if the selector has an
    /// `In` requirement: the one with the fewest values, so that few selectors share a
    /// label in the index.
    pub(crate) fn required_values(&self) -> Option<(&str, &BTreeSet<String>)> {
        let lists = self.requirements.iter().filter_map(|requirement| {
            let Operator::In(values) = &requirement.operator else {
                return None;
            };
            Some((requirement.key.as_str(), values))
        });
        lists.min_by_key(|(key, values)| (values.len(), *key != NAME_LABEL))
    }

    /// The key of a label that every selected namespace has, if the selector has an
    /// `Exists` requirement.
    pub(crate) fn required_key(&self) -> Option<&str> {
        let exists = |requirement: &&Requirement| requirement.operator == Operator::Exists;
        let requirement = self.requirements.iter().find(exists)?;
        Some(&requirement.key)
    }
}
