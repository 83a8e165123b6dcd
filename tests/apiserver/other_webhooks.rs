//! pullpass is one webhook among others, which may change a pod before it, after it,
//! and against it.

use crate::objects::{container, injected, pod_of, secrets};
use crate::pullpass::Scene;
use crate::recording_webhook::{RecordingWebhook, patched_by};
use crate::registration::{Hook, Stage, rule};
use serde_json::{Value, json};

const MAP: &str = r"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
  - {name: mesh, match: mesh.corp.example, pullSecrets: [mesh-pull]}
unknownRegistries: deny
publicRegistries: []
";

/// Registers a mutating webhook that is called before or after pullpass: the API
/// server calls them in the order of their configurations' names.
async fn register(scene: &Scene, webhook: &RecordingWebhook, order: &str) {
    let hook = Hook {
        configuration: format!("{}-{order}", scene.name),
        name: "other.tests.pullpass.dev",
        stage: Stage::Mutate,
        url: format!("{}/other", webhook.url),
        ca: &webhook.ca,
        rules: json!([rule("", &["pods"], &["CREATE"])]),
        match_conditions: json!([]),
        timeout_seconds: 3,
    };
    assert_eq!(
        order < "pullpass",
        hook.configuration < format!("{}-pullpass", scene.name)
    );
    hook.register(&scene.api, &[&scene.namespace]).await;
}

/// Adds a side-car once.
fn with_sidecar(request: &Value, image: &str) -> Value {
    let containers = request["object"]["spec"]["containers"].as_array().unwrap();
    if containers.len() > 1 {
        return json!({"allowed": true});
    }
    patched_by(
        &json!([{"op": "add", "path": "/spec/containers/-", "value": container("mesh", image)}]),
    )
}

#[tokio::test]
async fn a_side_car_of_a_later_webhook_gets_its_secret() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mesh =
        RecordingWebhook::start(|request| with_sidecar(request, "mesh.corp.example/proxy:1"));
    register(&scene, &mesh, "sidecar").await;
    let pod = pod_of("web", &["registry.corp.example/shop/web:1"]);
    let pod = scene.namespace.create("pods", &pod).await.succeeded();
    // In two rounds: our secret of the first one is not added again in the second.
    assert_eq!(secrets(&pod), ["corp-pull", "mesh-pull"]);
    assert_eq!(injected(&pod), Some("corp-pull,mesh-pull"));
}

#[tokio::test]
async fn a_side_car_of_an_earlier_webhook_gets_its_secret() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mesh =
        RecordingWebhook::start(|request| with_sidecar(request, "mesh.corp.example/proxy:1"));
    register(&scene, &mesh, "a-mesh").await;
    let pod = pod_of("web", &["registry.corp.example/shop/web:1"]);
    let pod = scene.namespace.create("pods", &pod).await.succeeded();
    assert_eq!(secrets(&pod), ["corp-pull", "mesh-pull"]);
}

#[tokio::test]
async fn a_side_car_from_an_unknown_registry_is_denied_whoever_added_it() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mesh = RecordingWebhook::start(|request| {
        with_sidecar(request, "registry.unknown.example/proxy:1")
    });
    register(&scene, &mesh, "sidecar").await;
    let answer = scene
        .namespace
        .create("pods", &pod_of("web", &["registry.corp.example/web:1"]))
        .await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.message().contains("spec.containers[1].image"),
        "{}",
        answer.message()
    );
}

#[tokio::test]
async fn an_image_that_a_later_webhook_rewrites_is_judged_as_it_ends() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mirror = RecordingWebhook::start(|request| {
        let image = &request["object"]["spec"]["containers"][0]["image"];
        if image == "registry.corp.example/mirror/nginx" {
            return json!({"allowed": true});
        }
        let path = "/spec/containers/0/image";
        patched_by(
            &json!([{"op": "replace", "path": path, "value": "registry.corp.example/mirror/nginx"}]),
        )
    });
    register(&scene, &mirror, "rewrite").await;
    let pod = scene
        .namespace
        .create("pods", &pod_of("web", &["nginx"]))
        .await;
    assert_eq!(pod.warnings, Vec::<String>::new());
    assert_eq!(secrets(&pod.succeeded()), ["corp-pull"]);
}

#[tokio::test]
async fn a_secret_that_another_webhook_takes_away_is_missed_aloud() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let thief = RecordingWebhook::start(
        |request| match &request["object"]["spec"]["imagePullSecrets"] {
            Value::Null => json!({"allowed": true}),
            _ => patched_by(&json!([{"op": "remove", "path": "/spec/imagePullSecrets"}])),
        },
    );
    register(&scene, &thief, "thief").await;
    let answer = scene
        .namespace
        .create("pods", &pod_of("web", &["registry.corp.example/web:1"]))
        .await;
    let [warning] = &answer.warnings[..] else {
        panic!("{answer:?}")
    };
    assert!(
        warning.contains("corp-pull") && warning.contains("registry.corp.example/web:1"),
        "{warning}"
    );
    assert_eq!(secrets(&answer.succeeded()), Vec::<&str>::new());
}
