//! The decision: what the map says about an image, or about all images of a pod, in a
//! namespace, at a time.
//!
//! The server and every command decide through a [`Context`]. This module must not act on
//! a decision: patches, denials and output belong to its callers, the messages to
//! [`super::message`], and the reasons against the other rules to [`super::explain`].

use super::canonical::Location;
use super::index::RulePosition;
use super::model::EntryState;
use super::{Action, Decision, Field, Judgement, LabelsUnknown, Namespace, Policy, Rule, Verdict};
use image_reference::Reference;
use jiff::Timestamp;
use std::collections::HashSet;

/// The map, the namespace and the time of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Context<'p, 'n> {
    /// The map.
    pub policy: &'p Policy,
    /// The namespace of the pod. Without a namespace, entries that exist only in some
    /// namespaces are left out, and the default of `unknownRegistries` applies.
    pub namespace: Option<Namespace<'n>>,
    /// The time. Callers read the clock once for each review or run of a command.
    pub now: Timestamp,
}

impl Policy {
    /// The context of decisions made with this map.
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
    /// What the map says about an image.
    ///
    /// The cost depends on the image, on the patterns that cover its host and on the
    /// labels of the namespace, not on the size of the map.
    ///
    /// It fails if the decision depends on [`Labels::Unknown`](super::Labels::Unknown):
    /// an entry or an override with a selector precedes everything that certainly applies.
    /// Other images are judged without the labels, and so is every image in an exempt
    /// namespace.
    pub fn judge<'i>(&self, image: &'i str) -> Result<Judgement<'p, 'i>, LabelsUnknown> {
        let reference = Reference::parse(image);
        let rule = match reference.as_ref().map(Location::of) {
            _ if self.is_exempt() => Rule::Exempt,
            Err(_) | Ok(None) => Rule::Invalid,
            Ok(Some(location)) => self.rule(&location)?,
        };
        let without_entry = |action| EntryState {
            action,
            pull_secrets: &[],
            upcoming: None,
        };
        let EntryState {
            action,
            pull_secrets,
            upcoming,
        } = match rule {
            Rule::Entry(entry, _) => entry.at(self.now),
            Rule::Public(_) | Rule::Exempt => without_entry(Action::Allow),
            Rule::Unknown | Rule::Invalid => {
                without_entry(self.policy.unknown_action(self.namespace)?)
            }
        };
        Ok(Judgement {
            image,
            reference,
            rule,
            action,
            pull_secrets,
            upcoming,
        })
    }

    /// Decides about the images of a pod. An image may be any text.
    ///
    /// It fails if [`Self::judge`] fails for one of the images; a decision is never
    /// partial.
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

    /// The rule of the map that decides about a location.
    pub(super) fn rule(&self, location: &Location<'_>) -> Result<Rule<'p>, LabelsUnknown> {
        let found = self.policy.index.find(location, self);
        Ok(found
            .position?
            .and_then(|position| self.resolve(position))
            .unwrap_or(Rule::Unknown))
    }

    fn resolve(&self, position: RulePosition) -> Option<Rule<'p>> {
        match position {
            RulePosition::Entry { entry, pattern } => {
                let entry = self.policy.entries.get(entry)?;
                Some(Rule::Entry(entry, entry.patterns.get(pattern)?))
            }
            RulePosition::Public(at) => self.policy.public.get(at).map(Rule::Public),
        }
    }

    /// Whether the namespace is exempt.
    #[must_use]
    pub fn is_exempt(&self) -> bool {
        self.namespace
            .is_some_and(|namespace| self.policy.exempts(namespace.name))
    }
}
