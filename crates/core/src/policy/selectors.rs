//! A list of label selectors with values, indexed by the labels that a selected namespace
//! must have.
//!
//! The cost of a search depends on the labels of the namespace and on the selectors that
//! require one of them, not on the number of other selectors. This module must not know
//! what the values mean.

use std::collections::HashMap;

use super::namespace::{Labels, LabelsUnknown, Namespace, NamespaceSelector};

/// Values by selector; a search returns the first value whose selector applies.
#[derive(Debug)]
pub(super) struct Selectors<T> {
    all: Vec<(NamespaceSelector, T)>,
    by_label: HashMap<Box<str>, HashMap<Box<str>, Vec<usize>>>,
    by_key: HashMap<Box<str>, Vec<usize>>,
    // Selectors that may select a namespace without labels.
    others: Vec<usize>,
}

impl<T> Default for Selectors<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            by_label: HashMap::new(),
            by_key: HashMap::new(),
            others: Vec::new(),
        }
    }
}

impl<T> Selectors<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn push(&mut self, selector: NamespaceSelector, value: T) {
        let at = self.all.len();
        if let Some((key, values)) = selector.required_values() {
            let by_value = self.by_label.entry(key.into()).or_default();
            for value in values {
                by_value.entry(value.as_str().into()).or_default().push(at);
            }
        } else if let Some(key) = selector.required_key() {
            self.by_key.entry(key.into()).or_default().push(at);
        } else {
            self.others.push(at);
        }
        self.all.push((selector, value));
    }

    /// The first value, in the order of [`Self::push`], for which `is_candidate` holds and
    /// whose selector selects the namespace. It fails with [`Undecided`] if the labels are
    /// unknown and a candidate depends on them before one certainly applies.
    pub(super) fn first(
        &self,
        namespace: &Namespace<'_>,
        mut is_candidate: impl FnMut(&T) -> bool,
    ) -> Result<Option<&T>, Undecided<'_, T>> {
        let Labels::Known(_) = namespace.labels else {
            return first_of(self.all.iter(), namespace, is_candidate);
        };
        let mut candidates: Vec<usize> = self.others.clone();
        for (key, value) in namespace.labels() {
            let by_value = self.by_label.get(key).and_then(|values| values.get(value));
            candidates.extend(by_value.into_iter().flatten());
            candidates.extend(self.by_key.get(key).into_iter().flatten());
        }
        candidates.sort_unstable();
        let candidates = candidates.into_iter().filter_map(|at| self.all.get(at));
        first_of(candidates, namespace, &mut is_candidate)
    }
}

/// The first value that may apply, depending on labels that are not known.
#[derive(Debug)]
pub(super) struct Undecided<'s, T>(pub(super) &'s T);

impl<T> From<Undecided<'_, T>> for LabelsUnknown {
    fn from(_: Undecided<'_, T>) -> Self {
        Self
    }
}

fn first_of<'s, T>(
    candidates: impl Iterator<Item = &'s (NamespaceSelector, T)>,
    namespace: &Namespace<'_>,
    mut is_candidate: impl FnMut(&T) -> bool,
) -> Result<Option<&'s T>, Undecided<'s, T>> {
    for (selector, value) in candidates {
        if !is_candidate(value) {
            continue;
        }
        match (selector.selects(namespace), namespace.labels) {
            (Some(true), _) => return Ok(Some(value)),
            (None, Labels::Unknown) => return Err(Undecided(value)),
            (Some(false) | None, _) => {}
        }
    }
    Ok(None)
}
