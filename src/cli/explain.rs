//! `pullpass explain`: what the map says about an image, and why.
//!
//! It prints what [`Context::judge`] returns. It must not decide itself, so that it cannot differ
//! from the server.

use super::map_args::MapArgs;
use super::output::{Format, Printer};
use super::{CliError, Status, output};
use image_reference::Reference;
use kubelet_keyring::Keyring;
use pullpass_core::admission::verdict;
use pullpass_core::diagnosis::pull_secret::why_unused;
use pullpass_core::policy::message;
use pullpass_core::policy::{
    Context, Judgement, LabelMap, LabelsUnknown, MissingContext, Namespace, Rule,
};
use pullpass_core::secret_manifest::{self, ManifestSecret, SecretFinding};
use pullpass_core::text::{SHOWN, quoted, visible};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Explain what the registry map says about images
///
/// Prints the parsed reference, the entry that matched and why the others did not, what is
/// done with the image and which pull secrets it gets.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images as a pod names them; - reads one image per line from stdin and prints one JSON
    /// object per line
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    map: MapArgs,
    /// The namespace of the pod; without it, entries that exist in some namespaces only are left
    /// out, and the output says where the answer depends on it
    #[arg(long, short)]
    namespace: Option<String>,
    /// The labels of that namespace, as kubectl get namespace --show-labels prints them; without
    /// them, entries and overrides with a namespaceSelector are left out, and the output says where
    /// the answer depends on them
    #[arg(long, value_name = "KEY=VALUE,...", requires = "namespace")]
    namespace_labels: Option<LabelArg>,
    /// A Secret manifest or a docker config.json, - for stdin: also list its credentials that the
    /// kubelet would try, in its order, or say why there is none. The exit code is 1 if it serves
    /// an image that is named here not at all, or if the kubelet cannot read it
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    /// The output format
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Labels as `kubectl` prints them: `key=value`, separated by commas.
#[derive(Debug, Clone)]
pub(super) struct LabelArg(pub(super) LabelMap);

impl FromStr for LabelArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut labels = LabelMap::new();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let shown = quoted(item, SHOWN);
            let Some((key, value)) = item.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(format!("{shown} is not a label; write key=value"));
            };
            if labels.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("{shown} is the second value of its key; write one"));
            }
        }
        Ok(Self(labels))
    }
}

impl Args {
    fn namespace(&self) -> Option<Namespace<'_>> {
        let name = self.namespace.as_deref()?;
        Some(match &self.namespace_labels {
            Some(LabelArg(labels)) => Namespace::labelled(name, labels),
            None => Namespace::named(name),
        })
    }
}

/// Explains images in one context, with the credentials of one keyring.
struct Explainer<'e> {
    context: Context<'e, 'e>,
    secrets: Option<(&'e Secrets, Keyring<'e>)>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Status, CliError> {
    let is_filter = args.images == ["-"];
    if is_filter && args.secret.as_deref() == Some(Path::new("-")) {
        return Err(CliError::input(
            "the images and --secret cannot both be read from stdin",
        ));
    }
    let loaded = args.map.load_or_defaults()?;
    let secrets = args.secret.as_deref().map(Secrets::of_file).transpose()?;
    let explainer = Explainer {
        context: loaded.policy.context(args.namespace(), args.map.now()),
        secrets: secrets.as_ref().map(|read| (read, read.keyring())),
    };
    let mut printer = Printer::default();
    let mut status = secrets.as_ref().map_or(Status::Ok, Secrets::status);
    if is_filter {
        explainer.answer_lines(&mut io::stdin().lock(), &mut printer)?;
    } else {
        for (i, image) in args.images.iter().enumerate() {
            if explainer.lacks_credential(image)? {
                status = Status::Findings;
            }
            match args.output {
                Format::Json => printer.json(&explainer.answer(image)?)?,
                Format::Text => {
                    if i > 0 {
                        printer.line("")?;
                    }
                    explainer.tell(image, &mut printer)?;
                }
            }
        }
    }
    printer.finish(status)
}

/// The secrets of a file as the kubelet would take them.
struct Secrets {
    /// Each with a name for people.
    found: Vec<(String, SecretFinding)>,
}

