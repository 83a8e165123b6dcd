//! YAML as kubectl reads it.
//!
//! kubectl reads manifests with sigs.k8s.io/yaml, which is go-yaml v2 with a conversion to
//! JSON. This module does what go-yaml does and YAML 1.2 does not: words and numbers of YAML
//! 1.1, keys that become text, and merges that override the keys before them.
//! `manifest/as_kubectl.rs` compares it with kubectl's own code. It may read a document that
//! kubectl refuses, but it must not read a document as something else.

use super::scalar::Scalar;
use super::{Node, Span, SyntaxError, Value, byte};
use crate::text;
use granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput, StructureStyle, Tag,
};
use std::borrow::Cow;
use std::collections::HashMap;

/// What a text holds, as far as it can be read.
#[derive(Debug)]
pub(super) struct Documents<'a> {
    /// The documents up to the error; an empty one is null.
    pub(super) nodes: Vec<Node<'a>>,
    /// Why no more was read.
    pub(super) error: Option<SyntaxError>,
}

/// The documents of a text, with a bound on their depth and on how many values its
/// aliases may stand for.
pub(super) fn documents(text: &str, depth: usize, aliased: usize) -> Documents<'_> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_anchor_events: true,
        flow_nesting_limit: depth,
        block_nesting_limit: depth,
        // JSON has keys of any length, and kubectl reads it as JSON.
        simple_key_max_lookahead: text.len(),
    };
    let mut reader = KubectlReader {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        depth,
        flow: 0,
        anchored_left: aliased,
        aliased_left: aliased,
    };
    let mut nodes = Vec::new();
    let error = reader.read(&mut nodes).err();
    Documents { nodes, error }
}

/// Why reading stops.
type Stopped = SyntaxError;

struct KubectlReader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchored<'a>>,
    depth: usize,
    /// How many lists and maps in brackets or braces the next event lies in.
    flow: usize,
    /// How many more values anchors may keep.
    anchored_left: usize,
    /// How many more values aliases may stand for.
    aliased_left: usize,
}

/// A value and what it is apart from its tree.
#[derive(Debug, Clone)]
struct Read<'a> {
    node: Node<'a>,
    /// None for lists and maps.
    scalar: Option<Scalar>,
    /// How many values it holds, itself included.
    size: usize,
    /// How many values lie in each other.
    height: usize,
}

type Anchored<'a> = Read<'a>;

