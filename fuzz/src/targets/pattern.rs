//! A pattern of the map, and on the second line an image that it may cover.

use super::{check_line, now, policy};
use crate::cost::{Bound, Line, within};
use image_reference::Reference;
use pullpass_core::policy::{DOCKER_HUB_ALIASES, Pattern, Rule};
use serde_json::json;

const PARSE: Bound = Bound {
    what: "Pattern::parse",
    peak_bytes: Line::new(1_000, 12),
    allocations: Line::new(30, 0),
    steps: Line::new(5_000, 250),
};

const JUDGE: Bound = Bound {
    what: "Context::judge by a map of one pattern",
    peak_bytes: Line::new(500, 4),
    allocations: Line::new(10, 0),
    steps: Line::new(4_000, 250),
};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (text, image) = text.split_once('\n').unwrap_or((text, ""));
    let pattern = match within(&PARSE, text.len(), || Pattern::parse(text)) {
        Ok(pattern) => pattern,
        Err(error) => {
            check_line("a pattern error", &error.to_string());
            if let Some(instead) = &error.instead {
                assert!(Pattern::parse(instead).is_ok(), "{instead:?} is suggested");
            }
            return;
        }
    };
    assert_eq!(Pattern::parse(&pattern.text).as_ref(), Ok(&pattern));
    let map = json!({
        "apiVersion": "pullpass.dev/v1",
        "kind": "RegistryMap",
        "registries": [{"name": "this", "match": text, "action": "audit"}],
        "publicRegistries": [],
    });
    let policy = policy(&map.to_string());
    let context = policy.context(None, now());
    let judged = within(&JUDGE, image.len(), || context.judge(image)).unwrap();
    let covers = matches!(judged.rule, Rule::Entry(..));
    if let Some(expected) = covers_plainly(&pattern, image) {
        assert_eq!(covers, expected, "{text} {image}");
    }
    // An image that is written like the pattern is covered by it; on Docker Hub a name without
    // a slash means another one.
    if !pattern.is_glob() && pattern.port().is_some() && pattern.host() != "docker.io" {
        let path = if pattern.path().is_empty() {
            "/x/y"
        } else {
            ""
        };
        let same = format!("{text}{path}");
        // The path of a pattern may be longer than that of an image.
        if Reference::parse(&same).is_ok() {
            let judged = context.judge(&same).unwrap();
            assert!(matches!(judged.rule, Rule::Entry(..)), "{same}");
        }
    }
}

/// Whether a pattern covers an image, label by label; `None` for registries with more than one
/// spelling, which this slow definition does not know.
fn covers_plainly(pattern: &Pattern, image: &str) -> Option<bool> {
    let Ok(reference) = Reference::parse(image) else {
        return Some(false);
    };
    let host = reference.host();
    let is_plain = |host: &str| {
        let ends_in_letter = host.ends_with(|c: char| c.is_ascii_lowercase());
        ends_in_letter
            && !host.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'))
            && !DOCKER_HUB_ALIASES.contains(&host)
            && host != "docker.io"
            // `0x7f` is a number.
            && !host.contains("0x")
    };
    if !is_plain(host)
        || reference
            .port()
            .is_some_and(|port| port.starts_with('0') || port.len() > 4)
    {
        return None;
    }
    let port = reference
        .port()
        .map_or(Some(443), |port| port.parse().ok())?;
    let labels = |host: &'_ str| host.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (wanted, mut given) = (labels(pattern.host()), labels(host));
    if pattern.is_deep() {
        if given.len() <= wanted.len() {
            return Some(false);
        }
        given.drain(..given.len() - wanted.len());
    }
    let same_host = wanted.len() == given.len()
        && wanted
            .iter()
            .zip(&given)
            .all(|(wanted, given)| is_like(wanted.as_bytes(), given.as_bytes()));
    let repository = reference.repository();
    let same_path = pattern.path().is_empty()
        || repository == pattern.path()
        || repository.starts_with(&format!("{}/", pattern.path()));
    Some(same_host && same_path && pattern.port().is_none_or(|wanted| wanted == port))
}

/// `*` stands for any number of characters. Labels are short, so this may be slow.
fn is_like(glob: &[u8], text: &[u8]) -> bool {
    // `reached[i]`: the part of the glob so far matches the first `i` bytes.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for byte in glob {
        if *byte == b'*' {
            let first = reached
                .iter()
                .position(|reached| *reached)
                .unwrap_or(reached.len());
            reached
                .iter_mut()
                .skip(first)
                .for_each(|reached| *reached = true);
        } else {
            for at in (0..text.len()).rev() {
                reached[at + 1] = reached[at] && text[at] == *byte;
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}
