//! Patterns of the map: `host[:port][/path]`. A pattern always names a host.
//!
//! They are for the policy only. This module must not be used to find out which
//! credential a kubelet uses: the kubelet compares the keys of a pull secret by other
//! rules.

mod error;

use std::borrow::Cow;
use std::fmt;

pub use error::PatternError;
use error::PatternProblem;
pub(crate) use error::shown;

use super::canonical::{self, HTTPS};
use super::glob;

/// What stands for every port after the colon.
const EVERY_PORT: &str = "*";

/// The most characters of a hostname (RFC 1035 §2.3.4, without the final dot).
const LONGEST_HOST: usize = 253;

/// A pattern of the map: `host[:port][/path]`.
///
/// Labels of the host may contain `*`, which does not match dots; a leading `**.` stands
/// for one or more labels. The port `*` stands for every port. The path covers itself and
/// every path below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The pattern as it is written in the map.
    pub text: String,
    // In the spelling of `canonical`, without a leading `**.`.
    host: String,
    is_deep: bool,
    // `None` for every port.
    port: Option<u16>,
    path: String,
    literal_characters: usize,
}

impl Pattern {
    /// Parses a pattern. The error suggests a valid pattern if it can derive one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        parse(text).map_err(|problem| PatternError::new(problem, text))
    }

    /// The host in its canonical spelling, without the port and a leading `**.`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, which is 443 if none is written; `None` for every port (`host:*`).
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether a port is written, or `*` for every port.
    pub(crate) fn names_port(&self) -> bool {
        let host = self.text.split('/').next().unwrap_or_default();
        let name = host.rsplit(']').next().unwrap_or_default();
        name.contains(':')
    }

    /// The path without its leading slash; empty if none is written.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the pattern can cover more than one host.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.is_deep || glob::is_glob(&self.host)
    }

    /// Whether the host begins with `**.`, which stands for one or more labels.
    #[must_use]
    pub fn is_deep(&self) -> bool {
        self.is_deep
    }

    /// The number of characters of the host that are not wildcards: the more, the closer
    /// the match.
    ///
    /// The dot of a leading `**.` does not count, so that `*.example` precedes
    /// `**.example` where both match.
    pub(crate) fn literal_characters(&self) -> usize {
        self.literal_characters
    }

    /// Whether another pattern covers the same images, however it is spelled.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let parts = |pattern: &Self| (pattern.is_deep, pattern.port);
        parts(self) == parts(other) && self.host == other.host && self.path == other.path
    }

    /// The host as one glob, whose `*` matches dots too, so that it covers more hosts than
    /// the pattern.
    pub(crate) fn loose_host(&self) -> String {
        let deep = if self.is_deep { "**." } else { "" };
        format!("{deep}{}", self.host)
    }

    pub(crate) fn covers_host(&self, host: &str) -> bool {
        if !self.is_glob() {
            return self.host == host;
        }
        // Globs match names only; the colons and dots of an address do not separate labels.
        !host.starts_with('[') && labels_match(&self.host, self.is_deep, host, glob::matches)
    }

    /// Whether some host is covered by both patterns, whatever their ports and paths.
    pub(crate) fn shares_hosts_with(&self, other: &Self) -> bool {
        match (self.is_glob(), other.is_glob()) {
            (_, false) => self.covers_host(&other.host),
            (false, true) => other.covers_host(&self.host),
            (true, true) => {
                labels_overlap((&self.host, self.is_deep), (&other.host, other.is_deep))
            }
        }
    }

    /// Whether some host is covered by the pattern and by a host with `*`, in the spelling
    /// in which they are written.
    pub(crate) fn meets(&self, host: &str) -> bool {
        labels_overlap((&self.host, self.is_deep), (host, false))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `prefix` is `path` or ends before one of the slashes of `path`.
pub(crate) fn is_path_prefix(prefix: &str, path: &str) -> bool {
    prefix.is_empty()
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn labels_match(glob: &str, is_deep: bool, host: &str, same: fn(&str, &str) -> bool) -> bool {
    let mut labels = host.rsplit('.');
    for wanted in glob.rsplit('.') {
        match labels.next() {
            Some(label) if same(wanted, label) => {}
            _ => return false,
        }
    }
    // `**.` needs at least one more label and accepts any number.
    labels.next().is_some() == is_deep
}

fn labels_overlap((a, a_is_deep): (&str, bool), (b, b_is_deep): (&str, bool)) -> bool {
    let (count_a, count_b) = (a.split('.').count(), b.split('.').count());
    let counts_agree = match (a_is_deep, b_is_deep) {
        (true, true) => true,
        (true, false) => count_b > count_a,
        (false, true) => count_a > count_b,
        (false, false) => count_a == count_b,
    };
    counts_agree
        && a.rsplit('.')
            .zip(b.rsplit('.'))
            .all(|(a, b)| glob::overlap(a, b))
}

fn parse(text: &str) -> Result<Pattern, PatternProblem> {
    if text.is_empty() {
        return Err(PatternProblem::Empty);
    }
    if let Some(scheme) = scheme(text) {
        return Err(PatternProblem::Scheme(scheme.to_owned()));
    }
    let (first, path) = match text.split_once('/') {
        Some((first, path)) => (first, Some(path)),
        None => (text, None),
    };
    if let Some((_, after)) = text.split_once('@') {
        let digest = after.starts_with("sha") || !first.contains('@');
        return Err(if digest {
            PatternProblem::Digest
        } else {
            PatternProblem::UserName
        });
    }
    if first.bytes().all(|byte| byte == b'*') && !first.is_empty() {
        return Err(PatternProblem::Everything(text.to_owned()));
    }
    if !names_host(first) {
        return Err(PatternProblem::NoHost(first.to_owned()));
    }
    let (written, port) = host_and_port(first)?;
    let (host, is_deep) = host(written)?;
    let path = path.unwrap_or_default();
    if text.ends_with('/') {
        return Err(PatternProblem::TrailingSlash);
    }
    check_path(path)?;
    Ok(Pattern {
        text: text.to_owned(),
        literal_characters: host.chars().filter(|letter| *letter != '*').count(),
        host,
        is_deep,
        port,
        path: path.to_owned(),
    })
}

fn scheme(text: &str) -> Option<&str> {
    text.find("://").and_then(|at| text.get(..at + 3))
}

/// Whether the grammar of images reads this first part as a registry.
fn names_host(first: &str) -> bool {
    first == "localhost"
        || first
            .bytes()
            .any(|byte| matches!(byte, b'.' | b':' | b'[') || byte.is_ascii_uppercase())
}

fn host_and_port(first: &str) -> Result<(&str, Option<u16>), PatternProblem> {
    let bracket = first.rfind(']').filter(|_| first.starts_with('['));
    let (host, digits) = match bracket {
        Some(end) => {
            let (host, rest) = first.split_at(end + 1);
            match rest.strip_prefix(':') {
                Some(digits) => (host, Some(digits)),
                None if rest.is_empty() => (host, None),
                None => return Err(PatternProblem::Ipv6(first.to_owned())),
            }
        }
        None if first.matches(':').count() > 1 => {
            return Err(PatternProblem::Ipv6(first.to_owned()));
        }
        None => match first.split_once(':') {
            Some((host, digits)) => (host, Some(digits)),
            None => (first, None),
        },
    };
    let port = match digits {
        None => Some(HTTPS),
        Some(EVERY_PORT) => None,
        Some("") => return Err(PatternProblem::NoPort),
        Some(digits) => {
            let port = canonical::port(digits).filter(|port| *port != 0);
            Some(port.ok_or_else(|| PatternProblem::Port(digits.to_owned()))?)
        }
    };
    Ok((host, port))
}

fn host(written: &str) -> Result<(String, bool), PatternProblem> {
    if written.starts_with('[') {
        return match canonical::ipv6(written) {
            Some(_) => Ok((canonical::host(written).into_owned(), false)),
            None => Err(PatternProblem::Ipv6(written.to_owned())),
        };
    }
    let (labels, is_deep) = match written.strip_prefix("**.") {
        Some(rest) => (rest, true),
        None => (written, false),
    };
    if written.len() > LONGEST_HOST {
        return Err(PatternProblem::LongHost);
    }
    for label in labels.split('.') {
        check_label(label, written)?;
    }
    if !labels.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Err(PatternProblem::Everything(written.to_owned()));
    }
    let host = if is_deep || glob::is_glob(labels) {
        canonical_glob(labels.to_ascii_lowercase(), is_deep)
    } else {
        canonical::host(labels).into_owned()
    };
    Ok((host, is_deep))
}

/// A host with `*` in the spelling in which images are compared.
fn canonical_glob(lower: String, is_deep: bool) -> String {
    if !is_deep {
        return canonical::service(&lower).map_or(lower, Cow::into_owned);
    }
    // What `**.` stands for includes one label.
    let service = canonical::service(&format!("*.{lower}"));
    let below = service.as_deref().and_then(|host| host.strip_prefix("*."));
    below.map(str::to_owned).unwrap_or(lower)
}

fn check_label(label: &str, host: &str) -> Result<(), PatternProblem> {
    // A hostname cannot contain `_`, but the kubelet and the runtime accept it in an image.
    let strange = |letter: &char| !letter.is_ascii_alphanumeric() && !"-_*".contains(*letter);
    if let Some(letter) = label.chars().find(strange) {
        return Err(PatternProblem::Character(letter));
    }
    if label.contains("**") {
        return Err(PatternProblem::DoubleStar);
    }
    if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
        return Err(PatternProblem::Label(host.to_owned()));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), PatternProblem> {
    if path.is_empty() {
        return Ok(());
    }
    if path.contains('*') {
        return Err(PatternProblem::WildPath);
    }
    if path.contains(':') {
        return Err(PatternProblem::Tag);
    }
    if path.len() > 255 {
        return Err(PatternProblem::LongPath);
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(PatternProblem::UpperPath);
    }
    if path.split('/').any(str::is_empty) {
        return Err(PatternProblem::EmptyPath);
    }
    match path.split('/').find(|part| !is_path_part(part)) {
        Some(part) => Err(PatternProblem::Path(part.to_owned())),
        None => Ok(()),
    }
}

/// Whether the text is `[a-z0-9]+`, joined by `.`, `_`, `__` or any number of `-`
/// (github.com/distribution/reference, `regexp.go`).
fn is_path_part(part: &str) -> bool {
    let word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let separator =
        |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    part.starts_with(word) && part.ends_with(word) && part.split(word).all(separator)
}
