//! The findings of a check: values from which every output format is made. It must not print.

use crate::cli::Status;
use pullpass_core::manifest::{ManifestSpan, Skip};
use pullpass_core::policy::Action;
use pullpass_core::text::{SHOWN, cut, visible};
use serde::Serialize;

/// Something to be said about a place in a file.
#[derive(Debug)]
pub(super) struct Finding<O = DocumentOutcome> {
    pub(super) file: String,
    pub(super) at: ManifestSpan,
    /// None where the document does not say what it is.
    pub(super) object: Option<ObjectName>,
    pub(super) outcome: O,
}

/// Which object.
#[derive(Debug, Clone)]
pub(super) struct ObjectName {
    pub(super) kind: String,
    /// Empty where it does not say and it does not matter.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What came of a document, or of one of its images.
#[derive(Debug)]
pub(super) enum DocumentOutcome {
    /// An image was judged.
    Image(Box<ImageFinding>),
    /// An image cannot be judged: that depends on labels which are not known.
    Undecided(UndecidedImage),
    /// A workload that names no image.
    NoImages,
    /// A document was not looked at.
    Skipped(Skip),
    /// A document or file could not be read.
    Unreadable(String),
}

/// An image without a verdict.
#[derive(Debug)]
pub(super) struct UndecidedImage {
    pub(super) text: String,
    /// From the object's root.
    pub(super) field: String,
    /// Why there is none, and what to do.
    pub(super) message: String,
}

/// An image and its verdict.
#[derive(Debug)]
pub(super) struct ImageFinding {
    pub(super) text: String,
    /// From the object's root.
    pub(super) field: String,
    pub(super) action: Action,
    /// The entry's name, or the pattern of `publicRegistries`.
    pub(super) entry: Option<String>,
    /// What kind of rule it was: `entry`, `public`, `unknown`, `invalid` or `exempt`.
    pub(super) rule: &'static str,
    pub(super) secrets: Vec<String>,
    /// In the webhook's words; none for an image that is fine.
    pub(super) message: Option<String>,
    /// Why the kubelet would not use the secrets, though the map says so.
    pub(super) spelling: Option<String>,
}

impl Finding {
    /// `Deployment shop/web`, safe to show.
    pub(super) fn object(&self) -> Option<String> {
        let ObjectName {
            kind,
            namespace,
            name,
        } = self.object.as_ref()?;
        let shown = |text: &str| cut(visible(text), SHOWN);
        let namespace = match shown(namespace) {
            namespace if namespace.is_empty() => namespace,
            namespace => namespace + "/",
        };
        Some(format!("{} {namespace}{}", shown(kind), shown(name)))
    }

    /// `file:line:column`, safe to show.
    pub(super) fn place(&self) -> String {
        let ManifestSpan { line, column, .. } = self.at;
        format!("{}:{line}:{column}", visible(&self.file))
    }
}

/// The sums.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) images: usize,
    pub(super) denied: usize,
    pub(super) warned: usize,
    pub(super) recorded: usize,
    /// How many images have no verdict.
    pub(super) undecided: usize,
    pub(super) skipped: usize,
    pub(super) unreadable: usize,
    /// How many images are failures.
    pub(super) failures: usize,
}

impl Totals {
    pub(super) fn of(findings: &[Finding], fail_on: Action) -> Self {
        let mut totals = Self::default();
        for finding in findings {
            match &finding.outcome {
                DocumentOutcome::Image(image) => {
                    totals.images += 1;
                    totals.failures += usize::from(image.action >= fail_on);
                    match image.action {
                        Action::Deny => totals.denied += 1,
                        Action::Warn => totals.warned += 1,
                        Action::Audit => totals.recorded += 1,
                        Action::Allow => {}
                    }
                }
                DocumentOutcome::Undecided(_) => totals.undecided += 1,
                DocumentOutcome::NoImages => {}
                DocumentOutcome::Skipped(_) => totals.skipped += 1,
                DocumentOutcome::Unreadable(_) => totals.unreadable += 1,
            }
        }
        totals
    }

    /// What could not be read may hide anything, and what is undecided may be denied, so
    /// they come first.
    pub(super) fn status(&self) -> Status {
        if self.unreadable > 0 || self.undecided > 0 {
            Status::Input
        } else if self.failures > 0 {
            Status::Findings
        } else {
            Status::Ok
        }
    }
}
