//! The scope of an entry or an override of the map: the namespaces in which it exists.
//!
//! A scope is one of three kinds and never a combination, so that code that reads a scope
//! cannot overlook a part of it. This module must not define which scope precedes another
//! in a decision; [`super::precedence`] does.

use super::glob;
use super::namespace::{Namespace, NamespaceSelector};

/// In which namespaces an entry or an override exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces.
    Everywhere,
    /// In namespaces whose name one of these names and globs covers.
    Namespaces(Vec<String>),
    /// In namespaces that the selector selects.
    Selector(NamespaceSelector),
}

/// Whether two scopes have a namespace in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// No namespace is in both scopes.
    Never,
    /// Whether a namespace is in both scopes depends on labels, which the map does not
    /// know.
    Possible,
    /// The map shows that some namespace can be in both scopes.
    Certain,
}

impl Scope {
    /// Whether the scope contains a namespace; without a namespace, whether it contains
    /// every namespace. `None` if that depends on labels that are not known.
    #[must_use]
    pub fn contains(&self, namespace: Option<Namespace<'_>>) -> Option<bool> {
        match (self, namespace) {
            (Self::Everywhere, _) => Some(true),
            (Self::Namespaces(_) | Self::Selector(_), None) => Some(false),
            (Self::Namespaces(globs), Some(namespace)) => {
                Some(globs.iter().any(|glob| glob::matches(glob, namespace.name)))
            }
            (Self::Selector(selector), Some(namespace)) => selector.selects(&namespace),
        }
    }

    /// The number of namespaces, or of requirements and their values.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Everywhere => 0,
            Self::Namespaces(globs) => globs.len(),
            Self::Selector(selector) => selector.size(),
        }
    }

    /// Whether some namespace is in both scopes. The cost is at most the product of their
    /// sizes.
    pub(crate) fn overlap(&self, other: &Self) -> Overlap {
        let is_certain = match (self, other) {
            (Self::Everywhere, _) | (_, Self::Everywhere) => true,
            (Self::Namespaces(a), Self::Namespaces(b)) => {
                a.iter().any(|a| b.iter().any(|b| glob::overlap(a, b)))
            }
            (Self::Selector(a), Self::Selector(b)) if a == b => true,
            (Self::Selector(a), Self::Selector(b)) if !a.may_meet(b) => false,
            (Self::Selector(_), _) | (_, Self::Selector(_)) => return Overlap::Possible,
        };
        if is_certain {
            Overlap::Certain
        } else {
            Overlap::Never
        }
    }
}
