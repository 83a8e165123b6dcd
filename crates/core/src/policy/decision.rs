//! What [`Context::decide`](super::Context::decide) returns: a verdict for each field of
//! a pod that names an image. This module must not decide anything; it holds values only.

use super::{Action, Judgement};
use std::cmp::Reverse;
use std::fmt::{self, Display, Formatter};

/// Which field of an object names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    /// The path from the root of the object to the pod, with a dot at its end: empty for
    /// a pod, `spec.template.` for a Deployment.
    pub within: &'static str,
    /// The field of the pod.
    pub field: PodField,
}

/// Which field of a pod names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PodField {
    /// `spec.containers[i].image`
    Container(u32),
    /// `spec.initContainers[i].image`, which includes sidecars (KEP-753)
    InitContainer(u32),
    /// `spec.ephemeralContainers[i].image`
    EphemeralContainer(u32),
    /// `spec.volumes[i].image.reference` (KEP-4639)
    Volume(u32),
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.within)?;
        match self.field {
            PodField::Container(i) => write!(f, "spec.containers[{i}].image"),
            PodField::InitContainer(i) => write!(f, "spec.initContainers[{i}].image"),
            PodField::EphemeralContainer(i) => write!(f, "spec.ephemeralContainers[{i}].image"),
            PodField::Volume(i) => write!(f, "spec.volumes[{i}].image.reference"),
        }
    }
}

/// What the map says about one field of a pod.
#[derive(Debug, Clone)]
pub struct Verdict<'p, 'i> {
    /// The field.
    pub field: Field,
    /// What the map says about its image.
    pub judgement: Judgement<'p, 'i>,
}

/// What the map says about a pod.
#[derive(Debug, Clone)]
pub struct Decision<'p, 'i> {
    /// One for each image, in the pod's order.
    pub verdicts: Vec<Verdict<'p, 'i>>,
    /// The pull secrets that the images need, without duplicates, in the order in which
    /// the images first need them.
    pub pull_secrets: Vec<&'p str>,
}

impl<'p, 'i> Decision<'p, 'i> {
    /// The verdicts on images that are not simply allowed, strictest first: a message names
    /// only so many, and lesser ones must not hide the worst.
    #[must_use]
    pub fn findings(&self) -> Vec<&Verdict<'p, 'i>> {
        self.strictest_first(|judgement| judgement.action != Action::Allow)
    }

    /// The verdicts on images that are admitted with a warning, strictest first.
    #[must_use]
    pub fn warned(&self) -> Vec<&Verdict<'p, 'i>> {
        self.strictest_first(Judgement::is_warned)
    }

    fn strictest_first(
        &self,
        wanted: impl Fn(&Judgement<'p, 'i>) -> bool,
    ) -> Vec<&Verdict<'p, 'i>> {
        let verdicts = self.verdicts.iter();
        let mut found: Vec<_> = verdicts
            .filter(|verdict| wanted(&verdict.judgement))
            .collect();
        found.sort_by_key(|verdict| Reverse(verdict.judgement.action));
        found
    }

    /// The strictest action of all images; `Allow` for a pod without images.
    #[must_use]
    pub fn action(&self) -> Action {
        self.verdicts
            .iter()
            .map(|verdict| verdict.judgement.action)
            .max()
            .unwrap_or(Action::Allow)
    }
}
