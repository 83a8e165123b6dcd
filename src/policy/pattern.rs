//! Patterns of the map, `host[:port][/path]`, and what is wrong with a text that is
//! none.
//!
//! A pattern always names a host. For the policy only: what a kubelet does with the
//! keys of a pull secret is looser in one place and stricter in others.

use std::fmt;

use super::canonical::{self, HTTPS, Place};
use super::glob;

/// The longest host name there is (RFC 1035 §2.3.4, without the final dot).
const LONGEST_HOST: usize = 253;

/// A pattern of the map: `host[:port][/path]`.
///
/// Labels of the host may hold `*`, which does not cross dots; a leading `**.`
/// stands for one or more labels. The path is a prefix that ends at a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As written.
    pub text: String,
    // In the spelling of `canonical`, without a leading `**.`.
    host: String,
    deep: bool,
    port: u16,
    path: String,
}

impl Pattern {
    /// Reads a pattern. The error says what to write instead where that can be told.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        take_apart(text).map_err(|problem| PatternError {
            problem,
            instead: suggest(text),
        })
    }

    /// The host in lower case, Docker Hub by one name, without port and leading `**.`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path without its leading slash; empty where none is written.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the host may be more than one.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.deep || glob::is_glob(&self.host)
    }

    /// Whether the host begins with `**.`, any number of labels.
    #[must_use]
    pub fn is_deep(&self) -> bool {
        self.deep
    }

    /// Characters of the host that are no wildcard: the more, the closer the match.
    ///
    /// The dot of a leading `**.` does not count, so that `*.example` goes before
    /// `**.example` where both match.
    pub(super) fn literal_characters(&self) -> usize {
        self.host.chars().filter(|letter| *letter != '*').count()
    }

    pub(super) fn covers(&self, place: &Place<'_>) -> bool {
        self.port == place.port
            && self.covers_host(&place.host)
            && is_path_prefix(&self.path, &place.path)
    }

    pub(super) fn covers_host(&self, host: &str) -> bool {
        if !self.is_glob() {
            return self.host == host;
        }
        // An address is no name: its colons and dots are no labels.
        !host.starts_with('[') && labels_match(&self.host, self.deep, host, glob::matches)
    }

    /// Whether some host is covered by both; ports and paths are not looked at.
    pub(super) fn shares_hosts_with(&self, other: &Self) -> bool {
        match (self.is_glob(), other.is_glob()) {
            (_, false) => self.covers_host(&other.host),
            (false, true) => other.covers_host(&self.host),
            (true, true) => labels_overlap(self, other),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `prefix` is `path` or ends where one of its slashes stands.
pub(super) fn is_path_prefix(prefix: &str, path: &str) -> bool {
    prefix.is_empty()
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn labels_match(glob: &str, deep: bool, host: &str, same: fn(&str, &str) -> bool) -> bool {
    let mut labels = host.rsplit('.');
    for wanted in glob.rsplit('.') {
        match labels.next() {
            Some(label) if same(wanted, label) => {}
            _ => return false,
        }
    }
    // `**.` asks for one label more, and takes as many as there are.
    labels.next().is_some() == deep
}

fn labels_overlap(a: &Pattern, b: &Pattern) -> bool {
    let (count_a, count_b) = (a.host.split('.').count(), b.host.split('.').count());
    let counts_agree = match (a.deep, b.deep) {
        (true, true) => true,
        (true, false) => count_b > count_a,
        (false, true) => count_a > count_b,
        (false, false) => count_a == count_b,
    };
    counts_agree
        && a.host
            .rsplit('.')
            .zip(b.host.rsplit('.'))
            .all(|(a, b)| glob::overlap(a, b))
}

/// Why a text is no pattern, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    problem: Problem,
    /// A valid pattern that is probably meant.
    pub instead: Option<String>,
}

impl std::error::Error for PatternError {}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("a pattern is empty: write a host, like `registry.example.com`")]
    Empty,
    #[error("a pattern has no scheme: leave `{0}` out")]
    Scheme(String),
    #[error("a pattern has no user name: leave what stands before `@` out")]
    UserName,
    #[error("`{0}` is no host: a pattern begins with the registry")]
    NoHost(String),
    #[error("a pattern has no tag: it covers all tags of a repository")]
    Tag,
    #[error("a pattern has no digest: it covers all digests of a repository")]
    Digest,
    #[error("a pattern does not end in a slash: its path covers what is below it as it is")]
    TrailingSlash,
    #[error(
        "`{0}` names no host: write the registries one by one, or say `unknownRegistries: allow`"
    )]
    Everything(String),
    #[error("`*` may not stand in a path: a path covers everything below it as it is")]
    WildPath,
    #[error("`**` may only be the whole first label of a host, as in `**.example.com`")]
    DoubleStar,
    #[error("`{}` may not stand in a pattern", .0.escape_debug())]
    Character(char),
    #[error("`{0}` is no port: write a number from 1 to 65535")]
    Port(String),
    #[error(
        "`{0}` is no host name: a label is letters, digits and `-`, not empty, no `-` at its ends"
    )]
    Label(String),
    #[error("`{0}` is no host name: it is longer than 253 characters")]
    LongHost(String),
    #[error("`{0}` is no IPv6 address: write it in brackets, like `[2001:db8::1]:5000`")]
    Ipv6(String),
    #[error("repositories are written in lower case, so this can never match")]
    UpperPath,
    #[error(
        "`{0}` is no part of a repository's path: write lower case letters and digits, with `.`, `_`, `__` or `-` between them"
    )]
    Path(String),
    #[error("a repository's path is no longer than 255 characters")]
    LongPath,
}

