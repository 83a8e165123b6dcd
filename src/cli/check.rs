//! `pullpass check`: compares manifests with the registry map before they reach a cluster.
//!
//! It asks [`Context::decide`] about the pod of every document and prints what that and
//! [`pullpass_core::policy::message`] say. It must not decide anything itself, so that a
//! pipeline and the webhook cannot differ.

use super::explain::LabelArg;
use super::map_args::MapArgs;
use super::output::Printer;
use super::{CliError, Status};
use finding::{DocumentOutcome, Finding, ImageFinding, ObjectName, Totals, UndecidedImage};
use jiff::Timestamp;
use pullpass_core::admission::verdict;
use pullpass_core::manifest::{self, Content, Document, ManifestSpan, Skip};
use pullpass_core::policy::message;
use pullpass_core::policy::{Action, Context, Field, LabelMap, Labels, Namespace, Policy, Verdict};
use pullpass_core::text::{SHOWN, quoted};
use std::collections::HashMap;
use std::path::PathBuf;

mod files;
mod finding;
mod json;
mod junit;
mod sarif;
mod text;

/// Check manifests against the registry map, offline
///
/// Reads YAML and JSON: several documents in a file, Lists, and every kind that makes pods. For each
/// image that is denied, warned about or recorded it prints the position and the reason, in the
/// webhook's words, and it names the documents that it skips. The exit code is 1 if there are
/// findings, and 2 if something cannot be read, or cannot be decided because labels are not known.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Manifests: a file, a directory (its .yaml, .yml and .json files), or - for stdin; may be
    /// given several times
    #[arg(
        long = "filename",
        short,
        value_name = "PATH",
        required = true,
        num_args = 1..
    )]
    filenames: Vec<PathBuf>,
    /// Also read the directories inside the directories
    #[arg(long, short = 'R')]
    recursive: bool,
    #[command(flatten)]
    map: MapArgs,
    /// The namespace of documents that do not name one
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// The labels of that namespace, as kubectl get namespace --show-labels prints them; those of
    /// other namespaces are taken from Namespace documents among the manifests
    #[arg(long, value_name = "KEY=VALUE,...")]
    namespace_labels: Option<LabelArg>,
    /// The weakest action that fails the check with exit code 1
    #[arg(long, value_enum, value_name = "ACTION", default_value_t)]
    fail_on: FailOn,
    /// The output format
    #[arg(long, short, value_enum, default_value_t)]
    output: CheckFormat,
}

/// The weakest action that is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum FailOn {
    /// Images that the map denies or warns about
    Warn,
    /// Images that the map denies
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
enum CheckFormat {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object per line
    Json,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For test reports: JUnit XML
    Junit,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Status, CliError> {
    let map = args.map.load()?;
    let mut manifests = Manifests {
        namespace: &args.namespace,
        found: Vec::new(),
        labels: HashMap::new(),
    };
    for file in files::list(&args.filenames, args.recursive)? {
        match files::read(&file) {
            Ok(text) => manifest::read(&text, |document| manifests.add(&file.name, &document)),
            Err(why) => manifests.found.push(Finding {
                file: file.name.clone(),
                at: ManifestSpan::beginning(),
                object: None,
                outcome: Reading::Settled(DocumentOutcome::Unreadable(why)),
            }),
        }
    }
    if let Some(LabelArg(labels)) = &args.namespace_labels {
        manifests
            .labels
            .insert(args.namespace.clone(), Some(labels.clone()));
    }
    let fail_on = args.fail_on.action();
    let findings = manifests.judged(&map.policy, args.map.now());
    let totals = Totals::of(&findings, fail_on);
    let mut printer = Printer::default();
    match args.output {
        CheckFormat::Json => json::print(&findings, &totals, &mut printer)?,
        CheckFormat::Sarif => sarif::print(&findings, &totals, &mut printer)?,
        CheckFormat::Junit => junit::print(&findings, &totals, fail_on, &mut printer)?,
        CheckFormat::Text => text::print(&findings, &totals, &mut printer)?,
    }
    printer.finish(totals.status())
}

/// What the files hold, before the map is asked: the labels of a namespace may stand
/// behind the pods that they decide about.
struct Manifests<'m> {
    /// That of documents which name none.
    namespace: &'m str,
    found: Vec<Finding<Reading>>,
    /// The labels of the namespaces; `None` where two documents contradict each other.
    labels: HashMap<String, Option<LabelMap>>,
}

/// What was read at a place.
enum Reading {
    /// An image.
    Image { field: Field, text: String },
    /// Something of which the map has nothing to say.
    Settled(DocumentOutcome),
}

