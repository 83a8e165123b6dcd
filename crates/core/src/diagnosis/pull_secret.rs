//! The proof: which of a pod's real Secrets the kubelet uses for an image, and for each of the
//! others why not.
//!
//! It asks the kubelet's own rules (`kubelet-keyring`) instead of guessing from the words of
//! the registry. A text about a Secret must not contain a part of its credential.

use super::cause::Cause;
use super::finding::ImageFailure;
use super::host::HostRole;
use super::payload;
use crate::secret_manifest::SecretFinding;
use crate::text::{quoted, visible};
use image_reference::Reference;
use jiff::Timestamp;
use kubelet_keyring::{KeyWarning, Keyring, PullSecret, SecretWarning, key_matches, shown_key};

/// How many keys of one Secret are explained.
const KEYS: usize = 4;
/// How much of a key is shown, in characters.
const SHOWN: usize = 120;

/// A Secret that a pod names, as far as it could be seen.
#[derive(Debug)]
pub struct NamedSecret<'s> {
    /// Its name.
    pub name: &'s str,
    /// What is known of it.
    pub state: SecretState<'s>,
}

/// What is known of a Secret.
#[derive(Debug)]
pub enum SecretState<'s> {
    /// It exists, and this is what the kubelet makes of it.
    Seen(&'s SecretFinding),
    /// The namespace has none of this name; these have.
    Missing(&'s [String]),
    /// The user may not read it.
    Hidden,
}

/// The pull secrets of a pod.
#[derive(Debug)]
pub struct PodSecrets<'s> {
    /// Those that the pod names, in its order.
    pub named: Vec<NamedSecret<'s>>,
    /// Those that the pod's ServiceAccount lists and the pod does not have.
    pub shadowed: Vec<NamedSecret<'s>>,
    /// The name of the ServiceAccount.
    pub service_account: &'s str,
}

/// Corrects and completes a failure by what the pod's Secrets hold.
pub fn prove(failure: &mut ImageFailure, secrets: &PodSecrets<'_>, now: Timestamp) {
    for secret in &secrets.named {
        if let SecretState::Seen(SecretFinding::Broken(error)) = &secret.state {
            let told = format!(
                "Secret {}: {}; the kubelet starts no pull for a pod that names it",
                visible(secret.name),
                visible(&error.to_string())
            );
            failure.becomes(Cause::SecretMalformed, told);
            failure.host = None;
            return;
        }
    }
    let image = failure.image.clone().unwrap_or_default();
    let Ok(reference) = Reference::parse(&image) else {
        return;
    };
    let is_about_secrets = failure.cause.is_denial()
        || matches!(failure.cause, Cause::SecretMissing | Cause::RateLimited);
    if !is_about_secrets {
        return;
    }
    let repository = reference.name();
    let read: Vec<&PullSecret> = secrets.named.iter().filter_map(NamedSecret::read).collect();
    let keyring = Keyring::from_secrets(read.iter().copied());
    let tried = keyring.lookup(&repository);
    if tried.is_empty() {
        without_credential(failure, secrets, &reference, &repository);
        return;
    }
    for found in &tried {
        let name = secrets
            .named
            .iter()
            .filter(|secret| secret.read().is_some())
            .nth(found.secret)
            .map_or("", |secret| secret.name);
        let mut told = format!(
            "Secret {}: the kubelet sends its credential of {} for this image",
            visible(name),
            quoted(&shown_key(found.key), SHOWN)
        );
        for hint in payload::hints(found.credential, now) {
            told.push_str("; ");
            told.push_str(&hint);
        }
        failure.show(told);
    }
    with_credential(
        failure,
        tried
            .iter()
            .any(|found| payload::is_expired(found.credential, now)),
    );
}

/// A credential was sent, so the registry's denial is about it.
fn with_credential(failure: &mut ImageFailure, is_expired: bool) {
    if failure.cause == Cause::RateLimited {
        return;
    }
    let is_mirror = failure
        .host
        .as_ref()
        .is_some_and(|host| host.role == HostRole::Mirror);
    if is_mirror {
        failure.show(
            "the host that refuses is not the image's registry: the pod's credential may have \
             replaced the node's own login at a mirror; give the registry an entry without \
             pullSecrets"
                .to_owned(),
        );
    }
    match failure.cause {
        _ if is_expired => failure.turn(Cause::CredentialRejected),
        // The runtime had a credential and says that it had none: the entry is empty.
        Cause::NoCredential if failure.says("basic auth credentials") => {}
        Cause::NoCredential => failure.turn(Cause::CredentialRejected),
        // A token was granted with this credential, and without the right to pull.
        Cause::DeniedOrMissing if failure.says("insufficient_scope") => {
            failure.turn(Cause::NotPermitted);
            failure.also(Cause::NotFound);
        }
        Cause::SecretMissing | Cause::DeniedOrMissing | Cause::CredentialRejected => {
            failure.turn(Cause::CredentialRejected);
        }
        _ => {}
    }
}

/// Nothing was sent: says for each Secret why it does not serve the image.
fn without_credential(
    failure: &mut ImageFailure,
    secrets: &PodSecrets<'_>,
    reference: &Reference<'_>,
    repository: &str,
) {
    let is_hidden = secrets
        .named
        .iter()
        .any(|secret| matches!(secret.state, SecretState::Hidden));
    let is_missing = secrets
        .named
        .iter()
        .any(|secret| matches!(secret.state, SecretState::Missing(_)));
    for secret in &secrets.named {
        failure.show(secret.why_not(reference, repository));
    }
    for secret in &secrets.shadowed {
        let serves = secret.read().is_some_and(|read| {
            let keys = read.entries().iter();
            keys.into_iter()
                .any(|entry| key_matches(entry.key(), repository))
        });
        if serves {
            failure.show(format!(
                "Secret {} of ServiceAccount {} serves this image, but the pod does not have it: \
                 it lists pull secrets of its own, or is older than the list; then a restart helps",
                visible(secret.name),
                visible(secrets.service_account)
            ));
        }
    }
    if secrets.named.is_empty() {
        failure.show("the pod names no pull secret".to_owned());
    }
    if failure.cause == Cause::RateLimited {
        return;
    }
    if is_missing {
        failure.turn(Cause::SecretMissing);
        failure.also(Cause::NoCredential);
    } else if is_hidden {
        failure.also(Cause::NoCredential);
    } else {
        failure.turn(Cause::NoCredential);
    }
}

