//! The one decision: what the map says of an image, or of all images of a pod, in a
//! namespace, at a time.
//!
//! The server and every command make a [`Context`] and ask it; [`super::message`]
//! explains, and [`super::explain`] names what spoke against the other rules. What
//! follows from a decision (a patch, a denial, a line on a terminal) is not its business.

use super::canonical::Location;
use super::index::Target;
use super::{
    Action, Decision, Field, Judgement, LabelsUnknown, Namespace, Policy, Rule, Unknown, Verdict,
};
use image_reference::Reference;
use jiff::Timestamp;
use std::collections::HashSet;

/// By which map, for which namespace and at which time something is decided.
#[derive(Debug, Clone, Copy)]
pub struct Context<'p, 'n> {
    /// The map.
    pub policy: &'p Policy,
    /// The namespace of the pod. Without one, entries that exist in some namespaces only
    /// are left out, and the default of `unknownRegistries` holds.
    pub namespace: Option<Namespace<'n>>,
    /// The time, read once for a review or a run of a command.
    pub now: Timestamp,
}

impl Policy {
    /// The context of a decision by this map.
    #[must_use]
    pub fn context<'n>(&self, namespace: Option<Namespace<'n>>, now: Timestamp) -> Context<'_, 'n> {
        Context {
            policy: self,
            namespace,
            now,
        }
    }
}

impl<'p> Context<'p, '_> {
    /// What the map says of an image.
    ///
    /// The cost depends on the image, on the patterns that cover its host and on the
    /// labels of the namespace, not on the size of the map.
    ///
    /// The error is that the answer depends on [`Labels::Unknown`](super::Labels::Unknown):
    /// an entry or an override by selector precedes all that certainly hold. An image
    /// for which none does is judged without labels, and so is every image in an exempt
    /// namespace.
    pub fn judge<'i>(&self, image: &'i str) -> Result<Judgement<'p, 'i>, LabelsUnknown> {
        let reference = Reference::parse(image);
        let rule = match reference.as_ref().map(Location::of) {
            _ if self.is_exempt() => Rule::Exempt,
            Err(_) => Rule::Unknown(Unknown::InvalidReference),
            Ok(None) => Rule::Unknown(Unknown::InvalidPort),
            Ok(Some(location)) => self.rule(&location)?,
        };
        let action = match rule {
            Rule::Entry(entry, _) => entry.action_at(self.now),
            Rule::Public(_) | Rule::Exempt => Action::Allow,
            Rule::Unknown(_) => self.policy.unknown_action(self.namespace)?,
        };
        let pull_secrets = match rule {
            Rule::Entry(entry, _) if action != Action::Deny => entry.pull_secrets.as_slice(),
            _ => &[],
        };
        Ok(Judgement {
            image,
            reference,
            rule,
            action,
            pull_secrets,
        })
    }

    /// Decides about the images of a pod. There is an answer for any text.
    ///
    /// The error is that one of the images cannot be judged before the labels of the
    /// namespace are known. There is no partial answer.
    pub fn decide<'i>(
        &self,
        images: impl Iterator<Item = (Field, &'i str)>,
    ) -> Result<Decision<'p, 'i>, LabelsUnknown> {
        let verdicts = images
            .map(|(field, image)| {
                let judgement = self.judge(image)?;
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

    /// The rule of the map for a location.
    pub(super) fn rule(&self, location: &Location<'_>) -> Result<Rule<'p>, LabelsUnknown> {
        let found = self.policy.index.find(location, self);
        Ok(found
            .target?
            .and_then(|target| self.resolve(target))
            .unwrap_or(Rule::Unknown(Unknown::NoEntry)))
    }

    fn resolve(&self, target: Target) -> Option<Rule<'p>> {
        match target {
            Target::Entry { entry, pattern } => {
                let entry = self.policy.entries.get(entry)?;
                Some(Rule::Entry(entry, entry.patterns.get(pattern)?))
            }
            Target::Public(at) => self.policy.public.get(at).map(Rule::Public),
        }
    }

    /// Whether the namespace is exempt.
    #[must_use]
    pub fn is_exempt(&self) -> bool {
        self.namespace
            .is_some_and(|namespace| self.policy.exempts(namespace.name))
    }
}
