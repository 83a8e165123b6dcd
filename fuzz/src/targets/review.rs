//! The body of a request to a webhook.

use super::{at, check_line, check_lines, images, now, policy, with_aliases};
use crate::cost::{Bound, Line, within};
use pullpass_core::admission::record::Recording;
use pullpass_core::admission::{
    self, Endpoint, Mode, NamespaceLabels, Outcome, ReviewContext, ReviewError, WorkloadMode,
    map_review, request,
};
use pullpass_core::policy::{LabelMap, Policy};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

const REVIEW: Bound = Bound {
    what: "admission::review",
    peak_bytes: Line::new(20_000, 60),
    allocations: Line::new(400, 1),
    steps: Line::new(100_000, 200),
};

const MAP_REVIEW: Bound = Bound {
    what: "map_review::review of any body",
    peak_bytes: Line::new(1_300_000, 400),
    allocations: Line::new(12_000, 5),
    steps: Line::new(600_000, 1_500),
};

const PARSE: Bound = Bound {
    what: "request::parse",
    peak_bytes: Line::new(2_000, 40),
    allocations: Line::new(40, 1),
    steps: Line::new(5_000, 50),
};

/// The map of the recorded reviews, and one that uses every key of the format.
static POLICIES: LazyLock<[Policy; 2]> = LazyLock::new(|| {
    [
        policy(include_str!("../../../tests/fixtures/admission/map.yaml")),
        policy(include_str!(
            "../../../tests/fixtures/maps/good/everything.yaml"
        )),
    ]
});

static NAMESPACES: LazyLock<NamespaceLabels> = LazyLock::new(|| {
    let labels: LabelMap = [("team", "shop"), ("kubernetes.io/metadata.name", "shop")]
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    ["shop", "default"]
        .into_iter()
        .map(|name| (name.into(), Arc::new(labels.clone())))
        .collect()
});

const ENDPOINTS: [Endpoint; 4] = [
    Endpoint::Mutate,
    Endpoint::Validate,
    Endpoint::Workloads(WorkloadMode::Warn),
    Endpoint::Workloads(WorkloadMode::Deny),
];

pub(crate) fn run(input: &[u8]) {
    check_images(input);
    for policy in &*POLICIES {
        for endpoint in ENDPOINTS {
            let answer = |mode| {
                let context = ReviewContext {
                    policy,
                    now: now(),
                    namespaces: Some(&NAMESPACES),
                    mode,
                    recording: Some(Recording::All),
                };
                within(&REVIEW, input.len(), || {
                    admission::review(&context, endpoint, input)
                })
            };
            match (answer(Mode::Enforce), answer(Mode::Observe)) {
                (Ok(enforced), Ok(observed)) => {
                    check_answer(&enforced.body, endpoint);
                    let allowed = check_answer(&observed.body, endpoint);
                    assert!(allowed, "a replica that observes denies nothing");
                    let would_deny = observed.report.outcome() == Outcome::WouldDeny;
                    assert_eq!(would_deny, enforced.report.outcome() == Outcome::Denied);
                    check_record(enforced.record.as_deref());
                    check_record(observed.record.as_deref());
                    let again = answer(Mode::Enforce).unwrap();
                    assert_eq!(
                        again.body, enforced.body,
                        "the same review has the same answer"
                    );
                }
                (Err(enforced), Err(observed)) => {
                    assert_eq!(enforced.to_string(), observed.to_string());
                    check_error(&enforced);
                }
                (enforced, observed) => {
                    assert_eq!(
                        enforced.is_ok(),
                        observed.is_ok(),
                        "an error depends on the mode"
                    );
                }
            }
        }
    }
    match within(&with_aliases(MAP_REVIEW, input), input.len(), || {
        map_review::review(input)
    }) {
        Ok(answer) => {
            let value: Value = serde_json::from_slice(&answer.body).unwrap();
            let message = at(&value, &["response", "status", "message"]);
            check_lines("the denial of a map", message.as_str().unwrap_or_default());
        }
        Err(error) => check_error(&error),
    }
}

/// What must hold for every answer; returns whether it allows.
pub(super) fn check_answer(body: &[u8], endpoint: Endpoint) -> bool {
    let review: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    let response = &review["response"];
    let allowed = response["allowed"].as_bool().unwrap();
    let warnings: Vec<&str> = super::elements(&response["warnings"])
        .map(|warning| warning.as_str().unwrap())
        .collect();
    for warning in &warnings {
        check_line("a warning", warning);
        // The API server cuts them there, and all of them at 4096.
        assert!(warning.chars().count() <= 256, "{warning}");
    }
    assert!(warnings.iter().map(|warning| warning.len()).sum::<usize>() <= 4096);
    let message = at(response, &["status", "message"])
        .as_str()
        .unwrap_or_default();
    check_lines("a denial", message);
    assert!(message.len() <= 16 * 1024);
    for (name, value) in response["auditAnnotations"]
        .as_object()
        .into_iter()
        .flatten()
    {
        check_line(name, value.as_str().unwrap());
    }
    match endpoint {
        Endpoint::Mutate => assert!(allowed && warnings.is_empty(), "/mutate gives no verdict"),
        _ => assert!(response["patch"].is_null() && response["patchType"].is_null()),
    }
    assert_eq!(response["patch"].is_null(), response["patchType"].is_null());
    allowed
}

fn check_record(record: Option<&admission::record::DecisionRecord>) {
    let record = serde_json::to_string(record.unwrap()).unwrap();
    check_line("a decision record", &record);
    assert!(record.len() <= 64 * 1024, "{} bytes", record.len());
}

fn check_error(error: &ReviewError) {
    let words = error.to_string();
    check_line("an error", &words);
    assert!(
        words.chars().count() <= 1_000,
        "{} characters",
        words.chars().count()
    );
}

/// The images of a pod are those that a plain JSON reader finds.
fn check_images(input: &[u8]) {
    let parsed = within(&PARSE, input.len(), || request::parse(input));
    let (Ok(parsed), Ok(value)) = (parsed, serde_json::from_slice::<Value>(input)) else {
        return;
    };
    let (Some(pod), request::Subject::Pod) = (&parsed.object, parsed.subject) else {
        return;
    };
    let mut found: Vec<_> = pod
        .images()
        .map(|(field, image)| (field.to_string(), image))
        .collect();
    let mut expected = images(at(&value, &["request", "object", "spec"]), "");
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}
