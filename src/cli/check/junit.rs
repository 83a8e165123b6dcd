//! The result as JUnit XML, which CI systems show as test reports: a suite for each file,
//! and a case for each image, each skipped document and each document that cannot be read.
//!
//! Unreadable documents and undecided images are errors, as of a test that could not run. This
//! module must not decide what fails the check.

use super::finding::{DocumentOutcome, Finding, Totals};
use crate::cli::CliError;
use crate::cli::output::Printer;
use pullpass_core::policy::Action;
use pullpass_core::text::{SHOWN, cut, visible};
use std::fmt::{self, Display, Formatter, Write as _};

pub(super) fn print(
    findings: &[Finding],
    totals: &Totals,
    fail_on: Action,
    printer: &mut Printer,
) -> Result<(), CliError> {
    printer.line(r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    printer.line(format_args!(
        r#"<testsuites name="pullpass check" {}>"#,
        Counts(totals)
    ))?;
    for suite in findings.chunk_by(|one, other| one.file == other.file) {
        let Some(first) = suite.first() else {
            continue;
        };
        printer.line(format_args!(
            r#"  <testsuite name="{}" {}>"#,
            escaped(&first.file),
            Counts(&Totals::of(suite, fail_on))
        ))?;
        for finding in suite {
            case(finding, fail_on, printer)?;
        }
        printer.line("  </testsuite>")?;
    }
    printer.line("</testsuites>")
}

/// The attributes that both levels have.
struct Counts<'t>(&'t Totals);

impl Display for Counts<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Totals {
            images,
            failures,
            skipped,
            unreadable,
            undecided,
            ..
        } = self.0;
        let errors = unreadable + undecided;
        let tests = images + skipped + errors;
        write!(
            f,
            r#"tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}""#
        )
    }
}

fn case(finding: &Finding, fail_on: Action, printer: &mut Printer) -> Result<(), CliError> {
    let object = finding.object().unwrap_or_else(|| "document".to_owned());
    let place = format!("{}:{}", finding.at.line, finding.at.column);
    let (name, inside) = match &finding.outcome {
        DocumentOutcome::NoImages => return Ok(()),
        DocumentOutcome::Image(image) => {
            let name = image_name(&image.field, &image.text);
            let words = [image.message.as_deref(), image.spelling.as_deref()];
            let words: Vec<_> = words.into_iter().flatten().collect();
            let words = words.join("; ");
            let inside = if image.action >= fail_on {
                element("failure", image.action.as_str(), &words, &finding.place())
            } else if words.is_empty() {
                String::new()
            } else {
                let action = image.action.as_str();
                format!(
                    "<system-out>{}</system-out>",
                    escaped(&format!("{action}: {words}"))
                )
            };
            (name, inside)
        }
        DocumentOutcome::Undecided(image) => (
            image_name(&image.field, &image.text),
            element("error", "undecided", &image.message, &finding.place()),
        ),
        DocumentOutcome::Skipped(why) => {
            let message = escaped(&why.to_string());
            (place, format!(r#"<skipped message="{message}"/>"#))
        }
        DocumentOutcome::Unreadable(why) => {
            (place, element("error", "unreadable", why, &finding.place()))
        }
    };
    printer.line(format_args!(
        r#"    <testcase classname="{}" name="{}" file="{}">{inside}</testcase>"#,
        escaped(&object),
        escaped(&name),
        escaped(&finding.file),
    ))
}

fn image_name(field: &str, image: &str) -> String {
    format!("{field} {}", cut(visible(image), SHOWN))
}

fn element(name: &str, kind: &str, message: &str, place: &str) -> String {
    let (message, place) = (escaped(message), escaped(place));
    format!(r#"<{name} type="{kind}" message="{message}">{place}: {message}</{name}>"#)
}

/// Text for an attribute or an element. What XML cannot hold at all (controls, most of
/// them; U+FFFE, U+FFFF) is made visible first.
fn escaped(text: &str) -> String {
    let visible = visible(text);
    let mut out = String::with_capacity(visible.len());
    for c in visible.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}
