//! The keyring against the kubelet's own, and what holds for any secret at all.

use crate::oracle;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use pullpass::pull_secret::{KeyProblem, Keyring, Match, PullSecret, SecretKind, key_matches};
use serde::Deserialize;

/// One case of `tests/go/oracle/keyring` with its answer.
#[derive(Deserialize)]
struct Case {
    secrets: Vec<Secret>,
    repository: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    credentials: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Secret {
    r#type: String,
    #[serde(default)]
    text: String,
    data: Option<String>,
}

impl Secret {
    fn parse(&self) -> Option<Result<PullSecret, String>> {
        let kind = match self.r#type.as_str() {
            "j" => SecretKind::DockerConfigJson,
            "c" => SecretKind::DockerCfg,
            _ => return None,
        };
        let payload = match &self.data {
            Some(data) => STANDARD.decode(data).unwrap(),
            None => self.text.clone().into_bytes(),
        };
        Some(PullSecret::parse(kind, &payload).map_err(|error| error.to_string()))
    }
}

/// User and password, as the oracle writes them.
fn pair(found: &Match<'_>) -> serde_json::Value {
    let (username, password) = (
        found.credential.username_bytes(),
        found.credential.expose_password(),
    );
    match (std::str::from_utf8(username), std::str::from_utf8(password)) {
        (Ok(username), Ok(password)) => serde_json::json!([username, password]),
        _ => serde_json::json!({"hex": [hex(username), hex(password)]}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(line: &str) -> Result<(), String> {
    let case: Case = serde_json::from_str(line).unwrap();
    let parsed: Result<Vec<_>, _> = case.secrets.iter().filter_map(Secret::parse).collect();
    let secrets = match parsed {
        Ok(secrets) if case.error.is_empty() => secrets,
        Err(_) if !case.error.is_empty() => return Ok(()),
        Ok(_) => return Err("accepted here".to_owned()),
        Err(error) => return Err(format!("refused here: {error}")),
    };
    let keyring = Keyring::from_secrets(&secrets);
    let ours = keyring.lookup(&case.repository);
    check_each_key_alone(&secrets, &case.repository, &ours)?;
    let found: Vec<_> = ours.iter().map(|found| pair(found)).collect();
    if found == case.credentials || same_but_for_ties(&ours, &case.credentials) {
        return Ok(());
    }
    Err(format!("here: {}", serde_json::json!(found)))
}

/// Keys of one secret that come to the same location are tried in an order that
/// changes, so between those, and only those, any order is right.
fn same_but_for_ties(ours: &[&Match<'_>], theirs: &[serde_json::Value]) -> bool {
    if ours.len() != theirs.len() {
        return false;
    }
    let mut at = 0;
    for tied in
        ours.chunk_by(|one, other| one.secret == other.secret && one.location == other.location)
    {
        let sorted = |mut values: Vec<String>| {
            values.sort();
            values
        };
        let here = sorted(tied.iter().map(|found| pair(found).to_string()).collect());
        let there = &theirs[at..at + tied.len()];
        if here != sorted(there.iter().map(ToString::to_string).collect()) {
            return false;
        }
        at += tied.len();
    }
    true
}

/// `key_matches` and the complaints must not contradict the keyring.
fn check_each_key_alone(
    secrets: &[PullSecret],
    repository: &str,
    found: &[&Match<'_>],
) -> Result<(), String> {
    for found in found {
        if !key_matches(found.key, repository) {
            return Err(format!("key_matches denies {:?}", found.key));
        }
    }
    let is_name = pullpass::image::Reference::parse(repository)
        .is_ok_and(|reference| reference.name() == repository);
    for key in secrets
        .iter()
        .flat_map(PullSecret::entries)
        .map(|entry| entry.key())
    {
        let problem = KeyProblem::of(key);
        let never = problem.is_some_and(KeyProblem::serves_no_image);
        if is_name && never && key_matches(key, repository) {
            return Err(format!("{key:?} serves an image, and {problem:?}"));
        }
    }
    Ok(())
}

#[test]
fn credentials_are_found_as_the_kubelet_finds_them() {
    let golden = include_str!("../fixtures/oracle/keyring.jsonl");
    oracle::compare_golden(golden, 5000, check);
}

#[test]
fn oracle_keyring() {
    oracle::compare("oracle-keyring", check);
}