impl<'a> KubectlReader<'a> {
    fn read(&mut self, nodes: &mut Vec<Node<'a>>) -> Result<(), Stopped> {
        while let Some((event, at)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) => self.anchors.clear(),
                event if event.is_node() => {
                    nodes.push(self.value(event, at, 1)?.node);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stopped> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, at))) => Ok(Some((event, span(at)))),
            Some(Err(error)) => Err(self.syntax_error(&error)),
        }
    }

    /// The next event, where the grammar promises one.
    fn within(&mut self, at: Span) -> Result<(Event<'a>, Span), Stopped> {
        self.next()?.ok_or_else(|| refused(at, "it ends too early"))
    }

    fn syntax_error(&self, error: &ScanError) -> Stopped {
        let place = error.marker();
        let mut at = Span {
            start: 0,
            len: 0,
            line: place.line(),
            column: place.col() + 1,
        };
        at.start = place.byte_offset().unwrap_or_else(|| byte(self.text, at));
        // Where such a text does end, `indented` helps.
        if *error.kind() == ErrorKind::InvalidQuotedScalarIndent {
            return refused(at, "a text in quotes goes on to here and does not end");
        }
        refused(at, &error.info())
    }

    /// A node that is no key. Infinities are keys but no values, since JSON has none.
    fn value(&mut self, event: Event<'a>, at: Span, depth: usize) -> Result<Read<'a>, Stopped> {
        let read = self.node(event, at, depth)?;
        match read.scalar {
            Some(Scalar::Float(float)) if !float.is_finite() => {
                Err(refused(at, "a number is infinite, or is none"))
            }
            _ => Ok(read),
        }
    }

    fn node(&mut self, event: Event<'a>, at: Span, depth: usize) -> Result<Read<'a>, Stopped> {
        if depth > self.depth {
            return Err(refused(at, "it is too deep"));
        }
        if event.anchor_id().is_some() {
            self.anchor_name(at)?;
        }
        let (anchor, read) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            Event::Scalar(text, style, anchor, tag) => {
                if self.flow > 0 && style == ScalarStyle::Plain {
                    self.refuse_other_in_flow(&text, tag.is_some(), at)?;
                }
                (anchor, scalar(text, style, tag.as_deref(), at)?)
            }
            Event::SequenceStart(style, anchor, _) => {
                let flow = usize::from(style == StructureStyle::Flow);
                self.flow += flow;
                let list = self.list(at, depth)?;
                self.flow -= flow;
                (anchor, list)
            }
            Event::MappingStart(style, anchor, _) => {
                let flow = usize::from(style == StructureStyle::Flow);
                self.flow += flow;
                let map = self.map(at, depth)?;
                self.flow -= flow;
                (anchor, map)
            }
            _ => return Err(refused(at, "a value is missing")),
        };
        if anchor != 0 {
            let left = self.anchored_left.checked_sub(read.size);
            self.anchored_left = left.ok_or_else(|| refused(at, "too much of it has anchors"))?;
            self.anchors.insert(anchor, read.clone());
        }
        Ok(read)
    }

    /// The name of the anchor of the node that began. libyaml's names are shorter.
    fn anchor_name(&mut self, at: Span) -> Result<(), Stopped> {
        match self.within(at)? {
            (Event::Anchor(_, name), at) if !name.bytes().all(is_in_anchor) => Err(refused(
                at,
                "kubectl takes letters, digits, `-` and `_` only for the name of an anchor",
            )),
            _ => Ok(()),
        }
    }

    /// Refuses what libyaml reads as something else within brackets and braces.
    fn refuse_other_in_flow(&self, text: &str, has_tag: bool, at: Span) -> Result<(), Stopped> {
        let behind = self.text.get(at.start.saturating_add(at.len)..);
        // White space before the colon is a part of the text for libyaml, as the colon is.
        let mut behind = behind.unwrap_or_default().trim_start().chars();
        let ends_in_colon =
            behind.next() == Some(':') && behind.next().is_some_and(|next| ",[]{}".contains(next));
        let why = if text.starts_with('?') {
            "kubectl takes the question mark for that of a key; put the text in quotes"
        } else if ends_in_colon {
            "kubectl takes the colon for a part of the text; write a space behind it"
        } else if text.is_empty() && has_tag {
            "kubectl takes what follows for a part of the tag; write the value in quotes"
        } else {
            return Ok(());
        };
        Err(refused(at, why))
    }

    fn alias(&mut self, anchor: usize, at: Span, depth: usize) -> Result<Read<'a>, Stopped> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(refused(at, "the value of an anchor contains itself"));
        };
        if depth + anchored.height > self.depth {
            return Err(refused(at, "it is too deep"));
        }
        let left = self.aliased_left.checked_sub(anchored.size);
        self.aliased_left =
            left.ok_or_else(|| refused(at, "its aliases stand for too many values"))?;
        Ok(Read {
            node: moved(&anchored.node, at),
            ..anchored.clone()
        })
    }

    fn list(&mut self, at: Span, depth: usize) -> Result<Read<'a>, Stopped> {
        let mut list = Vec::new();
        let (mut size, mut height) = (1, 0);
        loop {
            let (event, place) = self.within(at)?;
            if event == Event::SequenceEnd {
                break;
            }
            let read = self.value(event, place, depth + 1)?;
            (size, height) = (size + read.size, height.max(read.height));
            list.push(read.node);
        }
        list.shrink_to_fit();
        Ok(collection(Value::List(list), at, size, height))
    }

    fn map(&mut self, at: Span, depth: usize) -> Result<Read<'a>, Stopped> {
        let mut map = KubectlMap::default();
        let (mut size, mut height) = (1, 0);
        loop {
            let (event, place) = self.within(at)?;
            if event == Event::MappingEnd {
                break;
            }
            let merges = is_merge(&event);
            let key = self.node(event, place, depth + 1)?;
            let (event, place) = self.within(at)?;
            let value = self.value(event, place, depth + 1)?;
            size += key.size + value.size;
            height = height.max(key.height).max(value.height);
            if merges {
                map.merge(value.node)?;
            } else {
                map.put(as_key(key)?, value.node);
            }
        }
        // Most maps are small, and there may be millions.
        map.pairs.shrink_to_fit();
        Ok(collection(Value::Map(map.pairs), at, size, height))
    }
}

