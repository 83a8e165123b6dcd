//! The result for programs: one JSON object per line. Scripts depend on the keys, so a key
//! must not change its meaning.

use super::finding::{DocumentOutcome, Finding, ImageFinding, Totals};
use crate::cli::CliError;
use crate::cli::output::Printer;
use serde::Serialize;

#[derive(Serialize)]
struct Line<'f> {
    /// `image`, `undecided`, `skipped` or `error`.
    r#type: &'static str,
    file: &'f str,
    #[serde(flatten)]
    at: At,
    kind: Option<&'f str>,
    namespace: Option<&'f str>,
    name: Option<&'f str>,
    #[serde(flatten)]
    what: What<'f>,
}

#[derive(Serialize)]
struct At {
    line: usize,
    column: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'f> {
    Image(ImageKeys<'f>),
    Undecided {
        image: &'f str,
        field: &'f str,
        message: &'f str,
    },
    Skipped {
        skipped: &'static str,
        message: String,
    },
    Unreadable {
        message: &'f str,
    },
}

#[derive(Serialize)]
struct ImageKeys<'f> {
    image: &'f str,
    field: &'f str,
    action: &'static str,
    rule: &'static str,
    /// The entry's name, the pattern for publicRegistries, null for none.
    entry: Option<&'f str>,
    secrets: &'f [String],
    message: Option<&'f str>,
    spelling: Option<&'f str>,
}

#[derive(Serialize)]
struct SummaryLine<'t> {
    r#type: &'static str,
    #[serde(flatten)]
    totals: &'t Totals,
}

/// A line for each image, judged or not, each document that was skipped and each that could not be
/// read, and one with the sums.
pub(super) fn print(
    findings: &[Finding],
    totals: &Totals,
    printer: &mut Printer,
) -> Result<(), CliError> {
    for finding in findings {
        let (r#type, what) = match &finding.outcome {
            DocumentOutcome::NoImages => continue,
            DocumentOutcome::Image(image) => ("image", What::Image(keys(image))),
            DocumentOutcome::Undecided(image) => (
                "undecided",
                What::Undecided {
                    image: &image.text,
                    field: &image.field,
                    message: &image.message,
                },
            ),
            DocumentOutcome::Skipped(why) => {
                let (skipped, message) = (why.as_str(), why.to_string());
                ("skipped", What::Skipped { skipped, message })
            }
            DocumentOutcome::Unreadable(message) => ("error", What::Unreadable { message }),
        };
        let object = finding.object.as_ref();
        printer.json(&Line {
            r#type,
            file: &finding.file,
            at: At {
                line: finding.at.line,
                column: finding.at.column,
            },
            kind: object.map(|object| object.kind.as_str()),
            namespace: object
                .map(|object| object.namespace.as_str())
                .filter(|namespace| !namespace.is_empty()),
            name: object.map(|object| object.name.as_str()),
            what,
        })?;
    }
    printer.json(&SummaryLine {
        r#type: "summary",
        totals,
    })
}

fn keys(image: &ImageFinding) -> ImageKeys<'_> {
    ImageKeys {
        image: &image.text,
        field: &image.field,
        action: image.action.as_str(),
        rule: image.rule,
        entry: image.entry.as_deref(),
        secrets: &image.secrets,
        message: image.message.as_deref(),
        spelling: image.spelling.as_deref(),
    }
}
