//! Tests of manifests against kubectl's own reading of them.
//!
//! The golden file has answers of `tests/go/oracle/manifest`. The tests compare the tree of
//! each document, with all numbers alike, and the objects that come out. kubectl may refuse
//! a document that is read here, but no document may be read as something else, and what
//! only this code refuses is on a list. This module must not have rules of its own.

use super::{Content, Document, Skip, read, split};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Case {
    text: String,
    documents: Vec<Json>,
    objects: Vec<[String; 4]>,
    #[serde(default)]
    error: String,
}

/// What kubectl reads in the golden cases and is an error here. Each names its place, so
/// that nothing of it is taken for allowed.
const REFUSED: [&str; 12] = [
    // YAML 1.1 ends a line at these; what follows would be read as a comment's text.
    "it holds U+0085, U+2028 or U+2029, which end a line for kubectl and not for others; \
     write an escape such as \"\\u2028\"",
    // Forms of YAML 1.1 that mean something else in YAML 1.2.
    "this cannot be read: kubectl takes the colon for a part of the text; write a space behind it",
    "this cannot be read: kubectl takes the question mark for that of a key; put the text in quotes",
    "this cannot be read: kubectl takes what follows for a part of the tag; write the value in quotes",
    "this cannot be read: plain scalar cannot start with '-' followed by ,[]{}",
    "this cannot be read: comments must be separated from other tokens by whitespace",
    "this cannot be read: invalid trailing content after single-quoted scalar",
    "this cannot be read: tabs disallowed within this context (block indentation)",
    "this cannot be read: while parsing a tag, did not find expected tag URI",
    "this cannot be read: a BOM must not appear inside a document",
    // The value of a key that stands twice, of which kubectl takes the other.
    "this cannot be read: a number is infinite, or is none",
    // A half of a character, which is JSON for Go only.
    "this cannot be read: while parsing a quoted scalar, found high surrogate without \
     following low surrogate",
];

fn without_numbers(json: &mut Json) {
    match json {
        Json::Number(_) => *json = Json::from(0),
        Json::Array(list) => list.iter_mut().for_each(without_numbers),
        Json::Object(map) => map.values_mut().for_each(without_numbers),
        _ => {}
    }
}

/// The documents as kubectl decodes them, the first of each piece of the file, up to
/// the first that cannot be read, and why.
fn documents(text: &str) -> (Vec<Json>, Option<String>) {
    let mut documents = Vec::new();
    for piece in split::pieces(text) {
        let mut refused = None;
        piece.with_trees(|_, roots, error| match (roots.first(), error) {
            (None, Some(error)) => refused = Some(error.message.clone()),
            (Some(root), _) => documents.extend(Some(Json::from(root)).filter(Json::is_object)),
            (None, None) => {}
        });
        if refused.is_some() {
            return (documents, refused);
        }
    }
    (documents, None)
}

fn objects(text: &str) -> Vec<[String; 3]> {
    let mut objects = Vec::new();
    read(text, |document: Document<'_>| {
        if !matches!(
            document.content,
            Content::Skipped(Skip::NoObject | Skip::Empty | Skip::Template)
        ) {
            let Document {
                kind,
                namespace,
                name,
                ..
            } = document;
            objects.push([kind, namespace, name].map(str::to_owned));
        }
    });
    objects
}

/// Whether a case is read alike; counts what is refused here only.
fn compare(line: &str, refused: &RefCell<BTreeMap<String, usize>>) -> Result<(), String> {
    let mut case: Case = serde_json::from_str(line).unwrap();
    case.documents.iter_mut().for_each(without_numbers);
    // What is no object can only be passed over.
    let has_only_objects = case.documents.iter().all(Json::is_object);
    case.documents.retain(Json::is_object);
    let (ours, error) = documents(&case.text);
    let both = ours.len().min(case.documents.len());
    if ours[..both] != case.documents[..both] {
        return Err(format!("here: {}", Json::from(ours)));
    }
    if let Some(error) = error {
        if case.error.is_empty() || case.documents.len() > ours.len() {
            *refused.borrow_mut().entry(error).or_default() += 1;
        }
        return Ok(());
    }
    if ours.len() < case.documents.len()
        || (case.error.is_empty() && has_only_objects && ours.len() > both)
    {
        return Err(format!("here: {}", Json::from(ours)));
    }
    // An object without a version is one for a command that asks no API server only.
    let mut theirs = case
        .objects
        .iter()
        .filter(|[version, ..]| !version.is_empty());
    let mut ours = objects(&case.text).into_iter();
    match theirs.find(|[_, object @ ..]| !ours.any(|ours| ours == *object)) {
        Some(missing) => Err(format!("not here: {missing:?}")),
        None => Ok(()),
    }
}

#[test]
fn manifests_are_read_as_kubectl_reads_them() {
    let refused = RefCell::default();
    let golden = include_str!("../../tests/golden/manifests.jsonl");
    golden_oracle::compare_golden(golden, 1_200, |line| compare(line, &refused));
    let refused = refused.into_inner();
    let unknown: Vec<_> = refused
        .keys()
        .filter(|why| !REFUSED.contains(&why.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn oracle_manifests() {
    let refused = RefCell::default();
    golden_oracle::compare("oracle-manifest", |line| compare(line, &refused));
    println!("refused here only: {:#?}", refused.into_inner());
}

proptest! {
    /// Whatever stands in a file, reading it ends without a panic, and everything has a
    /// place in it.
    #[test]
    fn any_text_is_read_or_refused(text in "([-a-c:?&*!|>'\"%@#,{}\\[\\]<~ \t\r\n\u{feff}\u{2028}]|: |- |---\n|'b\nc'|<<: \\*a|\\{\"a\": ){0,60}") {
        let lines = text.split('\n').count();
        read(&text, |document: Document<'_>| {
            assert!((1..=lines + text.matches('\r').count()).contains(&document.at.line), "{document:?}");
        });
    }
}
