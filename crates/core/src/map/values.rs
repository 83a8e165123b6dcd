//! Reads the values of the map one by one: words, dates, names and globs.
//!
//! Each function reports a value that is not valid and returns `None` for it. This module
//! must not compare values with each other.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::keys;
use super::reader::MapField;
use crate::policy::pattern::shown;
use crate::policy::{Action, Pattern, glob};

/// The length of the longest name of an object (`DNS1123SubdomainMaxLength` in
/// `k8s.io/apimachinery/pkg/util/validation`).
const LONGEST_NAME: usize = 253;

/// The length of the longest name of a namespace (`DNS1123LabelMaxLength` in the same
/// package).
const LONGEST_NAMESPACE: usize = 63;

pub(super) fn action(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Action> {
    let word = field.text(diagnostics)?;
    let found = match word {
        "allow" => Some(Action::Allow),
        "audit" => Some(Action::Audit),
        "warn" => Some(Action::Warn),
        "deny" => Some(Action::Deny),
        _ => None,
    };
    if found.is_none() {
        let message = format!(
            "{} must be one of {}",
            field.name(),
            keys::ACTIONS.join(", ")
        );
        let suggestion = keys::suggestion(word, keys::ACTIONS);
        diagnostics
            .add(Diagnostic::new(Severity::Error, &field.place, message).suggest(suggestion));
    }
    found
}

/// The instant that a date without a time means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayBoundary {
    /// The first instant of the day.
    Start,
    /// The first instant of the next day.
    End,
}

/// Reads `YYYY-MM-DD`, which is a day in UTC, or a time as RFC 3339 has it.
pub(super) fn time(
    field: &MapField<'_, '_>,
    day: DayBoundary,
    diagnostics: &mut Diagnostics,
) -> Option<Timestamp> {
    let found = field.as_text().and_then(|text| parse_time(text, day));
    if found.is_none() {
        diagnostics.error(
            &field.place,
            format!(
                "{} must be a date like 2026-12-31 or a time like 2026-12-31T18:00:00Z",
                field.name()
            ),
        );
    }
    found
}

/// Parses a time. It is stricter than the library, which accepts more forms than RFC 3339
/// has.
fn parse_time(text: &str, day: DayBoundary) -> Option<Timestamp> {
    let shape: String = text
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    if shape == "0000-00-00" {
        let date: Date = text.parse().ok()?;
        let date = match day {
            DayBoundary::Start => Ok(date),
            DayBoundary::End => date.tomorrow(),
        };
        // Some people write 9999-12-31 for "never", and its end is after the latest time of
        // the library.
        let begins = date.and_then(|date| date.to_zoned(TimeZone::UTC));
        return Some(begins.map_or(Timestamp::MAX, |begins| begins.timestamp()));
    }
    let rest = shape
        .strip_prefix("0000-00-00T00:00:00")
        .or_else(|| shape.strip_prefix("0000-00-00t00:00:00"))?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return None,
        None => rest,
    };
    let zone = matches!(rest, "Z" | "z" | "+00:00" | "-00:00");
    zone.then(|| text.parse().ok()).flatten()
}

pub(super) fn pattern(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let text = field.text(diagnostics)?;
    match Pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let diagnostic = Diagnostic::new(Severity::Error, &field.place, error.to_string());
            diagnostics.add(diagnostic.suggest(error.instead.as_deref()));
            None
        }
    }
}

/// Reads the name of a Secret.
pub(super) fn secret_name(
    field: &MapField<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let name = field.text(diagnostics)?;
    let valid = is_dns_subdomain(name);
    if !valid {
        diagnostics.error(
            &field.place,
            format!(
                "`{}` is not the name of a Secret; use lower-case letters, digits, `-` and `.`, \
                 begin and end with a letter or digit, and write at most 253 characters",
                shown(name)
            ),
        );
    }
    valid.then(|| name.to_owned())
}

/// Reads the name of a namespace or a glob.
pub(super) fn namespace(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let glob = field.text(diagnostics)?;
    let valid = glob.len() <= LONGEST_NAMESPACE
        && glob
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'*'))
        && !glob.starts_with('-')
        && !glob.ends_with('-')
        && !glob.contains("**");
    if !valid {
        diagnostics.error(
            &field.place,
            format!(
                "`{}` is not a namespace; use lower-case letters, digits and `-`, begin and end \
                 with a letter or digit, and write at most 63 characters (a `*` matches any of them)",
                shown(glob)
            ),
        );
    }
    valid.then(|| glob.to_owned())
}

