//! `pullpass doctor`: why images are not pulled, and what to do.
//!
//! It gathers words, from stdin, from files or from a cluster, and prints what
//! [`pullpass_core::diagnosis`] makes of them. It changes nothing, contacts no registry and
//! has no opinion of its own about a failure.

use super::output::{self, Format, Printer};
use super::{CliError, Status};
use pullpass_core::diagnosis::{self, Platform, paste};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

mod report;

use report::{DoctorReport, Place};

/// How much pasted text is read, in bytes: more than a terminal keeps, and little enough to
/// hold in memory.
const INPUT: u64 = 8 * 1024 * 1024;

/// Say why images are not pulled, and what to do
///
/// Reads what people paste (kubectl describe, events, log lines, pods and events as JSON or
/// YAML), finds the cause of each failure and prints its evidence and a remedy. The exit code
/// is 1 if there is a failure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// - reads text from stdin
    #[arg(value_name = "-", value_parser = ["-"], required_unless_present = "files")]
    stdin: Option<String>,
    /// A file with such text, instead of stdin; may be repeated
    #[arg(
        long = "file",
        short = 'f',
        value_name = "FILE",
        conflicts_with = "stdin"
    )]
    files: Vec<PathBuf>,
    /// The output format
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Status, CliError> {
    let mut observations = Vec::new();
    if args.files.is_empty() {
        let text = read("stdin", &mut io::stdin().lock())?;
        observations.extend(paste::observations(&text));
    }
    for path in &args.files {
        observations.extend(paste::observations(&read_file(path)?));
    }
    let findings = diagnosis::group(diagnosis::failures(&observations));
    let report = DoctorReport::new(findings, Platform::default(), Vec::new());
    print(&report, args.output, Place::Text)
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
        Status::Fine
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
