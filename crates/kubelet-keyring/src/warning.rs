//! Warnings about what the kubelet silently ignores in a pull secret.
//!
//! Each warning says what happens and what to write instead. This module must not decide
//! which key matches, which [`super::keyring`] does; a warning never changes an answer.
//! Messages quote and escape keys, because keys are untrusted.

use super::SecretKind;
use super::keyring::{SplitUrl, location_of};
use super::payload::{PayloadEntry, SecretPayload};
use super::url::UrlError;
use super::url::shown_key;
use image_reference::{DOCKER_HUB, DOCKER_HUB_LEGACY};
use std::collections::HashMap;

/// Something in a pull secret that the kubelet accepts and that probably does not do what
/// its author wants.
///
/// `Display` says what happens and what to write instead. It contains keys, quoted and
/// escaped, and never a user or a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretWarning {
    /// The payload has no bytes.
    #[error("the Secret is empty, so the kubelet treats it as absent; put credentials into it")]
    Empty,
    /// The docker config has no `auths`.
    #[error("the Secret has no `auths`, so it holds no credentials; write {{\"auths\": {{…}}}}")]
    NoAuths,
    /// Registries stand at the top level under `.dockerconfigjson`.
    #[error(
        "the registries are outside `auths`, so the kubelet ignores them; put them into \
         `auths`, or change the type of the Secret to kubernetes.io/dockercfg"
    )]
    NotInAuths,
    /// `auths` stands under `.dockercfg`.
    #[error(
        "the kubelet takes `auths` for the name of a registry in a Secret of type \
         kubernetes.io/dockercfg; change the type to kubernetes.io/dockerconfigjson"
    )]
    AuthsAsRegistry,
    /// The payload has `credsStore` or `credHelpers`.
    #[error(
        "the Secret names a credential helper, which the kubelet never calls; log in with a \
         token and keep the token in `auths`"
    )]
    CredentialHelper,
    /// The same key is written twice.
    #[error("{key:?} is written more than once, and only the last one counts; remove the others")]
    Repeated {
        /// The key.
        key: String,
    },
    /// Two keys have the same location.
    #[error(
        "{key:?} and {other:?} mean the same registry, and the kubelet tries them in an \
         order that changes; keep one of them"
    )]
    SameRegistry {
        /// The later key.
        key: String,
        /// The earlier key.
        other: String,
    },
    /// `index.docker.io` stands beside `docker.io`.
    #[error(
        "{other:?} shadows {key:?}, because the kubelet tries that key only for images that no \
         other key serves; keep one of them"
    )]
    Shadowed {
        /// The key that the kubelet does not use.
        key: String,
        /// The key that the kubelet uses instead.
        other: String,
    },
    /// The entry is `{}` or `null`.
    #[error(
        "{key:?} has no credentials, and the kubelet uses it nevertheless: it pulls with an \
         empty user and password and never anonymously; fill it in or remove it"
    )]
    EmptyEntry {
        /// The key.
        key: String,
    },
    /// The entry has only `identitytoken` or `registrytoken`.
    #[error(
        "{key:?} has a token that the kubelet ignores, so the kubelet pulls with an empty \
         user and password; write `username` and `password`, or `auth`"
    )]
    TokenOnly {
        /// The key.
        key: String,
    },
    /// The entry has a user without a password, or a password without a user.
    #[error("{key:?} has only a user or only a password; write both")]
    Half {
        /// The key.
        key: String,
    },
    /// `auth` differs from the fields beside it.
    #[error(
        "{key:?} has an `auth` that differs from its `username` or `password`, and only `auth` \
         counts; remove the wrong one"
    )]
    Overridden {
        /// The key.
        key: String,
    },
    /// The user or the password is not UTF-8.
    #[error(
        "the user or password of {key:?} is not UTF-8, so the container runtime does not get \
         it unchanged; encode `auth` from UTF-8 text"
    )]
    NotUtf8 {
        /// The key.
        key: String,
    },
    /// A key serves no image, or not the images that it seems to be for.
    #[error("{key:?}: {warning}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with the key.
        warning: KeyWarning,
    },
}