/// A map while it is read.
#[derive(Default)]
struct KubectlMap<'a> {
    pairs: Vec<(Node<'a>, Node<'a>)>,
    /// Where the keys stand, once something was merged.
    places: Option<HashMap<String, MapPlace>>,
}

#[derive(Clone, Copy)]
struct MapPlace {
    pair: usize,
    is_merged: bool,
}

impl<'a> KubectlMap<'a> {
    /// A key that the map has itself. It goes over what was merged before it; one that
    /// stands twice stays twice, so that whoever reads the map can say so.
    fn put(&mut self, key: Node<'a>, value: Node<'a>) {
        let Some(places) = &mut self.places else {
            self.pairs.push((key, value));
            return;
        };
        let name = key.text().unwrap_or_default().to_owned();
        let merged = places.get(&name).filter(|place| place.is_merged);
        if let Some(pair) = merged.and_then(|place| self.pairs.get_mut(place.pair)) {
            *pair = (key, value);
            places
                .entry(name)
                .and_modify(|place| place.is_merged = false);
        } else {
            let pair = self.pairs.len();
            let is_merged = false;
            places.insert(name, MapPlace { pair, is_merged });
            self.pairs.push((key, value));
        }
    }

    /// What `<<` stands for. It goes over what stands before it, as in go-yaml and
    /// unlike the text of YAML 1.1; of a list, the first map goes over the others.
    fn merge(&mut self, value: Node<'a>) -> Result<(), Stopped> {
        let at = value.at;
        let maps = match value.value {
            Value::Map(pairs) => vec![pairs],
            Value::List(nodes) => {
                let maps = nodes.into_iter().rev().map(|node| match node.value {
                    Value::Map(pairs) => Ok(pairs),
                    _ => Err(refused(node.at, NO_MAP)),
                });
                maps.collect::<Result<_, _>>()?
            }
            _ => return Err(refused(at, NO_MAP)),
        };
        let pairs = &self.pairs;
        let places = self.places.get_or_insert_with(|| {
            let own = pairs.iter().enumerate().map(|(pair, (key, _))| {
                let is_merged = false;
                let name = key.text().unwrap_or_default().to_owned();
                (name, MapPlace { pair, is_merged })
            });
            own.collect()
        });
        for (key, value) in maps.into_iter().flatten() {
            let name = key.text().unwrap_or_default().to_owned();
            if let Some(place) = places.get_mut(&name) {
                if let Some(pair) = self.pairs.get_mut(place.pair) {
                    *pair = (key, value);
                }
                place.is_merged = true;
            } else {
                let pair = self.pairs.len();
                let is_merged = true;
                places.insert(name, MapPlace { pair, is_merged });
                self.pairs.push((key, value));
            }
        }
        Ok(())
    }
}

const NO_MAP: &str = "a merge (`<<`) needs a map, or a list of maps";

fn is_merge(event: &Event<'_>) -> bool {
    let Event::Scalar(text, style, _, tag) = event else {
        return false;
    };
    text == "<<"
        && match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => matches!(&*whole_tag(tag), "!" | "tag:yaml.org,2002:merge"),
        }
}

fn as_key(read: Read<'_>) -> Result<Node<'_>, Stopped> {
    let at = read.node.at;
    // kubectl refuses a map as a key. It is left to whoever looks for keys, since
    // `{{ .Values.image }}` of a template is one.
    let Some(scalar) = read.scalar else {
        return Ok(read.node);
    };
    let key = scalar.key().map_err(|why| refused(at, &why))?;
    Ok(match key {
        None => read.node,
        Some(key) => Node {
            value: Value::String(Cow::Owned(key)),
            at,
        },
    })
}

fn scalar<'a>(
    text: Cow<'a, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: Span,
) -> Result<Read<'a>, Stopped> {
    let tag = tag.map(whole_tag);
    let resolved = Scalar::resolve(tag.as_deref(), style == ScalarStyle::Plain, text);
    let (scalar, text) = resolved.map_err(|why| refused(at, &why))?;
    let value = match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(truth) => Value::Bool(truth),
        Scalar::Integer(_) | Scalar::Float(_) => Value::Number,
        Scalar::Text => Value::String(text),
    };
    Ok(Read {
        node: Node { value, at },
        scalar: Some(scalar),
        size: 1,
        height: 1,
    })
}

