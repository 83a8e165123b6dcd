//! The host that really failed: the registry of the image, or a token server, a content
//! server, a mirror or a proxy that stands between.
//!
//! It reads the words of one attempt. It must not resolve or contact anything.

use image_reference::{DOCKER_HUB, DOCKER_HUB_LEGACY, Reference};
use std::net::IpAddr;

/// What a host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostRole {
    /// The registry that the image names.
    Registry,
    /// The server that hands out tokens for the registry.
    Token,
    /// The server that has the layers.
    Content,
    /// A mirror that the node asks instead of the registry.
    Mirror,
    /// The proxy of the node.
    Proxy,
}

impl HostRole {
    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Token => "token server",
            Self::Content => "content server",
            Self::Mirror => "mirror",
            Self::Proxy => "proxy",
        }
    }
}

/// Where a failure happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailedHost {
    /// `host` or `host:port`, as the words have it.
    pub host: String,
    /// What it is for.
    pub role: HostRole,
    /// The address that the node tried.
    pub address: Option<String>,
    /// Whether that address is private; none without an address.
    pub is_private: Option<bool>,
}

impl FailedHost {
    /// Finds the host in the words of an attempt; `image` is the image that is pulled, where
    /// it is known.
    pub(super) fn find(words: &str, image: Option<&str>) -> Option<Self> {
        let address = dialled(words);
        let registry = image.and_then(registry_of);
        let (host, role) = if let Some((_, rest)) = words.split_once("proxyconnect tcp:") {
            let host = dialled(rest).or_else(|| looked_up(rest));
            (
                host.unwrap_or_else(|| "the proxy".to_owned()),
                HostRole::Proxy,
            )
        } else if let Some(url) = last_url(words) {
            let role = url.role(registry.as_deref());
            (url.host.to_owned(), role)
        } else {
            let host = looked_up(words).or_else(|| named(words)).or(registry)?;
            (host, HostRole::Registry)
        };
        if !is_host(&host) && role != HostRole::Proxy {
            return None;
        }
        let is_private = address.as_deref().and_then(is_private);
        Some(Self {
            host,
            role,
            address,
            is_private,
        })
    }
}

/// The registry of an image as it stands in the image.
#[must_use]
pub fn registry_of(image: &str) -> Option<String> {
    let reference = Reference::parse(image).ok()?;
    Some(reference.registry().to_owned())
}

/// A URL in the words.
struct FoundUrl<'w> {
    host: &'w str,
    path: &'w str,
    is_mirrored: bool,
}

impl FoundUrl<'_> {
    fn role(&self, registry: Option<&str>) -> HostRole {
        let path = self.path.to_ascii_lowercase();
        let is_token = [
            "/token",
            "/jwt/auth",
            "/oauth",
            "/v2/auth",
            "/service/token",
            "/auth",
        ]
        .iter()
        .any(|end| path == *end || path.ends_with(end) || path.starts_with(&format!("{end}/")));
        if is_token {
            return HostRole::Token;
        }
        if self.is_mirrored {
            return HostRole::Mirror;
        }
        let is_registry_path = path.starts_with("/v2") || path.starts_with("/v1");
        match registry {
            Some(registry) if !is_same_registry(self.host, registry) => {
                if is_registry_path && !path.contains("/docker/registry/") {
                    HostRole::Mirror
                } else {
                    HostRole::Content
                }
            }
            None if !is_registry_path && path.len() > 1 => HostRole::Content,
            _ => HostRole::Registry,
        }
    }
}

fn is_same_registry(host: &str, registry: &str) -> bool {
    let hub = [DOCKER_HUB, DOCKER_HUB_LEGACY, "registry-1.docker.io"];
    host.eq_ignore_ascii_case(registry) || (hub.contains(&host) && hub.contains(&registry))
}

/// The last URL, which is the one that failed.
fn last_url(words: &str) -> Option<FoundUrl<'_>> {
    words.rmatch_indices("://").find_map(|(at, _)| {
        let scheme = words.get(..at)?;
        if !(scheme.ends_with("http") || scheme.ends_with("https")) {
            return None;
        }
        let rest = words.get(at + 3..)?;
        let is_end = |c: char| c.is_whitespace() || "\"'\\`)>]".contains(c);
        let url = rest.get(..rest.find(is_end).unwrap_or(rest.len()))?;
        let url = url.trim_end_matches([':', ',', ';', '.']);
        let (authority, behind) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        let is_help = DOCUMENTATION.iter().any(|page| url.starts_with(page));
        (is_host(host) && !is_help).then(|| FoundUrl {
            host,
            path,
            is_mirrored: query.split('&').any(|pair| pair.starts_with("ns=")),
        })
    })
}

