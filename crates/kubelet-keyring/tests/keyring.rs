//! Compares the keyring with the kubelet's, and checks what holds for every secret.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports a failure by a panic"
)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kubelet_keyring::{
    Base64Error, KeyWarning, Keyring, Match, PayloadError, PullSecret, SecretEntry, SecretKind,
    SecretWarning, key_matches,
};
use proptest::prelude::*;
use serde::Deserialize;

/// One line of the golden file: a case, and the answer of the kubelet's code.
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

/// User and password, as the golden file writes them.
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
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    bytes.iter().flat_map(digits).flatten().collect()
}

fn check(line: &str) -> Result<(), String> {
    let case: Case = serde_json::from_str(line).unwrap();
    let parsed: Result<Vec<_>, _> = case.secrets.iter().filter_map(Secret::parse).collect();
    let secrets = match parsed {
        Ok(secrets) if case.error.is_empty() => secrets,
        Err(_) if !case.error.is_empty() => return Ok(()),
        Ok(_) => return Err("this crate accepts it".to_owned()),
        Err(error) => return Err(format!("this crate refuses it: {error}")),
    };
    let keyring = Keyring::from_secrets(&secrets);
    let ours = keyring.lookup(&case.repository);
    check_each_key_alone(&secrets, &case.repository, &ours)?;
    let found: Vec<_> = ours.iter().map(|found| pair(found)).collect();
    if found == case.credentials || same_but_for_ties(&ours, &case.credentials) {
        return Ok(());
    }
    Err(format!("this crate answers {}", serde_json::json!(found)))
}

/// The kubelet tries keys of one secret that have the same location in an order that
/// changes, so any order is right between those keys, and only between those.
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

/// Checks that `key_matches` and the warnings do not contradict the keyring.
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
    let is_name = image_reference::Reference::parse(repository)
        .is_ok_and(|reference| reference.name() == repository);
    for key in secrets
        .iter()
        .flat_map(PullSecret::entries)
        .map(SecretEntry::key)
    {
        let warning = KeyWarning::of(key);
        let never = warning.is_some_and(KeyWarning::serves_no_image);
        if is_name && never && key_matches(key, repository) {
            return Err(format!("{key:?} serves an image, and {warning:?}"));
        }
    }
    Ok(())
}

#[test]
fn credentials_are_found_as_the_kubelet_finds_them() {
    let golden = include_str!("golden/keyring.jsonl");
    golden_oracle::compare_golden(golden, 5000, check);
}

#[test]
fn oracle_keyring() {
    golden_oracle::compare("oracle-keyring", check);
}

fn config(auths: &str) -> PullSecret {
    let payload = format!("{{\"auths\":{auths}}}");
    PullSecret::parse(SecretKind::DockerConfigJson, payload.as_bytes()).unwrap()
}

fn keys(secrets: &[PullSecret], repository: &str) -> Vec<String> {
    let keyring = Keyring::from_secrets(secrets);
    let found = keyring.lookup(repository);
    found.iter().map(|found| found.key.to_owned()).collect()
}

#[test]
fn longer_paths_come_first_then_hosts_then_globs() {
    let secret = config(
        r#"{"*.x.com": {"auth":"YTpi"}, "reg.x.com": {"auth":"YTpi"}, "reg.x.com/team": {"auth":"YTpi"}}"#,
    );
    assert_eq!(
        keys(&[secret], "reg.x.com/team/app"),
        ["reg.x.com/team", "reg.x.com", "*.x.com"]
    );
}

