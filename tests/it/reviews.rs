//! Reviews as an API server sends them, and contexts to answer them in.
//!
//! What a real API server has sent is in `tests/fixtures/reviews`; these reviews are made by
//! the tests. This module must not check answers.

use jiff::Timestamp;
use pullpass_core::admission::{Mode, ReviewContext};
use pullpass_core::map::{self, Options, SourceFile};
use pullpass_core::policy::Policy;
use serde_json::{Value, json};
use std::fs;
use std::sync::LazyLock;

/// The map of the fixtures.
pub(crate) static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let name = "tests/fixtures/admission/map.yaml".to_owned();
    let text = fs::read_to_string(&name).unwrap();
    let files = [SourceFile { name, text }];
    let options = Options {
        own_namespace: Some("pullpass".to_owned()),
    };
    map::load(&files, &options)
        .unwrap_or_else(|errors| panic!("{}", map::render(&errors, &files, false)))
        .policy
});

/// A month before the earliest date in the map, so that none is near.
pub(crate) fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// The map of the fixtures at that time.
pub(crate) fn context() -> ReviewContext<'static> {
    context_of(&POLICY, now())
}

pub(crate) fn context_of(policy: &Policy, now: Timestamp) -> ReviewContext<'_> {
    ReviewContext {
        policy,
        now,
        namespaces: None,
        mode: Mode::Enforce,
        recording: None,
    }
}

/// A review of a pod.
pub(crate) fn review(operation: &str, namespace: &str, object: &Value) -> Value {
    let mut review = review_of("", "pods", operation, namespace, object);
    review["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    review
}

/// A review of an object of a resource.
pub(crate) fn review_of(
    group: &str,
    resource: &str,
    operation: &str,
    namespace: &str,
    object: &Value,
) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "5a1d6d0c",
            "resource": {"group": group, "version": "v1", "resource": resource},
            "name": "web",
            "namespace": namespace,
            "operation": operation,
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": null,
            "dryRun": false,
        }
    })
}

/// A pod with a container for each image.
pub(crate) fn pod(images: &[&str]) -> Value {
    let containers: Vec<_> = images
        .iter()
        .enumerate()
        .map(|(i, image)| json!({"name": format!("c{i}"), "image": image}))
        .collect();
    json!({"metadata": {"name": "web"}, "spec": {"containers": containers}})
}
