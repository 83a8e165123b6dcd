//! Go's `url.Parse`, as far as the kubelet uses it on the keys of a pull secret.
//!
//! The kubelet parses each key as a URL. It logs and drops the keys that are not URLs,
//! and keeps the host and the path of the others, without user, query and fragment, and
//! with escapes decoded. The rules are those of `net/url` of Go 1.26, with which the
//! kubelets of Kubernetes 1.36 and 1.37 are built. Hosts and paths are bytes, because a
//! decoded escape need not be UTF-8. This module must not know globs or image names.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// A key or an image name, parsed as a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParsedUrl {
    /// The host with its port; escapes are decoded.
    pub(super) host: Vec<u8>,
    /// The path with its leading slash, or nothing; escapes are decoded.
    pub(super) path: Vec<u8>,
}

/// The reason for which Go's `url.Parse` refuses a key, so that the kubelet drops it
/// (`BasicDockerKeyring.Add` in `pkg/credentialprovider/keyring.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The key contains a character below U+0020, or U+007F.
    #[error("it contains a control character")]
    ControlCharacter,
    /// A `%` stands without two hexadecimal digits, or where no escape is allowed.
    #[error("a `%` in it does not begin a valid escape")]
    Escape,
    /// The host contains a space, a backslash, a brace or another forbidden character.
    #[error("its host contains a character that a host cannot have")]
    HostCharacter,
    /// Something other than digits follows the host's colon.
    #[error("its port is not a number")]
    Port,
    /// The host has brackets that do not hold an IPv6 address, such as a character class.
    #[error("brackets in its host may hold only an IPv6 address, not a class like `[1-3]`")]
    Brackets,
    /// The text before the `@` contains a character that a user cannot have.
    #[error("the text before its `@` is not a valid user")]
    User,
}

/// The part of a URL that an escape stands in. Each part allows other escapes and other
/// characters (`shouldEscape` and `unescape` in `net/url`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum UrlPart {
    Host,
    Zone,
    Other,
}

impl ParsedUrl {
    /// Parses the text as `url.Parse` parses it after `https://`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, UrlError> {
        let (text, fragment) = cut(text, b'#');
        if text.iter().any(|&byte| byte < b' ' || byte == 0x7f) {
            return Err(UrlError::ControlCharacter);
        }
        let (text, _query) = cut(text, b'?');
        let (authority, path) = match text.iter().position(|&byte| byte == b'/') {
            Some(slash) => text.split_at(slash),
            None => (text, &[][..]),
        };
        let parsed = Self {
            host: host_of(authority)?,
            path: unescape(path, UrlPart::Other)?,
        };
        unescape(fragment, UrlPart::Other)?;
        Ok(parsed)
    }
}

fn host_of(authority: &[u8]) -> Result<Vec<u8>, UrlError> {
    let Some(at) = authority.iter().rposition(|&byte| byte == b'@') else {
        return host(authority);
    };
    let (user, rest) = authority.split_at(at);
    let found = host(rest.get(1..).unwrap_or_default())?;
    let allowed =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.iter().all(allowed) {
        return Err(UrlError::User);
    }
    unescape(user, UrlPart::Other)?;
    Ok(found)
}

fn host(text: &[u8]) -> Result<Vec<u8>, UrlError> {
    match text.iter().rposition(|&byte| byte == b'[') {
        Some(0) => address(text),
        Some(_) => Err(UrlError::Brackets),
        None => {
            let (_, port) = cut(text, b':');
            if !port.iter().all(u8::is_ascii_digit) {
                return Err(UrlError::Port);
            }
            unescape(text, UrlPart::Host)
        }
    }
}

// Parses `[2001:db8::1]:5000`, or `[fe80::1%25eth0]` with a zone.
fn address(text: &[u8]) -> Result<Vec<u8>, UrlError> {
    let Some(end) = text.iter().rposition(|&byte| byte == b']') else {
        return Err(UrlError::Brackets);
    };
    let (inside, after) = text.split_at(end);
    let inside = inside.get(1..).unwrap_or_default();
    let port = after.get(1..).unwrap_or_default();
    if !(port.is_empty() || port.starts_with(b":")) || !port.iter().skip(1).all(u8::is_ascii_digit)
    {
        return Err(UrlError::Port);
    }
    let zone = inside.windows(3).position(|three| three == b"%25");
    let (before, zone) = inside.split_at(zone.unwrap_or(inside.len()));
    let mut plain = unescape(before, UrlPart::Host)?;
    plain.extend(unescape(zone, UrlPart::Zone)?);
    if !is_ipv6(&plain) {
        return Err(UrlError::Brackets);
    }
    let mut host = vec![b'['];
    host.extend(plain);
    host.push(b']');
    host.extend_from_slice(port);
    Ok(host)
}

fn is_ipv6(text: &[u8]) -> bool {
    let (address, zone) = match text.iter().position(|&byte| byte == b'%') {
        Some(percent) => {
            let (address, zone) = text.split_at(percent);
            (address, zone.get(1..))
        }
        None => (text, None),
    };
    zone != Some(&[])
        && std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

fn unescape(text: &[u8], part: UrlPart) -> Result<Vec<u8>, UrlError> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = after else {
                return Err(UrlError::Escape);
            };
            let byte = escaped(*high, *low, part).ok_or(UrlError::Escape)?;
            plain.push(byte);
            rest = after;
        } else {
            if part != UrlPart::Other && first.is_ascii() && !in_host(*first) {
                return Err(UrlError::HostCharacter);
            }
            plain.push(*first);
            rest = after;
        }
    }
    Ok(plain)
}

fn escaped(high: u8, low: u8, part: UrlPart) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let byte = u8::try_from(value(high)? * 16 + value(low)?).ok()?;
    let allowed = match part {
        UrlPart::Other => true,
        // `%25` may begin a zone (RFC 6874); other ASCII must not be escaped.
        UrlPart::Host => byte == b'%' || !byte.is_ascii(),
        UrlPart::Zone => matches!(byte, b'%' | b' ') || in_host(byte),
    };
    allowed.then_some(byte)
}

fn in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!\"$&'()*+,-.:;<=>[]_~".contains(&byte)
}

/// Splits the text at the first `at`; the second part may be empty.
fn cut(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&byte| byte == at) {
        Some(found) => {
            let (before, rest) = text.split_at(found);
            (before, rest.get(1..).unwrap_or_default())
        }
        None => (text, &[]),
    }
}

/// A key in a form that may be shown: without the user and password that a URL can have
/// before its host. The kubelet drops that part of a key, but people write credentials there.
#[must_use]
pub fn shown_key(key: &str) -> Cow<'_, str> {
    let start = key.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = key.split_at(start);
    match rest.rsplit_once('@') {
        // This is a digest and not a host.
        Some((_, end)) if end.starts_with("sha256:") || end.starts_with("sha512:") => key.into(),
        Some((_, host)) => format!("{scheme}***@{host}").into(),
        None => key.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_key_is_not_shown() {
        for (key, shown) in [
            (
                "https://u:hunter2@reg.example/v1/",
                "https://***@reg.example/v1/",
            ),
            ("u:hunter2@reg.example", "***@reg.example"),
            ("https:/u:hunter2@reg.example", "***@reg.example"),
            ("https://u:hunt@er2@reg.example", "https://***@reg.example"),
            ("reg.example:5000/team", "reg.example:5000/team"),
            ("reg.example/app@sha256:ab", "reg.example/app@sha256:ab"),
        ] {
            assert_eq!(shown_key(key), shown);
        }
    }
}
