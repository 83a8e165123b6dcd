//! `/validate-workloads`: what a workload's author is told of its pods, from bytes to
//! bytes. What the real API server sends is in `tests/apiserver/workloads.rs`.

use crate::reviews::{context, review_of};
use pullpass_core::admission::workload::ObjectKind;
use pullpass_core::admission::{self, Endpoint, Mode, Outcome, ReviewContext, WorkloadMode};
use serde_json::{Value, json};

/// The kinds that make pods, with the pointer to the pod in them and their resource.
const WORKLOADS: [(ObjectKind, &str, &str, &str); 7] = [
    (
        ObjectKind::Deployment,
        "/spec/template",
        "apps",
        "deployments",
    ),
    (
        ObjectKind::StatefulSet,
        "/spec/template",
        "apps",
        "statefulsets",
    ),
    (
        ObjectKind::DaemonSet,
        "/spec/template",
        "apps",
        "daemonsets",
    ),
    (
        ObjectKind::ReplicaSet,
        "/spec/template",
        "apps",
        "replicasets",
    ),
    (
        ObjectKind::ReplicationController,
        "/spec/template",
        "",
        "replicationcontrollers",
    ),
    (ObjectKind::Job, "/spec/template", "batch", "jobs"),
    (
        ObjectKind::CronJob,
        "/spec/jobTemplate/spec/template",
        "batch",
        "cronjobs",
    ),
];

/// An object with a pod of these images at the pointer.
fn object(pointer: &str, images: &[&str]) -> Value {
    let containers: Vec<_> = images.iter().map(|image| json!({"image": image})).collect();
    let mut object = json!({"spec": {"containers": containers}});
    for key in pointer
        .split('/')
        .skip(1)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        object = json!({ key: object });
    }
    object["metadata"] = json!({"name": "web"});
    object
}

fn review(group: &str, resource: &str, object: &Value, old: &Value) -> Value {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    let mut review = review_of(group, resource, operation, "shop", object);
    review["request"]["oldObject"] = old.clone();
    review
}

fn deployment(images: &[&str]) -> Value {
    object("/spec/template", images)
}

fn answer(severity: WorkloadMode, review: &Value) -> (Value, Outcome) {
    answer_in(Mode::Enforce, severity, review)
}

fn answer_in(mode: Mode, severity: WorkloadMode, review: &Value) -> (Value, Outcome) {
    let context = ReviewContext { mode, ..context() };
    let body = review.to_string();
    let endpoint = Endpoint::Workloads(severity);
    let answer = admission::review(&context, endpoint, body.as_bytes()).unwrap();
    assert!(answer.report.tallies().is_empty(), "the pods count");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let response = body["response"].clone();
    assert!(response.get("patch").is_none(), "{response}");
    (response, answer.report.outcome())
}

fn warnings(review: &Value) -> Vec<String> {
    let (response, _) = answer(WorkloadMode::Warn, review);
    assert_eq!(response["allowed"], true, "{response}");
    let warnings = response["warnings"].as_array().cloned().unwrap_or_default();
    warnings
        .iter()
        .map(|warning| warning.as_str().unwrap().to_owned())
        .collect()
}

const UNKNOWN: &str = "nowhere.example/tool:1";

#[test]
fn each_kind_is_told_what_its_pods_will_meet() {
    for (kind, pointer, group, resource) in WORKLOADS {
        let object = object(pointer, &["registry.corp.example/web", UNKNOWN]);
        let review = review(group, resource, &object, &Value::Null);
        let field = format!("{}spec.containers[1].image", kind.path_to_pod());
        let words = format!("image \"{UNKNOWN}\" ({field}) is not allowed: no entry for host");
        let (response, outcome) = answer(WorkloadMode::Warn, &review);
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(
            warning.starts_with(&format!("its pods will be denied: {words}")),
            "{resource}: {warning}"
        );
        assert_eq!(response["warnings"].as_array().unwrap().len(), 1);
        assert_eq!(
            (response["allowed"].as_bool(), outcome),
            (Some(true), Outcome::Warned)
        );
        assert_eq!(response["auditAnnotations"]["decision"], "deny");

        let (response, outcome) = answer(WorkloadMode::Deny, &review);
        assert_eq!(
            (response["allowed"].as_bool(), outcome),
            (Some(false), Outcome::Denied)
        );
        assert_eq!(response["status"]["code"], 403);
        assert_eq!(response["status"]["reason"], "Forbidden");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.starts_with(&words), "{resource}: {message}");
    }
}

#[test]
fn the_audit_annotation_names_the_worst_image_first() {
    let mut images = vec!["frowned.example/x"; 12];
    images.push("evil/x");
    let object = object("/spec/template", &images);
    let review = review("apps", "deployments", &object, &Value::Null);
    for severity in [WorkloadMode::Warn, WorkloadMode::Deny] {
        let (response, _) = answer(severity, &review);
        let annotations = &response["auditAnnotations"];
        assert_eq!(annotations["decision"], "deny");
        let images = annotations["images"].as_str().unwrap();
        assert!(images.starts_with("image \"evil/x\""), "{images}");
    }
}

