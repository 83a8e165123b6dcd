//! The words that people read about an image: in a denial, a warning, an audit
//! annotation. All of them are here.
//!
//! The first line of a denial is all that many tools show, so it says everything
//! about the first image: which one, in which field, which entry or that there is
//! none, what to write instead, whom to ask. Image strings are untrusted and go
//! through [`crate::text`]. This module decides nothing.

use super::{Action, Context, Entry, Judgement, Rule, Unknown, Verdict};
use crate::text::{SHOWN, cut, quoted, visible};
use image_reference::Reference;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How many images a denial or an annotation names; the others are counted.
const LISTED: usize = 10;

/// How many warnings an answer holds, and how long each may be.
///
/// The API server passes 4,096 characters of warnings a request, all webhooks
/// together; beyond that it cuts each to 256 and drops the rest
/// (`k8s.io/apiserver/pkg/endpoints/filters/warning.go`).
const WARNINGS: usize = 12;
const WARNING_LENGTH: usize = 256;

/// How much of a text from the map is shown, in characters.
const MAP_TEXT: usize = 400;

/// What begins a warning about an image that is denied while pullpass observes.
pub(crate) const WOULD_DENY: &str = "would be denied: ";

/// What is said of an image that no rule covers, where no host can be named.
pub(crate) const NO_ENTRY: &str = "no entry of the registry map covers it";

/// What can be done about a pull secret that a pod lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The pod is being created: `/mutate` was not called, or its patch was undone.
    CheckMutation,
    /// The pod exists, and `spec.imagePullSecrets` is immutable.
    DeletePod,
    /// An ephemeral container was added to a running pod.
    DeleteRunningPod,
}

impl Remedy {
    fn as_str(self) -> &'static str {
        match self {
            Self::CheckMutation => "another webhook removed it, or /mutate was not called",
            Self::DeletePod => "a pod cannot get it later; delete the pod",
            Self::DeleteRunningPod => "a running pod cannot get it; delete the pod",
        }
    }
}

impl Context<'_, '_> {
    /// Why a pod is denied: one line for each image, and everything about the first
    /// image in the first line.
    #[must_use]
    pub fn denial(&self, denied: &[&Verdict<'_, '_>]) -> String {
        let contact = self.contact();
        let mut lines: Vec<String> = denied
            .iter()
            .take(LISTED)
            .map(|verdict| self.line(verdict, " is not allowed"))
            .collect();
        if let Some(first) = lines.first_mut() {
            first.push_str(&contact);
        }
        if denied.len() > LISTED {
            lines.push(format!("and {} more images", denied.len() - LISTED));
        }
        // The contact ends the denial, also one of many lines.
        if denied.len() > 1
            && let Some(last) = lines.last_mut()
        {
            last.push_str(&contact);
        }
        lines.join("\n")
    }

    /// What is said about an image that is denied while pullpass observes; the first
    /// words say that nothing was denied.
    #[must_use]
    pub fn would_deny(&self, verdict: &Verdict<'_, '_>) -> String {
        let line = self.line(verdict, " is not allowed");
        format!("{WOULD_DENY}{line}{}", self.contact())
    }

    /// What is said about an image that is admitted all the same.
    #[must_use]
    pub fn warning(&self, verdict: &Verdict<'_, '_>) -> String {
        let mut line = self.line(verdict, "");
        line.push_str(&self.contact());
        line
    }

    /// What is said about an image of a workload whose pods will be denied.
    #[must_use]
    pub fn preview(&self, verdict: &Verdict<'_, '_>) -> String {
        let line = self.line(verdict, " is not allowed");
        format!("its pods will be denied: {line}{}", self.contact())
    }

    /// The verdicts on one line, the same for the same pod and map: the value of
    /// an audit annotation.
    #[must_use]
    pub fn audit(&self, found: &[&Verdict<'_, '_>]) -> String {
        let mut lines: Vec<String> = found
            .iter()
            .take(LISTED)
            .map(|verdict| self.line(verdict, ""))
            .collect();
        if found.len() > LISTED {
            lines.push(format!("and {} more images", found.len() - LISTED));
        }
        lines.join(" | ")
    }

    /// `image "x" (spec.containers[0].image): why; what to do`
    fn line(&self, verdict: &Verdict<'_, '_>, says: &str) -> String {
        format!(
            "image {} ({}){says}: {}",
            quoted(verdict.judgement.image, SHOWN),
            verdict.field,
            self.cause(&verdict.judgement)
        )
    }

    /// Why the image was judged as it was, and what to do.
    #[must_use]
    pub fn cause(&self, judgement: &Judgement<'_, '_>) -> String {
        match judgement.rule {
            Rule::Entry(entry, _) => self.entry(entry, judgement),
            Rule::Public(pattern) => format!("{} is a public registry of the map", pattern.text),
            Rule::Unknown(unknown) => self.unknown(unknown, judgement),
            Rule::Exempt => "the namespace is exempt".to_owned(),
        }
    }