impl NamedSecret<'_> {
    fn read(&self) -> Option<&PullSecret> {
        match &self.state {
            SecretState::Seen(SecretFinding::Read(secret)) => Some(secret),
            _ => None,
        }
    }

    /// Why the kubelet takes nothing from this Secret for an image.
    fn why_not(&self, reference: &Reference<'_>, repository: &str) -> String {
        let name = visible(self.name);
        match &self.state {
            SecretState::Hidden => {
                format!(
                    "Secret {name}: you have no right to read it, so it is not known whether it serves the image"
                )
            }
            SecretState::Missing([]) => {
                format!("Secret {name}: it does not exist in this namespace")
            }
            SecretState::Missing(others) => format!(
                "Secret {name}: it does not exist in this namespace, but in {}; a Secret serves only the pods of its own",
                others
                    .iter()
                    .map(|one| visible(one))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            SecretState::Seen(finding) => {
                format!(
                    "Secret {name}: {}",
                    why_unused(finding, reference, repository)
                )
            }
        }
    }
}

/// Why the kubelet takes nothing from a Secret that serves no image of a repository.
#[must_use]
pub fn why_unused(finding: &SecretFinding, reference: &Reference<'_>, repository: &str) -> String {
    match finding {
        SecretFinding::Ignored(why) => visible(&why.to_string()),
        SecretFinding::Broken(error) => visible(&error.to_string()),
        SecretFinding::Read(secret) => keys_that_do_not_serve(secret, reference, repository),
    }
}

/// Why no key of a Secret serves an image.
fn keys_that_do_not_serve(
    secret: &PullSecret,
    reference: &Reference<'_>,
    repository: &str,
) -> String {
    if secret.entries().is_empty() {
        let warnings = secret.warnings().iter().map(ToString::to_string);
        let told: Vec<String> = warnings.collect();
        return if told.is_empty() {
            "it has no entry for any registry".to_owned()
        } else {
            visible(&told.join("; "))
        };
    }
    let helper = secret
        .warnings()
        .iter()
        .any(|warning| matches!(warning, SecretWarning::CredentialHelper));
    let mut told: Vec<String> = secret
        .entries()
        .iter()
        .take(KEYS)
        .map(|entry| why_not(entry.key(), reference, repository))
        .collect();
    let more = secret.entries().len().saturating_sub(KEYS);
    if more > 0 {
        told.push(format!("{more} more keys do not serve it either"));
    }
    if helper {
        told.push("its credential helper is never called by the kubelet".to_owned());
    }
    told.join("; ")
}

/// Why a key does not serve an image, in the words of the first difference.
#[must_use]
pub fn why_not(key: &str, reference: &Reference<'_>, repository: &str) -> String {
    let shown_key = shown_key(key);
    let shown = quoted(&shown_key, SHOWN);
    if key_matches(key, repository) {
        return format!("its key {shown} serves the image");
    }
    if let Some(warning) = KeyWarning::of(key) {
        return format!(
            "its key {shown} does not work: {}",
            visible(&warning.to_string())
        );
    }
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (registry, path) = rest.split_once('/').unwrap_or((rest, ""));
    let image = reference.registry();
    let (host, port) = split_port(registry);
    let (image_host, image_port) = split_port(image);
    let reason = if registry == image {
        format!("its path {path:?} is not the beginning of the image's path")
    } else if registry.eq_ignore_ascii_case(image) {
        "upper and lower case differ, and the kubelet compares letter by letter".to_owned()
    } else if host == image_host && port != image_port {
        let said =
            |port: Option<&str>| port.map_or("no port".to_owned(), |port| format!("port {port}"));
        format!(
            "the key has {} and the image has {}, and the kubelet compares ports as text",
            said(port),
            said(image_port)
        )
    } else {
        format!("the image's registry is {}", visible(image))
    };
    format!(
        "its key {shown} does not serve the image: {}",
        visible(&reason)
    )
}

fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (registry, None),
    }
}

impl ImageFailure {
    /// The failure has another cause than its words said.
    fn turn(&mut self, cause: Cause) {
        if self.cause != Cause::NotPermitted && cause == Cause::NoCredential {
            self.also_possible.retain(|one| *one != Cause::NotPermitted);
        }
        if self.cause != cause {
            let words = std::mem::replace(&mut self.cause, cause);
            self.also_possible.retain(|one| *one != cause);
            if words == Cause::NotPermitted || (words != Cause::Unknown && !words.is_denial()) {
                self.also(words);
            }
        }
        // What has been proved is no longer a matter of words.
        self.also_possible.retain(|one| {
            !matches!(
                one,
                Cause::NoCredential | Cause::DeniedOrMissing | Cause::CredentialRejected
            ) || cause == Cause::SecretMissing
        });
    }

    fn becomes(&mut self, cause: Cause, told: String) {
        self.turn(cause);
        if !self.evidence.contains(&told) {
            self.evidence.insert(0, told);
        }
    }

    fn says(&self, words: &str) -> bool {
        self.evidence
            .iter()
            .any(|evidence| evidence.contains(words))
    }
}