#[test]
fn observing_denies_no_workload_and_previews_no_denial() {
    let review = review("apps", "deployments", &deployment(&[UNKNOWN]), &Value::Null);
    for (severity, expected) in [
        (WorkloadMode::Warn, Outcome::Warned),
        (WorkloadMode::Deny, Outcome::WouldDeny),
    ] {
        let (response, outcome) = answer_in(Mode::Observe, severity, &review);
        assert_eq!((&response["allowed"], outcome), (&json!(true), expected));
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("would be denied: image "), "{warning}");
        assert_eq!(response["auditAnnotations"]["decision"], "deny");
    }
}

#[test]
fn only_images_that_the_old_template_lacks_are_judged() {
    for (_, pointer, group, resource) in WORKLOADS {
        let old = object(pointer, &[UNKNOWN]);
        let mut scaled = old.clone();
        scaled["spec"]["replicas"] = json!(3);
        assert!(warnings(&review(group, resource, &scaled, &old)).is_empty());
        let more = object(pointer, &["docker.io/evil/miner", UNKNOWN]);
        let said = warnings(&review(group, resource, &more, &old));
        assert_eq!(said.len(), 1, "{resource}: {said:?}");
        assert!(said[0].contains("evil/miner"));
    }
}

#[test]
fn what_people_need_not_hear_is_not_said() {
    let bad = deployment(&[UNKNOWN]);
    let with = |key: &str, value: Value| {
        let mut object = bad.clone();
        object["metadata"][key] = value;
        object
    };
    let owner = |controller: Value| json!([{"kind": "Deployment", "name": "web", "controller": controller}]);
    let said =
        |object: &Value, old: &Value| warnings(&review("apps", "replicasets", object, old)).len();
    assert_eq!(said(&bad, &Value::Null), 1);
    assert_eq!(
        said(&with("ownerReferences", owner(json!(true))), &Value::Null),
        0
    );
    assert_eq!(
        said(&with("ownerReferences", owner(json!(false))), &Value::Null),
        1
    );
    assert_eq!(
        said(&with("ownerReferences", owner(Value::Null)), &Value::Null),
        1
    );
    let going = with("deletionTimestamp", json!("2026-11-20T00:00:00Z"));
    assert_eq!(said(&deployment(&["nowhere.example/other"]), &going), 0);
    for (field, value) in [
        ("subResource", json!("status")),
        ("subResource", json!("scale")),
        ("operation", json!("DELETE")),
        ("namespace", json!("kube-system")),
    ] {
        let mut review = review("apps", "deployments", &bad, &Value::Null);
        review["request"][field] = value;
        assert!(warnings(&review).is_empty(), "{field}");
    }
    // Neither of the other endpoints has a word to say about a workload.
    let review = review("apps", "deployments", &bad, &Value::Null).to_string();
    let context = context();
    for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
        let answer = admission::review(&context, endpoint, review.as_bytes()).unwrap();
        assert_eq!(answer.report.outcome(), Outcome::Untouched);
    }
}

#[test]
fn a_pod_is_no_workload() {
    let pod = json!({"spec": {"containers": [{"image": UNKNOWN}]}});
    assert!(warnings(&review("", "pods", &pod, &Value::Null)).is_empty());
    assert!(
        warnings(&review(
            "example.dev",
            "deployments",
            &deployment(&[UNKNOWN]),
            &Value::Null
        ))
        .is_empty()
    );
}

#[test]
fn missing_secrets_are_not_missed_and_spellings_are() {
    let fine = deployment(&["registry.corp.example/web"]);
    assert!(warnings(&review("apps", "deployments", &fine, &Value::Null)).is_empty());
    let spelt = deployment(&["REGISTRY.corp.example/web"]);
    let said = warnings(&review("apps", "deployments", &spelt, &Value::Null));
    assert!(said[0].contains("letter by letter"), "{said:?}");
    assert_eq!(said.len(), 1);
}

#[test]
fn what_cannot_be_read_is_a_fault() {
    let context = context();
    for object in [
        json!({"spec": []}),
        json!({"spec": {"template": "x"}}),
        json!({"spec": {"template": {"spec": {"containers": [{"image": 7}]}}}}),
        json!([]),
        Value::Null,
    ] {
        let review = review("apps", "deployments", &object, &Value::Null).to_string();
        for severity in [WorkloadMode::Warn, WorkloadMode::Deny] {
            let answer =
                admission::review(&context, Endpoint::Workloads(severity), review.as_bytes());
            assert!(
                matches!(answer, Err(admission::ReviewError::BadReview(_))),
                "{object}"
            );
        }
    }
}
