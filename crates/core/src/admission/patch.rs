//! The JSON Patch (RFC 6902) that adds missing pull secrets to a pod.
//!
//! A patch that does not apply is an error that `failurePolicy: Ignore` does not cover
//! (`k8s.io/apiserver`, mutating/dispatcher.go). So this module makes every operation from
//! what the request contains, and it must not use other operations than `add`. There is no
//! patch if nothing is missing, because for the API server it costs more to decode a patched
//! pod than to call the webhook.

use super::pod::Pod;
use crate::well_known::INJECTED_ANNOTATION;
use json_patch::{AddOperation, Patch, PatchOperation};
use jsonptr::PointerBuf;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The names of `needed` that are not in the pod's `imagePullSecrets`, in the same order.
#[must_use]
pub fn missing<'n>(pod: &Pod<'_>, needed: &[&'n str]) -> Vec<&'n str> {
    if needed.is_empty() {
        return Vec::new();
    }
    let present: HashSet<&str> = pod.pull_secrets().collect();
    needed
        .iter()
        .copied()
        .filter(|name| !present.contains(name))
        .collect()
}

/// The patch that appends `missing` to the pod's own pull secrets, which it keeps first;
/// `None` if nothing is missing.
#[must_use]
pub fn build(pod: &Pod<'_>, missing: &[&str]) -> Option<Patch> {
    if missing.is_empty() {
        return None;
    }
    let reference = |name: &&str| json!({ "name": name });
    let mut operations: Vec<PatchOperation> = if pod.has_pull_secret_list() {
        missing
            .iter()
            .map(|name| add(["spec", "imagePullSecrets", "-"], reference(name)))
            .collect()
    } else {
        let list = missing.iter().map(reference).collect();
        vec![add(["spec", "imagePullSecrets"], list)]
    };
    let injected = injected(pod, missing);
    operations.push(if pod.has_annotations() {
        add(
            ["metadata", "annotations", INJECTED_ANNOTATION],
            injected.into(),
        )
    } else if pod.has_metadata() {
        add(
            ["metadata", "annotations"],
            json!({ INJECTED_ANNOTATION: injected }),
        )
    } else {
        add(
            ["metadata"],
            json!({ "annotations": { INJECTED_ANNOTATION: injected } }),
        )
    });
    Some(Patch(operations))
}

/// The names of all pull secrets that pullpass added, for the annotation.
///
/// If the API server calls pullpass again, after another webhook added a container, the
/// annotation already names the pull secrets of the first call. Names that a user wrote there
/// stay only if the pod has these pull secrets.
fn injected(pod: &Pod<'_>, missing: &[&str]) -> String {
    let present: HashSet<&str> = pod.pull_secrets().collect();
    let mut names: Vec<&str> = pod
        .injected()
        .split(',')
        .filter(|name| present.contains(name))
        .collect();
    names.extend_from_slice(missing);
    names.join(",")
}

fn add<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: PointerBuf::from_tokens(path),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies the patch for `needed` to a pod as the API server would.
    fn patched(pod_json: &Value, needed: &[&str]) -> Option<Value> {
        let text = pod_json.to_string();
        let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
        let patch = build(&pod, &missing(&pod, needed))?;
        assert!(
            patch
                .0
                .iter()
                .all(|op| matches!(op, PatchOperation::Add(_)))
        );
        let mut object = pod_json.clone();
        json_patch::patch(&mut object, &patch).expect("the patch applies");
        Some(object)
    }

    #[test]
    fn secrets_are_added_to_any_list() {
        let ours = json!([{"name":"a"},{"name":"b"}]);
        for (spec, expected) in [
            (json!({}), ours.clone()),
            (json!({"imagePullSecrets": null}), ours.clone()),
            (json!({"imagePullSecrets": []}), ours),
            (
                json!({"imagePullSecrets": [{"name":"own"}]}),
                json!([{"name":"own"},{"name":"a"},{"name":"b"}]),
            ),
            (
                json!({"imagePullSecrets": [{}]}),
                json!([{},{"name":"a"},{"name":"b"}]),
            ),
            (
                json!({"imagePullSecrets": [{"name":"b"}]}),
                json!([{"name":"b"},{"name":"a"}]),
            ),
        ] {
            for metadata in [
                json!(null),
                json!({}),
                json!({"annotations": null}),
                json!({"annotations": {}}),
                json!({"annotations": {"other/key": "stays"}}),
            ] {
                let pod = json!({"metadata": metadata, "spec": spec});
                let after = patched(&pod, &["a", "b"]).unwrap();
                assert_eq!(after["spec"]["imagePullSecrets"], expected, "{pod}");
                assert!(after["metadata"]["annotations"][INJECTED_ANNOTATION].is_string());
                assert_eq!(
                    after["metadata"]["annotations"]["other/key"],
                    metadata["annotations"]["other/key"]
                );
                assert!(
                    patched(&after, &["a", "b"]).is_none(),
                    "a second call changes nothing"
                );
            }
        }
    }

    #[test]
    fn nothing_missing_is_no_patch() {
        let pod = json!({"metadata":{},"spec":{"imagePullSecrets":[{"name":"a"}]}});
        assert!(patched(&pod, &["a"]).is_none());
        assert!(patched(&pod, &[]).is_none());
    }

    #[test]
    fn the_annotation_names_what_both_rounds_added_and_nothing_invented() {
        let pod = json!({
            "metadata": {"annotations": {INJECTED_ANNOTATION: "a,forged"}},
            "spec": {"imagePullSecrets": [{"name":"own"},{"name":"a"}]},
        });
        let after = patched(&pod, &["a", "b"]).unwrap();
        assert_eq!(after["metadata"]["annotations"][INJECTED_ANNOTATION], "a,b");
    }
}