impl Secrets {
    /// Reads a file, and prints to stderr what the kubelet ignores or cannot read.
    fn of_file(path: &Path) -> Result<Self, CliError> {
        let is_stdin = path == Path::new("-");
        let at = if is_stdin {
            "stdin".to_owned()
        } else {
            path.display().to_string()
        };
        let bytes = if is_stdin {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            std::fs::read(path)
        };
        let bytes =
            bytes.map_err(|error| CliError::input(format_args!("cannot read {at}: {error}")))?;
        let found = secret_manifest::parse_manifest(&bytes)
            .map_err(|error| CliError::input(format_args!("{at}: {error}")))?;
        let mut secrets = Vec::new();
        for ManifestSecret { name, finding, .. } in found {
            let name = name.map_or_else(|| at.clone(), |name| format!("{at}: {}", visible(&name)));
            let note = |words: &dyn Display| {
                output::say(&format_args!(
                    "note: {name}: {}",
                    visible(&words.to_string())
                ));
            };
            match &finding {
                SecretFinding::Read(secret) => {
                    secret.warnings().iter().for_each(|warning| note(warning));
                }
                SecretFinding::Broken(error) => note(&format_args!(
                    "{error}; the kubelet starts no pull for a pod that names this secret"
                )),
                SecretFinding::Ignored(why) => note(why),
            }
            secrets.push((name, finding));
        }
        Ok(Self { found: secrets })
    }

    /// Whether the kubelet pulls nothing for a pod that names one of them.
    fn is_broken(&self) -> bool {
        let mut found = self.found.iter();
        found.any(|(_, finding)| matches!(finding, SecretFinding::Broken(_)))
    }

    /// The credentials that the kubelet looks through; none if it gives up.
    fn keyring(&self) -> Keyring<'_> {
        let gives_up = self.is_broken();
        Keyring::from_secrets(self.found.iter().filter_map(|(_, finding)| match finding {
            SecretFinding::Read(secret) if !gives_up => Some(secret),
            _ => None,
        }))
    }

    fn status(&self) -> Status {
        if self.is_broken() {
            Status::Findings
        } else {
            Status::Ok
        }
    }
}

/// One line of `explain -` and `-o json`. The keys are a promise to scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained<'e> {
    image: &'e str,
    valid: bool,
    error: Option<String>,
    registry: Option<&'e str>,
    repository: Option<String>,
    tag: Option<&'e str>,
    digest: Option<&'e str>,
    /// The entry's name, the pattern for publicRegistries, null for none.
    entry: Option<&'e str>,
    action: &'static str,
    pull_secrets: &'e [String],
    /// What must be named before the answer is certain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Vec<Tried>>,
    /// Why there is no credential, for each secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why_none: Vec<String>,
}

/// A credential that the kubelet would try, without its password.
#[derive(Serialize)]
struct Tried {
    key: String,
    username: String,
}

impl Explainer<'_> {
    fn answer_lines(
        &self,
        input: &mut impl BufRead,
        printer: &mut Printer,
    ) -> Result<(), CliError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input
                .read_until(b'\n', &mut line)
                .map_err(|error| CliError::input(format_args!("cannot read stdin: {error}")))?;
            if read == 0 {
                return Ok(());
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            // Bytes that are no UTF-8 become U+FFFD, which no reference holds.
            printer.json(&self.answer(&String::from_utf8_lossy(&line))?)?;
        }
    }

    fn answer<'e>(&'e self, image: &'e str) -> Result<Explained<'e>, LabelsUnknown> {
        let judgement = self.context.judge(image)?;
        let reference = judgement.reference.as_ref().ok();
        Ok(Explained {
            image,
            valid: reference.is_some(),
            error: judgement.reference.as_ref().err().map(ToString::to_string),
            registry: reference.map(Reference::registry),
            repository: reference.map(|reference| reference.repository().into_owned()),
            tag: reference.and_then(Reference::tag),
            digest: reference.and_then(Reference::digest),
            entry: judgement.rule.name(),
            action: judgement.action.as_str(),
            pull_secrets: judgement.pull_secrets,
            depends_on: self
                .context
                .missing_for(image)
                .map(MissingContext::as_str)
                .into_iter()
                .collect(),
            credentials: self.credentials(reference),
            why_none: self.why_none(reference),
        })
    }

    fn credentials(&self, reference: Option<&Reference<'_>>) -> Option<Vec<Tried>> {
        let (_, keyring) = self.secrets.as_ref()?;
        let Some(reference) = reference else {
            return Some(Vec::new());
        };
        let found = keyring.lookup(&reference.name());
        Some(
            found
                .into_iter()
                .map(|found| Tried {
                    key: kubelet_keyring::shown_key(found.key).into_owned(),
                    username: found.credential.username().into_owned(),
                })
                .collect(),
        )
    }
}

