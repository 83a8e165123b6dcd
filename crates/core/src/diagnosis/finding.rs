//! Findings: observations put together, pod by pod, and grouped by cause and host.
//!
//! Within a pod, a real failure precedes retries and warnings. Across pods, what has the same
//! cause at the same host is one finding, because it has one remedy. This module must not read
//! a message.

use super::cause::Cause;
use super::host::{FailedHost, registry_of};
use super::message::{MessageDiagnosis, diagnose};
use super::observation::{Observation, Subject};
use std::collections::{BTreeMap, BTreeSet};

/// How many texts of evidence a finding keeps.
const EVIDENCE: usize = 6;
/// How many different messages about one image of one object are looked at.
const DIAGNOSES: usize = 32;
/// How many pods and images a finding names; it counts all.
const NAMED: usize = 100;

/// A failure of one image of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFailure {
    /// The object.
    pub subject: Subject,
    /// The image; none where no words name it.
    pub image: Option<String>,
    /// Why it is not pulled.
    pub cause: Cause,
    /// What else it may be, the likeliest first.
    pub also_possible: Vec<Cause>,
    /// The words or facts that show it.
    pub evidence: Vec<String>,
    /// The host that failed.
    pub host: Option<FailedHost>,
    /// Whether the image was pulled later.
    pub has_recovered: bool,
    /// Commands that belong to this failure before those of its cause.
    pub commands: Vec<String>,
}

/// Failures that have one cause, at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// What else it may be.
    pub also_possible: Vec<Cause>,
    /// Words and facts, some of those of all failures.
    pub evidence: Vec<String>,
    /// The host.
    pub host: Option<FailedHost>,
    /// Images, not more than a hundred.
    pub images: BTreeSet<String>,
    /// Objects, not more than a hundred.
    pub subjects: BTreeSet<Subject>,
    /// How many objects there are.
    pub count: usize,
    /// Whether all of them have the image now.
    pub has_recovered: bool,
    /// Commands that belong to the failures.
    pub commands: Vec<String>,
}

/// Reads observations, and puts together what speaks of one object.
#[must_use]
pub fn failures(observations: &[Observation]) -> Vec<ImageFailure> {
    let mut subjects: Vec<(&Subject, SubjectReader)> = Vec::new();
    let mut index: BTreeMap<&Subject, usize> = BTreeMap::new();
    for observation in observations {
        let place = *index.entry(&observation.subject).or_insert_with(|| {
            subjects.push((&observation.subject, SubjectReader::default()));
            subjects.len() - 1
        });
        if let Some((_, reader)) = subjects.get_mut(place) {
            reader.add(observation);
        }
    }
    subjects
        .into_iter()
        .flat_map(|(subject, reader)| reader.finish(subject))
        .collect()
}

/// What is said about one object.
#[derive(Default)]
struct SubjectReader {
    /// The diagnoses of each image, in order, and whether the image was pulled after them.
    images: Vec<(Option<String>, Vec<MessageDiagnosis>, bool)>,
    /// Where each image stands in that list.
    index: BTreeMap<Option<String>, usize>,
}

impl SubjectReader {
    fn add(&mut self, observation: &Observation) {
        if observation.is_success {
            let place = self.index.get(&observation.image);
            if let Some((.., has_recovered)) = place.and_then(|at| self.images.get_mut(*at)) {
                *has_recovered = true;
            }
            return;
        }
        let Some(diagnosis) = diagnose(&observation.text) else {
            return;
        };
        let image = observation
            .image
            .clone()
            .or_else(|| diagnosis.image.clone());
        let place = self.index.get(&image);
        if let Some((_, known, has_recovered)) = place.and_then(|at| self.images.get_mut(*at)) {
            *has_recovered = false;
            if known.len() < DIAGNOSES && !known.contains(&diagnosis) {
                known.push(diagnosis);
            }
        } else {
            self.index.insert(image.clone(), self.images.len());
            self.images.push((image, vec![diagnosis], false));
        }
    }

    fn finish(self, subject: &Subject) -> Vec<ImageFailure> {
        let mut failures: Vec<ImageFailure> = self
            .images
            .into_iter()
            .filter_map(|(image, diagnoses, has_recovered)| {
                let failure = put_together(subject, image, diagnoses)?;
                Some(ImageFailure {
                    has_recovered,
                    ..failure
                })
            })
            .collect();
        if failures.len() > 1 {
            // Lines such as `Error: ErrImagePull` add nothing to those that say why.
            let says_more = failures.iter().any(|one| one.cause != Cause::Unknown);
            failures
                .retain(|one| !(says_more && one.cause == Cause::Unknown && one.image.is_none()));
        }
        merge_missing_secret(failures)
    }
}

