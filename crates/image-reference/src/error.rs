//! The reasons for which a text is not an image reference, worded for its author.
//!
//! The grammar reports where it stops. [`explain`] then looks for the mistakes behind
//! most wrong references (a URL, a template that nothing filled in) and reports those
//! instead. This module must not decide whether a text is valid. No message repeats the
//! text, because it is untrusted: a caller escapes it and shows it beside the message.

use super::grammar::{LONGEST_PATH, LONGEST_TAG};

/// The reason for which a text is not an image reference.
///
/// `Display` says what is wrong, where, and what to write instead. It never repeats the
/// text, apart from a single character of [`ReferenceError::NotAscii`], which is escaped.
/// Every `at` is a byte offset from the start of the text and counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The text is empty.
    #[error("the image is empty; write one such as registry.example/team/app:1.0")]
    Empty,
    /// The text contains a space, a tab or a line break.
    #[error("the image has white space at byte {at}; remove it")]
    WhiteSpace {
        /// Where the first white space stands.
        at: usize,
    },
    /// The text begins with `https://` or another scheme, like a URL.
    #[error("the image has a scheme; leave out everything up to and including `://`")]
    Scheme,
    /// The text contains `{{ }}`, `$NAME` or `<name>`, which nothing has filled in.
    #[error(
        "the placeholder at byte {at} is not filled in; \
         check the template or script that writes this image"
    )]
    Placeholder {
        /// Where the placeholder begins.
        at: usize,
    },
    /// A user or a password stands before the registry: `user@registry/app`.
    #[error(
        "a user stands before the `@` at byte {at}; put credentials into a pull secret, \
         and leave out everything up to and including the `@`"
    )]
    Credentials {
        /// Where the `@` stands.
        at: usize,
    },
    /// The text contains a character outside ASCII, perhaps one that only looks like a
    /// Latin letter.
    #[error(
        "'{}' at byte {at} is not an ASCII character; \
         write ASCII only (an international hostname is written xn--…)",
        // As a number, because it may be invisible or look like another one.
        found.escape_unicode()
    )]
    NotAscii {
        /// Where the first such character stands.
        at: usize,
        /// The character.
        found: char,
    },
    /// The text is an image ID: 64 hexadecimal digits and nothing else.
    #[error(
        "64 hexadecimal digits are an image ID, which no registry knows; \
         write the image's name or name@sha256:digest"
    )]
    ImageId,
    /// The registry contains a character that a hostname cannot have.
    #[error(
        "the character at byte {at} is not allowed in a registry's hostname; \
         use letters, digits, `-` and `.`"
    )]
    Host {
        /// Where the character stands.
        at: usize,
    },
    /// The registry has two dots in a row, a dot at an end, or a hyphen beside a dot.
    #[error(
        "the registry's hostname is wrong at byte {at}; \
         begin and end each part between dots with a letter or a digit"
    )]
    HostLabel {
        /// Where the part between dots is wrong.
        at: usize,
    },
    /// The registry has brackets that do not hold an IPv6 address.
    #[error(
        "the registry's address is wrong at byte {at}; \
         write an IPv6 address without a zone in brackets, like [2001:db8::1]:5000"
    )]
    Address {
        /// Where the address is wrong.
        at: usize,
    },
    /// The registry's port contains something other than digits.
    #[error(
        "the registry's port is wrong at byte {at}; \
         write digits only (a tag comes last, after the path: registry/app:tag)"
    )]
    Port {
        /// Where the first character that is not a digit stands.
        at: usize,
    },
    /// The registry ends with a colon.
    #[error("the registry's port is missing at byte {at}; write it or leave out the `:`")]
    EmptyPort {
        /// Where the port should begin.
        at: usize,
    },
    /// The text has two slashes in a row, or a slash at an end.
    #[error("a part of the name is missing at byte {at}; write it or leave out the `/`")]
    EmptySegment {
        /// Where the part should begin.
        at: usize,
    },
    /// The repository contains an upper-case letter.
    #[error(
        "the repository's name has an upper-case letter at byte {at}; \
         write it in lower case (only tags may have upper case)"
    )]
    UpperCase {
        /// Where the letter stands.
        at: usize,
    },
    /// The repository has a separator at an end, or too many separators in a row.
    #[error(
        "the separator at byte {at} is wrong; write one `.`, one or two `_`, \
         or any number of `-`, and only between letters and digits"
    )]
    Separator {
        /// Where the separator stands.
        at: usize,
    },
    /// The repository contains a character that a repository cannot have.
    #[error(
        "the character at byte {at} is not allowed in a repository's name; \
         use lower-case letters, digits, `.`, `_`, `-` and `/`"
    )]
    PathCharacter {
        /// Where the character stands.
        at: usize,
    },
    /// The repository is longer than 255 bytes.
    #[error(
        "the repository's name has {length} bytes and may have {LONGEST_PATH}; shorten it \
         (`library/` counts where it is implied)"
    )]
    PathTooLong {
        /// The length in bytes.
        length: usize,
    },
    /// The text ends with the colon of a tag.
    #[error("the tag is missing at byte {at}; write one or leave out the `:`")]
    EmptyTag {
        /// Where the tag should begin.
        at: usize,
    },
    /// The tag contains a character that a tag cannot have at that position.
    #[error(
        "the character at byte {at} is not allowed there in a tag; \
         use letters, digits and `_`, and after the first character also `.` and `-`"
    )]
    Tag {
        /// Where the character stands.
        at: usize,
    },
    /// The tag is longer than 128 bytes.
    #[error("the tag has {length} bytes and may have {LONGEST_TAG}; shorten it")]
    TagTooLong {
        /// The length in bytes.
        length: usize,
    },
    /// What follows the `@` does not have the form `algorithm:hex`.
    #[error("the digest at byte {at} is incomplete; write sha256: and 64 digits after the `@`")]
    DigestFormat {
        /// Where the digest should begin.
        at: usize,
    },
    /// The digest's algorithm is not sha256, sha384 or sha512 in lower case.
    #[error("the digest algorithm at byte {at} is unknown; use sha256, sha384 or sha512")]
    DigestAlgorithm {
        /// Where the algorithm stands.
        at: usize,
    },
    /// The digest contains something other than lower-case hexadecimal digits.
    #[error(
        "the character at byte {at} is not allowed in a digest; use 0 to 9 and lower-case a to f"
    )]
    DigestCharacter {
        /// Where the character stands.
        at: usize,
    },
    /// The digest is cut off, or belongs to another algorithm.
    #[error(
        "the digest has {length} hexadecimal digits and its algorithm needs {expected}; \
         copy the whole digest"
    )]
    DigestLength {
        /// The number of digits that the text has.
        length: usize,
        /// The number of digits that the algorithm needs.
        expected: usize,
    },
}

/// The likeliest mistake in a text that is not a reference; `found` when the text has none
/// of the usual mistakes.
pub(super) fn explain(text: &str, found: ReferenceError) -> ReferenceError {
    if text.is_empty() {
        return found;
    }
    if let Some(at) = placeholder(text) {
        return ReferenceError::Placeholder { at };
    }
    if let Some(at) = text.find(char::is_whitespace) {
        return ReferenceError::WhiteSpace { at };
    }
    if has_scheme(text) {
        return ReferenceError::Scheme;
    }
    if let Some((at, found)) = text.char_indices().find(|(_, found)| !found.is_ascii()) {
        return ReferenceError::NotAscii { at, found };
    }
    if let Some((before, after)) = text.split_once('@')
        && !before.contains('/')
        && after.contains('/')
    {
        return ReferenceError::Credentials { at: before.len() };
    }
    found
}

fn placeholder(text: &str) -> Option<usize> {
    ["{{", "$", "<"]
        .into_iter()
        .filter_map(|opening| text.find(opening))
        .min()
}

// A scheme is a letter, then letters, digits, `+`, `-` and `.` (RFC 3986, section 3.1).
fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}
