//! The payload of a pull secret, read as the kubelet reads it.
//!
//! This module follows `DockerConfigJSON`, `DockerConfigEntry.UnmarshalJSON` and
//! `decodeDockerConfigFieldAuth` in `pkg/credentialprovider/config.go` of Kubernetes, with
//! repeated keys, `null` and fields of the wrong type. It keeps what [`super::warning`]
//! needs and reports no warnings itself. It must not quote a value, because any value may
//! be a password.

use super::SecretKind;
use super::credential::Credential;
use super::json::{self, JsonError, JsonKind, Reader, is_field};
use super::url::shown_key;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::collections::HashMap;
use zeroize::Zeroizing;

/// The reason for which the kubelet cannot read a secret. It then starts no pull for any pod
/// that names the secret.
///
/// `Display` never contains a value of the payload; keys are quoted and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The payload is not JSON.
    #[error(transparent)]
    Syntax(#[from] JsonError),
    /// A field has another type than the kubelet expects.
    #[error("{field} is {} and must be {}", found.as_str(), expected.as_str())]
    Type {
        /// The field and its registry, in words.
        field: String,
        /// The type that the kubelet expects.
        expected: JsonKind,
        /// The type that the payload has.
        found: JsonKind,
    },
    /// An `auth` is not base64.
    #[error("`auth` of {key:?} is not base64: {problem}")]
    Base64 {
        /// The key of the registry.
        key: String,
        /// The reason.
        problem: Base64Error,
    },
    /// An `auth` has no colon between user and password.
    #[error("`auth` of {key:?} has no colon; encode user:password as base64")]
    NoColon {
        /// The key of the registry.
        key: String,
    },
}

/// The reason for which a text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Error {
    /// The text contains a colon, so it is probably a plain user and password.
    #[error("it looks like plain user:password; encode it as base64")]
    Plain,
    /// The text contains `-` or `_`.
    #[error("it uses the alphabet for URLs; use the standard alphabet with `+` and `/`")]
    UrlAlphabet,
    /// The text contains a space or a tab; line breaks are allowed.
    #[error("it contains a space or a tab; remove it")]
    Blank,
    /// The text contains another character that base64 does not have.
    #[error("it contains a character that base64 does not have; encode the value again")]
    Character,
    /// A `=` is missing, superfluous or in the middle, or the text is cut off.
    #[error("its length or its padding with `=` is wrong; check whether it is cut off")]
    Length,
}

/// The content of a payload.
#[derive(Default)]
pub(super) struct SecretPayload {
    pub(super) entries: Vec<PayloadEntry>,
    /// The keys that are written more than once; the last one counts.
    pub(super) repeated: Vec<String>,
    /// Whether the payload has `auths`.
    pub(super) auths: bool,
    /// Whether the payload has `credsStore` or `credHelpers`.
    pub(super) helpers: bool,
    /// Whether the entry of a registry stands beside `auths` instead of in it.
    pub(super) stray_entry: bool,
}

/// One registry of a payload.
pub(super) struct PayloadEntry {
    pub(super) key: String,
    pub(super) credential: Credential,
    /// Whether the entry has `identitytoken` or `registrytoken`.
    pub(super) token: bool,
    /// Whether `auth` differs from the entry's `username` or `password`.
    pub(super) overridden: bool,
}

/// Reads a whole payload, which must not be empty.
pub(super) fn parse(kind: SecretKind, payload: &[u8]) -> Result<SecretPayload, PayloadError> {
    json::check(payload)?;
    let mut reader = Reader::new(payload);
    let mut found = SecretPayload::default();
    let mut auths = Auths::default();
    match (
        kind,
        object_or_null(&mut reader, "the content of the Secret")?,
    ) {
        (_, false) => {}
        (SecretKind::DockerCfg, true) => auths.read(&mut reader)?,
        (SecretKind::DockerConfigJson, true) => {
            reader.object(|name, reader| found.field(name, reader, &mut auths))?;
        }
    }
    found.entries = auths.entries;
    found.repeated = auths.repeated;
    Ok(found)
}

impl SecretPayload {
    fn field(
        &mut self,
        name: &str,
        reader: &mut Reader<'_>,
        auths: &mut Auths,
    ) -> Result<(), PayloadError> {
        if is_field(name, "auths") {
            self.auths = true;
            if object_or_null(reader, "`auths`")? {
                // Go adds a second `auths` to the first.
                return auths.read(reader);
            }
            *auths = Auths::default();
            return Ok(());
        }
        if is_field(name, "HttpHeaders") {
            if object_or_null(reader, "`HttpHeaders`")? {
                return reader.object(|_, reader| {
                    string_or_null(reader, || "a value of `HttpHeaders`".to_owned()).map(drop)
                });
            }
            return Ok(());
        }
        self.helpers |= matches!(name, "credsStore" | "credHelpers");
        self.stray_entry |= looks_like_entry(*reader)?;
        reader.skip()?;
        Ok(())
    }
}

/// The map from registries to entries, as Go fills it.
#[derive(Default)]
struct Auths {
    entries: Vec<PayloadEntry>,
    repeated: Vec<String>,
    positions: HashMap<String, usize>,
}

impl Auths {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), PayloadError> {
        reader.object(|key, reader| {
            let entry = entry(key, reader)?;
            let position = self.positions.get(key).copied();
            if let Some(earlier) = position.and_then(|position| self.entries.get_mut(position)) {
                *earlier = entry;
                self.repeated.push(key.to_owned());
            } else {
                self.positions.insert(key.to_owned(), self.entries.len());
                self.entries.push(entry);
            }
            Ok(())
        })
    }
}

