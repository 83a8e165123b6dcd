//! YAML and JSON as a tree in which every value has its position.
//!
//! This is the one module that knows the YAML library: serde-saphyr for the registry map,
//! which it reads strictly by YAML 1.2, and the parser below it for manifests, which it
//! reads as kubectl does. It must not know the registry map or manifests: it returns what
//! is written and refuses only what is not YAML.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use crate::text;

mod decode;
mod kubectl;
mod quoted;
mod scalar;

pub(crate) use quoted::indented;

/// How many values all aliases of a short text together may stand for. Of a long manifest
/// as many as it has bytes, and of a long map half as many: a list that a thousand entries
/// share is no bomb.
const MOST_ALIASED: usize = 10_000;

/// How deep lists and maps may lie in each other in a map of registries, which needs
/// seven.
pub(crate) const MAP_DEPTH: usize = 32;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    /// Bytes before it.
    pub(crate) start: usize,
    /// Its bytes; none for a list or a map, whose place is its beginning.
    pub(crate) len: usize,
    /// From 1.
    pub(crate) line: usize,
    /// Characters, from 1.
    pub(crate) column: usize,
}

impl Span {
    /// Before everything.
    pub(crate) fn beginning() -> Self {
        Self {
            line: 1,
            column: 1,
            ..Self::default()
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) at: Span,
}

/// A value as YAML 1.2 and JSON have them, and the words that YAML 1.1 takes for yes
/// and no, which other tools do too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number,
    String(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Vec<(Node<'a>, Node<'a>)>),
}

/// Why a text is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) at: Span,
}

/// The documents of a text that are not empty.
///
/// JSON is read by the same rules, of which its own are nearly a part. A map may hold
/// a key twice here. Depth, aliases and what they stand for are bounded, so that a
/// small text cannot become a large tree.
pub(crate) fn documents(text: &str, depth: usize) -> Result<Vec<Node<'_>>, SyntaxError> {
    let values = text.len().saturating_add(MOST_ALIASED);
    // Half as many as for manifests: keys that are merged take twice the memory of others.
    let aliased = (text.len() / 2).saturating_add(MOST_ALIASED);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // No value is shorter than a byte, so these bound what aliases add.
            max_events: values.saturating_mul(2),
            max_nodes: values,
            max_aliases: values,
            max_recorded_anchor_events: values,
            enforce_alias_anchor_ratio: false,
            max_depth: depth,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: aliased,
        },
        // All that stand twice are to be named, with both places.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        emit_comments: false,
    };
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| syntax_error(&error, text))
}

/// The documents of a manifest as kubectl reads them, up to the first error.
///
/// Depth and what aliases stand for are bounded as in [`documents`].
pub(crate) fn manifest(text: &str, depth: usize) -> (Vec<Node<'_>>, Option<SyntaxError>) {
    let aliased = text.len().saturating_add(MOST_ALIASED);
    let read = kubectl::documents(text, depth, aliased);
    (read.nodes, read.error)
}

fn syntax_error(error: &serde_saphyr::Error, text: &str) -> SyntaxError {
    let mut at = Span::default();
    let mut message = error.to_string();
    if let Some(place) = error.location() {
        at = span(place);
        at.start = byte(text, at);
        // The place stands before the message.
        let written = format!(" at line {}, column {}", place.line(), place.column());
        if let Some(rest) = message.strip_suffix(&written) {
            message = rest.to_owned();
        }
    }
    SyntaxError {
        message: format!("this cannot be read: {}", text::visible(&message)),
        at,
    }
}

impl Node<'_> {
    /// The value of a key, the last one where it stands twice; none where this is no
    /// map.
    pub(crate) fn get(&self, wanted: &str) -> Option<&Self> {
        let Value::Map(pairs) = &self.value else {
            return None;
        };
        let mut pairs = pairs.iter().rev();
        let last = pairs.find(|(key, _)| key.text() == Some(wanted));
        last.map(|(_, value)| value)
    }

    /// The elements of a list; none where this is no list.
    pub(crate) fn elements(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// The text; none where this is no text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What stands at the end of a path such as `spec.containers[0].image`.
    pub(crate) fn at_path(&self, path: &str) -> Option<&Self> {
        path.split(['.', '['])
            .try_fold(self, |node, step| match step.strip_suffix(']') {
                Some(number) => node.elements()?.get(number.parse::<usize>().ok()?),
                None => node.get(step),
            })
    }
}

/// The tree without its places, with zero for every number. Of keys that stand twice the
/// last holds; a key that is no text is left out.
impl From<&Node<'_>> for serde_json::Value {
    fn from(node: &Node<'_>) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number => Self::from(0),
            Value::String(text) => Self::from(&**text),
            Value::List(nodes) => nodes.iter().map(Self::from).collect(),
            Value::Map(pairs) => pairs
                .iter()
                .filter_map(|(key, value)| Some((key.text()?, Self::from(value))))
                .collect(),
        }
    }
}

