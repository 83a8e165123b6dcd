//! A tree as the source of serde types, so that the structs of reviews read manifests too.
//!
//! An error names the value that does not fit, with its position. This module must not know
//! what the structs mean.

use super::{Node, Span, Value};
use crate::text;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt::{self, Display, Formatter};

/// The most characters of a message, which quotes the value that does not fit.
const LONGEST_REASON: usize = 300;

/// Why a tree is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) message: String,
    /// The innermost value that does not fit.
    pub(crate) at: Option<Span>,
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: Display>(message: T) -> Self {
        Self {
            message: text::cut(text::visible(&message.to_string()), LONGEST_REASON),
            at: None,
        }
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for &'de Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Values that no caller looks into (numbers, truth values) are there as zero and no:
/// whoever wants a text there gets an error either way.
impl<'de> Deserializer<'de> for &'de Node<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number => Err(de::Error::invalid_type(
                de::Unexpected::Other("a number"),
                &visitor,
            )),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::List(nodes) => visitor.visit_seq(SeqDeserializer::new(nodes.iter())),
            Value::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key, value));
                visitor.visit_map(MapDeserializer::new(pairs))
            }
        }
        .map_err(|mismatch| Mismatch {
            at: mismatch.at.or(Some(self.at)),
            ..mismatch
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}