fn take_apart(text: &str) -> Result<Pattern, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some(scheme) = scheme(text) {
        return Err(Problem::Scheme(scheme.to_owned()));
    }
    let (first, path) = match text.split_once('/') {
        Some((first, path)) => (first, Some(path)),
        None => (text, None),
    };
    if let Some((_, after)) = text.split_once('@') {
        let digest = after.starts_with("sha") || !first.contains('@');
        return Err(if digest {
            Problem::Digest
        } else {
            Problem::UserName
        });
    }
    if first.bytes().all(|byte| byte == b'*') && !first.is_empty() {
        return Err(Problem::Everything(text.to_owned()));
    }
    if !names_host(first) {
        return Err(Problem::NoHost(first.to_owned()));
    }
    let (written, port) = host_and_port(first)?;
    let (host, deep) = host(written)?;
    let path = path.unwrap_or_default();
    if text.ends_with('/') {
        return Err(Problem::TrailingSlash);
    }
    check_path(path)?;
    Ok(Pattern {
        text: text.to_owned(),
        host,
        deep,
        port,
        path: path.to_owned(),
    })
}

fn scheme(text: &str) -> Option<&str> {
    text.find("://").and_then(|at| text.get(..at + 3))
}

/// Whether an image would take this first part for a registry.
fn names_host(first: &str) -> bool {
    first == "localhost"
        || first
            .bytes()
            .any(|byte| matches!(byte, b'.' | b':' | b'[') || byte.is_ascii_uppercase())
}

fn host_and_port(first: &str) -> Result<(&str, u16), Problem> {
    let (host, digits) = match first.rfind(']') {
        Some(end) => {
            let (host, rest) = first.split_at(end + 1);
            match rest.strip_prefix(':') {
                Some(digits) => (host, Some(digits)),
                None if rest.is_empty() => (host, None),
                None => return Err(Problem::Ipv6(first.to_owned())),
            }
        }
        None if first.matches(':').count() > 1 => return Err(Problem::Ipv6(first.to_owned())),
        None => match first.split_once(':') {
            Some((host, digits)) => (host, Some(digits)),
            None => (first, None),
        },
    };
    let port = match digits {
        None => HTTPS,
        Some(digits) => canonical::port(digits)
            .filter(|port| *port != 0)
            .ok_or_else(|| Problem::Port(digits.to_owned()))?,
    };
    Ok((host, port))
}

