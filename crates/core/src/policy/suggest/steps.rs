//! Counts the work of a comparison, so that it ends after the same work on every machine.
//!
//! A step takes some tens of nanoseconds at most: it is one comparison of at most 16
//! characters, one look into a table, or one cell of an edit distance. This module must not
//! measure time, because then the same map could be valid on one machine and not on another.

use std::ops::ControlFlow;

use crate::policy::{Overlap, Scope};

/// The characters that one step compares.
const CHARACTERS: usize = 16;

/// A number of steps that may still be taken.
#[derive(Debug)]
pub(crate) struct Steps(usize);

impl Steps {
    pub(crate) fn new(most: usize) -> Self {
        Self(most)
    }

    /// The steps that are left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.0
    }

    /// Takes steps; breaks if there are too few.
    pub(crate) fn take(&mut self, steps: usize) -> ControlFlow<()> {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or_default();
        match left {
            Some(_) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    /// Takes the steps of one comparison of so many characters.
    pub(crate) fn compare(&mut self, characters: usize) -> ControlFlow<()> {
        self.take(1 + characters / CHARACTERS)
    }

    /// Whether two scopes have a namespace in common.
    pub(crate) fn overlap(&mut self, a: &Scope, b: &Scope) -> ControlFlow<(), Overlap> {
        let sizes = match (a, b) {
            (Scope::Namespaces(_), Scope::Namespaces(_))
            | (Scope::Selector(_), Scope::Selector(_)) => a.size().saturating_mul(b.size()),
            _ => 0,
        };
        self.take(sizes.saturating_add(1))?;
        ControlFlow::Continue(a.overlap(b))
    }
}
