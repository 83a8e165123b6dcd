//! YAML and JSON as a tree that knows where everything stands.
//!
//! The one module that knows which YAML library is used. It must not know the map:
//! it hands over what is written and complains only about what is no YAML.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

/// How many values all aliases of a text together may stand for.
const MOST_ALIASED: usize = 10_000;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Span {
    /// Bytes before it.
    pub(super) start: usize,
    /// Its bytes; none for a list or a map, whose place is its beginning.
    pub(super) len: usize,
    /// From 1.
    pub(super) line: usize,
    /// Characters, from 1.
    pub(super) column: usize,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'a> {
    pub(super) value: Value<'a>,
    pub(super) at: Span,
}

/// A value as YAML 1.2 and JSON have them, and the words that YAML 1.1 takes for yes
/// and no, which other tools do too.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool,
    Number,
    String(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Vec<(Node<'a>, Node<'a>)>),
}

/// Why a text is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) at: Span,
}

/// The documents of a text that are not empty.
///
/// JSON is read by the same rules, of which its own are nearly a part. A map may hold
/// a key twice here. Depth, aliases and what they stand for are bounded, so that a
/// small text cannot become a large tree.
pub(super) fn documents(text: &str) -> Result<Vec<Node<'_>>, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // Not the tree but the text is the bound: no value is shorter than a byte.
            max_events: text.len().saturating_add(MOST_ALIASED).saturating_mul(2),
            max_nodes: text.len().saturating_add(MOST_ALIASED),
            max_aliases: 1_000,
            max_depth: 32,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_ALIASED,
        },
        // All that stand twice are to be named, with both places.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        emit_comments: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| syntax_error(&error))
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let mut at = Span::default();
    let mut message = error.to_string();
    if let Some(place) = error.location() {
        at = span(place);
        // The place stands before the message.
        let written = format!(" at line {}, column {}", place.line(), place.column());
        if let Some(rest) = message.strip_suffix(&written) {
            message = rest.to_owned();
        }
    }
    SyntaxError {
        message: format!("this is no YAML: {message}"),
        at,
    }
}

fn span(place: Location) -> Span {
    let span = place.span();
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Span {
        start: number(span.byte_offset().unwrap_or_default()),
        len: number(span.byte_len().unwrap_or_default()),
        line: number(place.line()),
        column: number(place.column()),
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        // Where an alias stands, not what it stands for: that is the line to change.
        let mut at = span(spanned.referenced);
        if matches!(spanned.value, Value::List(_) | Value::Map(_)) {
            at.len = 0;
        }
        Ok(Self {
            value: spanned.value,
            at,
        })
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Number)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Number)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Number)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }
    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key()? {
            pairs.push((key, map.next_value()?));
        }
        Ok(Value::Map(pairs))
    }
}
