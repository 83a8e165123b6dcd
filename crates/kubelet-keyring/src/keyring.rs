//! The credentials that the kubelet tries for an image, and their order.
//!
//! This module follows `BasicDockerKeyring` in `pkg/credentialprovider/keyring.go` of
//! Kubernetes. There is one difference: where several keys of one secret have the same
//! location, the kubelet tries them in an order that changes from call to call, and this
//! module tries them in the order of the file. This module must not correct the kubelet:
//! a rule that looks wrong here is the kubelet's rule.

use super::url::shown_key;
use super::url::{ParsedUrl, UrlError};
use super::{Credential, PullSecret, glob};
use image_reference::{DOCKER_HUB, DOCKER_HUB_LEGACY};
use std::fmt;

/// The credentials of all pull secrets of a pod (`BasicDockerKeyring`).
#[derive(Debug)]
pub struct Keyring<'s> {
    // Sorted by location in reverse byte order; equal locations are in the order of the
    // secrets.
    matches: Vec<Match<'s>>,
}

/// A credential that the kubelet tries, and the key it stands under.
pub struct Match<'s> {
    /// The key of the registry, as the secret has it. People write passwords into keys: show
    /// [`shown_key`](crate::shown_key) of it.
    pub key: &'s str,
    /// The location that the kubelet derives from the key: host, port and path, with
    /// escapes decoded.
    pub location: Vec<u8>,
    /// The index of the secret, from 0, in the order given to [`Keyring::from_secrets`].
    pub secret: usize,
    /// The credential that the kubelet sends.
    pub credential: &'s Credential,
}

impl fmt::Debug for Match<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Match")
            .field("key", &shown_key(self.key))
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

impl<'s> Keyring<'s> {
    /// The keyring of a pod that names these secrets, in the order of `imagePullSecrets`
    /// (`BasicDockerKeyring.Add`).
    ///
    /// A key that is not a URL is left out, because the kubelet drops it;
    /// [`PullSecret::warnings`](crate::PullSecret::warnings) reports it.
    pub fn from_secrets(secrets: impl IntoIterator<Item = &'s PullSecret>) -> Self {
        let mut matches = Vec::new();
        for (secret, from) in secrets.into_iter().enumerate() {
            for entry in from.entries() {
                // The kubelet logs and drops a key that is not a URL.
                if let Ok(location) = location_of(entry.key()) {
                    matches.push(Match {
                        key: entry.key(),
                        location,
                        secret,
                        credential: entry.credential(),
                    });
                }
            }
        }
        // The sort is stable, so the order of the secrets stays within one location.
        matches.sort_by(|one, other| other.location.cmp(&one.location));
        Self { matches }
    }

    /// The credentials for an image, in the order in which the kubelet tries them
    /// (`BasicDockerKeyring.Lookup`). Without any, the kubelet pulls anonymously.
    ///
    /// `repository` is the image's full name without tag and digest, as
    /// [`image_reference::Reference::name`] gives it.
    #[must_use]
    pub fn lookup(&self, repository: &str) -> Vec<&Match<'s>> {
        let Ok(image) = SplitUrl::parse(repository.as_bytes()) else {
            return self.hub_credentials(repository);
        };
        let mut found = Vec::new();
        for same in self
            .matches
            .chunk_by(|one, other| one.location == other.location)
        {
            if same
                .first()
                .is_some_and(|found| serves(&found.location, &image))
            {
                found.extend(same);
            }
        }
        if found.is_empty() {
            return self.hub_credentials(repository);
        }
        found
    }

    // The kubelet uses these credentials only where no other key matches.
    fn hub_credentials(&self, repository: &str) -> Vec<&Match<'s>> {
        if !is_on_hub(repository) {
            return Vec::new();
        }
        let matches = self.matches.iter();
        matches
            .filter(|found| found.location == DOCKER_HUB_LEGACY.as_bytes())
            .collect()
    }
}

/// Whether a secret that has only this key serves the image with this full name, which is
/// the `repository` of [`Keyring::lookup`].
#[must_use]
pub fn key_matches(key: &str, repository: &str) -> bool {
    let Ok(location) = location_of(key) else {
        return false;
    };
    let direct =
        SplitUrl::parse(repository.as_bytes()).is_ok_and(|image| serves(&location, &image));
    direct || (location == DOCKER_HUB_LEGACY.as_bytes() && is_on_hub(repository))
}

/// The location that the kubelet derives from a key: host, port and path, without scheme
/// (`BasicDockerKeyring.Add`).
pub(super) fn location_of(key: &str) -> Result<Vec<u8>, UrlError> {
    let rest = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| key.strip_prefix(scheme));
    let ParsedUrl { mut host, path } = ParsedUrl::parse(rest.unwrap_or(key).as_bytes())?;
    // The kubelet removes three bytes, so the slash after the version stays.
    let path = match path.as_slice() {
        [b'/', b'v', b'1' | b'2', rest @ ..] if rest.starts_with(b"/") => rest,
        whole => whole,
    };
    if path != b"/" {
        host.extend_from_slice(path);
    }
    Ok(host)
}

/// A location or an image, split for a comparison (`SplitURL`). The kubelet parses a
/// location as a URL for the second time here, after it has decoded the escapes once.
pub(super) struct SplitUrl {
    /// The host without its port; without brackets where it has a port.
    pub(super) host: Vec<u8>,
    /// The port as written; empty where there is none.
    pub(super) port: Vec<u8>,
    /// The path with its leading slash, or nothing.
    pub(super) path: Vec<u8>,
}

impl SplitUrl {
    pub(super) fn parse(location: &[u8]) -> Result<Self, UrlError> {
        let ParsedUrl { host, path } = ParsedUrl::parse(location)?;
        let split = split_host_port(&host).map(|(host, port)| (host.to_vec(), port.to_vec()));
        let (host, port) = split.unwrap_or((host, Vec::new()));
        Ok(Self { host, port, path })
    }

    /// The parts of the host between dots.
    pub(super) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.host.split(|&byte| byte == b'.')
    }
}

// This is `URLsMatch`.
fn serves(location: &[u8], image: &SplitUrl) -> bool {
    let Ok(key) = SplitUrl::parse(location) else {
        return false;
    };
    key.port == image.port
        && key.labels().count() == image.labels().count()
        && image.path.starts_with(&key.path)
        && key
            .labels()
            .zip(image.labels())
            .all(|(pattern, label)| glob::matches(pattern, label) == Ok(true))
}

/// Go's `net.SplitHostPort`. It returns `None` where that fails, which it does for every
/// host without a port.
fn split_host_port(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = text.iter().rposition(|&byte| byte == b':')?;
    let (host, port) = text.split_at(colon);
    let port = port.get(1..)?;
    let (inside, outside) = if let Some(address) = host.strip_prefix(b"[") {
        // The first closing bracket must stand right before the last colon.
        let (closing, address) = address.split_last()?;
        if *closing != b']' || address.contains(&b']') {
            return None;
        }
        (address, port)
    } else {
        if host.contains(&b':') {
            return None;
        }
        (host, text)
    };
    let brackets = inside.contains(&b'[') || port.contains(&b'[') || outside.contains(&b']');
    (!brackets).then_some((inside, port))
}

// This is `isDefaultRegistryMatch`. It is also true for `localhost`, and for texts that are
// not images.
fn is_on_hub(repository: &str) -> bool {
    match repository.split_once('/') {
        None => !repository.is_empty(),
        Some(("", _)) => false,
        Some((first, _)) => {
            first == DOCKER_HUB || first == DOCKER_HUB_LEGACY || !first.contains(['.', ':'])
        }
    }
}
