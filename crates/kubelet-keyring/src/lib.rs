//! Pull secrets: what the kubelet gets out of them, and for which images.
//!
//! Matching an image with credentials has one right answer, what the kubelet does
//! (`pkg/credentialprovider` of Kubernetes 1.36), so its code is followed rule by
//! rule: [`PullSecret::parse`] fails where the kubelet fails, and [`Keyring`] tries
//! credentials in its order. Where it ignores something without a word, there is a
//! [`Complaint`]. This is another question than whether the map knows a registry:
//! nothing here folds case or knows two spellings for one host. Pure; it must not
//! read files or ask an API server, and nothing it returns can print a password.

mod complaint;
mod credential;
mod glob;
mod json;
mod keyring;
mod location;
mod payload;

pub use complaint::{Complaint, KeyProblem};
pub use credential::Credential;
pub use json::{JsonKind, SyntaxError};
pub use keyring::{Keyring, Match, key_matches};
pub use location::LocationError;
pub use payload::{Base64Problem, PayloadError, decode_base64};

/// The two types of Secret in which the kubelet looks for credentials; it ignores
/// every other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// `kubernetes.io/dockerconfigjson`: a docker `config.json` with `auths`.
    DockerConfigJson,
    /// `kubernetes.io/dockercfg`: the older file, which is `auths` alone.
    DockerCfg,
}

impl SecretKind {
    /// The kind for a Secret's `type`; `None` for those that the kubelet ignores.
    #[must_use]
    pub fn from_type(text: &str) -> Option<Self> {
        [Self::DockerConfigJson, Self::DockerCfg]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// The Secret's `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerConfigJson => "kubernetes.io/dockerconfigjson",
            Self::DockerCfg => "kubernetes.io/dockercfg",
        }
    }

    /// The key in the Secret's `data` under which the kubelet looks.
    #[must_use]
    pub fn data_key(self) -> &'static str {
        match self {
            Self::DockerConfigJson => ".dockerconfigjson",
            Self::DockerCfg => ".dockercfg",
        }
    }
}

/// A pull secret that the kubelet can read.
#[derive(Debug)]
pub struct PullSecret {
    entries: Vec<Entry>,
    complaints: Vec<Complaint>,
}

/// One registry of a pull secret.
#[derive(Debug)]
pub struct Entry {
    key: String,
    credential: Credential,
}

impl PullSecret {
    /// Reads the bytes under [`SecretKind::data_key`].
    ///
    /// The error is what makes the kubelet give up on the whole pod, good secrets
    /// beside this one included (`secrets.MakeDockerKeyring`). Empty bytes are no
    /// error: the kubelet takes such a secret for absent.
    pub fn parse(kind: SecretKind, payload: &[u8]) -> Result<Self, PayloadError> {
        if payload.is_empty() {
            return Ok(Self {
                entries: Vec::new(),
                complaints: vec![Complaint::Empty],
            });
        }
        let found = payload::parse(kind, payload)?;
        let complaints = complaint::about(kind, &found);
        let entries = found.entries.into_iter().map(|entry| Entry {
            key: entry.key,
            credential: entry.credential,
        });
        Ok(Self {
            entries: entries.collect(),
            complaints,
        })
    }

    /// The registries in the order of the file, a repeated one once.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the kubelet ignores without a word, or takes in a way that surprises.
    #[must_use]
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }
}

impl Entry {
    /// The key under `auths`, as written.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the registry is shown.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
}
