//! Takes out of a text what could be a credential, before the text is kept.
//!
//! Registries put passwords and signatures into URLs, and people paste commands with
//! passwords. What is taken out is replaced by `REDACTED`. The module must not keep what may be
//! a credential, even if it takes too much: the words that say why a pull fails are not secret.

const REDACTED: &str = "REDACTED";

/// Names of fields and flags whose values are secret.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "signature",
    "auth",
    "authorization",
    "credentials",
    "creds",
    "apikey",
    "api_key",
    "access_token",
    "refresh_token",
    "identitytoken",
    "registrytoken",
];

/// Query parameters that say which repository is asked for, and are not secret.
const PLAIN_PARAMETERS: &[&str] = &["scope", "service", "ns", "n", "timeout", "client_id"];

/// The text without credentials.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut hidden_words = 0_u8;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        if word.is_empty() {
            out.push_str(piece);
            continue;
        }
        if hidden_words > 0 {
            out.push_str(REDACTED);
            hidden_words -= 1;
        } else {
            redact_word(word, &mut out);
            hidden_words = announced_secrets(word);
        }
        out.push_str(piece.get(word.len()..).unwrap_or_default());
    }
    out
}

/// How many of the next words are secret behind this one: two behind `Authorization:`, one
/// behind `-p`, `--creds` or `"password":`.
fn announced_secrets(word: &str) -> u8 {
    let lower = word.to_ascii_lowercase();
    let bare = lower.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    if bare == "authorization" && lower.ends_with(':') {
        return 2;
    }
    let is_flag = matches!(bare, "-p" | "-u" | "--user")
        || bare.strip_prefix("--").is_some_and(is_secret_name);
    let is_field = lower.strip_suffix(':').is_some_and(|name| {
        let is_quoted = name.ends_with(['"', '\'']);
        let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        (is_quoted && is_secret_name(name)) || matches!(name, "password" | "passwd")
    });
    u8::from(is_flag || is_field)
}

fn is_secret_name(name: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    SECRET_NAMES.contains(&name) || name.ends_with("password") || name.ends_with("-token")
}

fn redact_word(word: &str, out: &mut String) {
    let mut rest = word;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(['"', '\'', '\\', '<', '>', ')', '`'])
            .unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        redact_url(url, out);
        rest = behind;
    }
    redact_pairs(rest, out);
}

/// A URL behind its scheme: without user information, and with the values of the query hidden
/// but for those that name a repository.
fn redact_url(url: &str, out: &mut String) {
    let (authority, behind) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => {
            out.push_str(REDACTED);
            out.push('@');
            out.push_str(host);
        }
        None => out.push_str(authority),
    }
    let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
    redact_tokens(path, out);
    let mut mark = '?';
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        out.push(mark);
        mark = '&';
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        out.push_str(name);
        if value.is_empty() {
            continue;
        }
        out.push('=');
        if PLAIN_PARAMETERS.contains(&name) {
            out.push_str(value);
        } else {
            out.push_str(REDACTED);
            // The colon behind a URL belongs to the sentence.
            out.push_str(if value.ends_with(':') { ":" } else { "" });
        }
    }
}

/// `name=value` and `"name":"value"` with a secret name.
fn redact_pairs(word: &str, out: &mut String) {
    let mut rest = word;
    while let Some(at) = rest.find(['=', ':']) {
        let (name, behind) = rest.split_at(at);
        let name_only = name
            .rsplit([',', '{', '&', ';', '('])
            .next()
            .unwrap_or(name);
        let lower = name_only.to_ascii_lowercase();
        let value_end = behind
            .char_indices()
            .skip(1)
            .find(|(_, c)| matches!(c, ',' | '}' | '&' | ';' | ')'))
            .map_or(behind.len(), |(at, _)| at);
        let (value, next) = behind.split_at(value_end);
        if is_secret_name(&lower) && value.len() > 1 {
            out.push_str(name);
            out.push_str(value.get(..1).unwrap_or_default());
            out.push_str(REDACTED);
            rest = next;
        } else {
            redact_tokens(name, out);
            out.push_str(value.get(..1).unwrap_or_default());
            rest = behind.get(1..).unwrap_or_default();
        }
    }
    redact_tokens(rest, out);
}

/// How tokens of GitHub, GitLab and Docker Hub begin.
const PREFIXES: [&str; 6] = ["ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "dckr_pat_"];

/// JSON Web Tokens and the like, whatever stands before them.
fn redact_tokens(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let (before, token) = rest.split_at(at);
        let is_part =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=');
        let end = token.find(|c| !is_part(c)).unwrap_or(token.len());
        out.push_str(before);
        let (token, behind) = token.split_at(end);
        out.push_str(if token.len() >= 20 { REDACTED } else { token });
        rest = behind;
    }
    for prefix in PREFIXES {
        if let Some(at) = rest.find(prefix) {
            out.push_str(rest.get(..at).unwrap_or_default());
            out.push_str(REDACTED);
            let tail = rest.get(at..).unwrap_or_default();
            let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let end = tail.find(|c| !is_part(c)).unwrap_or(tail.len());
            rest = tail.get(end..).unwrap_or_default();
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left() {
        for text in [
            "Get \"https://cdn.example/blobs/a?Expires=1&Signature=S3CRET&Key-Pair-Id=S3CRET\": EOF",
            "Get https://cdn.example/a?x=S3CRET: EOF",
            "Get https://robot:S3CRET@reg.example/v2/: EOF",
            "Authorization: Bearer eyJS3CRETS3CRETS3CRETS3CRET.b.c rest",
            "Authorization: Basic S3CRET rest",
            "docker login -u AWS -p S3CRET https://x",
            "crictl pull --creds u:S3CRET image",
            "--docker-password=S3CRET -n x",
            "--docker-password S3CRET -n x",
            "{\"auth\":\"S3CRET\",\"x\":1}",
            "\"password\": \"S3CRET\"",
            "password: S3CRET",
            "token ghp_S3CRETS3CRET",
            "got eyJS3CRETS3CRETS3CRETS3CRET",
        ] {
            let shown = redact(text);
            assert!(!shown.contains("S3CRET"), "{shown}");
            assert!(shown.contains(REDACTED), "{shown}");
        }
    }

    #[test]
    fn ordinary_words_stay() {
        for text in [
            "Failed to pull image \"reg.example:5000/a:1\": dial tcp 10.0.0.1:5000: connect: connection refused",
            "x509: certificate is valid for a.example, not b.example",
            "GET https://ghcr.io/token?scope=repository%3Aa%2Fb%3Apull&service=ghcr.io: 403 Forbidden",
            "failed to fetch oauth token: unexpected status: 401 Unauthorized: no basic auth credentials",
            "unable to retrieve auth token: invalid username/password: unauthorized",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
