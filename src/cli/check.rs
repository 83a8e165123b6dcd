//! `pullpass check`: manifests against the registry map, before they reach a cluster.
//!
//! Asks [`Policy::decide`] about the pod of every document and prints what it and
//! [`pullpass_core::policy::message`] say; it has no opinion of its own, so a pipeline and the
//! webhook cannot differ.

use super::map_args::MapArgs;
use super::output::{self, Printer};
use super::{Failure, Status};
use found::{Found, Image, Object, Outcome, Totals};
use jiff::Timestamp;
use pullpass_core::admission::verdict;
use pullpass_core::manifest::{self, Content, Document};
use pullpass_core::policy::message;
use pullpass_core::policy::{Action, Context, LabelsUnknown, Namespace, Policy, Verdict};
use std::path::PathBuf;

mod files;
mod found;
mod json;
mod junit;
mod sarif;
mod text;

/// Check manifests against the registry map, offline
///
/// Reads YAML and JSON: several documents in a file, Lists, every kind that makes pods. Says of
/// each image that is denied, warned about or recorded where it stands and why, in the webhook's
/// words, and which documents were not looked at. Exits with 1 where something was found, with 2
/// where something could not be read.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Manifests: a file, a directory (its .yaml, .yml and .json files), or - for standard input;
    /// may be given several times
    #[arg(
        long = "filename",
        short,
        value_name = "FILE|DIR|-",
        required = true,
        num_args = 1..
    )]
    filenames: Vec<PathBuf>,
    /// Also the directories inside the directories
    #[arg(long, short = 'R')]
    recursive: bool,
    #[command(flatten)]
    map: MapArgs,
    /// The namespace of documents that name none
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// What exits with 1
    #[arg(long, value_enum, value_name = "ACTION", default_value_t)]
    fail_on: FailOn,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// The weakest action that is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum FailOn {
    /// Images that pods are refused or warned for
    Warn,
    /// Images that pods are refused for
    #[default]
    Deny,
}

impl FailOn {
    fn action(self) -> Action {
        match self {
            Self::Warn => Action::Warn,
            Self::Deny => Action::Deny,
        }
    }
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object a line
    Json,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For test reports: `JUnit` XML
    Junit,
}

/// By what images are judged.
struct Basis<'b> {
    policy: &'b Policy,
    namespace: &'b str,
    now: Timestamp,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Status, Failure> {
    let map = args.map.load()?;
    let basis = Basis {
        policy: &map.policy,
        namespace: &args.namespace,
        now: args.map.now(),
    };
    if map.policy.uses_selectors() {
        output::say(&"note: what has a `namespaceSelector` is left out: labels are not known here");
    }
    let mut found = Vec::new();
    let mut looked = Ok(());
    for file in files::list(&args.filenames, args.recursive)? {
        match files::read(&file) {
            Ok(text) => manifest::read(&text, |document| {
                if looked.is_ok() {
                    looked = basis.look(&file.name, &document, &mut found);
                }
            }),
            Err(why) => found.push(Found::unreadable_file(&file.name, why)),
        }
    }
    looked?;
    let fail_on = args.fail_on.action();
    let totals = Totals::of(&found, fail_on);
    let mut printer = Printer::default();
    match args.output {
        Format::Json => json::print(&found, &totals, &mut printer)?,
        Format::Sarif => sarif::print(&found, &totals, &mut printer)?,
        Format::Junit => junit::print(&found, &totals, fail_on, &mut printer)?,
        Format::Text => text::print(&found, &totals, &mut printer)?,
    }
    printer.finish(totals.status())
}

impl Basis<'_> {
    /// Adds what is to be said about a document.
    fn look(
        &self,
        file: &str,
        document: &Document<'_>,
        found: &mut Vec<Found>,
    ) -> Result<(), LabelsUnknown> {
        let namespace = match document.namespace {
            "" => self.namespace,
            own => own,
        };
        let of_document = |namespace: &str, outcome| Found {
            file: file.to_owned(),
            at: document.at,
            object: (!document.kind.is_empty()).then(|| Object {
                kind: document.kind.to_owned(),
                namespace: namespace.to_owned(),
                name: document.name.to_owned(),
            }),
            outcome,
        };
        let unseen = |outcome| of_document(document.namespace, outcome);
        let workload = match &document.content {
            Content::Workload(workload) => workload,
            Content::Skipped(why) => {
                found.push(unseen(Outcome::Skipped(*why)));
                return Ok(());
            }
            Content::Unreadable(why) => {
                found.push(unseen(Outcome::Unreadable(why.clone())));
                return Ok(());
            }
        };
        let judged_in = Namespace::named(namespace);
        let context = self.policy.context(Some(judged_in), self.now);
        let decision = context.decide(workload.pod.images())?;
        if decision.verdicts.is_empty() {
            found.push(of_document(namespace, Outcome::NoImages));
        }
        found.extend(decision.verdicts.iter().map(|verdict| Found {
            at: workload.place(verdict.field),
            ..of_document(
                namespace,
                Outcome::Image(Box::new(image(&context, verdict))),
            )
        }));
        Ok(())
    }
}

/// A verdict in words, those of the webhook.
fn image(context: &Context<'_, '_>, verdict: &Verdict<'_, '_>) -> Image {
    let judgement = &verdict.judgement;
    let message = match judgement.action {
        Action::Deny => Some(context.denial(&[verdict])),
        Action::Warn | Action::Audit => Some(context.warning(verdict)),
        Action::Allow => judgement
            .expires_soon(context.now)
            .map(|_| context.warning(verdict)),
    };
    let spelling = verdict::mismatched_key(judgement).map(|key| message::spelling(judgement, &key));
    Image {
        text: judgement.image.to_owned(),
        field: verdict.field.to_string(),
        action: judgement.action,
        entry: judgement.rule.name().map(str::to_owned),
        rule: judgement.rule.kind().as_str(),
        secrets: judgement.pull_secrets.to_vec(),
        message,
        spelling,
    }
}
