//! What the API server's audit log says: security teams read it.

use crate::objects::pod_of;
use crate::pullpass::Scene;
use crate::recording_webhook::{RecordingWebhook, patched_by};
use crate::registration::{Hook, Stage, rule};
use serde_json::{Value, json};

const MAP: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example}
  - {name: watched, match: watched.corp.example, action: audit, reason: "do we still need it?"}
  - {name: old, match: old.corp.example, action: warn}
unknownRegistries: deny
publicRegistries: []
"#;

/// The annotations that `/validate` made for the pod of this name, key by key.
pub(crate) fn annotations(scene: &Scene, pod: &str) -> Vec<(String, String)> {
    annotations_of(scene, pod, "validate.pullpass.dev/")
}

fn annotations_of(scene: &Scene, pod: &str, webhook: &str) -> Vec<(String, String)> {
    let log = std::fs::read_to_string(&scene.plane.audit_log).unwrap();
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = events.filter(|event| {
        event["objectRef"]["namespace"] == scene.name.as_str() && event["objectRef"]["name"] == pod
    });
    let annotations = ours.flat_map(|event| {
        event["annotations"]
            .as_object()
            .cloned()
            .unwrap_or_default()
    });
    let ours = annotations.filter_map(|(key, value)| {
        let key = key.strip_prefix(webhook)?.to_owned();
        Some((key, value.as_str()?.to_owned()))
    });
    ours.collect()
}

#[tokio::test]
async fn what_is_not_simply_allowed_is_in_the_audit_log() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    for (name, image, status, says) in [
        ("fine", "registry.corp.example/web:1", 201, None),
        (
            "watched",
            "watched.corp.example/web:1",
            201,
            Some("do we still need it?"),
        ),
        (
            "warned",
            "old.corp.example/web:1",
            201,
            Some("old.corp.example/web:1"),
        ),
        (
            "refused",
            "registry.unknown.example/web:1",
            403,
            Some("no entry for host registry.unknown.example"),
        ),
    ] {
        let answer = scene
            .namespace
            .create("pods", &pod_of(name, &[image]))
            .await;
        assert_eq!(answer.status, status, "{name}: {}", answer.message());
        let annotations = annotations(&scene, name);
        match says {
            None => assert_eq!(annotations, [], "{name}"),
            Some(words) => {
                let found = annotations.iter().any(|(_, value)| value.contains(words));
                assert!(found, "{name}: {annotations:?} has not `{words}`");
            }
        }
    }
}

#[tokio::test]
async fn an_audited_image_is_recorded_and_counted_and_nothing_is_said() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let answer = scene
        .namespace
        .create("pods", &pod_of("web", &["watched.corp.example/web:1"]))
        .await;
    assert_eq!(answer.warnings, Vec::<String>::new());
    answer.succeeded();
    assert!(!annotations(&scene, "web").is_empty());
    let (_, metrics) = scene.pullpass.admin("/metrics");
    let counted = metrics
        .lines()
        .any(|line| line.contains(r#"entry="watched""#) && line.contains(r#"action="audit""#));
    assert!(counted, "{metrics}");
}

#[tokio::test]
async fn the_same_pod_is_annotated_the_same_also_when_it_is_reviewed_twice() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    // Whatever comes after /mutate and changes the pod makes the API server ask it again.
    let mesh = RecordingWebhook::start(|request| {
        let containers = request["object"]["spec"]["containers"].as_array().unwrap();
        if containers.len() > 2 {
            return json!({"allowed": true});
        }
        let side = json!({"name": "side", "image": "registry.corp.example/side:1"});
        patched_by(&json!([{"op": "add", "path": "/spec/containers/-", "value": side}]))
    });
    let hook = Hook {
        configuration: format!("{}-sidecar", scene.name),
        name: "other.tests.pullpass.dev",
        stage: Stage::Mutate,
        url: format!("{}/other", mesh.url),
        ca: &mesh.ca,
        rules: json!([rule("", &["pods"], &["CREATE"])]),
        match_conditions: json!([]),
        timeout_seconds: 3,
    };
    hook.register(&scene.api, &[&scene.namespace]).await;
    let images = ["old.corp.example/web:1", "watched.corp.example/web:1"];
    let mut said = Vec::new();
    for name in ["one", "two", "three"] {
        let pod = pod_of(name, &images);
        scene.namespace.create("pods", &pod).await.succeeded();
        assert_eq!(annotations_of(&scene, name, "mutate.pullpass.dev/"), []);
        said.push(annotations(&scene, name));
    }
    assert_eq!(said[0].len(), 2, "{said:?}");
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    assert!(said[0].contains(&("decision".to_owned(), "warn".to_owned())));
}