/// The failure of one image by all that is said about it: the weightiest cause, and in second
/// place what else is said.
fn put_together(
    subject: &Subject,
    image: Option<String>,
    mut diagnoses: Vec<MessageDiagnosis>,
) -> Option<ImageFailure> {
    diagnoses.sort_by_key(|diagnosis| diagnosis.cause.rank());
    let mut diagnoses = diagnoses.into_iter();
    let first = diagnoses.next()?;
    let mut failure = ImageFailure {
        subject: subject.clone(),
        image,
        cause: first.cause,
        also_possible: first.also_possible,
        evidence: vec![first.evidence],
        host: first.host,
        has_recovered: false,
        commands: Vec::new(),
    };
    let mut shown = vec![failure.cause, Cause::Unknown];
    if !failure.cause.is_passing() {
        // A turn that was put off says nothing about the pull that was made.
        shown.extend([Cause::KubeletQps, Cause::Cancelled]);
    }
    for diagnosis in diagnoses {
        // One text for each cause: the kubelet repeats itself in status, event and back-off.
        if !shown.contains(&diagnosis.cause) {
            shown.push(diagnosis.cause);
            failure.also(diagnosis.cause);
            failure.show(diagnosis.evidence);
        }
        failure.host = failure.host.or(diagnosis.host);
    }
    Some(failure)
}

/// The kubelet warns about a missing pull secret without naming an image. Where the registry
/// denies the pull as well, the missing secret is the cause; otherwise it is a side remark.
fn merge_missing_secret(mut failures: Vec<ImageFailure>) -> Vec<ImageFailure> {
    let is_warning = |one: &ImageFailure| one.cause == Cause::SecretMissing && one.image.is_none();
    let Some(place) = failures.iter().position(is_warning) else {
        return failures;
    };
    if failures.iter().all(is_warning) {
        return failures;
    }
    let warning = failures.remove(place);
    for failure in &mut failures {
        if failure.cause.is_denial() {
            let denial = std::mem::replace(&mut failure.cause, Cause::SecretMissing);
            failure.also_possible.insert(0, denial);
            failure.evidence.splice(0..0, warning.evidence.clone());
        } else {
            failure.also(Cause::SecretMissing);
        }
    }
    failures
}

impl ImageFailure {
    /// Adds what else it may be.
    pub fn also(&mut self, cause: Cause) {
        if cause != self.cause && !self.also_possible.contains(&cause) {
            self.also_possible.push(cause);
        }
    }

    /// Adds words or facts that show it.
    pub fn show(&mut self, evidence: String) {
        if !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
    }

    /// The name of the host, for grouping: the one that failed, else the image's registry.
    fn place(&self) -> Option<String> {
        let host = self.host.as_ref().map(|host| host.host.clone());
        host.or_else(|| self.image.as_deref().and_then(registry_of))
    }
}

/// Groups failures by cause and host; the weightiest and most frequent come first.
#[must_use]
pub fn group(failures: Vec<ImageFailure>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut index: BTreeMap<(bool, Cause, Option<String>), usize> = BTreeMap::new();
    let mut counted: BTreeSet<(usize, Subject)> = BTreeSet::new();
    for failure in failures {
        let key = (failure.has_recovered, failure.cause, failure.place());
        let place = *index.entry(key).or_insert_with(|| {
            findings.push(Finding {
                cause: failure.cause,
                also_possible: Vec::new(),
                evidence: Vec::new(),
                host: failure.host.clone(),
                images: BTreeSet::new(),
                subjects: BTreeSet::new(),
                count: 0,
                has_recovered: failure.has_recovered,
                commands: Vec::new(),
            });
            findings.len() - 1
        });
        if let Some(finding) = findings.get_mut(place) {
            let is_new = counted.insert((place, failure.subject.clone()));
            finding.take(failure, is_new);
        }
    }
    // The sort is stable: in a pasted text, what comes first stays first.
    findings.sort_by_key(|finding| {
        (
            finding.has_recovered,
            finding.cause.rank(),
            std::cmp::Reverse(finding.count),
        )
    });
    findings
}

impl Finding {
    fn take(&mut self, failure: ImageFailure, is_new: bool) {
        for cause in failure.also_possible {
            if cause != self.cause && !self.also_possible.contains(&cause) {
                self.also_possible.push(cause);
            }
        }
        for evidence in failure.evidence {
            if self.evidence.len() < EVIDENCE && !self.evidence.contains(&evidence) {
                self.evidence.push(evidence);
            }
        }
        for command in failure.commands {
            if self.commands.len() < EVIDENCE && !self.commands.contains(&command) {
                self.commands.push(command);
            }
        }
        if self.images.len() < NAMED {
            self.images.extend(failure.image);
        }
        if is_new {
            self.count += 1;
            if self.subjects.len() < NAMED {
                self.subjects.insert(failure.subject);
            }
        }
    }
}
