//! The text inside a pull secret, read as the kubelet reads it.
//!
//! `DockerConfigJSON`, `DockerConfigEntry.UnmarshalJSON` and
//! `decodeDockerConfigFieldAuth` of `pkg/credentialprovider/config.go`: repeated
//! keys, `null`, fields of the wrong type and all. It keeps what [`super::complaint`]
//! needs and judges nothing; it must not quote a value, for any may be a password.

use super::SecretKind;
use super::credential::Credential;
use super::json::{self, JsonKind, Reader, SyntaxError, is_field};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::collections::HashMap;
use zeroize::Zeroizing;

/// Why the kubelet cannot read a secret, and so starts no pull of the whole pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// No JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A field of another type than the kubelet wants.
    #[error("{place} has to be {} and is {}", expected.as_str(), found.as_str())]
    Type {
        /// Which field, of which registry.
        place: String,
        /// What the kubelet wants.
        expected: JsonKind,
        /// What stands there.
        found: JsonKind,
    },
    /// `auth` that is not base64.
    #[error("`auth` of {key:?} is not base64: {problem}")]
    Base64 {
        /// The registry's key.
        key: String,
        /// What is wrong with it.
        problem: Base64Problem,
    },
    /// `auth` without a colon between user and password.
    #[error("`auth` of {key:?} has no colon; it has to be base64 of user:password")]
    NoColon {
        /// The registry's key.
        key: String,
    },
}

/// What is wrong with a text that should be base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Problem {
    /// A colon: user and password as they are.
    #[error("it looks like user:password itself; encode it")]
    Plain,
    /// `-` or `_`.
    #[error("it is in the alphabet for URLs; the standard one has `+` and `/`")]
    UrlAlphabet,
    /// A blank or a tab; line breaks are allowed.
    #[error("it holds a blank; remove it")]
    Blank,
    /// Some other character that base64 does not have.
    #[error("it holds a character that base64 does not have")]
    Character,
    /// `=` missing, too many or in the middle, or a text that was cut off.
    #[error("its length or its padding with `=` is wrong, perhaps it was cut off")]
    Length,
}

/// What a payload holds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) entries: Vec<FoundEntry>,
    /// Keys that stand there more than once; the last one counts.
    pub(super) repeated: Vec<String>,
    /// Whether `auths` is there.
    pub(super) auths: bool,
    /// `credsStore` or `credHelpers`.
    pub(super) helpers: bool,
    /// A registry's entry beside `auths` instead of in it.
    pub(super) stray_entry: bool,
}

pub(super) struct FoundEntry {
    pub(super) key: String,
    pub(super) credential: Credential,
    /// `identitytoken` or `registrytoken`.
    pub(super) token: bool,
    /// `auth` and a `username` or `password` that says something else.
    pub(super) overridden: bool,
}

/// Reads a whole payload, which must not be empty.
pub(super) fn parse(kind: SecretKind, payload: &[u8]) -> Result<Found, PayloadError> {
    json::check(payload)?;
    let mut reader = Reader::new(payload);
    let mut found = Found::default();
    let mut auths = Auths::default();
    match (kind, object_or_null(&mut reader, "the secret's content")?) {
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

impl Found {
    fn field(
        &mut self,
        name: &str,
        reader: &mut Reader<'_>,
        auths: &mut Auths,
    ) -> Result<(), PayloadError> {
        if is_field(name, "auths") {
            self.auths = true;
            if object_or_null(reader, "`auths`")? {
                // A second `auths` adds to the first.
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

/// Go's map from registries to entries.
#[derive(Default)]
struct Auths {
    entries: Vec<FoundEntry>,
    repeated: Vec<String>,
    places: HashMap<String, usize>,
}

impl Auths {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), PayloadError> {
        reader.object(|key, reader| {
            let entry = entry(key, reader)?;
            let place = self.places.get(key).copied();
            if let Some(earlier) = place.and_then(|place| self.entries.get_mut(place)) {
                *earlier = entry;
                self.repeated.push(key.to_owned());
            } else {
                self.places.insert(key.to_owned(), self.entries.len());
                self.entries.push(entry);
            }
            Ok(())
        })
    }
}

fn entry(key: &str, reader: &mut Reader<'_>) -> Result<FoundEntry, PayloadError> {
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
    Ok(FoundEntry {
        key: key.to_owned(),
        credential,
        token,
        overridden,
    })
}

// Whether a value is an object that says who somebody is.
fn looks_like_entry(mut reader: Reader<'_>) -> Result<bool, SyntaxError> {
    let mut found = false;
    if reader.kind()? == JsonKind::Object {
        reader.object(|name, reader| {
            found |= is_field(name, "auth") || is_field(name, "username");
            reader.skip()
        })?;
    }
    Ok(found)
}

/// Whether an object comes next; steps over `null`, to which Go says nothing.
fn object_or_null(reader: &mut Reader<'_>, place: &str) -> Result<bool, PayloadError> {
    match reader.kind()? {
        JsonKind::Object => Ok(true),
        JsonKind::Null => {
            reader.skip()?;
            Ok(false)
        }
        found => Err(PayloadError::Type {
            place: place.to_owned(),
            expected: JsonKind::Object,
            found,
        }),
    }
}

/// A string; `None` for `null`, which leaves a field as it was.
fn string_or_null(
    reader: &mut Reader<'_>,
    place: impl FnOnce() -> String,
) -> Result<Option<Zeroizing<String>>, PayloadError> {
    match reader.kind()? {
        JsonKind::String => Ok(Some(reader.string()?)),
        JsonKind::Null => {
            reader.skip()?;
            Ok(None)
        }
        found => Err(PayloadError::Type {
            place: place(),
            expected: JsonKind::String,
            found,
        }),
    }
}

fn decode_auth(key: &str, auth: &str) -> Result<Credential, PayloadError> {
    // The kubelet looks for the padding behind trailing white space, and then decodes
    // the text with it, which fails unless it was line breaks.
    let padded = auth.trim().ends_with('=');
    let plain = decode_base64(auth, padded).map_err(|problem| PayloadError::Base64 {
        key: key.to_owned(),
        problem,
    })?;
    let mut parts = plain.splitn(2, |&byte| byte == b':');
    let (Some(username), Some(password)) = (parts.next(), parts.next()) else {
        return Err(PayloadError::NoColon {
            key: key.to_owned(),
        });
    };
    Ok(Credential::new(
        Zeroizing::new(username.to_vec()),
        Zeroizing::new(password.to_vec()),
    ))
}

/// Go's `base64.StdEncoding` or `RawStdEncoding`: line breaks anywhere are skipped,
/// unused bits at the end may be anything.
pub fn decode_base64(text: &str, padded: bool) -> Result<Zeroizing<Vec<u8>>, Base64Problem> {
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

fn base64_problem(text: &str) -> Base64Problem {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    match text.bytes().find(|&byte| !is_base64(byte)) {
        _ if text.contains(':') => Base64Problem::Plain,
        Some(b'-' | b'_') => Base64Problem::UrlAlphabet,
        Some(b' ' | b'\t') => Base64Problem::Blank,
        Some(_) => Base64Problem::Character,
        None => Base64Problem::Length,
    }
}
