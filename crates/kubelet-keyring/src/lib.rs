//! The credentials of pull secrets that the kubelet tries for an image, and their order.
//!
#![doc = include_str!("../README.md")]

mod credential;
mod glob;
mod json;
mod keyring;
mod payload;
mod url;
mod warning;

pub use credential::Credential;
pub use json::{JsonError, JsonKind};
pub use keyring::{Keyring, Match, key_matches};
pub use payload::{Base64Error, PayloadError, decode_base64};
pub use url::{UrlError, shown_key};

use std::fmt;
pub use warning::{KeyWarning, SecretWarning};

/// The types of Secret that the kubelet reads credentials from. It ignores every other type
/// (`secretsToTrackedDockerConfigs` in `pkg/credentialprovider/secrets/secrets.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// `kubernetes.io/dockerconfigjson`: the content is a docker `config.json` with `auths`.
    DockerConfigJson,
    /// `kubernetes.io/dockercfg`: the content is the older file, which is `auths` alone.
    DockerCfg,
}

impl SecretKind {
    /// The kind for the `type` of a Secret; `None` for a type that the kubelet ignores.
    #[must_use]
    pub fn from_type(text: &str) -> Option<Self> {
        [Self::DockerConfigJson, Self::DockerCfg]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// The `type` of the Secret.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerConfigJson => "kubernetes.io/dockerconfigjson",
            Self::DockerCfg => "kubernetes.io/dockercfg",
        }
    }

    /// The key in the `data` of the Secret that the kubelet reads.
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
    entries: Vec<SecretEntry>,
    warnings: Vec<SecretWarning>,
}

/// One registry of a pull secret, with its credential.
pub struct SecretEntry {
    key: String,
    credential: Credential,
}

impl fmt::Debug for SecretEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretEntry")
            .field("key", &shown_key(&self.key))
            .finish_non_exhaustive()
    }
}

impl PullSecret {
    /// Reads the bytes under [`SecretKind::data_key`]. Empty bytes are not an error, because
    /// the kubelet treats such a secret as absent.
    ///
    /// # Errors
    ///
    /// The kubelet cannot read the secret. It then starts no pull for a pod that names the
    /// secret, even where other secrets of the pod are valid (`MakeDockerKeyring` in
    /// `pkg/credentialprovider/secrets/secrets.go`).
    pub fn parse(kind: SecretKind, payload: &[u8]) -> Result<Self, PayloadError> {
        if payload.is_empty() {
            return Ok(Self {
                entries: Vec::new(),
                warnings: vec![SecretWarning::Empty],
            });
        }
        let payload = payload::parse(kind, payload)?;
        let warnings = warning::of_payload(kind, &payload);
        let entries = payload.entries.into_iter().map(|entry| SecretEntry {
            key: entry.key,
            credential: entry.credential,
        });
        Ok(Self {
            entries: entries.collect(),
            warnings,
        })
    }

    /// The registries in the order of the file. A repeated key is listed once.
    #[must_use]
    pub fn entries(&self) -> &[SecretEntry] {
        &self.entries
    }

    /// What the kubelet silently ignores, or reads in a way that surprises.
    #[must_use]
    pub fn warnings(&self) -> &[SecretWarning] {
        &self.warnings
    }
}

impl SecretEntry {
    /// The key under `auths` as written. People write passwords into keys: show [`shown_key`]
    /// of it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The credential that the kubelet sends to the registry.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
}
