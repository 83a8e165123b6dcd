//! The canonical spelling of a registry, so that no spelling evades a verdict.
//!
//! It is for the policy only. Which credential the kubelet uses depends on the exact text
//! of an image, so this module must not be used to find that out.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use image_reference::{DOCKER_HUB, Reference};

/// The port of a registry that is written without one.
pub(crate) const HTTPS: u16 = 443;

/// Other host names that serve Docker Hub. The last one is the endpoint for IPv6 that
/// Docker introduced in 2021 (<https://www.docker.com/blog/beta-ipv6-support-on-docker-hub-registry/>).
pub const DOCKER_HUB_ALIASES: [&str; 4] = [
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
    "registry.ipv6.docker.com",
];

/// Amazon ECR Public, and its endpoint for IPv4 and IPv6
/// (<https://docs.aws.amazon.com/AmazonECR/latest/public/public-ecr-requests.html>).
const ECR_PUBLIC: &str = "public.ecr.aws";
const ECR_PUBLIC_ALIAS: &str = "ecr-public.aws.com";

/// Hosts that no pattern covers, because images of them are compared by another host: each
/// host, in which a `*` stands for an account or a region, with that other host.
pub(crate) fn aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let hub = DOCKER_HUB_ALIASES.map(|alias| (alias, DOCKER_HUB));
    let ecr = [
        "*.dkr-ecr.*.on.aws",
        "*.dkr-ecr-fips.*.on.aws",
        "*.dkr.ecr-fips.*.amazonaws.com",
    ];
    let ecr = ecr.map(|alias| (alias, "*.dkr.ecr.*.amazonaws.com"));
    hub.into_iter()
        .chain([(ECR_PUBLIC_ALIAS, ECR_PUBLIC)])
        .chain(ecr)
}

/// The names by which images reach a registry on their own node, apart from other addresses
/// in 127.0.0.0/8. They are not one registry: what listens may differ.
pub(crate) const LOOPBACK: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"];

/// Where an image comes from, in the spelling that is compared with patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location<'a> {
    /// The host in lower case; an IPv4 address as four decimal numbers, an IPv6 address in
    /// brackets and in its shortest form.
    pub(crate) host: Cow<'a, str>,
    /// The port; 443 if none is written.
    pub(crate) port: u16,
    /// The repository's path; never empty for an image.
    pub(crate) path: Cow<'a, str>,
}

impl<'a> Location<'a> {
    /// Where a reference points to; `None` if no server can have its port.
    pub(crate) fn of(reference: &Reference<'a>) -> Option<Self> {
        let host = host(reference.host());
        let port = match reference.port() {
            None => HTTPS,
            Some(digits) => port(digits)?,
        };
        let mut path = reference.repository();
        // `registry-1.docker.io/nginx` names an official image too.
        if host == DOCKER_HUB && port == HTTPS && !path.contains('/') {
            path = Cow::Owned(format!("library/{path}"));
        }
        Some(Self { host, port, path })
    }
}

/// The canonical spelling of a host.
pub(crate) fn host(written: &str) -> Cow<'_, str> {
    if let Some(address) = ipv6(written) {
        // `[::ffff:a00:5]` is the IPv4-mapped form of 10.0.0.5 (RFC 4291, 2.5.5.2).
        return Cow::Owned(match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => format!("[{address}]"),
        });
    }
    if let Some(address) = ipv4(written) {
        return Cow::Owned(address.to_string());
    }
    let lower = if written.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(written.to_ascii_lowercase())
    } else {
        Cow::Borrowed(written)
    };
    match service(&lower) {
        Some(host) => host,
        None => lower,
    }
}

/// The host that stands for a service with several hosts; `None` for a host that stands for
/// itself. The parts that name an account and a region may contain `*`.
pub(crate) fn service(lower: &str) -> Option<Cow<'static, str>> {
    // All of them end so, and most hosts of images do not.
    if !matches!(lower.rsplit('.').next(), Some("io" | "com" | "aws")) {
        return None;
    }
    if DOCKER_HUB_ALIASES.contains(&lower) {
        return Some(Cow::Borrowed(DOCKER_HUB));
    }
    if lower == ECR_PUBLIC_ALIAS {
        return Some(Cow::Borrowed(ECR_PUBLIC));
    }
    let (account, region) = ecr_endpoint(lower)?;
    Some(Cow::Owned(format!(
        "{account}.dkr.ecr.{region}.amazonaws.com"
    )))
}

/// The account and the region of another endpoint of Amazon ECR than the common one: for IPv4
/// and IPv6, by the rules of FIPS 140, or both
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html>,
/// <https://docs.aws.amazon.com/general/latest/gr/ecr.html>).
fn ecr_endpoint(lower: &str) -> Option<(&str, &str)> {
    let (account, rest) = lower.split_once('.')?;
    let region = if let Some(rest) = rest.strip_suffix(".on.aws") {
        let fips = rest.strip_prefix("dkr-ecr-fips.");
        fips.or_else(|| rest.strip_prefix("dkr-ecr."))?
    } else {
        rest.strip_suffix(".amazonaws.com")?
            .strip_prefix("dkr.ecr-fips.")?
    };
    (!region.contains('.')).then_some((account, region))
}

/// The address between the brackets; `None` if the text is not an address in brackets.
pub(crate) fn ipv6(written: &str) -> Option<Ipv6Addr> {
    let inner = written.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok()
}

