//! What the kubelet ignores in a pull secret without a word.
//!
//! Each complaint says what happens and what to write instead. It must not decide
//! what matches (that is [`super::keyring`]); a complaint never changes an answer.
//! Keys are shown quoted and escaped, for they come from strangers.

use super::SecretKind;
use super::keyring::{Target, location_of};
use super::location::LocationError;
use super::payload::{Found, FoundEntry};
use std::collections::HashMap;

/// Something in a pull secret that does not do what its writer will have meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Complaint {
    /// No bytes at all.
    #[error("it is empty, and the kubelet takes it for absent")]
    Empty,
    /// A docker config without `auths`.
    #[error("it has no `auths`, so it holds no credentials; write {{\"auths\": {{…}}}}")]
    NoAuths,
    /// Registries at the top level under `.dockerconfigjson`.
    #[error(
        "its registries are not inside `auths`, so they are ignored; put them there, \
         or make it a Secret of type kubernetes.io/dockercfg"
    )]
    NotInAuths,
    /// `auths` under `.dockercfg`.
    #[error(
        "`auths` is taken for a registry's name in a Secret of type kubernetes.io/dockercfg; \
         make it one of type kubernetes.io/dockerconfigjson"
    )]
    AuthsAsRegistry,
    /// `credsStore` or `credHelpers`.
    #[error(
        "it names a credential helper of the machine it was written on, which the kubelet \
         never asks; log in with a token and keep that in `auths`"
    )]
    CredentialHelper,
    /// The same key twice.
    #[error("{key:?} stands there more than once; only the last one counts")]
    Repeated {
        /// The key.
        key: String,
    },
    /// Two keys for one registry.
    #[error(
        "{key:?} and {other:?} come to the same registry, and the kubelet tries them \
         in an order that changes; keep one"
    )]
    SameRegistry {
        /// The later one.
        key: String,
        /// The earlier one.
        other: String,
    },
    /// `index.docker.io` beside `docker.io`.
    #[error("{key:?} is tried only for images that no other key serves, and {other:?} serves them")]
    Shadowed {
        /// The key that is not used.
        key: String,
        /// The one that is used instead.
        other: String,
    },
    /// `{}` or `null`.
    #[error(
        "{key:?} has no credentials, yet the kubelet uses it: it pulls with an empty user \
         and password and never without any; remove it or fill it in"
    )]
    EmptyEntry {
        /// The key.
        key: String,
    },
    /// `identitytoken` or `registrytoken` and nothing else.
    #[error(
        "{key:?} has a token that the kubelet ignores, so it pulls with an empty user \
         and password; write `username` and `password`, or `auth`"
    )]
    TokenOnly {
        /// The key.
        key: String,
    },
    /// A user without a password, or the other way round.
    #[error("{key:?} has only one of user and password")]
    Half {
        /// The key.
        key: String,
    },
    /// `auth` says something else than the fields beside it.
    #[error("{key:?} has an `auth` that differs from its `username` or `password`; `auth` counts")]
    Overridden {
        /// The key.
        key: String,
    },
    /// A user or password that is no UTF-8.
    #[error(
        "the user or password of {key:?} is not UTF-8 and cannot be handed to the container \
         runtime unchanged; encode `auth` from UTF-8 text"
    )]
    NotUtf8 {
        /// The key.
        key: String,
    },
    /// A key that serves no image, or not those that were meant.
    #[error("{key:?}: {problem}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: KeyProblem,
    },
}