/// The reason for which a key under `auths` does not serve the images it seems to be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeyWarning {
    /// The key is not a URL for Go, so the kubelet drops it.
    #[error(
        "the kubelet drops this key, because {0}; write the registry as it stands in the image"
    )]
    NotUrl(UrlError),
    /// Another scheme stands before the host: `HTTPS://`, `docker://`, `oci://`.
    #[error(
        "only `https://` and `http://`, in lower case, may stand before the host; leave the \
         scheme out"
    )]
    Scheme,
    /// No host stands before the first slash.
    #[error("it names no host, so it serves no image; write the registry")]
    NoHost,
    /// The host contains characters that no image can have.
    #[error("no image has such a host; write the registry as it stands in the image")]
    Host,
    /// The host is a plain name such as `myregistry`, which an image cannot name.
    #[error(
        "no image has a host without a dot or a port, except localhost (such a name is a \
         path on Docker Hub); write the registry as it stands in the image"
    )]
    PlainHost,
    /// The host is an IPv6 address without a port.
    #[error(
        "the kubelet takes the brackets for a character class, so the address serves no image; \
         only an address with a port works"
    )]
    AddressWithoutPort,
    /// The host is another name of Docker Hub, such as `registry-1.docker.io`.
    #[error(
        "the kubelet looks up images on Docker Hub as docker.io; write docker.io or \
         https://index.docker.io/v1/"
    )]
    DockerHub,
    /// The path is `/v1` or `/v2` without a slash at the end.
    #[error(
        "the kubelet ignores `/v1` and `/v2` only where a slash follows; remove the version or \
         add the slash"
    )]
    Version,
    /// The path contains a `*`.
    #[error("`*` is a wildcard only in the host, and a path is a prefix; remove the `*`")]
    PathGlob,
    /// The path contains a tag or a digest.
    #[error("a tag or digest never matches; leave it out")]
    Tag,
    /// The path contains an upper-case letter.
    #[error("no repository has upper-case letters; write the path as it stands in the image")]
    UpperCase,
    /// No repository begins with the path, for another reason.
    #[error("no repository begins with such a path; write the path as it stands in the image")]
    Path,
    /// The key contains a `?` or a `#`.
    #[error(
        "the kubelet ignores everything from `?` or `#` on, and `?` is not a wildcard there; \
         remove it"
    )]
    QueryOrFragment,
}

impl KeyWarning {
    /// The warning about a key; `None` where the key serves the images it seems to be for.
    #[must_use]
    pub fn of(key: &str) -> Option<Self> {
        // The kubelet parses a key as a URL when it adds the key, and again when it looks up
        // an image. The second parse can fail where the first does not.
        let split = match location_of(key).and_then(|location| SplitUrl::parse(&location)) {
            Ok(split) => split,
            Err(error) => return Some(Self::NotUrl(error)),
        };
        if has_other_scheme(key) {
            return Some(Self::Scheme);
        }
        if let Some(warning) = host_warning(&split) {
            return Some(warning);
        }
        if let Some(warning) = path_warning(&split.path) {
            return Some(warning);
        }
        let outside = key.split_once(['?', '#']);
        outside.is_some().then_some(Self::QueryOrFragment)
    }

    /// Whether a key with this warning serves no image at all. A key with another warning
    /// serves some images, but not those that it seems to be for.
    #[must_use]
    pub fn serves_no_image(self) -> bool {
        !matches!(
            self,
            Self::DockerHub | Self::Version | Self::QueryOrFragment
        )
    }
}

fn has_other_scheme(key: &str) -> bool {
    key.split_once("://").is_some_and(|(scheme, _)| {
        !matches!(scheme, "https" | "http") && !scheme.contains(['/', '@', '.'])
    })
}

fn host_warning(key: &SplitUrl) -> Option<KeyWarning> {
    let host = key.host.as_slice();
    if host.is_empty() {
        return Some(KeyWarning::NoHost);
    }
    if host.starts_with(b"[") {
        return Some(KeyWarning::AddressWithoutPort);
    }
    // `SplitUrl` removes the brackets of an address with a port.
    if host.contains(&b':') {
        return None;
    }
    // `*]` matches an IPv6 address without a port, so `]` is allowed beside a `*`.
    let wild = host.contains(&b'*');
    let possible = |&byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*') || (wild && byte == b']')
    };
    if !key
        .labels()
        .all(|label| !label.is_empty() && label.iter().all(possible))
    {
        return Some(KeyWarning::Host);
    }
    let hub: &[&[u8]] = &[
        b"registry-1.docker.io",
        b"registry.docker.io",
        b"registry.hub.docker.com",
        b"hub.docker.com",
        b"*.docker.io",
    ];
    let legacy = host == DOCKER_HUB_LEGACY.as_bytes() && !key.path.is_empty();
    if key.port.is_empty() && (hub.contains(&host) || legacy) {
        return Some(KeyWarning::DockerHub);
    }
    let seen_as_host = |byte: &u8| matches!(byte, b'.' | b'*') || byte.is_ascii_uppercase();
    if key.port.is_empty() && host != b"localhost" && !host.iter().any(seen_as_host) {
        return Some(KeyWarning::PlainHost);
    }
    None
}

