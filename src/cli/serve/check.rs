//! The flags of `--check`, and what it prints. This module must not check anything itself;
//! [`crate::serve::check`] does.

use crate::cli::output::{Printer, counted};
use crate::cli::{CliError, Status};
use crate::serve::Config;
use crate::serve::check::{self, ServiceName, Surroundings};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Check")]
pub(super) struct CheckArgs {
    /// Check whether this could serve, and exit: with 0 if it could, and with 1 after printing
    /// everything that is in the way
    #[arg(long)]
    check: bool,
    /// What stands behind a path, for the messages of --check, such as
    /// /etc/pullpass/map=the ConfigMap map; may be repeated
    #[arg(long = "check-name", value_name = "PATH=WORDS", requires = "check", value_parser = path_name)]
    path_names: Vec<(PathBuf, String)>,
    /// The certificate files below this path may be missing: somebody creates them after the
    /// installation
    #[arg(long = "check-awaits", value_name = "PATH", requires = "check")]
    awaited: Vec<PathBuf>,
    /// The Service that the API server connects to. The certificate must be valid for it, and
    /// no other installation may judge pods in its namespace
    #[arg(long = "check-service", value_name = "NAME.NAMESPACE", requires = "check", value_parser = service_name)]
    service: Option<ServiceName>,
    /// The CAs that the API server trusts: one of them must have issued the certificate
    #[arg(
        long = "check-ca",
        value_name = "PEM",
        requires = "check",
        allow_hyphen_values = true
    )]
    authorities: Option<String>,
}

fn path_name(text: &str) -> Result<(PathBuf, String), String> {
    let (path, words) = text
        .split_once('=')
        .ok_or("write a path, an equals sign, and words")?;
    Ok((path.into(), words.to_owned()))
}

fn service_name(text: &str) -> Result<ServiceName, String> {
    match text.split_once('.') {
        Some((name, namespace)) if !name.is_empty() && !namespace.is_empty() => Ok(ServiceName {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        }),
        _ => Err("write the name of the Service, a dot, and its namespace".to_owned()),
    }
}

impl CheckArgs {
    pub(super) fn is_wanted(&self) -> bool {
        self.check
    }

    /// Checks, and prints what is in the way.
    pub(super) async fn run(self, config: Config) -> Result<Status, CliError> {
        let surroundings = Surroundings {
            path_names: self.path_names,
            awaited: self.awaited,
            service: self.service,
            authorities: self.authorities,
        };
        let report = check::run(config, &surroundings).await;
        let mut printer = Printer::default();
        for note in &report.notes {
            printer.line(format_args!("note: {note}"))?;
        }
        for problem in &report.problems {
            printer.line(format_args!("error: {problem}"))?;
        }
        if report.problems.is_empty() {
            printer.line("ok: this can serve")?;
            return printer.finish(Status::Ok);
        }
        printer.line(format_args!(
            "this cannot serve: {}",
            counted(report.problems.len(), "error", "errors")
        ))?;
        printer.finish(Status::Findings)
    }
}