fn entry(key: &str, reader: &mut Reader<'_>) -> Result<PayloadEntry, PayloadError> {
    let mut username = Zeroizing::default();
    let mut password = Zeroizing::default();
    let mut auth = Zeroizing::default();
    let mut email = Zeroizing::default();
    let mut token = false;
    if object_or_null(reader, &format!("the entry of {key:?}"))? {
        reader.object(|name, reader| -> Result<(), PayloadError> {
            let (field, value) = if is_field(name, "username") {
                ("username", &mut username)
            } else if is_field(name, "password") {
                ("password", &mut password)
            } else if is_field(name, "auth") {
                ("auth", &mut auth)
            } else if is_field(name, "email") {
                ("email", &mut email)
            } else {
                token |= matches!(name, "identitytoken" | "registrytoken");
                return Ok(reader.skip()?);
            };
            if let Some(text) = string_or_null(reader, || format!("`{field}` of {key:?}"))? {
                *value = text;
            }
            Ok(())
        })?;
    }
    let bytes = |text: &Zeroizing<String>| Zeroizing::new(text.as_bytes().to_vec());
    let (username, password) = (bytes(&username), bytes(&password));
    let mut overridden = false;
    let credential = if auth.is_empty() {
        Credential::new(username, password)
    } else {
        let meant = decode_auth(key, &auth)?;
        overridden = !username.is_empty() && *username != *meant.username_bytes()
            || !password.is_empty() && *password != *meant.expose_password();
        meant
    };
    Ok(PayloadEntry {
        key: key.to_owned(),
        credential,
        token,
        overridden,
    })
}

// Whether a value is an object with a user.
fn looks_like_entry(mut reader: Reader<'_>) -> Result<bool, JsonError> {
    let mut found = false;
    if reader.kind()? == JsonKind::Object {
        reader.object(|name, reader| {
            found |= is_field(name, "auth") || is_field(name, "username");
            reader.skip()
        })?;
    }
    Ok(found)
}

/// Whether an object comes next. It skips `null`, which Go accepts silently.
fn object_or_null(reader: &mut Reader<'_>, field: &str) -> Result<bool, PayloadError> {
    match reader.kind()? {
        JsonKind::Object => Ok(true),
        JsonKind::Null => {
            reader.skip()?;
            Ok(false)
        }
        found => Err(PayloadError::Type {
            field: field.to_owned(),
            expected: JsonKind::Object,
            found,
        }),
    }
}

/// Reads a string; `None` for `null`, which leaves a field unchanged in Go.
fn string_or_null(
    reader: &mut Reader<'_>,
    field: impl FnOnce() -> String,
) -> Result<Option<Zeroizing<String>>, PayloadError> {
    match reader.kind()? {
        JsonKind::String => Ok(Some(reader.string()?)),
        JsonKind::Null => {
            reader.skip()?;
            Ok(None)
        }
        found => Err(PayloadError::Type {
            field: field(),
            expected: JsonKind::String,
            found,
        }),
    }
}

fn decode_auth(key: &str, auth: &str) -> Result<Credential, PayloadError> {
    // The kubelet ignores trailing white space when it looks for the padding, and then
    // decodes the text with that white space. The decoding fails unless the white space is
    // line breaks.
    let padded = auth.trim().ends_with('=');
    let plain = decode_base64(auth, padded).map_err(|problem| PayloadError::Base64 {
        key: shown_key(key).into_owned(),
        problem,
    })?;
    let mut parts = plain.splitn(2, |&byte| byte == b':');
    let (Some(username), Some(password)) = (parts.next(), parts.next()) else {
        return Err(PayloadError::NoColon {
            key: shown_key(key).into_owned(),
        });
    };
    Ok(Credential::new(
        Zeroizing::new(username.to_vec()),
        Zeroizing::new(password.to_vec()),
    ))
}

/// Decodes base64 as Go's `base64.StdEncoding` does, or as `RawStdEncoding` does where the
/// text is not `padded`. Line breaks are skipped everywhere, and unused bits at the end may
/// have any value.
///
/// # Errors
///
/// The text is not base64 of that encoding. The error names the likeliest reason.
pub fn decode_base64(text: &str, padded: bool) -> Result<Zeroizing<Vec<u8>>, Base64Error> {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let mode = if padded {
        DecodePaddingMode::RequireCanonical
    } else {
        DecodePaddingMode::RequireNone
    };
    let engine = GeneralPurpose::new(&STANDARD, config.with_decode_padding_mode(mode));
    let mut joined = Zeroizing::new(String::with_capacity(text.len()));
    joined.extend(text.chars().filter(|letter| !matches!(letter, '\r' | '\n')));
    match engine.decode(joined.as_bytes()) {
        Ok(plain) => Ok(Zeroizing::new(plain)),
        Err(_) => Err(base64_problem(&joined)),
    }
}

fn base64_problem(text: &str) -> Base64Error {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    match text.bytes().find(|&byte| !is_base64(byte)) {
        _ if text.contains(':') => Base64Error::Plain,
        Some(b'-' | b'_') => Base64Error::UrlAlphabet,
        Some(b' ' | b'\t') => Base64Error::Blank,
        Some(_) => Base64Error::Character,
        None => Base64Error::Length,
    }
}
