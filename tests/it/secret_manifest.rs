//! Secrets of a file, as the API server would store them.

use kubelet_keyring::{Base64Error, SecretKind};
use proptest::prelude::*;
use pullpass_core::secret_manifest::{Ignored, ManifestError, SecretFinding, parse_manifest};

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: one, namespace: team-a}
type: kubernetes.io/dockerconfigjson
data:
  # {"auths":{"r.io":{"auth":"dTpw"}}}
  .dockerconfigjson: |
    eyJhdXRocyI6eyJyLmlvIjp7ImF1dGgi
    OiJkVHB3In19fQ==
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata: {name: two}
  type: kubernetes.io/dockercfg
  data: {.dockercfg: AAAA}
  stringData:
    .dockercfg: '{"s.io":{"auth":"dTpw"}}'
- apiVersion: v1
  kind: Secret
  metadata: {name: three}
  stringData: {.dockerconfigjson: '{}'}
- apiVersion: v1
  kind: Secret
  metadata: {name: four}
  type: kubernetes.io/dockerconfigjson
  data: {.dockercfg: AAAA}
- apiVersion: v1
  kind: Secret
  metadata: {name: five}
  type: kubernetes.io/dockercfg
  stringData: {.dockercfg: '[]'}
"#;

#[test]
fn a_manifest_gives_what_the_api_server_would_store() {
    let secrets = parse_manifest(MANIFESTS.as_bytes()).unwrap();
    assert_eq!(secrets.len(), 5);
    assert_eq!(secrets[0].name.as_deref(), Some("one"));
    assert_eq!(secrets[0].namespace.as_deref(), Some("team-a"));
    let keys = |finding: &SecretFinding| match finding {
        SecretFinding::Read(secret) => secret
            .entries()
            .iter()
            .map(|entry| entry.key().to_owned())
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(keys(&secrets[0].finding), ["r.io"]);
    assert_eq!(keys(&secrets[1].finding), ["s.io"]);
    assert!(matches!(
        &secrets[2].finding,
        SecretFinding::Ignored(Ignored::Type { found }) if found == "Opaque"
    ));
    assert!(matches!(
        &secrets[3].finding,
        SecretFinding::Ignored(Ignored::NoData {
            kind: SecretKind::DockerConfigJson
        })
    ));
    assert!(matches!(&secrets[4].finding, SecretFinding::Broken(_)));
}

#[test]
fn a_docker_config_is_read_as_the_content_of_a_secret() {
    // A half of a surrogate pair is JSON for Go only.
    let secrets = parse_manifest(br#"{"auths":{"r.io":{"auth":"dTpw"}},"x":"\ud800"}"#).unwrap();
    assert!(
        matches!(&secrets[0].finding, SecretFinding::Read(secret) if secret.entries().len() == 1)
    );
    let secrets = parse_manifest(b"\xff").unwrap();
    assert!(matches!(secrets[0].finding, SecretFinding::Broken(_)));
}

#[test]
fn a_file_that_gives_no_secret_says_why() {
    let error = |text: &str| parse_manifest(text.as_bytes()).expect_err(text);
    assert_eq!(
        error("apiVersion: v1\nkind: Pod\n"),
        ManifestError::NoSecret
    );
    assert_eq!(
        error("apiVersion: v1\nkind: Secret\ndata: {a: \n"),
        ManifestError::Syntax { line: 3, column: 7 }
    );
    assert_eq!(
        error(
            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockercfg\ndata: {.dockercfg: 'hunter2:x'}\n"
        ),
        ManifestError::Base64 {
            key: ".dockercfg".to_owned(),
            problem: Base64Error::Plain
        }
    );
    assert_eq!(
        error("apiVersion: v1\nkind: Secret\ntype: 1\n").to_string(),
        "type of a Secret has to be a string"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(payload in any::<Vec<u8>>()) {
        let _ = parse_manifest(&payload);
    }
}
