//! The rules for the parts of a reference: registry, path, tag, digest.
//!
//! One function a part, byte by byte, as `regexp.go` of distribution/reference
//! v0.6.0 and `algorithm.go` of opencontainers/go-digest v1.0.0 have them. It must
//! not know how the parts are found in a text; offsets in errors count from the
//! start of the whole text, so each function is told where its part begins.

use super::error::ReferenceError;

/// Longest path in bytes, an implied `library/` included.
pub(super) const LONGEST_PATH: usize = 255;
/// Longest tag in bytes.
pub(super) const LONGEST_TAG: usize = 128;

/// Whether the whole text is what `docker images` shows as an ID: 64 lower-case
/// hexadecimal digits, which are refused as a name.
pub(super) fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_lower_hex)
}

/// Whether what stands before the first slash is a registry and no part of a path.
pub(super) fn names_registry(first: &str) -> bool {
    first == "localhost"
        || first
            .bytes()
            .any(|byte| matches!(byte, b'.' | b':') || byte.is_ascii_uppercase())
}

/// `host[:port]` in two; the brackets of an IPv6 address stay with the host.
pub(super) fn split_port(registry: &str) -> (&str, Option<&str>) {
    let address_end = registry.rfind(']').map_or(0, |at| at + 1);
    match registry.get(address_end..).and_then(|rest| rest.find(':')) {
        Some(colon) => {
            let (host, port) = registry.split_at(address_end + colon);
            (host, port.strip_prefix(':'))
        }
        None => (registry, None),
    }
}

/// A registry that stands at the start of the text.
pub(super) fn registry(text: &str) -> Result<(), ReferenceError> {
    let (host, port) = split_port(text);
    match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(Some(address)) => ipv6(address)?,
        Some(None) => return Err(ReferenceError::Address { at: 0 }),
        None => host_name(host)?,
    }
    let Some(port) = port else { return Ok(()) };
    let at = host.len() + 1;
    match port.bytes().position(|byte| !byte.is_ascii_digit()) {
        Some(wrong) => Err(ReferenceError::Port { at: at + wrong }),
        None if port.is_empty() => Err(ReferenceError::EmptyPort { at }),
        None => Ok(()),
    }
}

// Only the characters are checked, as in the Go library: `[:]` passes.
fn ipv6(address: &str) -> Result<(), ReferenceError> {
    let wrong = address
        .bytes()
        .position(|byte| !(byte.is_ascii_hexdigit() || byte == b':'));
    match wrong {
        Some(wrong) => Err(ReferenceError::Address { at: 1 + wrong }),
        None if address.is_empty() => Err(ReferenceError::Address { at: 1 }),
        None => Ok(()),
    }
}

fn host_name(host: &str) -> Result<(), ReferenceError> {
    let mut at = 0;
    for label in host.split('.') {
        if let Some(wrong) = label
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'-'))
        {
            return Err(ReferenceError::Host { at: at + wrong });
        }
        if label.is_empty() || label.starts_with('-') {
            return Err(ReferenceError::HostLabel { at });
        }
        if label.ends_with('-') {
            let at = at + label.len() - 1;
            return Err(ReferenceError::HostLabel { at });
        }
        at += label.len() + 1;
    }
    Ok(())
}

/// Whether the text can stand between two slashes of a path.
pub(super) fn is_path_segment(text: &str) -> bool {
    segment(text, 0).is_ok()
}

/// A path that begins at byte `at`; its length is [`path_length`]'s business.
pub(super) fn path(path: &str, mut at: usize) -> Result<(), ReferenceError> {
    for part in path.split('/') {
        segment(part, at)?;
        at += part.len() + 1;
    }
    Ok(())
}

/// Refuses a path that is longer than a registry may hold.
pub(super) fn path_length(length: usize) -> Result<(), ReferenceError> {
    if length > LONGEST_PATH {
        return Err(ReferenceError::PathTooLong { length });
    }
    Ok(())
}

/// Lower-case letters and digits, between them one `.`, one or two `_`, or any
/// number of `-`.
fn segment(text: &str, at: usize) -> Result<(), ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::EmptySegment { at });
    }
    // The separators since the last letter or digit: which, and how many.
    let mut run: Option<(u8, usize)> = None;
    for (offset, byte) in text.bytes().enumerate() {
        let at = at + offset;
        run = match (byte, run) {
            (b'a'..=b'z' | b'0'..=b'9', _) => None,
            (b'.' | b'_' | b'-', None) if offset > 0 => Some((byte, 1)),
            (b'_', Some((b'_', 1))) => Some((byte, 2)),
            (b'-', Some((b'-', count))) => Some((byte, count + 1)),
            (b'.' | b'_' | b'-', _) => return Err(ReferenceError::Separator { at }),
            (b'A'..=b'Z', _) => return Err(ReferenceError::UpperCase { at }),
            _ => return Err(ReferenceError::PathCharacter { at }),
        };
    }
    match run {
        Some((_, count)) => Err(ReferenceError::Separator {
            at: at + text.len() - count,
        }),
        None => Ok(()),
    }
}

/// A tag that begins at byte `at`.
pub(super) fn tag(tag: &str, at: usize) -> Result<(), ReferenceError> {
    if tag.is_empty() {
        return Err(ReferenceError::EmptyTag { at });
    }
    for (offset, byte) in tag.bytes().enumerate() {
        let word = byte.is_ascii_alphanumeric() || byte == b'_';
        if !word && (offset == 0 || !matches!(byte, b'.' | b'-')) {
            return Err(ReferenceError::Tag { at: at + offset });
        }
    }
    if tag.len() > LONGEST_TAG {
        return Err(ReferenceError::TagTooLong { length: tag.len() });
    }
    Ok(())
}

/// A digest that begins at byte `at`.
pub(super) fn digest(digest: &str, at: usize) -> Result<(), ReferenceError> {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return Err(ReferenceError::DigestFormat { at });
    };
    let expected = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ReferenceError::DigestAlgorithm { at }),
    };
    let at = at + algorithm.len() + 1;
    if let Some(wrong) = hex.bytes().position(|byte| !is_lower_hex(byte)) {
        return Err(ReferenceError::DigestCharacter { at: at + wrong });
    }
    if hex.len() != expected {
        let length = hex.len();
        return Err(ReferenceError::DigestLength { length, expected });
    }
    Ok(())
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
