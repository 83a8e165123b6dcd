//! The files of a registry map, as a ConfigMap or a directory has them. A line `#file`
//! begins the next file.

use super::{check_line, check_lines, now, with_aliases};
use crate::cost::{Bound, Line, within};
use pullpass_core::admission::record::Recording;
use pullpass_core::admission::{self, Endpoint, Mode, ReviewContext, map_review};
use pullpass_core::map::{self, Diagnostic, Options, SourceFile};
use pullpass_core::policy::{Pattern, Policy};
use pullpass_core::vap::{self, TargetVersion};
use serde_json::{Value, json};

const CHECK: Bound = Bound {
    what: "map::check",
    peak_bytes: Line::new(1_000_000, 400),
    allocations: Line::new(1_000, 4),
    steps: Line::new(200_000, 1_200),
};

/// The map itself is an index, whose pairs of patterns and namespaces take 60 MB at most.
const LOAD: Bound = Bound {
    what: "map::load",
    peak_bytes: Line::new(62_000_000, 400),
    allocations: Line::new(2_000_000, 4),
    steps: Line::new(400_000_000, 1_000),
};

const TESTS: Bound = Bound {
    what: "map::tests",
    peak_bytes: Line::new(1_000_000, 400),
    allocations: Line::new(1_000, 4),
    steps: Line::new(200_000, 1_200),
};

const RENDER: Bound = Bound {
    what: "map::render",
    peak_bytes: Line::new(200_000, 4),
    allocations: Line::new(10_000, 1),
    steps: Line::new(400_000, 400),
};

const MAP_REVIEW: Bound = Bound {
    what: "map_review::review",
    peak_bytes: Line::new(1_300_000, 400),
    allocations: Line::new(12_000, 5),
    steps: Line::new(600_000, 1_500),
};

/// What a review costs must not grow with the map.
const UNKNOWN_IMAGES: Bound = Bound {
    what: "admission::review of ten unknown images by a map",
    peak_bytes: Line::new(30_000, 60),
    allocations: Line::new(500, 4),
    steps: Line::new(15_000_000, 1_500),
};

const JUDGE: Bound = Bound {
    what: "Context::judge by a map",
    peak_bytes: Line::new(500, 4),
    allocations: Line::new(10, 0),
    steps: Line::new(10_000, 250),
};

const POLICIES: Bound = Bound {
    what: "vap::objects",
    peak_bytes: Line::new(300_000, 300),
    allocations: Line::new(5_000, 10),
    steps: Line::new(200_000, 1_500),
};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let files: Vec<_> = text
        .split("\n#file\n")
        .enumerate()
        .map(|(number, text)| SourceFile {
            name: format!("map-{number:03}.yaml"),
            text: text.to_owned(),
        })
        .collect();
    let checked = within(&with_aliases(CHECK, input), text.len(), || {
        map::check(&files)
    });
    check_diagnostics(&checked.diagnostics, &files, text.len());
    let loaded = within(&LOAD, text.len(), || map::load(&files, &Options::default()));
    assert_eq!(loaded.is_ok(), checked.is_valid());
    let of_load = match &loaded {
        Ok(map) => &map.warnings,
        Err(errors) => errors,
    };
    assert_eq!(
        of_load, &checked.diagnostics,
        "reading a map finds what checking it finds"
    );
    if let Err(errors) = within(&with_aliases(TESTS, input), text.len(), || {
        map::tests(&files)
    }) {
        check_diagnostics(&errors, &files, text.len());
    }
    check_review(&files, loaded.is_ok());
    if let Ok(map) = &loaded {
        judge(&map.policy);
        check_unknown_images(&map.policy);
        let objects = within(&POLICIES, text.len(), || {
            vap::objects(&map.policy, now(), TargetVersion::V1_36, "pullpass")
        });
        if let Err(error) = objects {
            check_line("an error of generate", &error.to_string());
        }
    }
}

fn check_diagnostics(diagnostics: &[Diagnostic], files: &[SourceFile], bytes: usize) {
    let rendered = within(&RENDER, bytes, || map::render(diagnostics, files, false));
    check_lines("map::render", &rendered);
    for one in diagnostics {
        check_line("a diagnostic", &one.to_string());
        let file = files.iter().find(|file| file.name == one.file).unwrap();
        // A carriage return ends a line of YAML, and the last line may be without text.
        assert!(one.line <= file.text.split(['\n', '\r']).count(), "{one}");
    }
}

/// The check before a map is stored says the same as reading it.
fn check_review(files: &[SourceFile], is_valid: bool) {
    let data: serde_json::Map<String, Value> = files
        .iter()
        .map(|file| (file.name.clone(), file.text.as_str().into()))
        .collect();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "operation": "CREATE",
            "namespace": "pullpass",
            "name": "map",
            "object": {
                "metadata": {"name": "map", "labels": {"pullpass.dev/map": "true"}},
                "data": data,
            },
        },
    });
    let body = review.to_string();
    let reviewed = within(
        &with_aliases(MAP_REVIEW, body.as_bytes()),
        body.len(),
        || map_review::review(body.as_bytes()),
    )
    .unwrap();
    let answer: Value = serde_json::from_slice(&reviewed.body).unwrap();
    assert_eq!(answer["response"]["allowed"], is_valid, "{answer}");
    let message = answer["response"]["status"]["message"]
        .as_str()
        .unwrap_or_default();
    check_lines("the denial of a map", message);
    assert!(
        reviewed.body.len() < 64 * 1024,
        "{} bytes",
        reviewed.body.len()
    );
}

/// An image for some patterns of the map.
fn judge(policy: &Policy) {
    let context = policy.context(None, now());
    for pattern in patterns(policy).take(20) {
        let image = image_like(pattern, "");
        if let Ok(judged) = within(&JUDGE, image.len(), || context.judge(&image)) {
            assert_eq!(judged.image, image);
        }
    }
}

fn patterns(policy: &Policy) -> impl Iterator<Item = &Pattern> {
    let entries = policy
        .entries()
        .iter()
        .flat_map(|entry| entry.patterns.iter());
    entries.chain(policy.public_registries())
}

/// An image that a pattern covers, or whose host begins with `before`.
fn image_like(pattern: &Pattern, before: &str) -> String {
    let deep = if pattern.is_deep() { "x." } else { "" };
    let path = if pattern.path().is_empty() {
        "x"
    } else {
        pattern.path()
    };
    format!(
        "{before}{deep}{}:{}/{path}",
        pattern.host().replace('*', "x"),
        pattern.port().unwrap_or(5000)
    )
}

/// Ten images that no entry covers and whose hosts look like those of the map.
fn check_unknown_images(policy: &Policy) {
    let all: Vec<_> = patterns(policy).collect();
    let step = (all.len() / 10).max(1);
    let containers: Vec<_> = all
        .iter()
        .step_by(step)
        .take(10)
        .map(|pattern| json!({"image": image_like(pattern, "x")}))
        .collect();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "shop",
            "object": {"spec": {"containers": containers}},
        },
    });
    let body = review.to_string();
    let context = ReviewContext {
        policy,
        now: now(),
        namespaces: None,
        mode: Mode::Enforce,
        recording: Some(Recording::All),
    };
    let answer = within(&UNKNOWN_IMAGES, body.len(), || {
        admission::review(&context, Endpoint::Validate, body.as_bytes())
    });
    if let Ok(answer) = answer {
        super::review::check_answer(&answer.body, Endpoint::Validate);
    }
}
