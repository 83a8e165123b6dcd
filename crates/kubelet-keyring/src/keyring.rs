//! Which credentials the kubelet tries for an image, in which order.
//!
//! `BasicDockerKeyring` of `pkg/credentialprovider/keyring.go`, Kubernetes 1.36,
//! with one freedom used: keys of one secret that come to the same registry are
//! tried there in an order that changes from call to call, here in that of the file.
//! It must not be cleverer than the kubelet; what seems wrong here is wrong there.

use super::location::{Location, LocationError};
use super::{Credential, PullSecret, glob};
use image_reference::DOCKER_HUB;

/// Where Docker Hub's credentials are kept since the days of `docker login`.
const HUB_KEY: &[u8] = b"index.docker.io";

/// All credentials of a pod's pull secrets.
#[derive(Debug)]
pub struct Keyring<'s> {
    // By location, the last in byte order first; equal ones in order of the secrets.
    rings: Vec<Match<'s>>,
}

/// A credential that the kubelet would try.
#[derive(Debug)]
pub struct Match<'s> {
    /// The registry's key as the secret has it.
    pub key: &'s str,
    /// What the kubelet makes of the key: host, port and path, escapes undone.
    pub location: Vec<u8>,
    /// Which of the secrets, from 0.
    pub secret: usize,
    /// What the registry is shown.
    pub credential: &'s Credential,
}

impl<'s> Keyring<'s> {
    /// The keyring of a pod with these secrets, in the order of `imagePullSecrets`.
    pub fn from_secrets(secrets: impl IntoIterator<Item = &'s PullSecret>) -> Self {
        let mut rings = Vec::new();
        for (secret, from) in secrets.into_iter().enumerate() {
            for entry in from.entries() {
                // The kubelet logs and drops what it cannot take for a URL.
                if let Ok(location) = location_of(entry.key()) {
                    rings.push(Match {
                        key: entry.key(),
                        location,
                        secret,
                        credential: entry.credential(),
                    });
                }
            }
        }
        // Stable: within one location the order of the secrets stays.
        rings.sort_by(|one, other| other.location.cmp(&one.location));
        Self { rings }
    }

    /// The credentials for an image in the order in which the kubelet tries them, and
    /// none for an anonymous pull.
    ///
    /// `repository` is the image's full name without tag and digest, as
    /// [`image_reference::Reference::name`] gives it.
    #[must_use]
    pub fn lookup(&self, repository: &str) -> Vec<&Match<'s>> {
        let Ok(image) = Target::parse(repository.as_bytes()) else {
            return self.hub_credentials(repository);
        };
        let mut found = Vec::new();
        for same in self
            .rings
            .chunk_by(|one, other| one.location == other.location)
        {
            if same
                .first()
                .is_some_and(|ring| serves(&ring.location, &image))
            {
                found.extend(same);
            }
        }
        if found.is_empty() {
            return self.hub_credentials(repository);
        }
        found
    }

    // Only when nothing else matched.
    fn hub_credentials(&self, repository: &str) -> Vec<&Match<'s>> {
        if !is_on_hub(repository) {
            return Vec::new();
        }
        let rings = self.rings.iter();
        rings.filter(|ring| ring.location == HUB_KEY).collect()
    }
}

/// Whether a secret with exactly this key, and no other, serves the image with this
/// full name (see [`Keyring::lookup`]).
#[must_use]
pub fn key_matches(key: &str, repository: &str) -> bool {
    let Ok(location) = location_of(key) else {
        return false;
    };
    let direct = Target::parse(repository.as_bytes()).is_ok_and(|image| serves(&location, &image));
    direct || (location == HUB_KEY && is_on_hub(repository))
}

/// What the kubelet makes of a key: host, port and path, without scheme.
pub(super) fn location_of(key: &str) -> Result<Vec<u8>, LocationError> {
    let rest = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| key.strip_prefix(scheme));
    let Location { mut host, path } = Location::parse(rest.unwrap_or(key).as_bytes())?;
    // Only three bytes go: the slash behind the version stays.
    let path = match path.as_slice() {
        [b'/', b'v', b'1' | b'2', rest @ ..] if rest.starts_with(b"/") => rest,
        whole => whole,
    };
    if path != b"/" {
        host.extend_from_slice(path);
    }
    Ok(host)
}

/// A location ready to be compared. The kubelet takes keys apart a second time here,
/// after the escapes in them have been undone once.
pub(super) struct Target {
    /// The host without its port, and without brackets where there is one.
    pub(super) host: Vec<u8>,
    /// The port as written; empty for none.
    pub(super) port: Vec<u8>,
    pub(super) path: Vec<u8>,
}

impl Target {
    pub(super) fn parse(location: &[u8]) -> Result<Self, LocationError> {
        let Location { host, path } = Location::parse(location)?;
        let split = split_host_port(&host).map(|(host, port)| (host.to_vec(), port.to_vec()));
        let (host, port) = split.unwrap_or((host, Vec::new()));
        Ok(Self { host, port, path })
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.host.split(|&byte| byte == b'.')
    }
}

// `URLsMatch`.
fn serves(location: &[u8], image: &Target) -> bool {
    let Ok(key) = Target::parse(location) else {
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

/// Go's `net.SplitHostPort`; `None` where it fails, which is for every host that has
/// no port.
fn split_host_port(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = text.iter().rposition(|&byte| byte == b':')?;
    let (host, port) = text.split_at(colon);
    let port = port.get(1..)?;
    let (inside, outside) = if let Some(address) = host.strip_prefix(b"[") {
        // The first closing bracket has to stand right before the last colon.
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

// `isDefaultRegistryMatch`: also true of `localhost`, and of what is no image at all.
fn is_on_hub(repository: &str) -> bool {
    match repository.split_once('/') {
        None => !repository.is_empty(),
        Some(("", _)) => false,
        Some((first, _)) => {
            first == DOCKER_HUB || first.as_bytes() == HUB_KEY || !first.contains(['.', ':'])
        }
    }
}
