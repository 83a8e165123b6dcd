//! The result for people: `file:line:column: what: object: why`, as compilers print it.

use super::found::{Found, Outcome, Totals};
use crate::cli::Failure;
use crate::cli::output::{self, Printer};
use crate::text::visible;

/// Findings and the sum go to standard output; what was not looked at, and what could
/// not be read, to standard error.
pub(super) fn print(
    found: &[Found],
    totals: &Totals,
    printer: &mut Printer,
) -> Result<(), Failure> {
    for found in found {
        let place = found.place();
        let object = found.object().map(|object| format!("{object}: "));
        let object = object.unwrap_or_default();
        match &found.outcome {
            Outcome::Image(image) => {
                if let Some(message) = &image.message {
                    let action = image.action.as_str();
                    printer.line(format_args!("{place}: {action}: {object}{message}"))?;
                }
                if let Some(spelling) = &image.spelling {
                    printer.line(format_args!("{place}: note: {object}{spelling}"))?;
                }
            }
            Outcome::NoImages => {}
            Outcome::Skipped(why) => {
                output::say(&format_args!("{place}: skipped: {object}{why}"));
            }
            Outcome::Unreadable(why) => {
                let why = visible(why);
                output::say(&format_args!("{place}: error: {object}{why}"));
            }
        }
    }
    printer.line(summary(totals))
}

fn summary(totals: &Totals) -> String {
    let Totals {
        images,
        denied,
        warned,
        recorded,
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
    if *unreadable > 0 {
        let unreadable = counted(*unreadable, "document", "documents");
        words.push_str("; ");
        words.push_str(&unreadable);
        words.push_str(" could not be read");
    }
    words
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