/// Why a key under `auths` does not serve the images it seems to be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// Go takes it for no URL; the kubelet drops it.
    #[error("the kubelet drops this key, because {0}")]
    NotUrl(LocationError),
    /// `HTTPS://`, `docker://`, `oci://`.
    #[error(
        "only `https://` and `http://`, in lower case, may stand before the host; leave it out"
    )]
    Scheme,
    /// Nothing before the first slash.
    #[error("it names no host, so it serves no image")]
    NoHost,
    /// A host that no image can have.
    #[error("no image has such a host; write it as it stands in the image")]
    Host,
    /// `myregistry`, which images cannot name.
    #[error(
        "no image has a host without a dot or a port (such a name is a path on Docker Hub), \
         except localhost"
    )]
    PlainHost,
    /// An IPv6 address without a port.
    #[error(
        "the kubelet takes the brackets for a character class, so the address serves no image; \
         only one with a port works"
    )]
    AddressWithoutPort,
    /// Another name for Docker Hub.
    #[error(
        "images on Docker Hub are looked up as docker.io; write docker.io \
         or https://index.docker.io/v1/"
    )]
    DockerHub,
    /// `/v1` or `/v2` at the end, without a slash.
    #[error("`/v1` and `/v2` are left out only with a slash behind; remove it or add the slash")]
    Version,
    /// `*` in the path.
    #[error("`*` stands for something in the host only; a path is a prefix as it is")]
    PathGlob,
    /// A tag or digest.
    #[error("a tag or digest never matches; leave it out")]
    Tag,
    /// An upper-case letter in the path.
    #[error("no repository has upper-case letters; write the path as it stands in the image")]
    UpperCase,
    /// Some other path that no repository begins with.
    #[error("no repository begins with such a path, so it serves no image")]
    Path,
    /// `?` or `#`.
    #[error("everything from `?` or `#` on is ignored; `?` is no wildcard here")]
    QueryOrFragment,
}

impl KeyProblem {
    /// What is wrong with a key, if anything.
    #[must_use]
    pub fn of(key: &str) -> Option<Self> {
        // The kubelet reads a key as a URL when it takes it and again when it looks
        // an image up; it may fail the second time only.
        let target = match location_of(key).and_then(|location| Target::parse(&location)) {
            Ok(target) => target,
            Err(problem) => return Some(Self::NotUrl(problem)),
        };
        if has_other_scheme(key) {
            return Some(Self::Scheme);
        }
        if let Some(problem) = host_problem(&target) {
            return Some(problem);
        }
        if let Some(problem) = path_problem(&target.path) {
            return Some(problem);
        }
        let outside = key.split_once(['?', '#']);
        outside.is_some().then_some(Self::QueryOrFragment)
    }

    /// Whether a key with this problem serves no image at all. The others serve
    /// some, only not those they seem to be for.
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

fn host_problem(target: &Target) -> Option<KeyProblem> {
    let host = target.host.as_slice();
    if host.is_empty() {
        return Some(KeyProblem::NoHost);
    }
    if host.starts_with(b"[") {
        return Some(KeyProblem::AddressWithoutPort);
    }
    // The brackets of an address with a port are gone by now.
    if host.contains(&b':') {
        return None;
    }
    // `*]` is odd, but it does match an IPv6 address without a port.
    let wild = host.contains(&b'*');
    let possible = |&byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*') || (wild && byte == b']')
    };
    if !target
        .labels()
        .all(|label| !label.is_empty() && label.iter().all(possible))
    {
        return Some(KeyProblem::Host);
    }
    let hub: &[&[u8]] = &[
        b"registry-1.docker.io",
        b"registry.docker.io",
        b"registry.hub.docker.com",
        b"hub.docker.com",
        b"*.docker.io",
    ];
    let legacy = host == b"index.docker.io" && !target.path.is_empty();
    if target.port.is_empty() && (hub.contains(&host) || legacy) {
        return Some(KeyProblem::DockerHub);
    }
    let seen_as_host = |byte: &u8| matches!(byte, b'.' | b'*') || byte.is_ascii_uppercase();
    if target.port.is_empty() && host != b"localhost" && !host.iter().any(seen_as_host) {
        return Some(KeyProblem::PlainHost);
    }
    None
}