/// The address that C libraries read from a host: one to four numbers, decimal, octal or
/// hexadecimal, of which the last fills the remaining bytes (`inet_aton(3)`). A container
/// runtime that resolves names with the C library contacts this address.
fn ipv4(written: &str) -> Option<Ipv4Addr> {
    if !written.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (before, last) = written.rsplit_once('.').unwrap_or(("", written));
    let mut address = 0;
    let mut left = 32;
    for part in before.split('.').filter(|_| !before.is_empty()) {
        left = u32::checked_sub(left, 8).filter(|left| *left > 0)?;
        address |= u32::from(u8::try_from(number(part)?).ok()?) << left;
    }
    let last = number(last)?;
    let fits = left == 32 || last >> left == 0;
    fits.then(|| Ipv4Addr::from_bits(address | last))
}

/// A number in the notation of C.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // `from_str_radix` accepts a sign, which C does not.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| is_number)
}

/// A port as a number: `0443` is 443. `None` if it is above 65535 or not a number.
pub(crate) fn port(digits: &str) -> Option<u16> {
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

    fn location(image: &str) -> Option<String> {
        let reference = Reference::parse(image).unwrap();
        Location::of(&reference)
            .map(|location| format!("{} {} {}", location.host, location.port, location.path))
    }

    #[test]
    fn every_spelling_of_a_registry_is_one_location() {
        for (image, expected) in [
            ("nginx", "docker.io 443 library/nginx"),
            ("docker.io/nginx", "docker.io 443 library/nginx"),
            ("DOCKER.IO/nginx", "docker.io 443 library/nginx"),
            ("docker.io:443/nginx", "docker.io 443 library/nginx"),
            ("index.docker.io:0443/nginx", "docker.io 443 library/nginx"),
            ("registry-1.docker.io/nginx", "docker.io 443 library/nginx"),
            ("registry.hub.docker.com/team/app", "docker.io 443 team/app"),
            (
                "Registry.IPv6.Docker.com/nginx",
                "docker.io 443 library/nginx",
            ),
            ("ecr-public.aws.com/a/b", "public.ecr.aws 443 a/b"),
            ("ecr-public.aws.com:80/a/b", "public.ecr.aws 80 a/b"),
            (
                "1.dkr-ecr.eu-west-1.on.aws/a",
                "1.dkr.ecr.eu-west-1.amazonaws.com 443 a",
            ),
            (
                "1.DKR-ECR-fips.eu-west-1.on.aws/a",
                "1.dkr.ecr.eu-west-1.amazonaws.com 443 a",
            ),
            (
                "1.dkr.ecr-fips.eu-west-1.amazonaws.com/a",
                "1.dkr.ecr.eu-west-1.amazonaws.com 443 a",
            ),
            ("1.dkr-ecr.a.b.on.aws/a", "1.dkr-ecr.a.b.on.aws 443 a"),
            ("dkr-ecr.a.on.aws/a", "dkr-ecr.a.on.aws 443 a"),
            ("x.ecr-public.aws.com/a", "x.ecr-public.aws.com 443 a"),
            ("Reg.Example.com/app", "reg.example.com 443 app"),
            ("reg.example.com:00005000/app", "reg.example.com 5000 app"),
            ("docker.io:5000/nginx", "docker.io 5000 nginx"),
            ("[::1]/app", "[::1] 443 app"),
            ("[0:0:0:0:0:0:0:1]:443/app", "[::1] 443 app"),
            ("[2001:DB8::A]:5000/app", "[2001:db8::a] 5000 app"),
            ("reg_ex.com/app", "reg_ex.com 443 app"),
            ("10.0.0.5/app", "10.0.0.5 443 app"),
            ("[::ffff:a00:5]:5000/app", "10.0.0.5 5000 app"),
            ("012.0.0.05/app", "10.0.0.5 443 app"),
            ("0xA.0x0.0.0x5/app", "10.0.0.5 443 app"),
            ("10.5/app", "10.0.0.5 443 app"),
            ("10.0.1285/app", "10.0.5.5 443 app"),
            ("167772165:5000/app", "10.0.0.5 5000 app"),
            ("4294967295:5000/app", "255.255.255.255 5000 app"),
            ("10.256/app", "10.0.1.0 443 app"),
            // Neither Rust nor C reads these hosts as addresses.
            ("10.0.0.256/app", "10.0.0.256 443 app"),
            ("256.1/app", "256.1 443 app"),
            ("10.0.0.0.5/app", "10.0.0.0.5 443 app"),
            ("10.0.0.08/app", "10.0.0.08 443 app"),
            ("0x/app", "docker.io 443 0x/app"),
            ("0x:5000/app", "0x 5000 app"),
            ("4294967296:5000/app", "4294967296 5000 app"),
            ("10.16777216/app", "10.16777216 443 app"),
            ("1.example/app", "1.example 443 app"),
        ] {
            assert_eq!(location(image).as_deref(), Some(expected), "{image}");
        }
    }

    #[test]
    fn a_port_that_no_server_can_have_has_no_location() {
        assert_eq!(location("reg.example.com:65536/app"), None);
        assert_eq!(
            location(&format!("reg.example.com:{}/app", "9".repeat(500))),
            None
        );
        assert_eq!(
            location("reg.example.com:65535/app").as_deref(),
            Some("reg.example.com 65535 app")
        );
    }
}
