//! The result as SARIF 2.1.0 (OASIS), for code scanning.
//!
//! Findings are results. Skipped and unreadable documents are notifications of the run, so
//! that nobody takes such a run for a clean one. The results are written one by one: as a
//! whole they would take many times the memory of the manifests.

use super::finding::{DocumentOutcome, Finding, ImageFinding, Totals, UndecidedImage};
use crate::cli::{CliError, Status, output::Printer};
use pullpass_core::policy::Action;
use pullpass_core::text::visible;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Component, Path};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The rule of images that cannot be judged.
const UNDECIDED: &str = "undecided";

/// What a result can be about: its id, and what it is.
const RULES: [(&str, &str); 6] = [
    (
        "entry",
        "An entry of the registry map denies, warns about or records the image",
    ),
    (
        "unknown",
        "No entry of the registry map covers the image's registry",
    ),
    ("invalid", "The text is not a valid image reference"),
    (
        "expires-soon",
        "The entry that allows the image expires within 14 days",
    ),
    (
        "spelling",
        "The image is spelled so that the kubelet finds no pull secret for it",
    ),
    (
        UNDECIDED,
        "The action for the image depends on labels of its namespace",
    ),
];

pub(super) fn print(
    findings: &[Finding],
    totals: &Totals,
    printer: &mut Printer,
) -> Result<(), CliError> {
    let here = std::env::current_dir().ok();
    let here = here.as_deref();
    let rules = RULES
        .iter()
        .map(|(id, what)| json!({"id": id, "shortDescription": {"text": what}}));
    let notifications = || findings.iter().filter_map(|one| notification_of(one, here));
    let results = || findings.iter().flat_map(|one| results_of(one, here));
    printer.json(&Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            // Columns are counted as `manifest::SourceSpan` does.
            column_kind: "unicodeCodePoints",
            invocations: [Invocation {
                execution_successful: totals.status() != Status::Input,
                exit_code: totals.status() as u8,
                tool_execution_notifications: Each(notifications),
            }],
            results: Each(results),
            tool: json!({"driver": {
                "name": "pullpass",
                "rules": rules.collect::<Vec<_>>(),
                "version": env!("CARGO_PKG_VERSION"),
            }}),
        }],
    })
}

#[derive(Serialize)]
struct Log<N, R> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    runs: [Run<N, R>; 1],
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<N, R> {
    column_kind: &'static str,
    invocations: [Invocation<N>; 1],
    results: R,
    tool: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<N> {
    execution_successful: bool,
    exit_code: u8,
    tool_execution_notifications: N,
}

/// A list whose values are made when they are written.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator<Item = Value>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

fn results_of<'f>(
    finding: &'f Finding,
    here: Option<&'f Path>,
) -> impl Iterator<Item = Value> + 'f {
    let (judged, open) = match &finding.outcome {
        DocumentOutcome::Image(image) => (Some(of_image(image)), None),
        DocumentOutcome::Undecided(image) => (None, Some(undecided(image))),
        DocumentOutcome::NoImages
        | DocumentOutcome::Skipped(_)
        | DocumentOutcome::Unreadable(_) => (None, None),
    };
    let results = judged.into_iter().flatten().chain(open);
    results.map(move |image| result(finding, &image, here))
}

fn notification_of(finding: &Finding, here: Option<&Path>) -> Option<Value> {
    match &finding.outcome {
        DocumentOutcome::Skipped(why) => {
            Some(notification(finding, "note", &why.to_string(), here))
        }
        DocumentOutcome::Unreadable(why) => Some(notification(finding, "error", why, here)),
        DocumentOutcome::Image(_) | DocumentOutcome::Undecided(_) | DocumentOutcome::NoImages => {
            None
        }
    }
}

/// A result before it is written.
struct ImageResult<'f> {
    rule: &'static str,
    level: &'static str,
    image: &'f str,
    field: &'f str,
    entry: Option<&'f str>,
    message: &'f str,
}

/// None for an image that is allowed and of which there is nothing to say.
fn of_image(image: &ImageFinding) -> impl Iterator<Item = ImageResult<'_>> {
    let (rule, level) = match image.action {
        Action::Deny => (image.rule, "error"),
        Action::Warn => (image.rule, "warning"),
        Action::Audit => (image.rule, "note"),
        Action::Allow => ("expires-soon", "note"),
    };
    let results = [
        (rule, level, image.message.as_deref()),
        ("spelling", "note", image.spelling.as_deref()),
    ];
    results.into_iter().filter_map(|(rule, level, message)| {
        Some(ImageResult {
            rule,
            level,
            image: &image.text,
            field: &image.field,
            entry: image.entry.as_deref(),
            message: message?,
        })
    })
}

