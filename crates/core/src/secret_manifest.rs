//! Pull secrets in a file: Secret manifests as given to kubectl, or a docker config.
//!
//! From the text to what the API server would store and the kubelet then read. It
//! takes bytes and must not open files; where it fails it names lines and fields but
//! shows no values.

use crate::manifest::{self, ManifestSpan};
use kubelet_keyring::{Base64Error, PayloadError, PullSecret, SecretKind, decode_base64};
use serde_json::{Map, Value};

/// A Secret of a file.
#[derive(Debug)]
pub struct ManifestSecret {
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `metadata.name`; none for a docker config.
    pub name: Option<String>,
    /// What the kubelet makes of it.
    pub finding: SecretFinding,
}

/// What the kubelet makes of a Secret that a pod names among its pull secrets.
#[derive(Debug)]
pub enum SecretFinding {
    /// It takes credentials from it.
    Read(PullSecret),
    /// It starts no pull of the pod, whatever its other secrets hold.
    Broken(PayloadError),
    /// It passes over it without a word.
    Ignored(Ignored),
}

/// Why the kubelet passes over a Secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// Neither of the two types.
    #[error(
        "its type is {found:?}, which the kubelet ignores; \
         make it kubernetes.io/dockerconfigjson"
    )]
    Type {
        /// The type that it has.
        found: String,
    },
    /// Nothing under the key that goes with the type.
    #[error("it has no {:?} in its data, where the kubelet looks", kind.data_key())]
    NoData {
        /// Its type.
        kind: SecretKind,
    },
}

/// Why a file gives no Secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Neither YAML nor JSON.
    #[error("no valid YAML or JSON at line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A field of another type than the API server takes.
    #[error("{field} of a Secret has to be {expected}")]
    Field {
        /// The field's path.
        field: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A value under `data` that is not base64; the API server refuses it.
    #[error("data[{key:?}] is not base64: {problem} (plain text goes under `stringData`)")]
    Base64 {
        /// The key under `data`.
        key: String,
        /// What is wrong with it.
        problem: Base64Error,
    },
    /// Manifests, but none of a Secret.
    #[error("it holds no Secret; give a Secret manifest or a docker config.json")]
    NoSecret,
}

/// The Secrets of a file in its order: YAML documents, JSON, lists, or one docker
/// config, which is read as the content of a `kubernetes.io/dockerconfigjson`.
pub fn parse_manifest(content: &[u8]) -> Result<Vec<ManifestSecret>, ManifestError> {
    let manifests = match std::str::from_utf8(content).map(documents) {
        Ok(Ok(documents)) if documents.iter().any(is_manifest) => documents,
        // A docker config may hold what only Go takes for JSON; not so a manifest.
        Ok(Err(error)) if names_kind(content) => return Err(error),
        _ => {
            return Ok(vec![ManifestSecret {
                namespace: None,
                name: None,
                finding: finding(SecretKind::DockerConfigJson, content),
            }]);
        }
    };
    let mut secrets = Vec::new();
    for manifest in &manifests {
        collect(manifest, &mut secrets)?;
    }
    if secrets.is_empty() {
        return Err(ManifestError::NoSecret);
    }
    Ok(secrets)
}

fn documents(text: &str) -> Result<Vec<Value>, ManifestError> {
    let syntax = |ManifestSpan { line, column, .. }| ManifestError::Syntax { line, column };
    manifest::values(text).map_err(syntax)
}

fn is_manifest(document: &Value) -> bool {
    document.get("kind").is_some_and(Value::is_string) && document.get("apiVersion").is_some()
}

fn names_kind(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    text.contains("apiVersion") && text.contains("kind")
}

fn collect(manifest: &Value, secrets: &mut Vec<ManifestSecret>) -> Result<(), ManifestError> {
    match manifest.get("kind").and_then(Value::as_str) {
        Some("Secret") => secrets.push(from_object(manifest)?),
        // Lists do not nest for kubectl; one level is enough, and bounded.
        Some("List" | "SecretList") => {
            for item in manifest
                .get("items")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let kind = item.get("kind").and_then(Value::as_str);
                if kind.is_none_or(|kind| kind == "Secret") {
                    secrets.push(from_object(item)?);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// One Secret, as the API server returns it or as it stands in a file.
pub fn from_object(manifest: &Value) -> Result<ManifestSecret, ManifestError> {
    let metadata = object(manifest, "metadata")?;
    let text = |field: &str| {
        let value = metadata.and_then(|metadata| metadata.get(field));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let kind = match manifest.get("type") {
        None | Some(Value::Null) => "Opaque",
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(field_error("type", "a string")),
    };
    let finding = match SecretKind::from_type(kind) {
        None => SecretFinding::Ignored(Ignored::Type {
            found: kind.to_owned(),
        }),
        Some(kind) => match payload(manifest, kind.data_key())? {
            None => SecretFinding::Ignored(Ignored::NoData { kind }),
            Some(payload) => finding(kind, &payload),
        },
    };
    Ok(ManifestSecret {
        namespace: text("namespace"),
        name: text("name"),
        finding,
    })
}

fn finding(kind: SecretKind, payload: &[u8]) -> SecretFinding {
    match PullSecret::parse(kind, payload) {
        Ok(secret) => SecretFinding::Read(secret),
        Err(error) => SecretFinding::Broken(error),
    }
}

/// The bytes that the API server would store: `stringData` is written over `data`.
fn payload(manifest: &Value, key: &str) -> Result<Option<Vec<u8>>, ManifestError> {
    let stored = |field| -> Result<Option<&str>, ManifestError> {
        match object(manifest, field)?.and_then(|object| object.get(key)) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some("")),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(field_error(&format!("{field}[{key:?}]"), "a string")),
        }
    };
    let encoded = stored("data")?;
    if let Some(plain) = stored("stringData")? {
        return Ok(Some(plain.as_bytes().to_vec()));
    }
    let Some(encoded) = encoded else {
        return Ok(None);
    };
    match decode_base64(encoded, true) {
        Ok(payload) => Ok(Some(payload.to_vec())),
        Err(problem) => Err(ManifestError::Base64 {
            key: key.to_owned(),
            problem,
        }),
    }
}

fn object<'v>(
    manifest: &'v Value,
    field: &str,
) -> Result<Option<&'v Map<String, Value>>, ManifestError> {
    match manifest.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(field_error(field, "an object")),
    }
}

fn field_error(field: &str, expected: &'static str) -> ManifestError {
    ManifestError::Field {
        field: field.to_owned(),
        expected,
    }
}
