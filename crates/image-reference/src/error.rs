//! Why a text is no image reference, in words for whoever wrote it.
//!
//! The grammar says where it stopped; [`explain`] then looks for the habits behind
//! most wrong references (a URL, a template that was not filled in) and names those
//! instead. It must not decide whether a text is valid, and no message repeats the
//! text, which comes from strangers: callers show it, escaped, beside the message.

use super::grammar::{LONGEST_PATH, LONGEST_TAG};

/// Why a text is no image reference.
///
/// `at` counts bytes from the start of the text, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing is written.
    #[error("the image is empty; write one such as registry.example/team/app:1.0")]
    Empty,
    /// A blank, a tab or a line break.
    #[error("white space at byte {at}; an image is one word, remove it")]
    WhiteSpace {
        /// The first of it.
        at: usize,
    },
    /// `https://` or another scheme.
    #[error("an image has no scheme; leave out everything up to and including `://`")]
    Scheme,
    /// `{{ }}`, `$NAME` or `<name>`: whatever was to fill it in did not.
    #[error(
        "a placeholder at byte {at} was not filled in; \
         check the template or script that writes this image"
    )]
    Placeholder {
        /// Where it begins.
        at: usize,
    },
    /// `user@registry/app`.
    #[error(
        "`@` at byte {at} before the registry; credentials belong into a pull secret, \
         leave out everything up to and including the `@`"
    )]
    Credentials {
        /// The `@`.
        at: usize,
    },
    /// A letter outside ASCII, perhaps one that only looks like a Latin one.
    #[error(
        "{found:?} at byte {at} is no ASCII character; \
         an image has only ASCII letters (an international host is written xn--…)"
    )]
    NotAscii {
        /// The first one.
        at: usize,
        /// The character itself.
        found: char,
    },
    /// 64 hexadecimal digits alone.
    #[error(
        "64 hexadecimal digits are an image ID, which no registry knows; \
         write the image's name, or name@sha256:digest"
    )]
    ImageId,
    /// A character that no host name has.
    #[error(
        "a character at byte {at} cannot be in a registry's host; \
         it has letters, digits, `-` and `.`"
    )]
    Host {
        /// The character.
        at: usize,
    },
    /// Two dots in a row, a dot at an end, or a hyphen beside a dot.
    #[error(
        "the registry's host is wrong at byte {at}; \
         each part between dots begins and ends with a letter or a digit"
    )]
    HostLabel {
        /// Where the part is wrong.
        at: usize,
    },
    /// Brackets without an IPv6 address between them.
    #[error(
        "the registry's address is wrong at byte {at}; \
         between brackets stands an IPv6 address without a zone, like [2001:db8::1]:5000"
    )]
    Address {
        /// Where it goes wrong.
        at: usize,
    },
    /// A port that is not digits.
    #[error(
        "the registry's port is wrong at byte {at}; \
         it is digits only (a tag comes last, after the path: registry/app:tag)"
    )]
    Port {
        /// The first character that is none.
        at: usize,
    },
    /// A colon after the host and nothing behind it.
    #[error("the registry's port is missing at byte {at}; write it or leave out the `:`")]
    EmptyPort {
        /// Where it should be.
        at: usize,
    },
    /// Two slashes in a row, or one at an end.
    #[error("a name is missing at byte {at}; slashes stand only between names")]
    EmptySegment {
        /// Where it should be.
        at: usize,
    },
    /// An upper-case letter in the repository.
    #[error("upper-case letter at byte {at}; a repository's name is lower case, only tags are not")]
    UpperCase {
        /// The letter.
        at: usize,
    },
    /// Separators that do not separate, or too many of them.
    #[error(
        "wrong separator at byte {at}; between letters and digits may stand \
         one `.`, one or two `_`, or any number of `-`"
    )]
    Separator {
        /// The separator.
        at: usize,
    },
    /// A character that no repository has.
    #[error(
        "a character at byte {at} cannot be in a repository's name; \
         it has lower-case letters, digits, `.`, `_`, `-` and `/`"
    )]
    PathCharacter {
        /// The character.
        at: usize,
    },
    /// A path over 255 bytes.
    #[error(
        "the repository's name has {length} bytes and may have {LONGEST_PATH} \
         (`library/` counts where it is implied)"
    )]
    PathTooLong {
        /// Its length.
        length: usize,
    },
    /// A colon and nothing behind it.
    #[error("the tag is missing at byte {at}; write one or leave out the `:`")]
    EmptyTag {
        /// Where it should be.
        at: usize,
    },
    /// A character that no tag has there.
    #[error(
        "a character at byte {at} cannot be in a tag there; \
         it has letters, digits, `_`, and after the first also `.` and `-`"
    )]
    Tag {
        /// The character.
        at: usize,
    },
    /// A tag over 128 bytes.
    #[error("the tag has {length} bytes and may have {LONGEST_TAG}")]
    TagTooLong {
        /// Its length.
        length: usize,
    },
    /// No `algorithm:hex` after the `@`.
    #[error("no digest at byte {at}; after `@` stands one such as sha256: and 64 digits")]
    DigestFormat {
        /// Where it should be.
        at: usize,
    },
    /// Not sha256, sha384 or sha512 in lower case.
    #[error("unknown digest algorithm at byte {at}; use sha256, sha384 or sha512")]
    DigestAlgorithm {
        /// Where it stands.
        at: usize,
    },
    /// Something other than lower-case hexadecimal digits.
    #[error("a character at byte {at} cannot be in a digest; it has 0 to 9 and lower-case a to f")]
    DigestCharacter {
        /// The character.
        at: usize,
    },
    /// A digest that was cut off, or of another algorithm.
    #[error("the digest has {length} hexadecimal digits and its algorithm needs {expected}")]
    DigestLength {
        /// What is there.
        length: usize,
        /// What should be there.
        expected: usize,
    },
}

/// The likeliest reason for a refused text; `found` when no habit explains it.
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

// RFC 3986: a letter, then letters, digits, `+`, `-` and `.`.
fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}