#[test]
fn within_one_key_the_order_of_the_secrets_holds() {
    let secrets = [
        config(r#"{"https://reg.x.com/v2/": {"username":"one","password":"p"}}"#),
        config(r#"{"reg.x.com": {"username":"two","password":"p"}}"#),
    ];
    let keyring = Keyring::from_secrets(&secrets);
    let found: Vec<_> = keyring
        .lookup("reg.x.com/app")
        .iter()
        .map(|found| (found.secret, found.credential.username().into_owned()))
        .collect();
    assert_eq!(found, [(0, "one".to_owned()), (1, "two".to_owned())]);
}

#[test]
fn the_old_key_of_docker_hub_is_a_last_resort() {
    let hub = "https://index.docker.io/v1/";
    let both = config(&format!(
        r#"{{"{hub}": {{"auth":"YTpi"}}, "docker.io": {{"auth":"YTpi"}}}}"#
    ));
    assert_eq!(
        both.warnings(),
        [SecretWarning::Shadowed {
            key: hub.to_owned(),
            other: "docker.io".to_owned()
        }]
    );
    assert_eq!(keys(&[both], "docker.io/library/nginx"), ["docker.io"]);
    assert!(key_matches(hub, "docker.io/library/nginx"));
    assert!(!key_matches(
        "https://index.docker.io/v1",
        "docker.io/library/nginx"
    ));
}

#[test]
fn keys_match_raw_prefixes_ports_and_labels() {
    for (key, repository, expected) in [
        ("reg.example.com", "REG.example.com/app", false),
        ("reg.example.com:443", "reg.example.com/app", false),
        ("reg.example.com", "reg.example.com:443/app", false),
        ("*.example.com", "reg.example.com/x", true),
        ("*.example.com", "a.b.example.com/x", false),
        ("*", "localhost/app", true),
        ("*", "reg.example.com/app", false),
        ("quay.io/core", "quay.io/coreos/etcd", true),
        ("quay.io/*", "quay.io/coreos/etcd", false),
        ("quay.io/coreos/etcd:v1", "quay.io/coreos/etcd", false),
        ("reg*.example.com", "reg1.example.com/x", true),
        ("reg[12].example.com", "reg1.example.com/x", false),
        ("[::1]:5000", "[::1]:5000/app", true),
        ("[::1]", "[::1]/app", false),
        ("user@reg.example.com", "reg.example.com/app", true),
        ("docker.io/library", "docker.io/library/nginx", true),
        ("*.docker.io", "docker.io/library/nginx", false),
        ("registry-1.docker.io", "docker.io/library/nginx", false),
        ("http://reg.x.com/v2/team", "reg.x.com/team/a", true),
        ("HTTPS://reg.x.com", "reg.x.com/a", false),
        (" reg.x.com", "reg.x.com/a", false),
    ] {
        assert_eq!(key_matches(key, repository), expected, "{key} {repository}");
    }
}

fn error(kind: SecretKind, payload: &str) -> String {
    let error = PullSecret::parse(kind, payload.as_bytes()).expect_err(payload);
    let words = error.to_string();
    assert!(!words.contains("hunter2"), "{words}");
    words
}

#[test]
fn what_stops_the_kubelet_is_an_error_that_says_where() {
    let config = SecretKind::DockerConfigJson;
    for (payload, expected) in [
        (
            r#"{"auths":"#,
            "the JSON is not valid at byte 9: the text ends where a value is expected",
        ),
        (
            r#"{"auths":[]}"#,
            "`auths` is an array and must be an object",
        ),
        (
            r#"{"auths":{"r.io":{"username":1,"password":"hunter2"}}}"#,
            r#"`username` of "r.io" is a number and must be a string"#,
        ),
        (
            r#"{"auths":{"r.io":"hunter2"}}"#,
            r#"the entry of "r.io" is a string and must be an object"#,
        ),
        (
            r#"{"auths":{"r.io":{"auth":"robot:hunter2"}}}"#,
            r#"`auth` of "r.io" is not base64: it looks like plain user:password; encode it as base64"#,
        ),
        (
            r#"{"auths":{"r.io":{"auth":"aHVudGVyMg=="}}}"#,
            r#"`auth` of "r.io" has no colon; encode user:password as base64"#,
        ),
        (
            r#"{"auths":{},"HttpHeaders":{"X":1}}"#,
            "a value of `HttpHeaders` is a number and must be a string",
        ),
    ] {
        assert_eq!(error(config, payload), expected, "{payload}");
    }
    assert_eq!(
        error(SecretKind::DockerCfg, r#""hunter2""#),
        "the content of the Secret is a string and must be an object"
    );
}

#[test]
fn each_mistake_in_base64_has_its_own_error() {
    for (auth, expected) in [
        ("dTpw-w==", Base64Error::UrlAlphabet),
        ("dTpw cA==", Base64Error::Blank),
        ("dTpwcA==x", Base64Error::Length),
        ("dTpwcA=", Base64Error::Length),
        ("dTp!", Base64Error::Character),
    ] {
        let payload = format!(r#"{{"r.io":{{"auth":"{auth}"}}}}"#);
        let found = PullSecret::parse(SecretKind::DockerCfg, payload.as_bytes());
        let key = "r.io".to_owned();
        let expected = PayloadError::Base64 {
            key,
            problem: expected,
        };
        assert_eq!(found.expect_err(auth), expected, "{auth}");
    }
}

#[test]
fn what_the_kubelet_ignores_has_a_warning() {
    let told = |kind, payload: &str| {
        let secret = PullSecret::parse(kind, payload.as_bytes()).unwrap();
        let shown = format!("{secret:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        secret.warnings().to_vec()
    };
    let config = |payload: &str| told(SecretKind::DockerConfigJson, payload);
    let key = || "r.io".to_owned();

    assert_eq!(config(""), [SecretWarning::Empty]);
    assert_eq!(config("{}"), [SecretWarning::NoAuths]);
    assert_eq!(config("null"), [SecretWarning::NoAuths]);
    assert_eq!(
        config(r#"{"r.io":{"username":"u","password":"hunter2"}}"#),
        [SecretWarning::NotInAuths]
    );
    assert_eq!(
        told(SecretKind::DockerCfg, r#"{"auths":{"r.io":{}}}"#),
        [SecretWarning::AuthsAsRegistry]
    );
    assert_eq!(
        config(r#"{"auths":{"r.io":{}},"credsStore":"desktop"}"#),
        [
            SecretWarning::CredentialHelper,
            SecretWarning::EmptyEntry { key: key() }
        ]
    );
    assert_eq!(
        config(r#"{"auths":{"r.io":{"identitytoken":"hunter2"}}}"#),
        [SecretWarning::TokenOnly { key: key() }]
    );
    assert_eq!(
        config(r#"{"auths":{"r.io":{"auth":"dTpw","password":"hunter2"}}}"#),
        [SecretWarning::Overridden { key: key() }]
    );
    assert_eq!(
        config(r#"{"auths":{"r.io":{"password":"hunter2"}}}"#),
        [SecretWarning::Half { key: key() }]
    );
    assert_eq!(
        config(r#"{"auths":{"r.io":{"auth":"/zr+"}}}"#),
        [SecretWarning::NotUtf8 { key: key() }]
    );
    assert_eq!(
        config(
            r#"{"auths":{"r.io":{"auth":"dTpw"},"r.io":{"auth":"dTpw"},"https://r.io/":{"auth":"dTpw"}}}"#
        ),
        [
            SecretWarning::Repeated { key: key() },
            SecretWarning::SameRegistry {
                key: "https://r.io/".to_owned(),
                other: key()
            }
        ]
    );
    assert_eq!(config(r#"{"auths":{"r.io":{"auth":"dTpw"}}}"#), []);
}

#[test]
fn nesting_stops_where_go_stops() {
    let nested = |depth: usize| {
        // The outermost object is a level too.
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        let payload = format!("{{\"x\":{open}{close}}}");
        PullSecret::parse(SecretKind::DockerConfigJson, payload.as_bytes())
    };
    assert!(nested(10_000).is_ok());
    assert!(nested(10_001).is_err());
    assert!(nested(1_000_000).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(payload in any::<Vec<u8>>(), key in any::<String>()) {
        for kind in [SecretKind::DockerConfigJson, SecretKind::DockerCfg] {
            let _ = PullSecret::parse(kind, &payload);
        }
        let _ = key_matches(&key, &String::from_utf8_lossy(&payload));
        let _ = KeyWarning::of(&key);
    }

    #[test]
    fn any_key_beside_a_good_one_harms_nothing(
        key in r"[a-z*.:/@?#%\[\]\\^ -]{0,20}",
        repository in r"[a-z]{1,3}\.[a-z]{1,3}(:[0-9]{1,3})?/[a-z]{1,4}",
    ) {
        let auths = serde_json::json!({&key: {"auth": "YTpi"}, &repository: {"auth": "YTpi"}});
        let secrets = [config(&auths.to_string())];
        let found = keys(&secrets, &repository);
        prop_assert!(found.contains(&repository));
        prop_assert_eq!(found.contains(&key), key_matches(&key, &repository));
    }
}