fn host(written: &str) -> Result<(String, bool), Problem> {
    if written.starts_with('[') {
        return match canonical::ipv6(written) {
            Some(_) => Ok((canonical::host(written).into_owned(), false)),
            None => Err(Problem::Ipv6(written.to_owned())),
        };
    }
    let (labels, deep) = match written.strip_prefix("**.") {
        Some(rest) => (rest, true),
        None => (written, false),
    };
    if written.len() > LONGEST_HOST {
        return Err(Problem::LongHost(written.to_owned()));
    }
    for label in labels.split('.') {
        check_label(label, written)?;
    }
    if !labels.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Problem::Everything(written.to_owned()));
    }
    let host = if deep || glob::is_glob(labels) {
        labels.to_ascii_lowercase()
    } else {
        canonical::host(labels).into_owned()
    };
    Ok((host, deep))
}

fn check_label(label: &str, host: &str) -> Result<(), Problem> {
    // `_` is in no host name, but the kubelet and the runtime take it in an image.
    let strange = |letter: &char| !letter.is_ascii_alphanumeric() && !"-_*".contains(*letter);
    if let Some(letter) = label.chars().find(strange) {
        return Err(Problem::Character(letter));
    }
    if label.contains("**") {
        return Err(Problem::DoubleStar);
    }
    if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
        return Err(Problem::Label(host.to_owned()));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), Problem> {
    if path.is_empty() {
        return Ok(());
    }
    if path.contains('*') {
        return Err(Problem::WildPath);
    }
    if path.contains(':') {
        return Err(Problem::Tag);
    }
    if path.len() > 255 {
        return Err(Problem::LongPath);
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Problem::UpperPath);
    }
    match path.split('/').find(|part| !is_path_part(part)) {
        Some(part) => Err(Problem::Path(part.to_owned())),
        None => Ok(()),
    }
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`
/// (github.com/distribution/reference, `regexp.go`).
fn is_path_part(part: &str) -> bool {
    let word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let separator =
        |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    part.starts_with(word) && part.ends_with(word) && part.split(word).all(separator)
}

/// A valid pattern that is probably meant by one that is none.
fn suggest(text: &str) -> Option<String> {
    let text = text.trim();
    let text = scheme(text).map_or(text, |scheme| text.trim_start_matches(scheme));
    let text = match text.split_once('@') {
        Some((before, after)) if after.starts_with("sha") || before.contains('/') => before,
        Some((_, after)) => after,
        None => text,
    };
    let (first, path) = text.split_once('/').unwrap_or((text, ""));
    let mut path = path.trim_matches('/');
    // What Docker writes into its configuration: `https://index.docker.io/v1/`.
    for version in ["v1", "v2"] {
        if let Some(rest) = path.strip_prefix(version)
            && (rest.is_empty() || rest.starts_with('/'))
            && text.len() > first.len() + 1 + path.len()
        {
            path = rest.trim_start_matches('/');
        }
    }
    let path = path.split(':').next().unwrap_or_default();
    let path = path.split('*').next().unwrap_or_default();
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    let host = suggest_host(first, &path);
    let whole = if path.is_empty() {
        host
    } else {
        format!("{host}/{path}")
    };
    take_apart(&whole).is_ok().then_some(whole)
}

fn suggest_host(first: &str, path: &str) -> String {
    let (name, port) = first.split_once(':').unwrap_or((first, ""));
    if first.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{first}]")
    } else if names_host(name) && glob::is_glob(name) {
        first.to_owned()
    } else if names_host(name) && canonical::port(port).is_some() {
        canonical::host(name).into_owned() + ":" + port
    } else if names_host(name) {
        canonical::host(name).into_owned()
    } else if path.is_empty() {
        format!("docker.io/library/{name}")
    } else {
        format!("docker.io/{name}")
    }
}
