//! What a registry's key in a pull secret comes to: host and path.
//!
//! The kubelet hands each key to Go's `url.Parse` and drops, with a line in its own
//! log, those that are no URL. Which ones that are, and what is left of the others
//! (no user, query or fragment; escapes undone), is decided here as `net/url` of
//! Go 1.26 does, with which kubelet 1.36 is built. Everything is bytes: undoing
//! escapes can give what is no UTF-8. It must not know globs or image names.

use std::net::Ipv6Addr;

/// A key or an image name, taken apart as a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// Host with port; escapes undone.
    pub(super) host: Vec<u8>,
    /// Path from its slash on, or nothing; escapes undone.
    pub(super) path: Vec<u8>,
}

/// Why Go takes a text for no URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// A character below U+0020, or U+007F.
    #[error("it holds a control character")]
    ControlCharacter,
    /// `%` without two hexadecimal digits, or one where none may be.
    #[error("a `%` in it begins no valid escape")]
    Escape,
    /// A blank, a backslash, a brace: no host has it.
    #[error("its host holds a character that no host has")]
    HostCharacter,
    /// Something other than digits behind the host's colon.
    #[error("its port is not a number")]
    Port,
    /// Brackets that hold no IPv6 address; no character class either.
    #[error("brackets in its host may hold an IPv6 address only, `[1-3]` is not understood")]
    Brackets,
    /// Something odd before an `@`.
    #[error("what stands before `@` is no user")]
    User,
}

/// What may be escaped, and what the result may hold, differs by part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Zone,
    Other,
}

impl Location {
    /// What `url.Parse` makes of `https://` and the text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, LocationError> {
        let (text, fragment) = cut(text, b'#');
        if text.iter().any(|&byte| byte < b' ' || byte == 0x7f) {
            return Err(LocationError::ControlCharacter);
        }
        let (text, _query) = cut(text, b'?');
        let (authority, path) = match text.iter().position(|&byte| byte == b'/') {
            Some(slash) => text.split_at(slash),
            None => (text, &[][..]),
        };
        let location = Self {
            host: host_of(authority)?,
            path: unescape(path, Part::Other)?,
        };
        unescape(fragment, Part::Other)?;
        Ok(location)
    }
}

fn host_of(authority: &[u8]) -> Result<Vec<u8>, LocationError> {
    let Some(at) = authority.iter().rposition(|&byte| byte == b'@') else {
        return host(authority);
    };
    let (user, rest) = authority.split_at(at);
    let found = host(rest.get(1..).unwrap_or_default())?;
    let allowed =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.iter().all(allowed) {
        return Err(LocationError::User);
    }
    unescape(user, Part::Other)?;
    Ok(found)
}

fn host(text: &[u8]) -> Result<Vec<u8>, LocationError> {
    match text.iter().rposition(|&byte| byte == b'[') {
        Some(0) => address(text),
        Some(_) => Err(LocationError::Brackets),
        None => {
            let (_, port) = cut(text, b':');
            if !port.iter().all(u8::is_ascii_digit) {
                return Err(LocationError::Port);
            }
            unescape(text, Part::Host)
        }
    }
}

// `[2001:db8::1]:5000`, and `[fe80::1%25eth0]` with a zone.
fn address(text: &[u8]) -> Result<Vec<u8>, LocationError> {
    let Some(end) = text.iter().rposition(|&byte| byte == b']') else {
        return Err(LocationError::Brackets);
    };
    let (inside, after) = text.split_at(end);
    let inside = inside.get(1..).unwrap_or_default();
    let port = after.get(1..).unwrap_or_default();
    if !(port.is_empty() || port.starts_with(b":")) || !port.iter().skip(1).all(u8::is_ascii_digit)
    {
        return Err(LocationError::Port);
    }
    let zone = inside.windows(3).position(|three| three == b"%25");
    let (before, zone) = inside.split_at(zone.unwrap_or(inside.len()));
    let mut plain = unescape(before, Part::Host)?;
    plain.extend(unescape(zone, Part::Zone)?);
    if !is_ipv6(&plain) {
        return Err(LocationError::Brackets);
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

fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, LocationError> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = after else {
                return Err(LocationError::Escape);
            };
            let byte = escaped(*high, *low, part).ok_or(LocationError::Escape)?;
            plain.push(byte);
            rest = after;
        } else {
            if part != Part::Other && first.is_ascii() && !in_host(*first) {
                return Err(LocationError::HostCharacter);
            }
            plain.push(*first);
            rest = after;
        }
    }
    Ok(plain)
}

fn escaped(high: u8, low: u8, part: Part) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let byte = u8::try_from(value(high)? * 16 + value(low)?).ok()?;
    let allowed = match part {
        Part::Other => true,
        // RFC 6874 lets `%25` begin a zone; other ASCII has to be written plainly.
        Part::Host => byte == b'%' || !byte.is_ascii(),
        Part::Zone => matches!(byte, b'%' | b' ') || in_host(byte),
    };
    allowed.then_some(byte)
}

fn in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!\"$&'()*+,-.:;<=>[]_~".contains(&byte)
}

/// The text before the first `at` and what follows it, which may be nothing.
fn cut(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&byte| byte == at) {
        Some(found) => {
            let (before, rest) = text.split_at(found);
            (before, rest.get(1..).unwrap_or_default())
        }
        None => (text, &[]),
    }
}
