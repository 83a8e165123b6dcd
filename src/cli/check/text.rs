//! The result for people: `file:line:column: what: object: why`, as compilers print it.

use super::found::{Found, Outcome, Totals};
use crate::cli::Failure;
use crate::cli::output::{self, Printer};
use pullpass_core::text::visible;

/// What was not looked at, and what could not be read, goes to standard error; then
/// findings and the sum to standard output.
pub(super) fn print(
    found: &[Found],
    totals: &Totals,
    printer: &mut Printer,
) -> Result<(), Failure> {
    for found in found {
        let (word, why) = match &found.outcome {
            Outcome::Skipped(why) => ("skipped", why.to_string()),
            Outcome::Unreadable(why) => ("error", visible(why)),
            Outcome::Image(_) | Outcome::NoImages => continue,
        };
        output::say(&format_args!(
            "{}: {word}: {}{why}",
            found.place(),
            prefix(found)
        ));
    }
    for found in found {
        let Outcome::Image(image) = &found.outcome else {
            continue;
        };
        let words = [
            (image.action.as_str(), &image.message),
            ("note", &image.spelling),
        ];
        for (word, message) in words {
            // An image that is fine and has a message ends soon.
            let word = if word == "allow" { "note" } else { word };
            if let Some(message) = message {
                let (place, object) = (found.place(), prefix(found));
                printer.line(format_args!("{place}: {word}: {object}{message}"))?;
            }
        }
    }
    printer.line(summary(totals))
}

/// `Deployment shop/web: `
fn prefix(found: &Found) -> String {
    let object = found.object().map(|object| format!("{object}: "));
    object.unwrap_or_default()
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
