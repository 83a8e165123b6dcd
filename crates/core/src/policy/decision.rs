//! The one decision: what the map says about all the images of a pod, in a
//! namespace, at a time.
//!
//! `serve`, `explain` and every later command call [`Policy::decide`] or
//! [`Policy::judge`] and nothing else. Pure; what follows from a decision (a
//! patch, a refusal, a line on a terminal) is not its business.

use super::{Action, Judgement, LabelsUnknown, Namespace, Policy};
use jiff::Timestamp;
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};

/// Which field of an object names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    /// The way to the pod, with a dot at its end: empty in a pod, `spec.template.` in a
    /// Deployment.
    pub within: &'static str,
    /// The field of the pod.
    pub field: PodField,
}

/// Which field of a pod names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PodField {
    /// `spec.containers[i].image`
    Container(u32),
    /// `spec.initContainers[i].image`, side-cars among them
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
    /// What it says.
    pub judgement: Judgement<'p, 'i>,
}

/// What the map says about a pod.
#[derive(Debug, Clone)]
pub struct Decision<'p, 'i> {
    /// One for each image, in the pod's order.
    pub verdicts: Vec<Verdict<'p, 'i>>,
    /// The pull secrets that the images need, each once, in order of first need.
    pub pull_secrets: Vec<&'p str>,
}

impl Policy {
    /// Decides about the images of a pod. There is an answer for any text.
    ///
    /// The error is that one of the images cannot be judged before the labels of the
    /// namespace are known; a part of the answer is none.
    pub fn decide<'p, 'i>(
        &'p self,
        images: impl Iterator<Item = (Field, &'i str)>,
        namespace: Namespace<'_>,
        now: Timestamp,
    ) -> Result<Decision<'p, 'i>, LabelsUnknown> {
        let verdicts = images
            .map(|(field, image)| {
                let judgement = self.judge(image, Some(namespace), now)?;
                Ok(Verdict { field, judgement })
            })
            .collect::<Result<Vec<_>, LabelsUnknown>>()?;
        let mut seen = HashSet::new();
        let pull_secrets = verdicts
            .iter()
            .flat_map(|verdict| verdict.judgement.pull_secrets)
            .map(String::as_str)
            .filter(|name| seen.insert(*name))
            .collect();
        Ok(Decision {
            verdicts,
            pull_secrets,
        })
    }
}

impl Decision<'_, '_> {
    /// The strictest action over all images; `Allow` for a pod without any.
    #[must_use]
    pub fn action(&self) -> Action {
        self.verdicts
            .iter()
            .map(|verdict| verdict.judgement.action)
            .max()
            .unwrap_or(Action::Allow)
    }
}
