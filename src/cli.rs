//! The command line: which commands there are, what they exit with, and how they print.
//!
//! A command gathers input, calls pure code and prints; it must not decide about images.
//! Results go to stdout, diagnostics to stderr.

use clap::{CommandFactory, Parser, Subcommand};
use pullpass_core::policy::LabelsUnknown;
use pullpass_core::text::{SHOWN, quoted};
use std::fmt::Display;
use std::process::ExitCode;

pub mod certs;
pub mod check;
pub mod cluster_args;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod generate;
pub mod map_args;
pub mod output;
pub mod serve;
pub mod verify;

/// How a command ended. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// 0: done, nothing found.
    Ok = 0,
    /// 1: done, and something was found that should not be.
    Findings = 1,
    /// 2: the command line, a file or the map is wrong.
    Input = 2,
    /// 3: something could not be reached or opened.
    Unreachable = 3,
}

/// Why a command could not do its work, in words that say what happened, where, and what to do
/// next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// The command line, a file or the map is wrong.
    #[error("{0}")]
    Input(String),
    /// Something could not be reached or opened.
    #[error("{0}")]
    Unreachable(String),
    /// The reader of stdout has gone away, so there is nothing left to do.
    #[error("the reader of stdout has gone away")]
    ReaderGone,
}

impl From<LabelsUnknown> for CliError {
    fn from(error: LabelsUnknown) -> Self {
        Self::input(error)
    }
}

impl CliError {
    /// The input is wrong.
    pub fn input(message: impl Display) -> Self {
        Self::Input(message.to_string())
    }

    /// Something could not be reached or opened.
    pub fn unreachable(message: impl Display) -> Self {
        Self::Unreachable(message.to_string())
    }

    /// What the program exits with.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Input(_) => Status::Input,
            Self::Unreachable(_) => Status::Unreachable,
            // As every filter does.
            Self::ReaderGone => Status::Ok,
        }
    }
}

/// Pods get the pass to pull, or a clear word why not.
///
/// An admission webhook for Kubernetes. By one file, the registry map, it adds missing
/// imagePullSecrets to pods, and denies, warns about or records pods whose images come from
/// unknown registries.
#[derive(Debug, Parser)]
#[command(
    name = "pullpass",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Explain(explain::Args),
    Doctor(doctor::Args),
    Verify(verify::Args),
    Check(check::Args),
    #[command(subcommand)]
    Config(config::Command),
    #[command(subcommand)]
    Generate(generate::Command),
    #[command(subcommand)]
    Certs(certs::Command),
    /// Print the completion script of a shell
    ///
    /// For instance: pullpass completion bash > pullpass.bash
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    ///
    /// Without a command, the page of pullpass itself, which names the pages of the commands. For
    /// instance: pullpass man config validate > pullpass-config-validate.1
    Man {
        /// The command whose page is printed
        command: Vec<String>,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    // A usage error exits with 2 by itself, which is what `Status::Input` says.
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            if error != CliError::ReaderGone {
                output::say(&format_args!("error: {error}"));
            }
            ExitCode::from(error.status() as u8)
        }
    }
}

fn dispatch(command: Command) -> Result<Status, CliError> {
    match command {
        Command::Serve(args) => serve::run(*args),
        Command::Explain(args) => explain::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Config(command) => config::run(command),
        Command::Generate(command) => generate::run(&command),
        Command::Certs(command) => certs::run(command),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pullpass", &mut script);
            output::write(&script)
        }
        Command::Man { command } => output::write(&man(&command)?),
    }
}

/// The manual page of a command, which is named by words as on the command line.
fn man(words: &[String]) -> Result<Vec<u8>, CliError> {
    let mut command = Cli::command();
    // It gives each command the name that other pages use, such as `pullpass-serve`.
    command.build();
    for word in words {
        let Some(inner) = command.find_subcommand(word) else {
            let name = words.join(" ");
            return Err(CliError::input(format_args!(
                "pullpass has no command {}; pullpass --help lists the commands",
                quoted(&name, SHOWN)
            )));
        };
        command = inner.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(CliError::unreachable)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Calls `visit` with each command and the words that name it.
    fn each_command(
        words: &mut Vec<String>,
        command: &clap::Command,
        visit: &mut impl FnMut(&[String], &clap::Command),
    ) {
        visit(words, command);
        for inner in command.get_subcommands() {
            words.push(inner.get_name().to_owned());
            each_command(words, inner, visit);
            words.pop();
        }
    }

    #[test]
    fn each_page_that_a_manual_page_names_can_be_printed() {
        let mut count = 0;
        each_command(&mut Vec::new(), &Cli::command(), &mut |words, command| {
            let page = String::from_utf8(man(words).unwrap()).unwrap();
            let page = page.replace("\\-", "-");
            let name = [&["pullpass".to_owned()], words].concat().join("-");
            assert!(page.contains(&format!(".TH {name} 1")), "{name}:\n{page}");
            for inner in command.get_subcommands() {
                count += 1;
                let inner = format!("{name}-{}(1)", inner.get_name());
                assert!(
                    page.contains(&inner),
                    "{name} does not name {inner}:\n{page}"
                );
            }
        });
        assert!(count > 8, "{count}");
        assert_eq!(
            man(&["serve".to_owned(), "x".to_owned()]),
            Err(CliError::input(
                "pullpass has no command \"serve x\"; pullpass --help lists the commands"
            ))
        );
    }

    #[test]
    fn help_is_plain_text_in_the_words_of_the_style_guide() {
        // Words that docs/style.md replaces, as far as they have no other meaning here.
        let replaced = [
            "refused",
            "outranked",
            "ended",
            "traces",
            "forecast",
            "trouble",
            "standard output",
            "standard error",
            "asks again",
        ];
        each_command(&mut Vec::new(), &Cli::command(), &mut |words, command| {
            let help = command.clone().render_long_help().to_string();
            let name = words.join(" ");
            assert!(!help.contains('`'), "{name}: a backtick in\n{help}");
            for word in replaced {
                assert!(!help.contains(word), "{name}: `{word}` in\n{help}");
            }
        });
    }
}
