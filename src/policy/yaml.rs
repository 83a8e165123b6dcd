//! YAML and JSON as a tree that knows where everything stands.
//!
//! The one module that knows which YAML library is used. It must not know the map:
//! it hands over what is written and complains only about what is no YAML.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

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

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        // Where an alias stands, not what it stands for: that is the line to change.
        let place = spanned.referenced;
        let span = place.span();
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let len = match spanned.value {
            Value::List(_) | Value::Map(_) => 0,
            _ => number(span.byte_len().unwrap_or_default()),
        };
        Ok(Self {
            value: spanned.value,
            at: Span {
                start: number(span.byte_offset().unwrap_or_default()),
                len,
                line: number(place.line()),
                column: number(place.column()),
            },
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

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn try_it() {
        for text in [
            "a: 1\nb: [x, 'y', \"z\\n\"]\n",
            "a: 1\nb: 2\na: 3\nb: 4\n",
            "x: &q [a, b]\ny: *q\n",
            "x: &q {a: b}\ny:\n  <<: *q\n  c: d\n",
            "{\"a\": \"\\ud83d\\ude00\", \"b\\/c\": \"\\/\"}",
            "{\n\t\"a\":\t[1,\n\t2]\n}\n",
            "a: no\nb: 2026-12-31\nc: 2026-12-31T00:00:00Z\nd: 1e3\ne: ~\nf:\ng: 0x10\nh: 012\ni: .nan\nj: 99999999999999999999999",
            "a: [b\nc: d",
            "a: *nope",
            "a:\n  - name: x\n    match: y\n",
            "a: !!binary aGk=\nb: !foo bar\n",
            "? [a]\n: b\n? {c: d}\n: e\n1: 2\n",
            "a\n---\nb: ü x\n...\n---\n# nothing\n---\nc\n",
            "- *a", "\u{feff}a: b", "a: \"\u{0}\"", "a: |\n  x\n  y\nb: >-\n  z\n",
        ] {
            println!("=== {text:?}");
            for policy in [serde_saphyr::options::DuplicateKeyPolicy::Error, serde_saphyr::options::DuplicateKeyPolicy::LastWins] {
            let o = serde_saphyr::options!{ with_snippet: false, duplicate_keys: policy};
            match serde_saphyr::from_multiple_with_options::<Node>(text, o) {
                Ok(nodes) => for n in nodes { println!("{n:?}") },
                Err(e) => println!("ERR {e} | {:?} | {:?}", e.location().map(|l| (l.line(), l.column())), e),
            }}
        }
    }
    #[test]
    fn large() {
        let mut s = String::from("registries:\n");
        for i in 0..100_000 { s.push_str(&format!("  - name: entry{i}\n    match: [registry{i}.corp.example/team]\n    pullSecrets: [secret{i}]\n")); }
        println!("{}", s.len());
        let t = std::time::Instant::now();
        let o = serde_saphyr::options!{ with_snippet: false, budget: serde_saphyr::budget!{ max_nodes: 5_000_000, max_events: 5_000_000 } };
        let r = serde_saphyr::from_multiple_with_options::<Node>(&s, o);
        println!("{:?} {:?}", t.elapsed(), r.is_ok());
    }
}