    fn entry(&self, entry: &Entry, judgement: &Judgement<'_, '_>) -> String {
        let name = quoted(&entry.name, SHOWN);
        let mut words = match judgement.action {
            Action::Deny => format!("entry {name} denies it"),
            Action::Warn => match judgement.denied_from(self.now) {
                Some(from) => format!("entry {name} denies it from {} on", day(from)),
                None if entry.action == Action::Warn => format!("entry {name} warns about it"),
                None => format!("entry {name} allows it"),
            },
            Action::Audit => format!("entry {name} records it"),
            Action::Allow => format!("entry {name} allows it"),
        };
        if let Some(until) = judgement.expires_soon(self.now) {
            words.push_str(" and expires ");
            words.push_str(&last_day(until));
        }
        if let Some(instead) = &entry.replace_with {
            words.push_str("; use ");
            words.push_str(&map_text(instead));
        }
        if let Some(reason) = &entry.reason {
            words.push_str("; ");
            words.push_str(&map_text(reason));
        }
        words
    }

    fn unknown(&self, unknown: Unknown, judgement: &Judgement<'_, '_>) -> String {
        let mut words = match (&judgement.reference, unknown) {
            (Err(error), _) => format!("not a valid image reference, {error}"),
            (Ok(reference), Unknown::InvalidPort) => format!(
                "no server can have the port in {}",
                quoted(reference.registry(), SHOWN)
            ),
            (Ok(reference), _) => self.no_entry(reference),
        };
        if let Some(reason) = self.policy.unknown_reason() {
            words.push_str("; ");
            words.push_str(&map_text(reason));
        }
        words
    }

    fn no_entry(&self, reference: &Reference<'_>) -> String {
        // The grammar lets only ASCII letters, digits and `.-:[]_` through, so a
        // registry needs no escaping, but it can be long.
        let host = || {
            format!(
                "no entry for host {}",
                cut(reference.registry().to_owned(), SHOWN)
            )
        };
        let name = reference.name();
        let Some(suggestion) = self.suggestion(&name) else {
            return host();
        };
        let pattern = map_text(&suggestion.pattern.text);
        let nothing = if suggestion.same_registry {
            format!("no entry for {}", cut(name, SHOWN))
        } else {
            host()
        };
        if suggestion.likely {
            format!("{nothing}; did you mean {pattern}?")
        } else {
            format!("{nothing}; of this host there is {pattern}")
        }
    }

    fn contact(&self) -> String {
        self.policy
            .contact()
            .map(|contact| format!("; contact: {}", map_text(contact)))
            .unwrap_or_default()
    }
}

/// The warning about a secret that the map names for an image of this pod and
/// that the pod does not have.
#[must_use]
pub fn secret_missing(secret: &str, verdict: &Verdict<'_, '_>, remedy: Remedy) -> String {
    format!(
        "pull secret {} is not in spec.imagePullSecrets, but image {} ({}) needs it: {}",
        quoted(secret, 40),
        quoted(verdict.judgement.image, 60),
        verdict.field,
        remedy.as_str(),
    )
}

/// The warning about a registry spelled so that the kubelet will not find the
/// credentials, though the map knows whom it means.
#[must_use]
pub fn spelling(judgement: &Judgement<'_, '_>, key: &str) -> String {
    format!(
        "image {}: the kubelet compares registries letter by letter and will not use the pull \
         secret of {}; spell it so",
        quoted(judgement.image, 60),
        cut(visible(key), 80),
    )
}

/// What fits into an answer of so many warnings, the last of them a count of those
/// that do not. Only what fits is put into words.
pub fn limited<T>(remarks: &[T], words: impl Fn(&T) -> String) -> Vec<String> {
    let mut kept: Vec<String> = remarks
        .iter()
        .take(WARNINGS)
        .map(|remark| cut(words(remark), WARNING_LENGTH))
        .collect();
    let more = remarks.len().saturating_sub(WARNINGS);
    if more > 0 {
        kept.push(format!("and {more} more warnings of pullpass"));
    }
    kept
}

fn map_text(text: &str) -> String {
    cut(visible(text), MAP_TEXT)
}

/// The instant as people write it: a day where it is the first of one.
fn day(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    if zoned.time() == jiff::civil::Time::midnight() {
        zoned.date().to_string()
    } else {
        at.to_string()
    }
}

/// The same for an expiry, which is the first instant that is no longer covered.
fn last_day(end: Timestamp) -> String {
    let zoned = end.to_zoned(TimeZone::UTC);
    match zoned.date().yesterday() {
        Ok(date) if zoned.time() == jiff::civil::Time::midnight() => format!("after {date}"),
        _ => format!("at {end}"),
    }
}