/// Reads the name of one namespace.
pub(super) fn one_namespace(
    field: &MapField<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let name = namespace(field, diagnostics)?;
    if glob::is_glob(&name) {
        let message = format!(
            "{} must be one namespace; write it without `*`",
            field.name()
        );
        diagnostics.error(&field.place, message);
        return None;
    }
    Some(name)
}

/// Whether a text has the form of most names in Kubernetes (`IsDNS1123Subdomain` in
/// `k8s.io/apimachinery/pkg/util/validation`).
pub(super) fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= LONGEST_NAME && name.split('.').all(is_dns_label)
}

fn is_dns_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Reads a text that messages show to people.
pub(super) fn words(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    field.text(diagnostics).map(|text| text.trim().to_owned())
}

/// Reads the name of an entry.
pub(super) fn entry_name(
    field: &MapField<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let name = field.text(diagnostics)?;
    // The name stands in messages, metrics and audit annotations, so it must not contain
    // characters that are invisible or turn the reading direction.
    let visible =
        |letter: char| letter == ' ' || letter.is_ascii_graphic() || letter.is_alphanumeric();
    let valid = name.len() <= LONGEST_NAME && name.trim() == name && name.chars().all(visible);
    if !valid {
        diagnostics.error(
            &field.place,
            "the name of the entry is not valid; use letters, digits, signs and spaces, no space at \
             either end, and at most 253 characters",
        );
    }
    valid.then(|| name.to_owned())
}

/// Reads a list of one kind of value, and leaves out the values that are not valid.
pub(super) fn list<'s, 't, T>(
    field: &MapField<'s, 't>,
    diagnostics: &mut Diagnostics,
    each: impl Fn(&MapField<'s, 't>, &mut Diagnostics) -> Option<T>,
) -> Option<Vec<T>> {
    let items = field.list(diagnostics)?;
    Some(
        items
            .iter()
            .filter_map(|item| each(item, diagnostics))
            .collect(),
    )
}

/// Reads a list like [`list`], and reports an empty one.
pub(super) fn some<'s, 't, T>(
    field: &MapField<'s, 't>,
    diagnostics: &mut Diagnostics,
    each: impl Fn(&MapField<'s, 't>, &mut Diagnostics) -> Option<T>,
) -> Option<Vec<T>> {
    if field.is_empty_list() {
        let message = format!("{} is an empty list; write at least one item", field.name());
        diagnostics.error(&field.place, message);
        return None;
    }
    list(field, diagnostics, each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_in_utc() {
        let time = |text, day| parse_time(text, day).map(|time| time.to_string());
        for (text, begins, ends) in [
            (
                "2026-12-31",
                Some("2026-12-31T00:00:00Z"),
                Some("2027-01-01T00:00:00Z"),
            ),
            (
                "2028-02-29",
                Some("2028-02-29T00:00:00Z"),
                Some("2028-03-01T00:00:00Z"),
            ),
            ("2026-02-29", None, None),
            (
                "2026-12-31T18:00:00Z",
                Some("2026-12-31T18:00:00Z"),
                Some("2026-12-31T18:00:00Z"),
            ),
            (
                "2026-12-31t18:00:00z",
                Some("2026-12-31T18:00:00Z"),
                Some("2026-12-31T18:00:00Z"),
            ),
            (
                "2026-12-31T18:00:00+02:00",
                Some("2026-12-31T16:00:00Z"),
                Some("2026-12-31T16:00:00Z"),
            ),
            (
                "2026-12-31T18:00:00.5Z",
                Some("2026-12-31T18:00:00.5Z"),
                Some("2026-12-31T18:00:00.5Z"),
            ),
            ("2026-12-31T18:00Z", None, None),
            ("2026-12-31T18:00:00", None, None),
            ("2026-12-31 18:00:00Z", None, None),
            ("2026-12-31T18:00:00Z[UTC]", None, None),
            ("20261231", None, None),
            ("31.12.2026", None, None),
            (
                "9999-12-31",
                Some("9999-12-30T22:00:00.999999999Z"),
                Some("9999-12-30T22:00:00.999999999Z"),
            ),
        ] {
            assert_eq!(time(text, DayBoundary::Start).as_deref(), begins, "{text}");
            assert_eq!(time(text, DayBoundary::End).as_deref(), ends, "{text}");
        }
    }
}
