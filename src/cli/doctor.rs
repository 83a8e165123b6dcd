//! `pullpass doctor`: why images are not pulled, and what to do.
//!
//! It gathers words, from stdin, from files or from a cluster, and prints what
//! [`pullpass_core::diagnosis`] makes of them. It must not change anything, contact a registry,
//! or have an opinion of its own about a failure.

use super::cluster_args::{self, ConnectionArgs};
use super::output::{self, Format, Printer};
use super::{CliError, Status};
use crate::kube::dry_run::DryRunClient;
use pullpass_core::diagnosis::{self, Cause, Platform, paste};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod cluster;
mod report;
mod secrets;
mod target;

use cluster::{Examined, Scope};
use report::{DoctorReport, Place};
use target::Target;

/// How much pasted text is read, in bytes: more than a terminal keeps, and little enough to
/// hold in memory.
const INPUT: u64 = 8 * 1024 * 1024;

/// How long `--wait` lets pass between two looks.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a cause has to stand before `--wait` believes it: longer than the kubelet's first
/// back-off.
const BELIEVED: Duration = Duration::from_secs(12);

/// Say why images are not pulled, and what to do
///
/// Looks at pods that wait for an image, at their events, Secrets and nodes, finds the cause of
/// each failure and prints its evidence and a remedy. It only reads. With -, it reads what
/// people paste instead: kubectl describe, events, log lines, pods and events as JSON or YAML.
/// The exit code is 1 if there is a failure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pods, or workloads such as deploy/NAME; none for all pods of the namespace; - reads text
    /// from stdin
    #[arg(value_name = "POD|KIND/NAME|-")]
    targets: Vec<String>,
    /// A file with pasted text, instead of stdin; may be repeated
    #[arg(
        long = "file",
        short = 'f',
        value_name = "FILE",
        conflicts_with = "targets"
    )]
    files: Vec<PathBuf>,
    #[command(flatten)]
    cluster: ConnectionArgs,
    /// The namespace; the default is that of the kubeconfig
    #[arg(long, short, value_name = "NAME", value_parser = cluster_args::namespace)]
    namespace: Option<String>,
    /// All namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "targets"])]
    all_namespaces: bool,
    /// Wait until all pods have their images, or a cause has stood for some seconds
    #[arg(long, conflicts_with = "files")]
    wait: bool,
    /// How long to wait, such as 90s or 5m
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "wait", value_parser = duration)]
    timeout: Duration,
    /// The output format
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Status, CliError> {
    if args.targets.iter().any(|target| target == "-") || !args.files.is_empty() {
        return args.read_text();
    }
    let targets = args.targets.iter().map(|target| target.parse::<Target>());
    let targets = targets
        .collect::<Result<Vec<_>, _>>()
        .map_err(CliError::input)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::unreachable)?
        .block_on(args.look(targets))
}

impl Args {
    fn read_text(&self) -> Result<Status, CliError> {
        if self.targets.len() > 1 || self.wait {
            return Err(CliError::input(
                "- stands alone: it reads text instead of a cluster",
            ));
        }
        let mut observations = Vec::new();
        if self.files.is_empty() {
            let text = read("stdin", &mut io::stdin().lock())?;
            observations.extend(paste::observations(&text));
        }
        for path in &self.files {
            observations.extend(paste::observations(&read_file(path)?));
        }
        let findings = diagnosis::group(diagnosis::failures(&observations));
        let report = DoctorReport::new(findings, Platform::default(), Vec::new());
        print(&report, self.output, Place::Text)
    }

    async fn look(&self, targets: Vec<Target>) -> Result<Status, CliError> {
        let api = self.cluster.connect().await?;
        let own = || Some(api.default_namespace().to_owned());
        let namespace = if self.all_namespaces {
            None
        } else {
            self.namespace.clone().or_else(own)
        };
        let scope = Scope { namespace, targets };
        let (examined, timed_out) = if self.wait {
            self.wait_for(&api, &scope).await?
        } else {
            (cluster::examine(&api, &scope).await?, false)
        };
        let pods = examined.pods;
        let mut notes = examined.notes;
        if timed_out {
            notes.push("the time is over, and not all pods have their images".to_owned());
        }
        let findings = diagnosis::group(examined.failures);
        let report = DoctorReport::new(findings, examined.platform, notes);
        let status = print(&report, self.output, Place::Cluster { pods })?;
        Ok(if timed_out { Status::Findings } else { status })
    }

    /// Looks again and again: until all is there, a cause has stood for some time, or the time
    /// is over.
    async fn wait_for(
        &self,
        api: &DryRunClient,
        scope: &Scope,
    ) -> Result<(Examined, bool), CliError> {
        let start = Instant::now();
        let mut seen: BTreeMap<Cause, Instant> = BTreeMap::new();
        loop {
            let examined = cluster::examine(api, scope).await?;
            if examined.failures.is_empty() && examined.is_complete {
                return Ok((examined, false));
            }
            let now = Instant::now();
            // What passes by itself is no reason to give up.
            let causes: BTreeSet<Cause> = examined.failures.iter().map(|one| one.cause).collect();
            seen.retain(|cause, _| causes.contains(cause));
            for cause in causes {
                if cause.is_passing() || cause == Cause::Unknown {
                    continue;
                }
                seen.entry(cause).or_insert(now);
            }
            if seen
                .values()
                .any(|first| now.duration_since(*first) >= BELIEVED)
            {
                return Ok((examined, false));
            }
            if start.elapsed() + PAUSE > self.timeout {
                return Ok((examined, true));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// `90s`, `5m`, `1h`, or seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 90s, 5m or 1h".to_owned();
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.get(number.len()..).unwrap_or_default()),
        None => (text, "s"),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "h" => number.checked_mul(3_600),
        "m" => number.checked_mul(60),
        _ => Some(number),
    };
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

fn print(report: &DoctorReport, format: Format, place: Place) -> Result<Status, CliError> {
    let mut printer = Printer::default();
    match format {
        Format::Json => printer.json(report)?,
        Format::Text => report.tell(place, &mut printer)?,
    }
    printer.finish(if report.has_failures() {
        Status::Findings
    } else {
        Status::Ok
    })
}

fn read_file(path: &Path) -> Result<String, CliError> {
    let name = path.display().to_string();
    let mut file = File::open(path)
        .map_err(|error| CliError::input(format_args!("cannot read {name}: {error}")))?;
    read(&name, &mut file)
}

/// Reads a text in whatever encoding it was saved, up to the limit.
fn read(name: &str, input: &mut impl Read) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    input
        .take(INPUT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::input(format_args!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > INPUT {
        bytes.truncate(usize::try_from(INPUT).unwrap_or(usize::MAX));
        output::say(&format_args!(
            "note: only the first {} MiB of {name} are read; cut out what matters",
            INPUT / (1024 * 1024)
        ));
    }
    // What a shell of Windows saves.
    if let Some(rest) = bytes.strip_prefix(&[0xff, 0xfe]) {
        let pairs = rest.chunks_exact(2);
        let units: Vec<u16> = pairs
            .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)))
            .collect();
        return Ok(String::from_utf16_lossy(&units));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
