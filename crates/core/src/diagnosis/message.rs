//! What one message says: the cause, what else it can mean, the words that show it, the image
//! and the host.
//!
//! A message is what the kubelet puts into an event, into the status of a container or into
//! its log. It may hold several attempts (one for each credential), and each is read by
//! itself: the first one had a credential, so it names the cause. This module must not guess:
//! words that no signature has are an unknown cause.

use super::cause::Cause;
use super::host::FailedHost;
use super::redact::redact;
use super::signature::{FoundWords, Hit, Squeezed};
use crate::text::{cut, visible};

/// How much of a message is read, in bytes. The API server stores 1 KiB of an event's text,
/// and a status has little more.
const READ: usize = 16 * 1024;
/// How many characters of a message are shown as evidence.
const SHOWN: usize = 360;
/// How many characters before the words that decide are shown.
const BEFORE: usize = 200;

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDiagnosis {
    /// Why the image is not pulled.
    pub cause: Cause,
    /// What else the words can mean, the likeliest first.
    pub also_possible: Vec<Cause>,
    /// The words that show it, without credentials and safe to print.
    pub evidence: String,
    /// The image, as the message names it.
    pub image: Option<String>,
    /// The host that failed.
    pub host: Option<FailedHost>,
}

/// Reads a message; none if it says nothing about a failed pull.
#[must_use]
pub fn diagnose(message: &str) -> Option<MessageDiagnosis> {
    let message = head(message);
    let whole = Squeezed::new(message);
    let words = FoundWords::new(&whole);
    if words.is_foreign() {
        return None;
    }
    let image = image_of(message);
    let mut also_possible: Vec<Cause> = Vec::new();
    let mut first: Option<(&str, Hit)> = None;
    for attempt in attempts(message) {
        let squeezed = Squeezed::new(attempt);
        let Some(hit) = FoundWords::new(&squeezed).find() else {
            continue;
        };
        if first.is_some() {
            also_possible.push(hit.cause);
        } else {
            also_possible.extend(hit.also);
            first = Some((attempt, hit));
        }
    }
    let Some((attempt, hit)) = first else {
        return words.says_failure().then(|| MessageDiagnosis {
            cause: Cause::Unknown,
            also_possible: Vec::new(),
            evidence: shown(message, None),
            host: None,
            image,
        });
    };
    if hit.cause == Cause::SandboxImage {
        // Why the node cannot pull it is said behind the words that name it.
        let rest = attempt.get(hit.at.1..).unwrap_or_default();
        let squeezed = Squeezed::new(rest);
        also_possible.extend(FoundWords::new(&squeezed).find().map(|hit| hit.cause));
    }
    let mut listed = vec![hit.cause];
    also_possible.retain(|cause| {
        let is_new = !listed.contains(cause);
        listed.push(*cause);
        is_new
    });
    Some(MessageDiagnosis {
        cause: hit.cause,
        also_possible,
        evidence: shown(attempt, Some(hit.at)),
        host: FailedHost::find(&redact(attempt), image.as_deref()),
        image,
    })
}

/// The beginning of a text, cut between characters.
fn head(text: &str) -> &str {
    let mut end = text.len().min(READ);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// How an attempt begins behind `[` or `, ` in the list of a Kubernetes aggregate.
const BEGINNINGS: [&str; 8] = [
    "rpc error: code",
    "failed to pull and unpack image",
    "Error response from daemon",
    "unable to pull image",
    "initializing source",
    "reading manifest",
    "pinging container registry",
    "Requesting bear",
];

/// The attempts of a message, `[one, two]`. The half of CRI-O's text that tries the image as
/// an artifact is left out.
fn attempts(message: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    if let Some(opening) = message.find('[') {
        for (at, _) in message.match_indices(", ") {
            let rest = message.get(at + 2..).unwrap_or_default();
            if at > opening && BEGINNINGS.iter().any(|words| rest.starts_with(words)) {
                parts.push(message.get(start..at).unwrap_or_default());
                start = at + 2;
            }
        }
    }
    parts.push(message.get(start..).unwrap_or_default());
    parts
        .into_iter()
        .map(|part| part.split("; artifact err:").next().unwrap_or(part))
        .collect()
}

/// Words before the name of an image.
const BEFORE_IMAGE: [&str; 16] = [
    "Failed to pull image ",
    "pulling image ",
    "pulled image ",
    "Pulling image ",
    "pull and unpack image ",
    "Container image ",
    "inspect image ",
    "sandbox image ",
    "default image tag ",
    "image pull failed for ",
    "failed to pull image ",
    "PullImage ",
    "docker://",
    "resolve reference ",
    "resolve image ",
    "pull access denied for ",
];

/// The image that a message names.
pub(super) fn image_of(message: &str) -> Option<String> {
    let (_, rest) = BEFORE_IMAGE
        .iter()
        .filter_map(|before| {
            let at = message.find(before)?;
            Some((at, message.get(at + before.len()..)?))
        })
        .min_by_key(|(at, _)| *at)?;
    let rest = rest.trim_start_matches(['"', '\'', '\\', '`']);
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ',' | '`'))
        .unwrap_or(rest.len());
    let image = rest.get(..end)?.trim_end_matches(':');
    (!image.is_empty()).then(|| redact(image))
}