fn path_problem(path: &[u8]) -> Option<KeyProblem> {
    if matches!(path, b"/v1" | b"/v2") {
        return Some(KeyProblem::Version);
    }
    let found = path
        .iter()
        .find(|&byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/'));
    match found {
        Some(b'*') => Some(KeyProblem::PathGlob),
        Some(b':' | b'@') => Some(KeyProblem::Tag),
        Some(byte) if byte.is_ascii_uppercase() => Some(KeyProblem::UpperCase),
        Some(_) => Some(KeyProblem::Path),
        None => {
            let empty = path.windows(2).any(|two| two == b"//");
            empty.then_some(KeyProblem::Path)
        }
    }
}

/// Everything there is to say about a payload, in the order of the file.
pub(super) fn about(kind: SecretKind, found: &Found) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let config = kind == SecretKind::DockerConfigJson;
    if config && found.stray_entry {
        complaints.push(Complaint::NotInAuths);
    } else if config && !found.auths && !found.helpers {
        complaints.push(Complaint::NoAuths);
    }
    if found.helpers {
        complaints.push(Complaint::CredentialHelper);
    }
    let repeated = found.repeated.iter();
    complaints.extend(repeated.map(|key| Complaint::Repeated { key: key.clone() }));
    let mut places = Places::default();
    for entry in &found.entries {
        if !config && entry.key == "auths" {
            complaints.push(Complaint::AuthsAsRegistry);
            continue;
        }
        complaints.extend(about_credential(entry));
        let key = entry.key.clone();
        match KeyProblem::of(&key) {
            Some(problem) => complaints.push(Complaint::Key { key, problem }),
            None => complaints.extend(places.add(key)),
        }
    }
    complaints.extend(places.shadowed());
    complaints
}

fn about_credential(entry: &FoundEntry) -> Option<Complaint> {
    let credential = &entry.credential;
    let key = entry.key.clone();
    let (username, password) = (credential.username_bytes(), credential.expose_password());
    let utf8 = |bytes| std::str::from_utf8(bytes).is_ok();
    if credential.is_empty() && entry.token {
        Some(Complaint::TokenOnly { key })
    } else if credential.is_empty() {
        Some(Complaint::EmptyEntry { key })
    } else if entry.overridden {
        Some(Complaint::Overridden { key })
    } else if username.is_empty() || password.is_empty() {
        Some(Complaint::Half { key })
    } else if !(utf8(username) && utf8(password)) {
        Some(Complaint::NotUtf8 { key })
    } else {
        None
    }
}

/// Which key came first for each location.
#[derive(Default)]
struct Places {
    first: HashMap<Vec<u8>, String>,
}

impl Places {
    fn add(&mut self, key: String) -> Option<Complaint> {
        let location = location_of(&key).ok()?;
        if let Some(other) = self.first.get(&location) {
            let other = other.clone();
            return Some(Complaint::SameRegistry { key, other });
        }
        self.first.insert(location, key);
        None
    }

    fn shadowed(&self) -> Option<Complaint> {
        let key = self.first.get(b"index.docker.io".as_slice())?.clone();
        let other = self.first.get(b"docker.io".as_slice())?.clone();
        Some(Complaint::Shadowed { key, other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_cannot_work_is_told_why() {
        use KeyProblem as P;
        for (key, expected) in [
            ("HTTPS://reg.example.com", P::Scheme),
            ("docker://reg.example.com", P::Scheme),
            (" reg.example.com", P::NotUrl(LocationError::HostCharacter)),
            ("reg.example.com:abc", P::NotUrl(LocationError::Port)),
            ("reg.example.com:*", P::NotUrl(LocationError::Port)),
            ("reg[12].example.com", P::NotUrl(LocationError::Brackets)),
            ("reg.example.com/%zz", P::NotUrl(LocationError::Escape)),
            (
                "reg.example.com\n",
                P::NotUrl(LocationError::ControlCharacter),
            ),
            ("us er@reg.example.com", P::NotUrl(LocationError::User)),
            // Fine as a key, no URL any more once its escape has been undone.
            ("reg.example.com/%25zz", P::NotUrl(LocationError::Escape)),
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
            assert_eq!(KeyProblem::of(key), Some(expected), "{key:?}");
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
            assert_eq!(KeyProblem::of(key), None, "{key:?}");
        }
    }
}
