//! What `verify` prints: a table for people, and the same as JSON.
//!
//! This module must not judge a result.

use super::replicas::ReplicaMap;
use crate::cli::CliError;
use crate::cli::output::Printer;
use jiff::Timestamp;
use pullpass_core::probe::{ProbeKind, ProbeOutcome};
use pullpass_core::text::{cut, visible};
use serde::Serialize;

/// What is printed. The keys are a promise to scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerifyReport {
    pub(super) time: Timestamp,
    pub(super) pullpass: &'static str,
    pub(super) cluster: Identity,
    pub(super) map: Map,
    /// What the replicas said with `--wait`; empty without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) replicas: Vec<ReplicaMap>,
    pub(super) probes: Vec<Row>,
    pub(super) summary: Summary,
}

/// Which cluster it was.
#[derive(Serialize)]
pub(super) struct Identity {
    pub(super) server: String,
    pub(super) context: Option<String>,
    pub(super) version: String,
    /// That of the namespace `kube-system`, which lives as long as the cluster.
    pub(super) uid: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Map {
    pub(super) source: String,
    pub(super) digest: String,
}

#[derive(Serialize)]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) probe: ProbeKind,
    pub(super) image: String,
    pub(super) expected: &'static str,
    pub(super) got: &'static str,
    pub(super) result: ProbeOutcome,
    pub(super) detail: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) as_expected: usize,
    pub(super) findings: usize,
    pub(super) not_tried: usize,
    pub(super) no_proof: usize,
    pub(super) exempt: usize,
    /// Namespaces that are not exempt and in which nothing shows that pullpass is called.
    pub(super) unproven_namespaces: Vec<String>,
}

impl Summary {
    pub(super) fn of<'n>(namespaces: impl Iterator<Item = &'n String>, rows: &[Row]) -> Self {
        let count = |wanted: ProbeOutcome| rows.iter().filter(|row| row.result == wanted).count();
        let shows =
            |row: &&Row| matches!(row.result, ProbeOutcome::AsExpected | ProbeOutcome::Exempt);
        let proven: std::collections::HashSet<&str> = rows
            .iter()
            .filter(shows)
            .map(|row| row.namespace.as_str())
            .collect();
        let unproven = namespaces.filter(|name| !proven.contains(name.as_str()));
        Self {
            as_expected: count(ProbeOutcome::AsExpected),
            findings: count(ProbeOutcome::Finding),
            not_tried: count(ProbeOutcome::NotTried),
            no_proof: count(ProbeOutcome::NoProof),
            exempt: count(ProbeOutcome::Exempt),
            unproven_namespaces: unproven.cloned().collect(),
        }
    }
}

/// How much of an image a table shows, in characters.
const IMAGE: usize = 48;

impl VerifyReport {
    pub(super) fn tell(&self, printer: &mut Printer) -> Result<(), CliError> {
        let Identity {
            server,
            context,
            version,
            uid,
        } = &self.cluster;
        let context = context.as_deref().unwrap_or("none");
        let uid = uid.as_deref().unwrap_or("unknown");
        printer.line(format_args!("time      {}", self.time))?;
        printer.line(format_args!("pullpass  {}", self.pullpass))?;
        printer.line(format_args!(
            "cluster   {server}, Kubernetes {version}, context {context}, uid {uid}"
        ))?;
        printer.line(format_args!(
            "map       {}, {}",
            self.map.source, self.map.digest
        ))?;
        for ReplicaMap { pod, digest } in &self.replicas {
            let has = match digest {
                Some(digest) if *digest == self.map.digest => "has this map in force",
                Some(_) => "has another map in force",
                None => "has no map",
            };
            printer.line(format_args!("replica   {}: {has}", visible(pod)))?;
        }
        printer.line("")?;
        self.table(printer)?;
        printer.line("")?;
        let Summary {
            as_expected,
            findings,
            not_tried,
            no_proof,
            exempt,
            unproven_namespaces: unproven,
        } = &self.summary;
        printer.line(format_args!(
            "findings: {findings}, as expected: {as_expected}, no proof: {no_proof}, \
             not tried: {not_tried}, exempt: {exempt}"
        ))?;
        if !unproven.is_empty() {
            printer.line(format_args!(
                "nothing shows that pullpass is called in: {}",
                unproven.join(", ")
            ))?;
        }
        Ok(())
    }

    fn table(&self, printer: &mut Printer) -> Result<(), CliError> {
        let head = ["NAMESPACE", "PROBE", "IMAGE", "EXPECTED", "GOT", "RESULT"];
        let mut lines = vec![head.map(str::to_owned)];
        for row in &self.probes {
            let image = match row.image.as_str() {
                "" => "-".to_owned(),
                image => cut(visible(image), IMAGE),
            };
            lines.push([
                row.namespace.clone(),
                row.probe.as_str().to_owned(),
                image,
                row.expected.to_owned(),
                row.got.to_owned(),
                row.result.as_str().to_owned(),
            ]);
        }
        let mut widths = [0; 6];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let details = std::iter::once("").chain(self.probes.iter().map(|row| row.detail.as_str()));
        for (line, detail) in lines.iter().zip(details) {
            let cells = line.iter().zip(widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            printer.line(cells.join("  ").trim_end())?;
            if !detail.is_empty() {
                printer.line(format_args!("    {detail}"))?;
            }
        }
        Ok(())
    }
}