impl Manifests<'_> {
    /// Adds what is to be said about a document.
    fn add(&mut self, file: &str, document: &Document<'_>) {
        let of_document = |namespace: &str, outcome| Finding {
            file: file.to_owned(),
            at: document.at,
            object: (!document.kind.is_empty()).then(|| ObjectName {
                kind: document.kind.to_owned(),
                namespace: namespace.to_owned(),
                name: document.name.to_owned(),
            }),
            outcome,
        };
        let settled = |outcome| of_document(document.namespace, Reading::Settled(outcome));
        let workload = match &document.content {
            Content::Workload(workload) => workload,
            Content::Namespace(labels) => {
                self.add_labels(document.name, labels);
                self.found
                    .push(settled(DocumentOutcome::Skipped(Skip::NoPods)));
                return;
            }
            Content::Skipped(why) => {
                self.found.push(settled(DocumentOutcome::Skipped(*why)));
                return;
            }
            Content::Unreadable(why) => {
                self.found
                    .push(settled(DocumentOutcome::Unreadable(why.clone())));
                return;
            }
        };
        let namespace = match document.namespace {
            "" => self.namespace,
            own => own,
        };
        let before = self.found.len();
        let images = workload.pod.images().map(|(field, text)| Finding {
            at: workload.place(field),
            ..of_document(
                namespace,
                Reading::Image {
                    field,
                    text: text.to_owned(),
                },
            )
        });
        self.found.extend(images);
        if self.found.len() == before {
            let nothing = Reading::Settled(DocumentOutcome::NoImages);
            self.found.push(of_document(namespace, nothing));
        }
    }

    /// Adds the labels of a Namespace document to those of others, because `kubectl apply`
    /// keeps the labels that a document does not name.
    fn add_labels(&mut self, namespace: &str, labels: &LabelMap) {
        let known = self.labels.entry(namespace.to_owned());
        let known = known.or_insert_with(|| Some(LabelMap::new()));
        let contradicts = |all: &LabelMap| {
            let mut labels = labels.iter();
            labels.any(|(key, value)| all.get(key).is_some_and(|other| other != value))
        };
        match known {
            Some(all) if !contradicts(all) => {
                all.extend(
                    labels
                        .iter()
                        .map(|(key, value)| (key.clone(), value.clone())),
                );
            }
            known => *known = None,
        }
    }

    /// Asks the map about every image.
    fn judged(self, policy: &Policy, now: Timestamp) -> Vec<Finding> {
        let Self {
            namespace,
            found,
            labels,
        } = self;
        let judge = |object: Option<&ObjectName>, field, text: &str| {
            let name = object.map_or(namespace, |object| &object.namespace);
            let known = labels.get(name).and_then(Option::as_ref);
            let known = known.map_or(Labels::Unknown, Labels::Known);
            let judged_in = Namespace {
                name,
                labels: known,
            };
            let context = policy.context(Some(judged_in), now);
            let decided = context.decide([(field, text)].into_iter());
            match decided.as_ref().map(|decision| decision.verdicts.first()) {
                Ok(Some(verdict)) => DocumentOutcome::Image(Box::new(image(&context, verdict))),
                Ok(None) => DocumentOutcome::NoImages,
                Err(_) => DocumentOutcome::Undecided(UndecidedImage {
                    text: text.to_owned(),
                    field: field.to_string(),
                    message: undecided(field, text, name, name == namespace),
                }),
            }
        };
        let findings = found.into_iter().map(
            |Finding {
                 file,
                 at,
                 object,
                 outcome,
             }| {
                let outcome = match outcome {
                    Reading::Settled(outcome) => outcome,
                    Reading::Image { field, text } => judge(object.as_ref(), field, &text),
                };
                Finding {
                    file,
                    at,
                    object,
                    outcome,
                }
            },
        );
        findings.collect()
    }
}

/// Why an image has no verdict, and what to do.
fn undecided(field: Field, image: &str, namespace: &str, is_named: bool) -> String {
    let flag = if is_named {
        ", or give them with --namespace-labels"
    } else {
        ""
    };
    format!(
        "image {} ({field}) depends on labels of namespace {}, which are not known; check its \
         Namespace too{flag}",
        quoted(image, SHOWN),
        quoted(namespace, SHOWN),
    )
}

/// A verdict in words, those of the webhook.
fn image(context: &Context<'_, '_>, verdict: &Verdict<'_, '_>) -> ImageFinding {
    let judgement = &verdict.judgement;
    let message = match judgement.action {
        Action::Deny => Some(context.denial(&[verdict])),
        Action::Warn | Action::Audit => Some(context.warning(verdict)),
        Action::Allow => judgement.is_warned().then(|| context.warning(verdict)),
    };
    let spelling = verdict::mismatched_key(judgement).map(|key| message::spelling(judgement, &key));
    ImageFinding {
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