fn undecided(image: &UndecidedImage) -> ImageResult<'_> {
    ImageResult {
        rule: UNDECIDED,
        level: "none",
        image: &image.text,
        field: &image.field,
        entry: None,
        message: &image.message,
    }
}

fn result(finding: &Finding, result: &ImageResult<'_>, here: Option<&Path>) -> Value {
    let &ImageResult {
        rule,
        level,
        image,
        field,
        ..
    } = result;
    let index = RULES.iter().position(|(id, _)| *id == rule);
    let uri = uri(&finding.file, here);
    let object = finding.object().unwrap_or_default();
    let fingerprint = fingerprint(&[rule, &uri, &object, field, image]);
    let mut value = json!({
        "ruleId": rule,
        "ruleIndex": index,
        "level": level,
        "message": {"text": format!("{object}: {}", result.message)},
        "locations": [{
            "physicalLocation": location(finding, &uri),
            "logicalLocations": [{
                "fullyQualifiedName": format!("{object}: {field}"),
                "kind": "element",
            }],
        }],
        "partialFingerprints": {"pullpass/v1": fingerprint},
        "properties": Properties {
            entry: result.entry.map(visible),
        },
    });
    // 3.27.9 and 3.27.10: not enough is known, and then there is no level.
    if rule == UNDECIDED
        && let Some(value) = value.as_object_mut()
    {
        value.insert("kind".to_owned(), json!("open"));
    }
    value
}

#[derive(Serialize)]
struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
}

fn notification(finding: &Finding, level: &str, why: &str, here: Option<&Path>) -> Value {
    let object = finding.object().map(|object| format!("{object}: "));
    let object = object.unwrap_or_default();
    json!({
        "level": level,
        "message": {"text": format!("{object}{}", visible(why))},
        "locations": [{"physicalLocation": location(finding, &uri(&finding.file, here))}],
    })
}

fn location(finding: &Finding, uri: &str) -> Value {
    let region = Region {
        start_line: finding.at.line,
        start_column: finding.at.column,
        end_column: finding.at.end_column,
    };
    json!({"artifactLocation": {"uri": uri}, "region": region})
}

/// The file as a URI reference, relative to the working directory where it lies in it:
/// that is the root of the repository for whoever reads the result.
fn uri(file: &str, here: Option<&Path>) -> String {
    let path = Path::new(file);
    let path = here
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path);
    let mut uri = String::new();
    if path.is_absolute() {
        uri.push_str("file://");
    }
    let steps = path.components().filter_map(|step| match step {
        Component::RootDir => Some(""),
        Component::CurDir | Component::Prefix(_) => None,
        Component::ParentDir => Some(".."),
        Component::Normal(name) => name.to_str(),
    });
    for (i, step) in steps.enumerate() {
        if i > 0 {
            uri.push('/');
        }
        for byte in step.bytes() {
            // RFC 3986, 2.3: what is never escaped.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

/// The same for the same finding wherever it moves within its file (FNV-1a, 64 bits:
/// the same in every build, and nobody gains by a collision).
fn fingerprint(parts: &[&str]) -> String {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::{self, Write};

    #[test]
    fn files_are_uris_relative_to_where_the_command_runs() {
        let here = Some(Path::new("/repo"));
        for (file, expected) in [
            ("deploy/web.yaml", "deploy/web.yaml"),
            ("./deploy/web.yaml", "deploy/web.yaml"),
            ("../web.yaml", "../web.yaml"),
            ("/repo/deploy/web.yaml", "deploy/web.yaml"),
            ("/other/web.yaml", "file:///other/web.yaml"),
            ("a b/ä%:#?.yaml", "a%20b/%C3%A4%25%3A%23%3F.yaml"),
            ("-", "-"),
        ] {
            assert_eq!(uri(file, here), expected, "{file}");
        }
    }

    /// Each result is in the output before the next one is made.
    #[test]
    fn results_are_not_gathered() {
        struct Output<'o>(&'o RefCell<Vec<u8>>);
        impl Write for Output<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = RefCell::new(Vec::new());
        let each = Each(|| {
            (0..100_u32).map(|number| {
                if let Some(before) = number.checked_sub(1) {
                    assert!(written.borrow().ends_with(before.to_string().as_bytes()));
                }
                json!(number)
            })
        });
        serde_json::to_writer(Output(&written), &each).unwrap();
        assert!(written.borrow().ends_with(b",99]"));
    }

    #[test]
    fn fingerprints_stay_and_differ() {
        assert_eq!(fingerprint(&[]), "cbf29ce484222325");
        // The published value of FNV-1a for `a`, with the separator behind it.
        assert_eq!(fingerprint(&["a"]), "089be207b544f1e4");
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
