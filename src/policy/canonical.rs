//! One spelling for each registry, so that spelling cannot dodge a verdict.
//!
//! For the policy only. Which credential the kubelet would use is another question
//! and depends on the exact text; nothing here may be used to answer it.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::image::{DOCKER_HUB, Reference};

/// The port that an image without one is pulled from.
pub(super) const HTTPS: u16 = 443;

/// Other names under which Docker Hub answers.
pub const DOCKER_HUB_ALIASES: [&str; 3] = [
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];

/// Where an image comes from, in the spelling that patterns are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// Lower case; an IPv6 address in brackets and in its shortest form.
    pub(super) host: Cow<'a, str>,
    /// 443 where none is written.
    pub(super) port: u16,
    /// The repository's path; never empty for an image.
    pub(super) path: Cow<'a, str>,
}

impl<'a> Place<'a> {
    /// Where a reference points; `None` when no server can have its port.
    pub(super) fn of(reference: &Reference<'a>) -> Option<Self> {
        let host = host(reference.host());
        let port = match reference.port() {
            None => HTTPS,
            Some(digits) => port(digits)?,
        };
        let mut path = reference.repository();
        // `registry-1.docker.io/nginx` is an official image too, not one beside them.
        if host == DOCKER_HUB && port == HTTPS && !path.contains('/') {
            path = Cow::Owned(format!("library/{path}"));
        }
        Some(Self { host, port, path })
    }
}

/// A host as patterns are compared with it.
pub(super) fn host(written: &str) -> Cow<'_, str> {
    if let Some(address) = ipv6(written) {
        return Cow::Owned(format!("[{address}]"));
    }
    let lower = if written.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(written.to_ascii_lowercase())
    } else {
        Cow::Borrowed(written)
    };
    if DOCKER_HUB_ALIASES.contains(&lower.as_ref()) {
        return Cow::Borrowed(DOCKER_HUB);
    }
    lower
}

/// The address between the brackets, where there is one.
pub(super) fn ipv6(written: &str) -> Option<Ipv6Addr> {
    let inner = written.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok()
}

/// A port as a number: `0443` is 443. `None` above 65535 and for what is no number.
pub(super) fn port(digits: &str) -> Option<u16> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.trim_start_matches('0');
    if number.is_empty() {
        return Some(0);
    }
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(image: &str) -> Option<String> {
        let reference = Reference::parse(image).unwrap();
        Place::of(&reference).map(|place| format!("{} {} {}", place.host, place.port, place.path))
    }

    #[test]
    fn every_spelling_of_a_registry_is_one_place() {
        for (image, expected) in [
            ("nginx", "docker.io 443 library/nginx"),
            ("docker.io/nginx", "docker.io 443 library/nginx"),
            ("DOCKER.IO/nginx", "docker.io 443 library/nginx"),
            ("docker.io:443/nginx", "docker.io 443 library/nginx"),
            ("index.docker.io:0443/nginx", "docker.io 443 library/nginx"),
            ("registry-1.docker.io/nginx", "docker.io 443 library/nginx"),
            ("registry.hub.docker.com/team/app", "docker.io 443 team/app"),
            ("Reg.Example.com/app", "reg.example.com 443 app"),
            ("reg.example.com:00005000/app", "reg.example.com 5000 app"),
            ("docker.io:5000/nginx", "docker.io 5000 nginx"),
            ("[::1]/app", "[::1] 443 app"),
            ("[0:0:0:0:0:0:0:1]:443/app", "[::1] 443 app"),
            ("[2001:DB8::A]:5000/app", "[2001:db8::a] 5000 app"),
            ("reg_ex.com/app", "reg_ex.com 443 app"),
        ] {
            assert_eq!(place(image).as_deref(), Some(expected), "{image}");
        }
    }

    #[test]
    fn a_port_that_no_server_can_have_is_no_place() {
        assert_eq!(place("reg.example.com:65536/app"), None);
        assert_eq!(
            place(&format!("reg.example.com:{}/app", "9".repeat(500))),
            None
        );
        assert_eq!(
            place("reg.example.com:65535/app").as_deref(),
            Some("reg.example.com 65535 app")
        );
    }
}
