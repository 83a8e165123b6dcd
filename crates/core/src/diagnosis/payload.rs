//! What a credential looks like it is, read offline: an expired token, a placeholder, a user
//! name that a shell has cut.
//!
//! Every text here is about the credential, and must not contain a part of it. The time is an
//! argument, because this room has no clock.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use kubelet_keyring::Credential;
use serde_json::Value;

/// The longest token that is decoded, in bytes. Those of Amazon ECR have about 4,000.
const TOKEN: usize = 64 * 1024;

/// What is noteworthy about a credential, in words.
#[must_use]
pub(super) fn hints(credential: &Credential, now: Timestamp) -> Vec<String> {
    let user = credential.username_bytes();
    let password = credential.expose_password();
    let mut hints = Vec::new();
    if credential.is_empty() {
        hints.push("it has neither a user nor a password".to_owned());
        return hints;
    }
    for (name, value) in [("user", user), ("password", password)] {
        if value.is_empty() {
            hints.push(format!("its {name} is empty"));
        } else if has_rim(value) {
            hints.push(format!(
                "its {name} begins or ends with a blank or a line end; write it with `printf`, or `echo -n`"
            ));
        } else if is_placeholder(value) {
            hints.push(format!(
                "its {name} looks like a placeholder or a variable that nobody has filled in"
            ));
        }
    }
    if user == b"robot" {
        hints.push(
            "its user is `robot` alone: a shell has eaten the part from `$` on; put robot$name in single quotes"
                .to_owned(),
        );
    }
    if let Some(expiry) = expiry_of(password) {
        let age = now.duration_since(expiry);
        hints.push(if age.is_negative() {
            format!("its token expires in {}", span(-age))
        } else {
            format!("its token expired {} ago", span(age))
        });
    }
    hints
}

/// Whether the credential has a token that has expired.
#[must_use]
pub(super) fn is_expired(credential: &Credential, now: Timestamp) -> bool {
    expiry_of(credential.expose_password()).is_some_and(|expiry| expiry <= now)
}

fn has_rim(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    is_blank(value.first()) || is_blank(value.last())
}

fn is_placeholder(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let lower = text.to_ascii_lowercase();
    let is_wrapped = [
        ("<", ">"),
        ("${", "}"),
        ("{{", "}}"),
        ("$(", ")"),
        ("%", "%"),
    ]
    .iter()
    .any(|(open, close)| text.len() > 2 && text.starts_with(open) && text.ends_with(close));
    let is_variable = text.strip_prefix('$').is_some_and(|name| {
        name.len() > 1
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    });
    is_wrapped
        || is_variable
        || [
            "changeme",
            "your-password",
            "your_password",
            "yourpassword",
            "xxxx",
            "todo",
            "placeholder",
        ]
        .contains(&lower.as_str())
}

/// When a token expires: that of a JSON Web Token, or of Amazon ECR.
fn expiry_of(password: &[u8]) -> Option<Timestamp> {
    if password.len() > TOKEN {
        return None;
    }
    let text = std::str::from_utf8(password).ok()?.trim();
    let (json, field) = if text.matches('.').count() == 2 {
        let claims = text.split('.').nth(1)?;
        (
            URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?,
            "exp",
        )
    } else {
        (STANDARD.decode(text).ok()?, "expiration")
    };
    let value: Value = serde_json::from_slice(&json).ok()?;
    let seconds = value.get(field)?.as_i64()?;
    Timestamp::from_second(seconds).ok()
}

/// A duration in its largest unit: `3 h`, `2 d`.
fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubelet_keyring::{PullSecret, SecretKind};

    fn said(user: &str, password: &str) -> String {
        let payload =
            serde_json::json!({"auths": {"reg.example": {"username": user, "password": password}}});
        let secret =
            PullSecret::parse(SecretKind::DockerConfigJson, payload.to_string().as_bytes())
                .unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        hints(secret.entries()[0].credential(), now).join("; ")
    }

    #[test]
    fn what_is_wrong_with_a_credential_is_said_without_it() {
        let ecr = |expiration: i64| {
            STANDARD.encode(format!(
                "{{\"payload\":\"hunter2\",\"version\":\"2\",\"type\":\"DATA_KEY\",\"expiration\":{expiration}}}"
            ))
        };
        let jwt = |exp: i64| {
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            format!(
                "{}.{}.hunter2",
                part("{\"alg\":\"none\"}"),
                part(&format!("{{\"exp\":{exp}}}"))
            )
        };
        for (user, password, expected) in [
            ("", "", "neither a user nor a password"),
            ("robot", "hunter2", "single quotes"),
            ("u", "hunter2\n", "its password begins or ends with a blank"),
            (" u", "hunter2", "its user begins or ends with a blank"),
            ("u", "<hunter2>", "looks like a placeholder"),
            ("u", "$REGISTRY_PASSWORD", "looks like a placeholder"),
            (
                "AWS",
                &ecr(1_800_000_000 - 3 * 3_600),
                "its token expired 3 h ago",
            ),
            (
                "AWS",
                &ecr(1_800_000_000 + 3_600),
                "its token expires in 60 min",
            ),
            ("u", &jwt(1_800_000_000 - 10), "its token expired 10 s ago"),
            ("u", "", "its password is empty"),
        ] {
            let said = said(user, password);
            assert!(said.contains(expected), "{user:?}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        assert_eq!(said("robot$name", "hunter2"), "");
    }
}
