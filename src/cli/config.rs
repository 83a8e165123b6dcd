//! `pullpass config`: checks and tests a registry map, and prints its schema.
//!
//! Reads files and prints what [`pullpass_core::map`] says about them.

use super::map_args::MapArgs;
use super::output::{self, Format, Printer};
use super::{CliError, Status};
use crate::state::map_store;
use pullpass_core::map::{self, Case, CheckedMap, Diagnostic, ExpectedEntry};
use pullpass_core::policy::{Labels, LabelsUnknown, Namespace, Policy};
use pullpass_core::text::visible;
use serde::Serialize;
use std::path::PathBuf;

/// Check the registry map, print its schema, run its tests
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a registry map: print every error, with its file, line and column
    ///
    /// Exits with 1 where the map has errors, and with 0 where it has warnings alone.
    Validate {
        /// Which map
        #[command(flatten)]
        source: Source,
        /// The output format
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// Print the JSON Schema of the registry map, for editors
    Schema,
    /// Run the RegistryMapTest documents beside a registry map
    ///
    /// Exits with 1 where the result of a case is not the expected one.
    Test {
        /// Which map, and which time
        #[command(flatten)]
        map: MapArgs,
        /// Files or directories with RegistryMapTest documents, besides those of the map
        #[arg(value_name = "FILE|DIR")]
        tests: Vec<PathBuf>,
        /// The output format
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
}

/// Which map.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// The registry map: a file, or a directory of them
    #[arg(value_name = "FILE|DIR", required_unless_present = "config")]
    path: Option<PathBuf>,
    /// The registry map, where no FILE|DIR is named
    #[arg(long, value_name = "FILE|DIR", env = "PULLPASS_CONFIG")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub fn run(command: Command) -> Result<Status, CliError> {
    match command {
        Command::Validate { source, output } => validate(&source, output),
        Command::Schema => output::write(map::SCHEMA.as_bytes()),
        Command::Test { map, tests, output } => test(&map, &tests, output),
    }
}

fn validate(source: &Source, format: Format) -> Result<Status, CliError> {
    let path = source.path.as_ref().or(source.config.as_ref());
    let path = path.ok_or_else(|| CliError::input("name a registry map"))?;
    let files = map_store::read(path).map_err(CliError::input)?;
    let checked = map::check(&files);
    let is_valid = checked.is_valid();
    let CheckedMap {
        entries,
        diagnostics,
    } = checked;
    let mut printer = Printer::default();
    match format {
        Format::Json => {
            for diagnostic in &diagnostics {
                printer.json(&DiagnosticLine::from(diagnostic))?;
            }
        }
        Format::Text => {
            if !diagnostics.is_empty() {
                printer.line(map::render(&diagnostics, &files, output::stdout_coloured()))?;
            }
            if is_valid {
                printer.line(format_args!(
                    "ok: {} in {}",
                    output::counted(entries, "entry", "entries"),
                    output::counted(files.len(), "file", "files"),
                ))?;
            }
        }
    }
    printer.finish(if is_valid {
        Status::Fine
    } else {
        Status::Findings
    })
}

/// A diagnostic as JSON.
#[derive(Serialize)]
struct DiagnosticLine<'d> {
    severity: &'static str,
    file: &'d str,
    line: usize,
    column: usize,
    path: &'d str,
    message: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'d str>,
}

impl<'d> From<&'d Diagnostic> for DiagnosticLine<'d> {
    fn from(diagnostic: &'d Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity.as_str(),
            file: &diagnostic.file,
            line: diagnostic.line,
            column: diagnostic.column,
            path: &diagnostic.path,
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
        }
    }
}

fn test(map: &MapArgs, more: &[PathBuf], format: Format) -> Result<Status, CliError> {
    let path = map.config.as_ref().ok_or_else(super::map_args::no_map)?;
    let mut files = map_store::read(path).map_err(CliError::input)?;
    let policy = super::map_args::load(&files)?.policy;
    let known: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    for path in more {
        let named = map_store::read(path).map_err(CliError::input)?;
        // A file of the map's own directory may be named again.
        files.extend(named.into_iter().filter(|file| !known.contains(&file.name)));
    }
    let cases = map::tests(&files).map_err(|errors| super::map_args::broken(&errors, &files))?;
    if cases.is_empty() {
        return Err(CliError::input(
            "there is no RegistryMapTest document; write one beside the map, or name its file",
        ));
    }
    let now = map.now();
    let mut printer = Printer::default();
    let mut failed = 0_usize;
    for case in &cases {
        let differences = differences(&policy, case, now)?;
        failed += usize::from(!differences.is_empty());
        match format {
            Format::Json => printer.json(&CaseResult::of(case, &differences))?,
            Format::Text => tell(case, &differences, &mut printer)?,
        }
    }
    if format == Format::Text {
        printer.line(format_args!(
            "{} passed, {failed} failed",
            cases.len() - failed
        ))?;
    }
    printer.finish(if failed == 0 {
        Status::Fine
    } else {
        Status::Findings
    })
}

/// Prints what is not as expected; nothing for a case that passed.
fn tell(case: &Case, differences: &[String], printer: &mut Printer) -> Result<(), CliError> {
    if differences.is_empty() {
        return Ok(());
    }
    printer.line(format_args!(
        "{}: {}",
        visible(&case.location),
        visible(&case.image)
    ))?;
    for difference in differences {
        printer.line(format_args!("  {difference}"))?;
    }
    Ok(())
}

/// A case's result as JSON.
#[derive(Serialize)]
struct CaseResult<'c> {
    location: &'c str,
    image: &'c str,
    passed: bool,
    differences: &'c [String],
}

impl<'c> CaseResult<'c> {
    fn of(case: &'c Case, differences: &'c [String]) -> Self {
        Self {
            location: &case.location,
            image: &case.image,
            passed: differences.is_empty(),
            differences,
        }
    }
}

/// What is not as the case expects. A key that the case leaves out is not compared.
fn differences(
    policy: &Policy,
    case: &Case,
    now: jiff::Timestamp,
) -> Result<Vec<String>, LabelsUnknown> {
    let namespace = case.namespace.as_deref().map(|name| Namespace {
        name,
        labels: case
            .namespace_labels
            .as_ref()
            .map_or(Labels::LeftOut, Labels::Known),
    });
    let judgement = policy
        .context(namespace, case.at.unwrap_or(now))
        .judge(&case.image)?;
    let entry = judgement.rule.name();
    let mut found = Vec::new();
    let expected = match &case.entry {
        ExpectedEntry::Any => entry,
        ExpectedEntry::None => None,
        ExpectedEntry::Named(name) => Some(name.as_str()),
    };
    if expected != entry {
        let shown = |name: Option<&str>| name.map_or("none".to_owned(), visible);
        found.push(format!(
            "entry: expected {}, got {}",
            shown(expected),
            shown(entry)
        ));
    }
    if let Some(expected) = case.action
        && expected != judgement.action
    {
        found.push(format!(
            "action: expected {}, got {}",
            expected.as_str(),
            judgement.action.as_str()
        ));
    }
    if let Some(expected) = &case.secrets
        && expected != judgement.pull_secrets
    {
        let shown = |names: &[String]| format!("[{}]", visible(&names.join(", ")));
        found.push(format!(
            "secrets: expected {}, got {}",
            shown(expected),
            shown(judgement.pull_secrets)
        ));
    }
    Ok(found)
}