/// Evidence: one line, without credentials, safe to print, and short.
pub(super) fn shown(text: &str, at: Option<(usize, usize)>) -> String {
    let mut from = 0;
    if let Some((start, end)) = at
        && text.chars().count() > SHOWN
    {
        from = start.saturating_sub(BEFORE).min(end);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        // It begins with a whole word.
        if from > 0
            && let Some(blank) = text.get(from..start).and_then(|before| before.find(' '))
        {
            from += blank + 1;
        }
    }
    let rest = text.get(from..).unwrap_or_default();
    // A credential that begins before the cut must not lose its name: redact the whole first.
    let safe = if from == 0 {
        redact(rest)
    } else {
        tail_of(&redact(text), rest)
    };
    let line = safe
        .split(|c: char| c.is_whitespace() || c == '\u{2502}')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let dots = if from > 0 { "… " } else { "" };
    cut(format!("{dots}{}", visible(&line)), SHOWN)
}

/// The end of a redacted text that corresponds to the end of the original.
fn tail_of(redacted: &str, rest: &str) -> String {
    let words = rest.split_whitespace().count();
    let all: Vec<&str> = redacted.split_whitespace().collect();
    let skip = all.len().saturating_sub(words);
    all.get(skip..).unwrap_or_default().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_is_read_by_itself_and_the_first_names_the_cause() {
        let found = diagnose(
            "Failed to pull image \"a.example/b:1\": [failed to pull and unpack image \"a.example/b:1\": \
             failed to resolve reference \"a.example/b:1\": failed to authorize: failed to fetch oauth token: \
             unexpected status: 401 Unauthorized, failed to pull and unpack image \"a.example/b:1\": failed to \
             resolve reference \"a.example/b:1\": failed to do request: Head \"https://a.example/v2/\": dial tcp: \
             lookup a.example: no such host]",
        )
        .unwrap();
        assert_eq!(found.cause, Cause::CredentialRejected);
        assert!(found.also_possible.contains(&Cause::Dns), "{found:?}");
        assert_eq!(found.image.as_deref(), Some("a.example/b:1"));
    }

    #[test]
    fn network_words_win_over_words_about_credentials() {
        let found = diagnose(
            "failed to authorize: failed to fetch anonymous token: Get \"https://auth.example/token\": \
             dial tcp 192.0.2.1:443: i/o timeout",
        )
        .unwrap();
        assert_eq!(found.cause, Cause::Unreachable);
        assert_eq!(found.host.unwrap().host, "auth.example");
    }

    #[test]
    fn a_text_without_a_failed_pull_says_nothing() {
        for text in [
            "",
            "Successfully assigned shop/web to node-1",
            "Readiness probe failed: dial tcp 10.0.0.1:80: connect: connection refused",
            "plugin type=\"calico\" failed (add): x509: certificate signed by unknown authority",
        ] {
            assert_eq!(diagnose(text), None, "{text}");
        }
    }

    #[test]
    fn the_evidence_holds_the_deciding_words_and_no_credential() {
        let long = format!(
            "Failed to pull image \"a.example/b:1\": {} Get \"https://u:hunter2@a.example/v2/\": x509: certificate \
             signed by unknown authority",
            "failed to pull and unpack image ".repeat(40)
        );
        let found = diagnose(&long).unwrap();
        assert!(
            found.evidence.contains("unknown authority"),
            "{}",
            found.evidence
        );
        assert!(!found.evidence.contains("hunter2"), "{}", found.evidence);
        assert!(found.evidence.chars().count() <= SHOWN);
    }
}
