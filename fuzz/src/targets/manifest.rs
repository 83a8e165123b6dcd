//! The files that `pullpass check` reads.

use super::{check_line, images, with_aliases};
use crate::cost::{Bound, Line, within};
use pullpass_core::admission::workload::ObjectKind;
use pullpass_core::manifest::{self, Content, ManifestSpan};
use serde_json::Value;

const READ: Bound = Bound {
    what: "manifest::read",
    peak_bytes: Line::new(60_000, 800),
    allocations: Line::new(1_000, 3),
    steps: Line::new(60_000, 800),
};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut found = Vec::new();
    let mut texts = Vec::new();
    within(&with_aliases(READ, input), text.len(), || {
        manifest::read(text, |document| {
            found.push(document.at);
            match &document.content {
                Content::Workload(workload) => {
                    for (field, image) in workload.pod.images() {
                        found.push(workload.place(field));
                        texts.push((field.to_string(), image.to_owned()));
                    }
                }
                Content::Unreadable(why) => texts.push((String::new(), why.clone())),
                Content::Namespace(_) | Content::Skipped(_) => {}
            }
        });
    });
    let lines: Vec<&str> = text.split(['\n', '\r']).collect();
    for place in &found {
        check_place(*place, &lines);
    }
    let is_reason = |(field, _): &&(String, String)| field.is_empty();
    for (_, why) in texts.iter().filter(is_reason) {
        check_line("why a document cannot be read", why);
    }
    if let Some(mut expected) = images_of_json(text)
        && !texts.iter().any(|text| is_reason(&text))
    {
        texts.sort();
        expected.sort();
        assert_eq!(texts, expected);
    }
}

fn check_place(place: ManifestSpan, lines: &[&str]) {
    assert!(place.line >= 1 && place.column >= 1, "{place:?}");
    assert!(
        place.line <= lines.len(),
        "{place:?} of {} lines",
        lines.len()
    );
    if let Some(end) = place.end_column {
        assert!(end >= place.column, "{place:?}");
    }
}

/// The images of a file that is one JSON object of a known kind, read without pullpass.
fn images_of_json(text: &str) -> Option<Vec<(String, String)>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let api_version = value.get("apiVersion")?.as_str()?;
    let kind = value
        .get("kind")?
        .as_str()
        .filter(|kind| !kind.is_empty())?;
    let kind = ObjectKind::of_object(api_version, kind)?;
    // A list is read as its elements.
    if value.get("items").is_some() {
        return None;
    }
    let path = kind.path_to_pod();
    let spec = path
        .split('.')
        .filter(|key| !key.is_empty())
        .fold(&value, |value, key| &value[key]);
    let images = images(&spec["spec"], path);
    Some(
        images
            .into_iter()
            .map(|(field, image)| (field, image.to_owned()))
            .collect(),
    )
}