/// The place as a byte; errors of the parser itself know line and column only.
fn byte(text: &str, at: Span) -> usize {
    let line = text.split_inclusive('\n').take(at.line.saturating_sub(1));
    let start: usize = line.map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    let column = rest.char_indices().nth(at.column.saturating_sub(1));
    start + column.map_or(rest.len(), |(at, _)| at)
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
    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(truth))
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
    use std::fmt::Write as _;

    use super::*;

    fn whole(text: &str) -> Result<Vec<Node<'_>>, SyntaxError> {
        documents(text, MAP_DEPTH)
    }

    /// The tree as one line, with `line:column` after each value.
    fn tree(text: &str) -> String {
        let nodes = whole(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        nodes.iter().map(show).collect::<Vec<_>>().join(" --- ")
    }

    fn show(node: &Node<'_>) -> String {
        let value = match &node.value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number => "number".to_owned(),
            Value::String(text) => format!("{text:?}"),
            Value::List(nodes) => {
                format!("[{}]", nodes.iter().map(show).collect::<Vec<_>>().join(" "))
            }
            Value::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, value)| format!("{}={}", show(key), show(value)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
            }
        };
        format!("{value}{}:{}", node.at.line, node.at.column)
    }

    #[test]
    fn everything_knows_its_place() {
        assert_eq!(
            tree("a: [b,\n  'c']\n"),
            r#"{"a"1:1=["b"1:5 "c"2:3]1:4}1:1"#
        );
        assert_eq!(
            tree("ä: ö x\n---\n- b\n"),
            r#"{"ä"1:1="ö x"1:4}1:1 --- ["b"3:3]3:1"#
        );
        assert_eq!(
            tree("\u{feff}a: b\r\nc: d\r\n"),
            r#"{"a"1:1="b"1:4 "c"2:1="d"2:4}1:1"#
        );
        let nodes = whole("ä: \"ö\\n\"\n").unwrap();
        let Value::Map(pairs) = &nodes[0].value else {
            panic!("{nodes:?}");
        };
        assert_eq!((pairs[0].1.at.start, pairs[0].1.at.len), (4, 6));
    }

    #[test]
    fn what_is_no_text_is_told_apart() {
        for number in ["1", "-1", "0x1", "1.5", "1e3", ".nan", ".inf", "1_000"] {
            assert_eq!(tree(&format!("- {number}")), "[number1:3]1:1", "{number}");
        }
        assert_eq!(tree("2026-12-31"), r#""2026-12-31"1:1"#);
        assert_eq!(tree("2026-12-31T00:00:00Z"), r#""2026-12-31T00:00:00Z"1:1"#);
        assert_eq!(tree("1.2.3"), r#""1.2.3"1:1"#);
        assert_eq!(tree("'1'"), r#""1"1:1"#);
        assert_eq!(
            tree("[no, on, true, ~]"),
            "[bool1:2 bool1:6 bool1:10 null1:16]1:1"
        );
    }

    #[test]
    fn documents_that_are_empty_are_left_out() {
        assert_eq!(tree("# nothing\n---\n---\na\n...\n"), r#""a"4:1"#);
        assert_eq!(tree(""), "");
    }

    #[test]
    fn a_key_that_stands_twice_is_there_twice() {
        assert_eq!(
            tree("a: b\nc: d\na: e\n"),
            r#"{"a"1:1="b"1:4 "c"2:1="d"2:4 "a"3:1="e"3:4}1:1"#
        );
    }

    #[test]
    fn an_alias_stands_where_it_is_written_and_a_merge_is_overridden() {
        assert_eq!(
            tree("a: &x [b]\nc: *x\n"),
            r#"{"a"1:1=["b"1:8]1:7 "c"2:1=["b"2:4]2:4}1:1"#
        );
        assert_eq!(
            tree("- &x {a: b, c: d}\n- <<: *x\n  c: e\n"),
            r#"[{"a"1:7="b"1:10 "c"1:13="d"1:16}1:6 {"c"3:3="e"3:6 "a"2:7="b"2:7}2:3]1:1"#
        );
    }

    #[test]
    fn json_is_read_to_the_letter() {
        assert_eq!(
            tree(
                "{\n\t\"a\\/b\":\t\"\\ud83d\\ude00\\u00e4\\t\",\n\t\"c\": [true, null, -1.5e3]\n}"
            ),
            r#"{"a/b"2:2="😀ä\t"2:10 "c"3:2=[bool3:8 null3:14 number3:20]3:7}1:1"#
        );
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        for (text, line, column, start) in [
            ("a: [b\nc: d", 2, 2, 7),
            ("ä: *b", 1, 4, 4),
            ("a: \"b", 1, 4, 3),
            ("a:\n\t- b", 2, 2, 4),
            ("a: \u{0}", 1, 4, 3),
        ] {
            let error = whole(text).unwrap_err();
            assert_eq!(
                (error.at.line, error.at.column, error.at.start),
                (line, column, start),
                "{text:?} {error:?}"
            );
            assert!(!error.message.contains("line"), "{}", error.message);
        }
    }

    #[test]
    fn a_small_text_is_no_large_tree() {
        let mut bomb = String::from("- &a [x, x, x, x, x, x, x, x, x, x]\n");
        for (name, of) in ["b", "c", "d", "e", "f", "g"]
            .into_iter()
            .zip(["a", "b", "c", "d", "e", "f"])
        {
            let ten = vec![format!("*{of}"); 10].join(", ");
            writeln!(bomb, "- &{name} [{ten}]").unwrap();
        }
        assert!(whole(&bomb).is_err());
        assert!(whole(&"[".repeat(10_000)).is_err());
        assert!(whole(&"- ".repeat(10_000)).is_err());
        assert!(whole(&"{a: ".repeat(10_000)).is_err());
        assert!(whole(&"? ".repeat(10_000)).is_err());
        // A list that many entries share is none.
        let shared = format!(
            "- &a [b, c, d]\n{}",
            "- match: quay.io\n  namespaces: *a\n".repeat(2_000)
        );
        assert_eq!(whole(&shared).unwrap().len(), 1);
    }
}
