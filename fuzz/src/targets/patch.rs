//! The patch for a pod: the input is the pod.
//!
//! Applied by the json-patch crate it gives the pod with its missing pull secrets and the
//! annotation that names them. Nothing else changes, and a second round changes nothing.

use super::{at, elements, images, now, policy};
use crate::cost::{Bound, Line, within};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::{Patch, PatchOperation};
use pullpass_core::admission::{self, Endpoint, Mode, ReviewContext};
use pullpass_core::policy::{Labels, Namespace, Policy};
use pullpass_core::well_known::{INJECTED_ANNOTATION, MIRROR_POD_ANNOTATION};
use serde_json::{Value, json};
use std::sync::LazyLock;

const MUTATE: Bound = Bound {
    what: "admission::review of /mutate",
    peak_bytes: Line::new(8_000, 60),
    allocations: Line::new(100, 1),
    steps: Line::new(20_000, 200),
};

static POLICY: LazyLock<Policy> =
    LazyLock::new(|| policy(include_str!("../../../tests/fixtures/admission/map.yaml")));

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(before) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let Some(patch) = mutate(text) else {
        return;
    };
    let missing = missing(&before);
    let Some(patch) = patch else {
        assert!(missing.is_empty(), "{missing:?} are missing");
        return;
    };
    assert!(!missing.is_empty(), "a patch adds something");
    assert!(
        patch
            .0
            .iter()
            .all(|operation| matches!(operation, PatchOperation::Add(_)))
    );
    let mut after = before.clone();
    json_patch::patch(&mut after, &patch).expect("the patch applies");

    let list = |pod| elements(at(pod, &["spec", "imagePullSecrets"])).cloned();
    let added = missing.iter().map(|name| json!({ "name": name }));
    let expected: Vec<Value> = list(&before).chain(added).collect();
    assert_eq!(list(&after).collect::<Vec<_>>(), expected);
    let named = at(&after, &["metadata", "annotations", INJECTED_ANNOTATION]);
    let named: Vec<&str> = named.as_str().expect("it is a text").split(',').collect();
    assert!(missing.iter().all(|name| named.contains(name)), "{named:?}");
    let present: Vec<_> = list(&after)
        .filter_map(|secret| Some(secret["name"].as_str()?.to_owned()))
        .collect();
    assert!(
        named
            .iter()
            .all(|name| present.iter().any(|present| present == name))
    );
    assert_eq!(without_ours(after.clone()), without_ours(before));

    let again = mutate(&after.to_string()).expect("the patched pod is read again");
    assert_eq!(again, None, "a second round changes nothing");
}

/// The patch for a pod that is created; `None` where the review has no answer.
#[expect(
    clippy::option_option,
    reason = "no answer, and an answer without a patch"
)]
fn mutate(pod: &str) -> Option<Option<Patch>> {
    let body = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","resource":{{"group":"","version":"v1","resource":"pods"}},"operation":"CREATE","namespace":"shop","object":{pod}}}}}"#
    );
    let context = ReviewContext {
        policy: &POLICY,
        now: now(),
        namespaces: None,
        mode: Mode::Enforce,
        recording: None,
    };
    let answer = within(&MUTATE, body.len(), || {
        admission::review(&context, Endpoint::Mutate, body.as_bytes())
    });
    let answer: Value = serde_json::from_slice(&answer.ok()?.body).unwrap();
    let patch = answer["response"]["patch"].as_str().map(|patch| {
        let patch = STANDARD.decode(patch).unwrap();
        serde_json::from_slice(&patch).unwrap()
    });
    Some(patch)
}

/// The pull secrets that the images of a pod need and that it does not name, in the order of
/// the images; read without the code that makes the patch.
fn missing(pod: &Value) -> Vec<&'static str> {
    if at(pod, &["metadata", "annotations"])
        .get(MIRROR_POD_ANNOTATION)
        .is_some()
    {
        return Vec::new();
    }
    let own: Vec<_> = elements(at(pod, &["spec", "imagePullSecrets"]))
        .filter_map(|secret| secret["name"].as_str())
        .collect();
    let namespace = Namespace {
        name: "shop",
        labels: Labels::Unknown,
    };
    let context = POLICY.context(Some(namespace), now());
    let mut missing: Vec<&str> = Vec::new();
    for (_, image) in images(&pod["spec"], "") {
        for secret in context.judge(image).unwrap().pull_secrets {
            if !own.contains(&secret.as_str()) && !missing.contains(&secret.as_str()) {
                missing.push(secret);
            }
        }
    }
    missing
}

/// The pod without what a patch may change: `null` and absent are the same there.
fn without_ours(mut pod: Value) -> Value {
    let mut tidy = |path: &[&str], key: &str| {
        let parent = path
            .iter()
            .try_fold(&mut pod, |value, key| value.get_mut(*key));
        if let Some(Value::Object(parent)) = parent {
            let is_empty = match parent.get(key) {
                Some(Value::Object(pairs)) => pairs.is_empty(),
                Some(Value::Null) => true,
                _ => false,
            };
            if is_empty || [INJECTED_ANNOTATION, "imagePullSecrets"].contains(&key) {
                parent.remove(key);
            }
        }
    };
    tidy(&["spec"], "imagePullSecrets");
    tidy(&["metadata", "annotations"], INJECTED_ANNOTATION);
    tidy(&["metadata"], "annotations");
    tidy(&[], "metadata");
    pod
}