fn is_in_anchor(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn whole_tag(tag: &Tag) -> String {
    let (handle, suffix) = tag.parts();
    format!("{handle}{suffix}")
}

fn collection(value: Value<'_>, at: Span, size: usize, height: usize) -> Read<'_> {
    Read {
        node: Node {
            value,
            at: Span { len: 0, ..at },
        },
        scalar: None,
        size,
        height: height + 1,
    }
}

/// A copy that stands where an alias does: that is the line to change.
fn moved<'a>(node: &Node<'a>, at: Span) -> Node<'a> {
    let value = match &node.value {
        Value::List(nodes) => Value::List(nodes.iter().map(|node| moved(node, at)).collect()),
        Value::Map(pairs) => {
            let pairs = pairs.iter();
            Value::Map(
                pairs
                    .map(|(key, value)| (moved(key, at), moved(value, at)))
                    .collect(),
            )
        }
        other => other.clone(),
    };
    Node { value, at }
}

fn span(at: granit_parser::Span) -> Span {
    let start = at.start.byte_offset().unwrap_or_default();
    let end = at.end.byte_offset().unwrap_or_default();
    Span {
        start,
        len: end.saturating_sub(start),
        line: at.start.line(),
        column: at.start.col() + 1,
    }
}

fn refused(at: Span, why: &str) -> Stopped {
    SyntaxError {
        message: format!("this cannot be read: {}", text::visible(why)),
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn error(text: &str) -> Option<String> {
        documents(text, 32, 1_000).error.map(|error| error.message)
    }

    #[test]
    fn a_small_text_is_no_large_tree() {
        let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
        for (name, of) in ["b", "c", "d", "e"].into_iter().zip(["a", "b", "c", "d"]) {
            let ten = vec![format!("*{of}"); 10].join(", ");
            writeln!(bomb, "{name}: &{name} [{ten}]").unwrap();
        }
        assert!(error(&bomb).unwrap().contains("aliases stand for too many"));
        // Anchors keep copies, and aliases make what is flat deep.
        let kept =
            format!("{}a", "&a [".repeat(10)).replace("a [", "a [x, x, x, x, ") + &"]".repeat(10);
        assert_eq!(error(&kept), None);
        let kept = kept.replace("x, x, ", &"x, ".repeat(80));
        assert!(error(&kept).unwrap().contains("has anchors"));
        let mut deep = String::from("a0: &a0 []\n");
        for level in 1..40 {
            writeln!(deep, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
        }
        assert!(error(&deep).unwrap().contains("too deep"));
        let mut merged = String::from("a0: &a0 {x: {}}\n");
        for level in 1..40 {
            writeln!(merged, "a{level}: &a{level} {{<<: *a{}}}", level - 1).unwrap();
        }
        assert!(error(&merged).is_none_or(|error| error.contains("too deep")));
        for repeated in ["[", "- ", "{a: ", "? ", "a: &a [*a, "] {
            assert!(error(&repeated.repeat(10_000)).is_some(), "{repeated}");
        }
        assert!(error("a: &a [*a]").unwrap().contains("contains itself"));
    }

    #[test]
    fn keys_are_texts_and_words_are_those_of_yaml_1_1() {
        let read = documents(
            "{8080: yes, 0x1F: on, 1.5: y, n: 08, .inf: ~, 1e10: '1'}",
            32,
            10,
        );
        let Value::Map(pairs) = &read.nodes[0].value else {
            panic!("{read:?}");
        };
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.text().unwrap()).collect();
        assert_eq!(keys, ["8080", "31", "1.5", "false", ".inf", "1e+10"]);
        assert_eq!(pairs[0].1.value, Value::Bool(true));
        assert_eq!(pairs[3].1.value, Value::Number);
    }
}
