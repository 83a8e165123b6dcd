//! The rules for the parts of a reference: registry, path, tag and digest.
//!
//! There is one function for each part. The rules are those of `regexp.go` of
//! distribution/reference v0.6.0 and of `algorithm.go` of opencontainers/go-digest
//! v1.0.0. This module must not know how the parts are found in a text. Offsets in
//! errors count from the start of the whole text, so a caller passes where a part
//! begins.

use super::error::ReferenceError;

/// The length of the longest path in bytes, including an implied `library/`
/// (`RepositoryNameTotalLengthMax` of `reference.go`).
pub(super) const LONGEST_PATH: usize = 255;
/// The length of the longest tag in bytes.
pub(super) const LONGEST_TAG: usize = 128;

/// Whether the whole text is an image ID as `docker images --no-trunc` shows it: 64
/// lower-case hexadecimal digits. `ParseNormalizedNamed` refuses such a name.
pub(super) fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_lower_hex)
}

/// Whether the text before the first slash names a registry and is not a part of a path
/// (`splitDockerDomain` of `normalize.go`).
pub(super) fn names_registry(first: &str) -> bool {
    first == "localhost"
        || first
            .bytes()
            .any(|byte| matches!(byte, b'.' | b':') || byte.is_ascii_uppercase())
}

/// Splits `host[:port]`. The host keeps the brackets of an IPv6 address.
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

/// Checks a registry, which stands at the start of the text.
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

// The Go library checks only the characters, so `[:]` passes.
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

/// Checks a path that begins at byte `at`. [`path_length`] checks its length.
pub(super) fn path(path: &str, mut at: usize) -> Result<(), ReferenceError> {
    for part in path.split('/') {
        segment(part, at)?;
        at += part.len() + 1;
    }
    Ok(())
}

/// Checks the length of a path in bytes.
pub(super) fn path_length(length: usize) -> Result<(), ReferenceError> {
    if length > LONGEST_PATH {
        return Err(ReferenceError::PathTooLong { length });
    }
    Ok(())
}

/// Checks the text between two slashes of a path: lower-case letters and digits, and
/// between them one `.`, one or two `_`, or any number of `-`.
fn segment(text: &str, at: usize) -> Result<(), ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::EmptySegment { at });
    }
    // The separator after the last letter or digit, and how often it is repeated.
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

/// Checks a tag that begins at byte `at`.
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

/// Checks a digest that begins at byte `at`.
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