impl Explainer<'_> {
    /// Whether secrets are named, and none of them serves an image.
    fn lacks_credential(&self, image: &str) -> Result<bool, LabelsUnknown> {
        let judgement = self.context.judge(image)?;
        Ok(!self.why_none(judgement.reference.as_ref().ok()).is_empty())
    }

    /// For each secret why it does not serve an image that none serves.
    fn why_none(&self, reference: Option<&Reference<'_>>) -> Vec<String> {
        let (Some((secrets, keyring)), Some(reference)) = (&self.secrets, reference) else {
            return Vec::new();
        };
        let repository = reference.name();
        if !keyring.lookup(&repository).is_empty() {
            return Vec::new();
        }
        let why = |(name, finding): &(String, SecretFinding)| {
            let why = why_unused(finding, reference, &repository);
            format!("{name}: {why}")
        };
        secrets.found.iter().map(why).collect()
    }
}

/// How wide the names of the lines are.
const LABEL: usize = 13;

impl Explainer<'_> {
    /// The same for people.
    fn tell(&self, image: &str, printer: &mut Printer) -> Result<(), CliError> {
        let judgement = self.context.judge(image)?;
        printer.line(visible(image))?;
        let mut say =
            |label: &str, words: &str| printer.line(format_args!("  {label:LABEL$} {words}"));
        match &judgement.reference {
            Ok(reference) => {
                say("registry", reference.registry())?;
                say("repository", &reference.repository())?;
                if let Some(tag) = reference.tag() {
                    say("tag", tag)?;
                }
                if let Some(digest) = reference.digest() {
                    say("digest", digest)?;
                }
            }
            Err(error) => say("invalid", &error.to_string())?,
        }
        say("entry", &rule(&judgement))?;
        say("action", judgement.action.as_str())?;
        if judgement.reference.is_ok() {
            say("because", &self.context.cause(&judgement))?;
        }
        let secrets = match judgement.pull_secrets {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        say("pull secrets", &secrets)?;
        if let Some(key) = verdict::mismatched_key(&judgement) {
            say("but", &message::spelling(&judgement, &key))?;
        }
        match self.context.missing_for(image) {
            Some(MissingContext::Namespace) => {
                say("depends on", "the namespace; name it with --namespace")?;
            }
            Some(MissingContext::NamespaceLabels) => say(
                "depends on",
                "the labels of the namespace; name them with --namespace-labels",
            )?,
            None => {}
        }
        self.tell_others(image, printer)?;
        self.tell_credentials(&judgement, printer)
    }

    /// Why other rules for the registry did not decide.
    fn tell_others(&self, image: &str, printer: &mut Printer) -> Result<(), CliError> {
        for other in self.context.considered(image) {
            let owner = other.entry.map_or("publicRegistries".to_owned(), |entry| {
                format!("entry {}", quoted(&entry.name, SHOWN))
            });
            let pattern = visible(&other.pattern.text);
            printer.line(format_args!(
                "  {:LABEL$} {pattern} of {owner}: {}",
                "not", other.why_not
            ))?;
        }
        Ok(())
    }

    /// What the kubelet would try, in its order.
    fn tell_credentials(
        &self,
        judgement: &Judgement<'_, '_>,
        printer: &mut Printer,
    ) -> Result<(), CliError> {
        let tried = self.credentials(judgement.reference.as_ref().ok());
        for (i, Tried { key, username }) in tried.iter().flatten().enumerate() {
            let (number, key, user) = (i + 1, visible(key), visible(username));
            printer.line(format_args!(
                "  {:LABEL$} {number}. {key} as {user}",
                "credential"
            ))?;
        }
        for (i, why) in self
            .why_none(judgement.reference.as_ref().ok())
            .iter()
            .enumerate()
        {
            if i == 0 {
                let is_broken = self
                    .secrets
                    .as_ref()
                    .is_some_and(|(secrets, _)| secrets.is_broken());
                let then = if is_broken {
                    "none; the kubelet starts no pull"
                } else {
                    "none; the kubelet pulls without a login"
                };
                printer.line(format_args!("  {:LABEL$} {then}", "credential"))?;
            }
            printer.line(format_args!("  {:LABEL$} {why}", "why none"))?;
        }
        Ok(())
    }
}

/// The rule that decided, with the place where it stands.
fn rule(judgement: &Judgement<'_, '_>) -> String {
    match judgement.rule {
        Rule::Entry(entry, pattern) => format!(
            "{} (pattern {}, {})",
            quoted(&entry.name, SHOWN),
            visible(&pattern.text),
            visible(&entry.location)
        ),
        Rule::Public(pattern) => format!("{} of publicRegistries", visible(&pattern.text)),
        Rule::Unknown | Rule::Invalid | Rule::Exempt => "none".to_owned(),
    }
}
