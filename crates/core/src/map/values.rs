//! The values of the map one by one: words, dates, names, globs.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::diagnostic::{Diagnostic, Severity};
use super::keys;
use super::reader::{Field, Problems};
use crate::policy::pattern::shown;
use crate::policy::{Action, Pattern, glob};

/// The longest name of an object (k8s.io/apimachinery, `DNS1123SubdomainMaxLength`).
const LONGEST_NAME: usize = 253;

/// The longest name of a namespace (the same, `DNS1123LabelMaxLength`).
const LONGEST_NAMESPACE: usize = 63;

pub(super) fn action(field: &Field<'_, '_>, problems: &mut Problems) -> Option<Action> {
    let word = field.text(problems)?;
    let found = match word {
        "allow" => Some(Action::Allow),
        "audit" => Some(Action::Audit),
        "warn" => Some(Action::Warn),
        "deny" => Some(Action::Deny),
        _ => None,
    };
    if found.is_none() {
        let message = format!("{} is one of {}", field.name(), keys::ACTIONS.join(", "));
        let diagnostic = Diagnostic::new(Severity::Error, &field.place, message);
        problems.add(match keys::did_you_mean(word, keys::ACTIONS) {
            Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
            None => diagnostic,
        });
    }
    found
}

/// Which instant a date without a time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    Begins,
    Ends,
}

/// `YYYY-MM-DD`, a day in UTC, or a time by RFC 3339.
pub(super) fn time(field: &Field<'_, '_>, day: Day, problems: &mut Problems) -> Option<Timestamp> {
    let found = field.as_text().and_then(|text| parse_time(text, day));
    if found.is_none() {
        problems.error(
            &field.place,
            format!(
                "{} is a date like 2026-12-31, or a time like 2026-12-31T18:00:00Z",
                field.name()
            ),
        );
    }
    found
}

/// Stricter than the library, which takes more forms than RFC 3339 has.
fn parse_time(text: &str, day: Day) -> Option<Timestamp> {
    let shape: String = text
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    if shape == "0000-00-00" {
        let date: Date = text.parse().ok()?;
        let date = match day {
            Day::Begins => Ok(date),
            Day::Ends => date.tomorrow(),
        };
        // 9999-12-31 is how people write "for ever", and is past the end of time here.
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

pub(super) fn pattern(field: &Field<'_, '_>, problems: &mut Problems) -> Option<Pattern> {
    let text = field.text(problems)?;
    match Pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let diagnostic = Diagnostic::new(Severity::Error, &field.place, error.to_string());
            problems.add(match error.instead {
                Some(instead) => diagnostic.help(format!("did you mean `{instead}`?")),
                None => diagnostic,
            });
            None
        }
    }
}

/// The name of a Secret.
pub(super) fn secret_name(field: &Field<'_, '_>, problems: &mut Problems) -> Option<String> {
    let name = field.text(problems)?;
    let valid = is_dns_subdomain(name);
    if !valid {
        problems.error(
            &field.place,
            format!(
                "`{}` is no name of a secret: write lower case letters, digits, `-` and `.`, begin \
                 and end with a letter or digit, and no more than 253 characters",
                shown(name)
            ),
        );
    }
    valid.then(|| name.to_owned())
}

/// The name of a namespace, or a glob of them.
pub(super) fn namespace(field: &Field<'_, '_>, problems: &mut Problems) -> Option<String> {
    let glob = field.text(problems)?;
    let valid = glob.len() <= LONGEST_NAMESPACE
        && glob
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'*'))
        && !glob.starts_with('-')
        && !glob.ends_with('-')
        && !glob.contains("**");
    if !valid {
        problems.error(
            &field.place,
            format!(
                "`{}` is no namespace: write lower case letters, digits and `-`, begin and end with a \
                 letter or digit, and no more than 63 characters; a `*` stands for any of them",
                shown(glob)
            ),
        );
    }
    valid.then(|| glob.to_owned())
}

/// The name of one namespace.
pub(super) fn one_namespace(field: &Field<'_, '_>, problems: &mut Problems) -> Option<String> {
    let name = namespace(field, problems)?;
    if glob::is_glob(&name) {
        problems.error(&field.place, "this is one namespace: write it without `*`");
        return None;
    }
    Some(name)
}

/// The form of most names (RFC 1123, as Kubernetes takes it).
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

/// A text for people.
pub(super) fn words(field: &Field<'_, '_>, problems: &mut Problems) -> Option<String> {
    field.text(problems).map(|text| text.trim().to_owned())
}

/// The name of an entry.
pub(super) fn entry_name(field: &Field<'_, '_>, problems: &mut Problems) -> Option<String> {
    let name = field.text(problems)?;
    // It stands in messages, metrics and audit annotations: nothing that hides or turns
    // what is around it.
    let visible =
        |letter: char| letter == ' ' || letter.is_ascii_graphic() || letter.is_alphanumeric();
    let valid = name.len() <= LONGEST_NAME && name.trim() == name && name.chars().all(visible);
    if !valid {
        problems.error(
            &field.place,
            "an entry's name is letters, digits, signs and spaces, without spaces at its ends, and no longer than 253 characters",
        );
    }
    valid.then(|| name.to_owned())
}

/// A list of one kind of value; values that are none are left out.
pub(super) fn list<T>(
    field: &Field<'_, '_>,
    problems: &mut Problems,
    each: impl Fn(&Field<'_, '_>, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    let items = field.list(problems)?;
    Some(
        items
            .iter()
            .filter_map(|item| each(item, problems))
            .collect(),
    )
}

/// The same, where nothing would be meaningless.
pub(super) fn some<T>(
    field: &Field<'_, '_>,
    problems: &mut Problems,
    each: impl Fn(&Field<'_, '_>, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    let items = field.list(problems)?;
    if items.is_empty() {
        problems.error(
            &field.place,
            format!("{} is an empty list: name at least one", field.name()),
        );
        return None;
    }
    Some(
        items
            .iter()
            .filter_map(|item| each(item, problems))
            .collect(),
    )
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
            assert_eq!(time(text, Day::Begins).as_deref(), begins, "{text}");
            assert_eq!(time(text, Day::Ends).as_deref(), ends, "{text}");
        }
    }
}