/// Pages that error messages point to.
const DOCUMENTATION: [&str; 4] = [
    "www.docker.com/",
    "docs.docker.com/",
    "aka.ms/",
    "access.redhat.com/",
];

/// `lookup HOST on SERVER:53`, `lookup HOST: …`
fn looked_up(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("lookup ")?;
    let host = rest.split([' ', ':']).next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

/// Hosts that the runtimes name without a URL.
fn named(words: &str) -> Option<String> {
    [
        "pulling from host ",
        "container registry ",
        "docker registry ",
        "host=",
    ]
    .iter()
    .find_map(|before| {
        let (_, rest) = words.split_once(before)?;
        let host = rest
            .split([' ', '"', ',', ')'])
            .next()?
            .trim_end_matches(':');
        is_host(host).then(|| host.to_owned())
    })
}

/// The address of `dial tcp 10.0.0.1:443: …` or `read tcp A->10.0.0.1:443: …`
fn dialled(words: &str) -> Option<String> {
    let word = if let Some((_, rest)) = words.split_once("->") {
        rest
    } else {
        words.split_once("dial tcp ")?.1
    };
    let end = word.find([' ', ',', '"']).unwrap_or(word.len());
    let address = word.get(..end)?.trim_end_matches(':');
    ip(address).map(|_| address.to_owned())
}

fn ip(address: &str) -> Option<IpAddr> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']']).parse().ok()
}

/// Whether an address is one of a private network; none for what is no address.
fn is_private(address: &str) -> Option<bool> {
    Some(match ip(address)? {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => {
            let first = ip.segments()[0];
            ip.is_loopback() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    })
}

/// Whether a text can be a host with or without a port.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    use HostRole as R;

    type Case = (
        &'static str,
        Option<&'static str>,
        &'static str,
        HostRole,
        Option<&'static str>,
        Option<bool>,
    );

    /// Words, the image, and the host with role, address and whether that is private.
    const CASES: [Case; 8] = [
        (
            "failed to do request: Head \"https://reg.example/v2/a/manifests/1\": dial tcp 10.0.0.1:443: i/o timeout",
            Some("reg.example/a:1"),
            "reg.example",
            R::Registry,
            Some("10.0.0.1:443"),
            Some(true),
        ),
        (
            "failed to fetch anonymous token: Get \"https://auth.docker.io/token?scope=x&service=y\": dial tcp 3.3.3.3:443: i/o timeout",
            Some("nginx"),
            "auth.docker.io",
            R::Token,
            Some("3.3.3.3:443"),
            Some(false),
        ),
        (
            "Head \"https://registry-1.docker.io/v2/library/nginx/manifests/1\": x509: certificate signed by unknown authority",
            Some("nginx"),
            "registry-1.docker.io",
            R::Registry,
            None,
            None,
        ),
        (
            "unexpected status code https://mirror.example/v2/library/nginx/blobs/sha256:a?ns=docker.io: 400 Bad Request",
            Some("nginx"),
            "mirror.example",
            R::Mirror,
            None,
            None,
        ),
        (
            "Get \"https://production.cloudflare.docker.com/registry-v2/docker/registry/v2/blobs/x/data?sig=REDACTED\": EOF",
            Some("nginx"),
            "production.cloudflare.docker.com",
            R::Content,
            None,
            None,
        ),
        (
            "Get https://registry-1.docker.io/v2/: proxyconnect tcp: dial tcp 127.0.0.1:1082: connect: connection refused",
            Some("nginx"),
            "127.0.0.1:1082",
            R::Proxy,
            Some("127.0.0.1:1082"),
            Some(true),
        ),
        (
            "dial tcp: lookup reg.example on 10.0.0.2:53: no such host",
            None,
            "reg.example",
            R::Registry,
            None,
            None,
        ),
        (
            "pulling from host 10.200.0.1:5000 failed with status code [manifests 1]: 401 Unauthorized",
            Some("upstream.test/a:1"),
            "10.200.0.1:5000",
            R::Registry,
            None,
            None,
        ),
    ];

    #[test]
    fn the_host_that_failed_is_named_with_its_role() {
        for (words, image, host, role, address, private) in CASES {
            let found = FailedHost::find(words, image).unwrap();
            assert_eq!((found.host.as_str(), found.role), (host, role), "{words}");
            assert_eq!(found.address.as_deref(), address, "{words}");
            assert_eq!(found.is_private, private, "{words}");
        }
    }
}
