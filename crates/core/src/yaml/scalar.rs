//! The type that a scalar has for kubectl, and its text as a key.
//!
//! The rules are those of go-yaml v2 (`resolve.go`), which sigs.k8s.io/yaml uses: words and
//! numbers of YAML 1.1, a leading zero for octal, and no base 60. Keys become text by the
//! rules of `sigs.k8s.io/yaml` (`convertToJSONableObject`). This module must not know where
//! a scalar stands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// What stands before the name of a tag of YAML itself.
const CORE: &str = "tag:yaml.org,2002:";

/// What a scalar stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    /// The text itself.
    Text,
}

impl Scalar {
    /// What a scalar is by its tag and style. The text changes only for `!!binary`.
    ///
    /// The error says why kubectl refuses it.
    pub(super) fn resolve<'t>(
        tag: Option<&str>,
        is_plain: bool,
        text: Cow<'t, str>,
    ) -> Result<(Self, Cow<'t, str>), String> {
        let Some(tag) = tag else {
            let scalar = if is_plain {
                Self::plain(&text)
            } else {
                Self::Text
            };
            return Ok((scalar, text));
        };
        let Some(name) = tag.strip_prefix(CORE) else {
            return Ok((Self::Text, text));
        };
        if name == "binary" {
            let decoded = STANDARD.decode(text.as_bytes());
            let decoded = decoded.map_err(|_| "a !!binary value is not base64".to_owned())?;
            let decoded = String::from_utf8_lossy(&decoded).into_owned();
            return Ok((Self::Text, Cow::Owned(decoded)));
        }
        let scalar = match (name, Self::plain(&text)) {
            ("bool", found @ Self::Bool(_))
            | ("int", found @ Self::Integer(_))
            | ("float", found @ Self::Float(_))
            | ("null", found @ Self::Null) => found,
            #[expect(
                clippy::cast_precision_loss,
                reason = "the nearest number is what !!float asks for"
            )]
            ("float", Self::Integer(integer)) => Self::Float(integer as f64),
            ("bool" | "int" | "float" | "null", _) => {
                return Err(format!("the value is not what its tag !!{name} says"));
            }
            _ => Self::Text,
        };
        Ok((scalar, text))
    }

    /// What a scalar without a tag or quotes is.
    fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                return Self::Bool(true);
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => return Self::Bool(false),
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Self::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Self::Float(f64::NEG_INFINITY),
            _ => {}
        }
        let number = match text.bytes().next() {
            Some(b'.') => float(text).map(Self::Float),
            Some(b'+' | b'-' | b'0'..=b'9') => {
                let digits = text.replace('_', "");
                let integer = integer(&digits).map(Self::Integer);
                integer.or_else(|| float(&digits).map(Self::Float))
            }
            _ => None,
        };
        number.unwrap_or(Self::Text)
    }

    /// What the scalar is as a key; none where the text is the key.
    ///
    /// The error says why kubectl refuses it.
    pub(super) fn key(self) -> Result<Option<String>, String> {
        match self {
            Self::Text => Ok(None),
            Self::Bool(truth) => Ok(Some(truth.to_string())),
            Self::Integer(integer) if i64::try_from(integer).is_ok() => {
                Ok(Some(integer.to_string()))
            }
            Self::Float(float) => Ok(Some(float_key(float))),
            Self::Null => Err("a key is null".to_owned()),
            Self::Integer(_) => Err("a key is a number above 2^63 - 1".to_owned()),
        }
    }
}

/// An integer as Go reads it (`strconv.ParseInt` and `ParseUint` with base 0), of 64
/// bits.
fn integer(text: &str) -> Option<i128> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let has_sign = unsigned.len() < text.len();
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, unsigned.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, unsigned.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, unsigned.get(2..)?),
        [b'0', _, ..] => (8, unsigned.get(1..)?),
        _ => (10, unsigned),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = sign * i128::from_str_radix(digits, radix).ok()?;
    let fits = i64::try_from(value).is_ok() || (!has_sign && u64::try_from(value).is_ok());
    fits.then_some(value)
}

/// A float in decimal; none where it is beyond what 64 bits hold.
fn float(text: &str) -> Option<f64> {
    let allowed =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-' | b'e' | b'E');
    let is_decimal = text.bytes().all(allowed);
    let value: f64 = text.parse().ok().filter(|_| is_decimal)?;
    value.is_finite().then_some(value)
}

/// A float as a key (`strconv.FormatFloat` with 'g', the shortest, of 32 bits).
fn float_key(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "sigs.k8s.io/yaml writes keys as floats of 32 bits"
    )]
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) || value == 0.0 {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}
