//! Why a text is not a valid pattern, and which pattern its author probably meant.
//!
//! This module must not accept a text that [`super::Pattern::parse`] refuses.

use std::fmt;
use std::net::Ipv6Addr;

use super::{EVERY_PORT, names_host, parse, scheme};
use crate::policy::canonical;
use crate::policy::glob;
use crate::text;

/// How many characters of a text a message shows.
const LONGEST_SHOWN: usize = 80;

/// Why a text is not a pattern, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    problem: PatternProblem,
    /// A valid pattern that its author probably meant.
    pub instead: Option<String>,
}

impl PatternError {
    pub(crate) fn new(problem: PatternProblem, text: &str) -> Self {
        Self {
            problem,
            instead: suggest(text),
        }
    }
}

impl std::error::Error for PatternError {}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternProblem {
    #[error("a pattern is empty: write a host, like `registry.example.com`")]
    Empty,
    #[error("a pattern has no scheme: remove `{}`", shown(.0))]
    Scheme(String),
    #[error("a pattern has no user name: remove everything up to the `@`")]
    UserName,
    #[error("`{}` is not a host: a pattern begins with the registry", shown(.0))]
    NoHost(String),
    #[error("a pattern has no tag: it covers all tags of a repository")]
    Tag,
    #[error("a pattern has no digest: it covers all digests of a repository")]
    Digest,
    #[error("a pattern does not end in a slash: without it, the path also covers everything below")]
    TrailingSlash,
    #[error(
        "`{}` names no host: list the registries one by one, or write `unknownRegistries: allow`",
        shown(.0)
    )]
    Everything(String),
    #[error("a path cannot contain `*`: without it, the path also covers everything below")]
    WildPath,
    #[error("`**` may only be the whole first label of a host, as in `**.example.com`")]
    DoubleStar,
    #[error("a pattern cannot contain `{}`", shown(&.0.to_string()))]
    Character(char),
    #[error(
        "the port after the colon is missing: write a number from 1 to 65535, or `*` for every port"
    )]
    NoPort,
    #[error("`{}` is not a port: write a number from 1 to 65535, or `*` for every port", shown(.0))]
    Port(String),
    #[error(
        "`{}` is not a hostname: a label is one or more letters, digits and `-`, without `-` at its ends",
        shown(.0)
    )]
    Label(String),
    #[error("a hostname has at most 253 characters")]
    LongHost,
    #[error("`{}` is not an IPv6 address: write it in brackets, like `[2001:db8::1]:5000`", shown(.0))]
    Ipv6(String),
    #[error("repositories are written in lower case, so this can never match")]
    UpperPath,
    #[error(
        "`{}` is not a valid part of a repository's path: write lower case letters and digits, with `.`, `_`, `__` or `-` between them", shown(.0)
    )]
    Path(String),
    #[error("the path contains two slashes in a row")]
    EmptyPath,
    #[error("a repository's path has at most 255 characters")]
    LongPath,
}

/// A text of the map, escaped and cut for a message.
pub(crate) fn shown(text: &str) -> String {
    text::cut(text::visible(text), LONGEST_SHOWN)
}

/// A valid pattern that the author of an invalid one probably meant.
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
    // Docker writes `https://index.docker.io/v1/` into its configuration.
    for version in ["v1", "v2"] {
        if let Some(rest) = path.strip_prefix(version)
            && (rest.is_empty() || rest.starts_with('/'))
            && text.len() > first.len() + 1 + path.len()
        {
            path = rest.trim_start_matches('/');
        }
    }
    let path = path.split(':').next().unwrap_or_default();
    // A path covers what is below it, so that a `*` at its end says nothing. One before
    // its end does, and the path up to there would cover more than was written.
    let (path, behind) = path.split_once('*').unwrap_or((path, ""));
    if !behind.trim_matches(['*', '/']).is_empty() {
        return None;
    }
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    let host = suggest_host(first, &path);
    let whole = if path.is_empty() {
        host
    } else {
        format!("{host}/{path}")
    };
    parse(&whole).is_ok().then_some(whole)
}

fn suggest_host(first: &str, path: &str) -> String {
    let (name, port) = first.split_once(':').unwrap_or((first, ""));
    if first.parse::<Ipv6Addr>().is_ok() {
        format!("[{first}]")
    } else if names_host(name) && glob::is_glob(name) {
        first.to_owned()
    } else if names_host(name) && (port == EVERY_PORT || canonical::port(port).is_some()) {
        canonical::host(name).into_owned() + ":" + port
    } else if names_host(name) {
        canonical::host(name).into_owned()
    } else if path.is_empty() {
        format!("docker.io/library/{name}")
    } else {
        format!("docker.io/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn no_suggestion_covers_more_than_was_written() {
        for (written, suggested) in [
            ("quay.io/*", Some("quay.io")),
            ("quay.io/team/*", Some("quay.io/team")),
            ("quay.io/team/**", Some("quay.io/team")),
            ("https://quay.io/team/*/", Some("quay.io/team")),
            ("quay.io/*/app", None),
            ("quay.io/team/*/app", None),
            ("quay.io/**/app", None),
            ("quay.io/te*m", None),
            ("quay.io/*app", None),
        ] {
            assert_eq!(suggest(written).as_deref(), suggested, "{written}");
        }
    }
}
