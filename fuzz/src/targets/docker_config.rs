//! The payload of a pull secret, which `pullpass explain --secret` reads: a docker config, or
//! manifests of Secrets.

use super::with_aliases;
use crate::cost::{Bound, Line, within};
use kubelet_keyring::{Keyring, PullSecret, SecretEntry, SecretKind, key_matches};
use pullpass_core::secret_manifest::{self, SecretFinding};
use serde_json::Value;

const PARSE: Bound = Bound {
    what: "PullSecret::parse",
    peak_bytes: Line::new(2_000, 24),
    allocations: Line::new(100, 1),
    steps: Line::new(10_000, 500),
};

const MANIFEST: Bound = Bound {
    what: "secret_manifest::parse_manifest",
    peak_bytes: Line::new(60_000, 800),
    allocations: Line::new(500, 3),
    steps: Line::new(30_000, 600),
};

const KEYRING: Bound = Bound {
    what: "Keyring::from_secrets and lookup",
    peak_bytes: Line::new(2_000, 8),
    allocations: Line::new(100, 1),
    steps: Line::new(20_000, 300),
};

pub(crate) fn run(input: &[u8]) {
    let secrets = values(input);
    for kind in [SecretKind::DockerConfigJson, SecretKind::DockerCfg] {
        match within(&PARSE, input.len(), || PullSecret::parse(kind, input)) {
            Ok(secret) => check_secret(&secret, input.len(), &secrets),
            Err(error) => check_shown(&error.to_string(), &secrets),
        }
    }
    match within(&with_aliases(MANIFEST, input), input.len(), || {
        secret_manifest::parse_manifest(input)
    }) {
        Ok(found) => {
            for secret in &found {
                match &secret.finding {
                    SecretFinding::Read(secret) => check_secret(secret, input.len(), &[]),
                    SecretFinding::Broken(error) => check_shown(&error.to_string(), &[]),
                    SecretFinding::Ignored(why) => check_shown(&why.to_string(), &[]),
                }
            }
        }
        Err(error) => check_shown(&error.to_string(), &secrets),
    }
}

fn check_secret(secret: &PullSecret, bytes: usize, secrets: &[String]) {
    for warning in secret.warnings() {
        check_shown(&warning.to_string(), secrets);
    }
    check_shown(&format!("{secret:?}"), secrets);
    let keys: Vec<&str> = secret
        .entries()
        .iter()
        .take(20)
        .map(SecretEntry::key)
        .collect();
    for key in &keys {
        let host = key.split("//").last().unwrap_or_default();
        for image in [
            format!("{host}/x"),
            (*key).to_owned(),
            "docker.io/library/nginx".to_owned(),
        ] {
            let found = within(&KEYRING, bytes + image.len(), || {
                let keyring = Keyring::from_secrets([secret]);
                let found = keyring.lookup(&image);
                found
                    .iter()
                    .map(|found| found.key.to_owned())
                    .collect::<Vec<_>>()
            });
            // A key that is found with others is found alone, too.
            for key in &found {
                assert!(key_matches(key, &image), "{key:?} {image:?}");
            }
            if key_matches(key, &image) && found.is_empty() {
                assert!(secret.entries().len() > 1, "{key:?} {image:?}");
            }
        }
    }
}

/// The texts of a JSON payload that nobody may see: those of users, passwords and tokens,
/// unless they stand in a key as well.
fn values(input: &[u8]) -> Vec<String> {
    let Ok(value) = serde_json::from_slice::<Value>(input) else {
        return Vec::new();
    };
    let (mut keys, mut values) = (String::new(), Vec::new());
    collect(&value, &mut keys, &mut values);
    values.retain(|value| value.len() >= 8 && !keys.contains(value.as_str()));
    values
}

fn collect(value: &Value, keys: &mut String, values: &mut Vec<String>) {
    match value {
        Value::String(text) => values.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|one| collect(one, keys, values)),
        Value::Object(pairs) => {
            for (key, value) in pairs {
                keys.push_str(key);
                keys.push('\n');
                collect(value, keys, values);
            }
        }
        _ => {}
    }
}

fn check_shown(text: &str, secrets: &[String]) {
    // The command hides what else a terminal does not show.
    assert!(!text.contains(char::is_control), "{text:?}");
    for secret in secrets {
        // A value may be a word of our own sentences.
        let is_ours = SENTENCES
            .iter()
            .any(|sentence| sentence.contains(secret.as_str()));
        assert!(
            is_ours || !text.contains(secret.as_str()),
            "{text:?} shows {secret:?}"
        );
    }
}

/// Words of messages that an input can contain by chance, as the dictionary has them.
const SENTENCES: [&str; 4] = [
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/dockercfg",
    "https://index.docker.io/v1/",
    "username password identitytoken registrytoken HttpHeaders credsStore credHelpers",
];
