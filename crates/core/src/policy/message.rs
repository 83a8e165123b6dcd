//! The messages about images, in denials, warnings and audit annotations.
//!
//! Many tools show only the first line of a denial, so it says everything about the first
//! image: the image, its field, the entry or that there is none, what to write instead,
//! and the contact. Images are untrusted text and pass through [`crate::text`]. This
//! module must not decide anything, and no other module may write such messages.

use super::{Action, Context, Entry, Judgement, Rule, Upcoming, Verdict};
use crate::text::{SHOWN, cut, quoted, visible};
use image_reference::Reference;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How many images a denial or an annotation names; it only counts the others.
const LISTED: usize = 10;

/// How many warnings a response contains, and how many characters each may have.
///
/// The API server passes on 4,096 characters of warnings for each request, from all
/// webhooks together; beyond that it cuts each warning to 256 characters and drops the rest
/// (`k8s.io/apiserver/pkg/endpoints/filters/warning.go`).
const WARNINGS: usize = 12;
const WARNING_LENGTH: usize = 256;

/// How many characters of a text from the map a message shows.
const MAP_TEXT: usize = 400;

/// The beginning of a warning about an image that would be denied if pullpass enforced.
pub(crate) const WOULD_DENY: &str = "would be denied: ";

/// The cause for an image that no rule covers, in messages that cannot name its host.
pub(crate) const NO_ENTRY: &str = "no entry of the registry map covers it";

/// What the user can do about a pull secret that a pod does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The pod is being created: `/mutate` was not called, or another webhook removed what
    /// it added.
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
    /// Why a pod is denied: one line for each image. The first line is complete without the
    /// others.
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
        // The contact also ends a denial that has many lines.
        if denied.len() > 1
            && let Some(last) = lines.last_mut()
        {
            last.push_str(&contact);
        }
        lines.join("\n")
    }

    /// The warning about an image that would be denied if pullpass enforced; its first words
    /// say that nothing was denied.
    #[must_use]
    pub fn would_deny(&self, verdict: &Verdict<'_, '_>) -> String {
        let line = self.line(verdict, " is not allowed");
        format!("{WOULD_DENY}{line}{}", self.contact())
    }

    /// The warning about an image that is admitted.
    #[must_use]
    pub fn warning(&self, verdict: &Verdict<'_, '_>) -> String {
        let mut line = self.line(verdict, "");
        line.push_str(&self.contact());
        line
    }

    /// The warning about an image of a workload whose pods will be denied.
    #[must_use]
    pub fn preview(&self, verdict: &Verdict<'_, '_>) -> String {
        let line = self.line(verdict, " is not allowed");
        format!("its pods will be denied: {line}{}", self.contact())
    }

    /// The verdicts on one line, for an audit annotation. The text is the same for the same
    /// pod and map.
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

    /// A line of the form `image "x" (spec.containers[0].image): why; what to do`, with
    /// `judged` before the colon.
    fn line(&self, verdict: &Verdict<'_, '_>, judged: &str) -> String {
        format!(
            "image {} ({}){judged}: {}",
            quoted(verdict.judgement.image, SHOWN),
            verdict.field,
            self.cause(&verdict.judgement)
        )
    }

    /// Why an image was judged as it was, and what to do.
    #[must_use]
    pub fn cause(&self, judgement: &Judgement<'_, '_>) -> String {
        match judgement.rule {
            Rule::Entry(entry, _) => entry_cause(entry, judgement.action, judgement.upcoming),
            Rule::Public(pattern) => format!("{} is a public registry of the map", pattern.text),
            Rule::Unknown | Rule::Invalid => self.unknown(judgement),
            Rule::Exempt => "the namespace is exempt".to_owned(),
        }
    }

    fn unknown(&self, judgement: &Judgement<'_, '_>) -> String {
        let mut words = match (&judgement.reference, judgement.rule) {
            (Err(error), _) => format!("not a valid image reference, {error}"),
            (Ok(reference), Rule::Invalid) => format!(
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
        // The grammar allows only ASCII letters, digits and `.-:[]_` in a registry, so it
        // needs no escaping, but it can be long.
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
            format!("{nothing}; for this host the map has {pattern}")
        }
    }

    fn contact(&self) -> String {
        self.policy
            .contact()
            .map(|contact| format!("; contact: {}", map_text(contact)))
            .unwrap_or_default()
    }
}

/// What an entry does with an image at a time, and what the map says to it.
pub(super) fn entry_cause(entry: &Entry, action: Action, upcoming: Option<Upcoming>) -> String {
    let name = quoted(&entry.name, SHOWN);
    let mut words = match (action, upcoming) {
        (_, Some(Upcoming::Deny(from))) => format!("entry {name} denies it from {} on", day(from)),
        (Action::Deny, _) => format!("entry {name} denies it"),
        (Action::Warn, _) => format!("entry {name} warns about it"),
        (Action::Audit, _) => format!("entry {name} records it"),
        (Action::Allow, _) => format!("entry {name} allows it"),
    };
    if let Some(Upcoming::Expiry(until)) = upcoming {
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

/// The warning about a pull secret that an image of a pod needs and that the pod does not
/// have.
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

/// The warning about a registry that the map recognizes, but whose spelling keeps the
/// kubelet from finding the credential.
#[must_use]
pub fn spelling(judgement: &Judgement<'_, '_>, key: &str) -> String {
    format!(
        "image {}: the kubelet compares registries letter by letter and will not use the pull \
         secret of {}; use exactly this spelling",
        quoted(judgement.image, 60),
        cut(visible(key), 80),
    )
}

/// The warnings that fit into a response; if some do not, the last one says how many. Only
/// for warnings that fit, `text` is called.
pub fn limited<T>(warnings: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
    let mut kept: Vec<String> = warnings
        .iter()
        .take(WARNINGS)
        .map(|warning| cut(text(warning), WARNING_LENGTH))
        .collect();
    let more = warnings.len().saturating_sub(WARNINGS);
    if more > 0 {
        kept.push(format!("and {more} more warnings from pullpass"));
    }
    kept
}

fn map_text(text: &str) -> String {
    cut(visible(text), MAP_TEXT)
}

/// An instant for people: only the day if it is the first instant of a day.
fn day(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    if zoned.time() == jiff::civil::Time::midnight() {
        zoned.date().to_string()
    } else {
        at.to_string()
    }
}

/// An expiry for people: the last day before it, or the instant. At an expiry the entry is
/// already expired.
fn last_day(end: Timestamp) -> String {
    let zoned = end.to_zoned(TimeZone::UTC);
    match zoned.date().yesterday() {
        Ok(date) if zoned.time() == jiff::civil::Time::midnight() => format!("after {date}"),
        _ => format!("at {end}"),
    }
}
