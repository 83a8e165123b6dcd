//! The test suites of other projects' policies, with a map that says the same: what
//! they admit is admitted, what they deny is denied, where they add a pull secret
//! one is added.
//!
//! The images and names are theirs, the manifests ours (docs/other-policies.md says
//! which suites, and where a verdict differs and why). Workloads go through as the
//! pods that their controllers would make.

use crate::api::Answer;
use crate::objects::secrets;
use crate::pullpass::Scene;
use serde_json::{Value, json};
use std::fs;

/// The namespace of objects that name none.
const DEFAULT: &str = "default";

const REFUSING: [&str; 5] = [
    "gatekeeper-allowedrepos",
    "gatekeeper-allowedreposv2",
    "gatekeeper-disallowedrepos",
    "kyverno-restrict-image-registries",
    "kyverno-advanced-restrict-image-registries",
];

fn read(suite: &str, file: &str) -> String {
    fs::read_to_string(format!("tests/fixtures/suites/{suite}/{file}")).unwrap()
}

fn documents(suite: &str, file: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&read(suite, file)).unwrap();
    assert!(!documents.is_empty());
    documents
}

fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or(DEFAULT)
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// The pod that comes of an object.
fn pod(object: &Value) -> Value {
    let spec = match object["kind"].as_str().unwrap() {
        "Pod" => &object["spec"],
        "Deployment" => &object["spec"]["template"]["spec"],
        "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        other => panic!("{other} is in no suite"),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name(object)},
        "spec": spec,
    })
}

/// Creates the pod. The API server takes ephemeral containers only afterwards.
async fn create(scene: &Scene, mut pod: Value) -> Answer {
    let spec = pod["spec"].as_object_mut().unwrap();
    let later = spec.remove("ephemeralContainers");
    let answer = scene.namespace.create("pods", &pod).await;
    let Some(later) = later.filter(|_| answer.status == 201) else {
        return answer;
    };
    let path = format!("pods/{}", name(&pod));
    let mut pod = scene.namespace.get(&path).await.succeeded();
    pod["spec"]["ephemeralContainers"] = later;
    let path = format!("{path}/ephemeralcontainers");
    scene.namespace.replace(&path, &pod).await
}

/// Every object of a suite's file, in a namespace that stands for the one it names.
async fn answers(suite: &str, file: &str) -> Option<Vec<(String, Value, Answer)>> {
    let objects = documents(suite, file);
    let mut places: Vec<&str> = objects.iter().map(namespace).collect();
    places.sort_unstable();
    places.dedup();
    let mut found = Vec::new();
    for place in places {
        let map = read(suite, "map.yaml").replace(place, "NAMESPACE");
        let scene = Scene::new(&map).await?;
        for object in objects.iter().filter(|object| namespace(object) == place) {
            let answer = create(&scene, pod(object)).await;
            let who = format!("{suite}/{file}: {}", name(object));
            found.push((who, object.clone(), answer));
        }
    }
    Some(found)
}

#[tokio::test]
async fn what_other_policies_admit_is_admitted() {
    for suite in REFUSING {
        let Some(answers) = answers(suite, "allowed.yaml").await else {
            return;
        };
        for (who, _, answer) in answers {
            assert_eq!(answer.status, 201, "{who}: {}", answer.message());
            assert!(answer.warnings.is_empty(), "{who}: {:?}", answer.warnings);
        }
    }
}

#[tokio::test]
async fn what_other_policies_deny_is_denied() {
    for suite in REFUSING {
        let Some(answers) = answers(suite, "refused.yaml").await else {
            return;
        };
        for (who, _, answer) in answers {
            assert_eq!(answer.status, 403, "{who}: {}", answer.message());
            assert!(
                answer.message().contains("is not allowed"),
                "{who}: {}",
                answer.message()
            );
        }
    }
}

#[tokio::test]
async fn where_other_policies_add_a_pull_secret_it_is_added() {
    let Some(answers) = answers("kyverno-add-imagepullsecrets", "pods.yaml").await else {
        return;
    };
    for (who, object, answer) in answers {
        let wanted = object["metadata"]["annotations"]["example.com/pull-secrets"].as_str();
        let wanted: Vec<&str> = wanted
            .unwrap()
            .split(',')
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(secrets(&answer.succeeded()), wanted, "{who}");
    }
}
