//! What `doctor` prints, for people and for programs.
//!
//! The keys of the JSON are a promise to scripts: docs/doctor.schema.json. Everything that
//! comes from a cluster or a paste has gone through `text.rs`. This module must not print a
//! credential.

use crate::cli::CliError;
use crate::cli::output::{Printer, counted};
use pullpass_core::diagnosis::{self, Finding, Platform, observation::Subject};
use pullpass_core::text::visible;
use serde::Serialize;

/// How many objects and images a line names.
const NAMED: usize = 5;
/// How wide the names of the lines are.
const LABEL: usize = 9;

/// Where the words come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// From stdin or a file.
    Text,
    /// From a cluster.
    Cluster {
        /// How many pods were looked at.
        pods: usize,
    },
}

/// The result of the command.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DoctorReport {
    /// The weightiest first.
    findings: Vec<FindingReport>,
    /// What could not be seen, and what is noteworthy beside the findings.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingReport {
    cause: &'static str,
    title: &'static str,
    also_possible: Vec<&'static str>,
    /// Whether the images have been pulled since.
    recovered: bool,
    images: Vec<String>,
    objects: Vec<ObjectReport>,
    /// How many objects there are; `objects` lists not more than a hundred.
    count: usize,
    host: Option<HostReport>,
    evidence: Vec<String>,
    remedy: RemedyReport,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectReport {
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HostReport {
    name: String,
    role: &'static str,
    address: Option<String>,
    private: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RemedyReport {
    summary: String,
    commands: Vec<String>,
    docs: String,
}

impl DoctorReport {
    pub(super) fn new(findings: Vec<Finding>, platform: Platform, notes: Vec<String>) -> Self {
        let findings = findings
            .into_iter()
            .map(|finding| FindingReport::new(finding, platform))
            .collect();
        Self { findings, notes }
    }

    /// Whether an image is missing still.
    pub(super) fn has_failures(&self) -> bool {
        self.findings.iter().any(|finding| !finding.recovered)
    }

    /// Prints the report for people.
    pub(super) fn tell(&self, place: Place, printer: &mut Printer) -> Result<(), CliError> {
        for (i, finding) in self.findings.iter().enumerate() {
            if i > 0 {
                printer.line("")?;
            }
            finding.tell(printer)?;
        }
        for note in &self.notes {
            printer.line(format_args!("note: {note}"))?;
        }
        if self.findings.is_empty() {
            match place {
                Place::Text => {
                    printer.line("ok: the text says nothing about an image that is not pulled")?;
                }
                Place::Cluster { pods } => {
                    let pods = counted(pods, "pod", "pods");
                    printer.line(format_args!(
                        "ok: {pods} looked at, none waits for an image"
                    ))?;
                }
            }
        }
        Ok(())
    }
}

impl FindingReport {
    fn new(finding: Finding, platform: Platform) -> Self {
        let remedy = diagnosis::remedy(&finding, platform);
        let objects = finding
            .subjects
            .iter()
            .filter(|subject| subject.name.is_some())
            .map(ObjectReport::new)
            .collect();
        Self {
            cause: finding.cause.as_str(),
            title: finding.cause.title(),
            also_possible: finding
                .also_possible
                .iter()
                .map(|one| one.as_str())
                .collect(),
            recovered: finding.has_recovered,
            images: finding
                .images
                .into_iter()
                .map(|one| visible(&one))
                .collect(),
            objects,
            count: finding.count,
            host: finding.host.map(|host| HostReport {
                name: visible(&host.host),
                role: host.role.as_str(),
                address: host.address,
                private: host.is_private,
            }),
            evidence: finding.evidence,
            remedy: RemedyReport {
                summary: remedy.summary,
                commands: remedy.commands,
                docs: remedy.docs,
            },
        }
    }

    fn tell(&self, printer: &mut Printer) -> Result<(), CliError> {
        let recovered = if self.recovered {
            " (the image has been pulled since)"
        } else {
            ""
        };
        printer.line(format_args!("{}: {}{recovered}", self.cause, self.title))?;
        let mut say = |label: &str, words: &str| {
            if words.is_empty() {
                return Ok(());
            }
            printer.line(format_args!("  {label:LABEL$} {words}"))
        };
        let objects: Vec<String> = self.objects.iter().map(ObjectReport::named).collect();
        say("objects", &listed(&objects, self.count))?;
        say("images", &listed(&self.images, self.images.len()))?;
        if let Some(host) = &self.host {
            say("host", &host.told())?;
        }
        for evidence in &self.evidence {
            say("evidence", evidence)?;
        }
        say("or", &self.also_possible.join(", "))?;
        say("do", &self.remedy.summary)?;
        for command in &self.remedy.commands {
            let mark = if command.starts_with('#') { "" } else { "$ " };
            say("", &format!("{mark}{command}"))?;
        }
        say("more", &self.remedy.docs)
    }
}

impl ObjectReport {
    fn new(subject: &Subject) -> Self {
        let safe = |text: &Option<String>| text.as_deref().map(visible);
        Self {
            kind: visible(&subject.kind),
            namespace: safe(&subject.namespace),
            name: safe(&subject.name),
        }
    }

    fn named(&self) -> String {
        let kind = self.kind.to_ascii_lowercase();
        let name = self.name.as_deref().unwrap_or_default();
        match &self.namespace {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }
    }
}

impl HostReport {
    fn told(&self) -> String {
        let mut words = format!("{} ({})", self.name, self.role);
        if let Some(address) = &self.address {
            let kind = match self.private {
                Some(true) => ", a private address",
                Some(false) => ", a public address",
                None => "",
            };
            words.extend([" at ", address, kind]);
        }
        words
    }
}

/// Some names, and how many there are besides.
fn listed(names: &[String], count: usize) -> String {
    let mut words = names
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let more = count.saturating_sub(names.len().min(NAMED));
    if more > 0 && !words.is_empty() {
        words.extend([" and ", &counted(more, "other", "others")]);
    }
    words
}