fn path_warning(path: &[u8]) -> Option<KeyWarning> {
    if matches!(path, b"/v1" | b"/v2") {
        return Some(KeyWarning::Version);
    }
    let found = path
        .iter()
        .find(|&byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/'));
    match found {
        Some(b'*') => Some(KeyWarning::PathGlob),
        Some(b':' | b'@') => Some(KeyWarning::Tag),
        Some(byte) if byte.is_ascii_uppercase() => Some(KeyWarning::UpperCase),
        Some(_) => Some(KeyWarning::Path),
        None => {
            let empty = path.windows(2).any(|two| two == b"//");
            empty.then_some(KeyWarning::Path)
        }
    }
}

/// All warnings about a payload. Warnings about keys are in the order of the file.
pub(super) fn of_payload(kind: SecretKind, payload: &SecretPayload) -> Vec<SecretWarning> {
    let mut warnings = Vec::new();
    let config = kind == SecretKind::DockerConfigJson;
    if config && payload.stray_entry {
        warnings.push(SecretWarning::NotInAuths);
    } else if config && !payload.auths && !payload.helpers {
        warnings.push(SecretWarning::NoAuths);
    }
    if payload.helpers {
        warnings.push(SecretWarning::CredentialHelper);
    }
    let repeated = payload.repeated.iter();
    warnings.extend(repeated.map(|key| SecretWarning::Repeated {
        key: shown_key(key).into_owned(),
    }));
    let mut first_keys = FirstKeys::default();
    for entry in &payload.entries {
        if !config && entry.key == "auths" {
            warnings.push(SecretWarning::AuthsAsRegistry);
            continue;
        }
        warnings.extend(of_credential(entry));
        match KeyWarning::of(&entry.key) {
            Some(warning) => warnings.push(SecretWarning::Key {
                key: shown_key(&entry.key).into_owned(),
                warning,
            }),
            None => warnings.extend(first_keys.add(&entry.key)),
        }
    }
    warnings.extend(first_keys.shadowed());
    warnings
}

fn of_credential(entry: &PayloadEntry) -> Option<SecretWarning> {
    let credential = &entry.credential;
    let key = shown_key(&entry.key).into_owned();
    let (username, password) = (credential.username_bytes(), credential.expose_password());
    let utf8 = |bytes| std::str::from_utf8(bytes).is_ok();
    if credential.is_empty() && entry.token {
        Some(SecretWarning::TokenOnly { key })
    } else if credential.is_empty() {
        Some(SecretWarning::EmptyEntry { key })
    } else if entry.overridden {
        Some(SecretWarning::Overridden { key })
    } else if username.is_empty() || password.is_empty() {
        Some(SecretWarning::Half { key })
    } else if !(utf8(username) && utf8(password)) {
        Some(SecretWarning::NotUtf8 { key })
    } else {
        None
    }
}

/// The first key of each location.
#[derive(Default)]
struct FirstKeys {
    by_location: HashMap<Vec<u8>, String>,
}

impl FirstKeys {
    fn add(&mut self, key: &str) -> Option<SecretWarning> {
        let location = location_of(key).ok()?;
        let key = shown_key(key).into_owned();
        if let Some(other) = self.by_location.get(&location) {
            let other = other.clone();
            return Some(SecretWarning::SameRegistry { key, other });
        }
        self.by_location.insert(location, key);
        None
    }

    fn shadowed(&self) -> Option<SecretWarning> {
        let key = self.by_location.get(DOCKER_HUB_LEGACY.as_bytes())?.clone();
        let other = self.by_location.get(DOCKER_HUB.as_bytes())?.clone();
        Some(SecretWarning::Shadowed { key, other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_cannot_work_has_a_warning() {
        use KeyWarning as P;
        for (key, expected) in [
            ("HTTPS://reg.example.com", P::Scheme),
            ("docker://reg.example.com", P::Scheme),
            (" reg.example.com", P::NotUrl(UrlError::HostCharacter)),
            ("reg.example.com:abc", P::NotUrl(UrlError::Port)),
            ("reg.example.com:*", P::NotUrl(UrlError::Port)),
            ("reg[12].example.com", P::NotUrl(UrlError::Brackets)),
            ("reg.example.com/%zz", P::NotUrl(UrlError::Escape)),
            ("reg.example.com\n", P::NotUrl(UrlError::ControlCharacter)),
            ("us er@reg.example.com", P::NotUrl(UrlError::User)),
            // The key is a URL, and its location with decoded escapes is not.
            ("reg.example.com/%25zz", P::NotUrl(UrlError::Escape)),
            ("", P::NoHost),
            ("https:///team", P::NoHost),
            ("reg..example.com", P::Host),
            ("reg.$x.com", P::Host),
            ("myregistry", P::PlainHost),
            ("[::1]", P::AddressWithoutPort),
            ("registry-1.docker.io", P::DockerHub),
            ("https://index.docker.io/v1", P::DockerHub),
            ("https://reg.example.com/v2", P::Version),
            ("reg.example.com/team/*", P::PathGlob),
            ("reg.example.com/team/app:v1", P::Tag),
            ("reg.example.com/Team", P::UpperCase),
            ("reg.example.com/team ", P::Path),
            ("reg.example.com//team", P::Path),
            ("reg.?xample.com", P::Host),
            ("reg.example.com?x", P::QueryOrFragment),
        ] {
            assert_eq!(KeyWarning::of(key), Some(expected), "{key:?}");
        }
        for key in [
            "reg.example.com",
            "https://reg.example.com/v2/",
            "http://reg.example.com:5000/team",
            "*.example.com",
            "reg_ex.com",
            "MyHost",
            "*",
            "localhost",
            "myregistry:5000",
            "[::1]:5000",
            "user@reg.example.com",
            "docker.io/library",
            "https://index.docker.io/v1/",
            "index.docker.io",
        ] {
            assert_eq!(KeyWarning::of(key), None, "{key:?}");
        }
    }
}
