//! The result for people: `file:line:column: what: object: why`, as compilers print it. This
//! module must not decide what fails the check.

use super::finding::{DocumentOutcome, Finding, Totals};
use crate::cli::CliError;
use crate::cli::output::{self, Printer, counted};
use pullpass_core::text::visible;

/// Prints skipped and unreadable documents to stderr, then findings and the totals to stdout.
pub(super) fn print(
    findings: &[Finding],
    totals: &Totals,
    printer: &mut Printer,
) -> Result<(), CliError> {
    for finding in findings {
        let (word, why) = match &finding.outcome {
            DocumentOutcome::Skipped(why) => ("skipped", why.to_string()),
            DocumentOutcome::Unreadable(why) => ("error", visible(why)),
            DocumentOutcome::Image(_)
            | DocumentOutcome::Undecided(_)
            | DocumentOutcome::NoImages => continue,
        };
        output::say(&format_args!(
            "{}: {word}: {}{why}",
            finding.place(),
            prefix(finding)
        ));
    }
    for finding in findings {
        let words = match &finding.outcome {
            DocumentOutcome::Image(image) => [
                (image.action.as_str(), image.message.as_ref()),
                ("note", image.spelling.as_ref()),
            ],
            DocumentOutcome::Undecided(image) => [("undecided", Some(&image.message)), ("", None)],
            _ => continue,
        };
        for (word, message) in words {
            // An image that is allowed and has a message expires soon.
            let word = if word == "allow" { "note" } else { word };
            if let Some(message) = message {
                let (place, object) = (finding.place(), prefix(finding));
                printer.line(format_args!("{place}: {word}: {object}{message}"))?;
            }
        }
    }
    printer.line(summary(totals))
}

/// `Deployment shop/web: `
fn prefix(finding: &Finding) -> String {
    let object = finding.object().map(|object| format!("{object}: "));
    object.unwrap_or_default()
}

fn summary(totals: &Totals) -> String {
    let Totals {
        images,
        denied,
        warned,
        recorded,
        undecided,
        skipped,
        unreadable,
        failures: _,
    } = totals;
    let images = counted(*images, "image", "images");
    let skipped = counted(*skipped, "document", "documents");
    let mut words = format!(
        "{images} checked: {denied} denied, {warned} warned about, {recorded} recorded; {skipped} \
         skipped"
    );
    if *undecided > 0 {
        let undecided = counted(*undecided, "image", "images");
        words.push_str("; ");
        words.push_str(&undecided);
        words.push_str(" undecided");
    }
    if *unreadable > 0 {
        let unreadable = counted(*unreadable, "document", "documents");
        words.push_str("; ");
        words.push_str(&unreadable);
        words.push_str(" could not be read");
    }
    words
}
