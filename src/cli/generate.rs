//! `pullpass generate`: the registry map as objects for other programs.
//!
//! It reads the map and prints what [`pullpass_core::vap`] makes of it. It must not decide anything.

use super::map_args::MapArgs;
use super::output;
use super::{CliError, Status};
use pullpass_core::vap::{self, TargetVersion, yaml};
use serde_json::json;
use std::fmt::Write as _;

/// Print the registry map as objects that work without the webhook
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the registry map as admission policies that the API server evaluates itself
    ///
    /// Comments above them say what they cannot express; see docs/in-tree.md.
    Policy(Args),
}

/// The flags of `generate policy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The map and the time
    #[command(flatten)]
    map: MapArgs,
    /// The oldest Kubernetes that the policies must work on: 1.30 has verdicts only, 1.36 also adds
    /// pull secrets
    #[arg(
        long = "for",
        value_name = "VERSION",
        default_value = "1.36",
        value_enum
    )]
    target: Version,
    /// The prefix of the names of the objects
    #[arg(long, value_name = "PREFIX", default_value = "pullpass", value_parser = prefix)]
    name: String,
    /// The output format; with json, what cannot be expressed goes to stderr
    #[arg(long, short, value_enum, default_value_t)]
    output: Notation,
    /// Print only what the policies cannot express
    #[arg(long)]
    list_gaps: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Version {
    #[value(name = "1.30")]
    V1_30,
    #[value(name = "1.36")]
    V1_36,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Notation {
    /// Documents, with comments above them
    #[default]
    Yaml,
    /// One List
    Json,
}

fn prefix(text: &str) -> Result<String, String> {
    let is_label = !text.is_empty()
        && text.len() <= 50
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_label {
        Ok(text.to_owned())
    } else {
        Err("write up to 50 lower-case letters, digits and `-` between them".to_owned())
    }
}

/// Runs a command of `generate`.
pub fn run(command: &Command) -> Result<Status, CliError> {
    let Command::Policy(args) = command;
    let policy = args.map.load_or_defaults()?.policy;
    let now = args.map.now();
    let target = match args.target {
        Version::V1_30 => TargetVersion::V1_30,
        Version::V1_36 => TargetVersion::V1_36,
    };
    // A map that the policies cannot hold has no list of gaps either.
    let objects = vap::objects(&policy, now, target, &args.name).map_err(CliError::input)?;
    let gaps = vap::gaps(&policy, now, target);
    if args.list_gaps {
        return output::write(format!("{}\n", gaps.join("\n")).as_bytes());
    }
    let mut text = String::new();
    if args.output == Notation::Json {
        for gap in &gaps {
            output::say(&format_args!("not expressed: {gap}"));
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let _ = writeln!(text, "{list:#}");
    } else {
        text.push_str("# Made by `pullpass generate policy`. What it cannot express:\n");
        for gap in &gaps {
            let _ = writeln!(text, "# - {gap}");
        }
        for object in &objects {
            let _ = write!(text, "---\n{}", yaml::document(object));
        }
    }
    output::write(text.as_bytes())
}
