//! Static pods, as a kubelet shows them to the API server: it must be able to, and
//! nobody else may pass for one.

use crate::api::{Api, Namespace};
use crate::objects::{injected, mirror_pod, secrets};
use crate::pullpass::Scene;
use serde_json::json;

const MAP: &str = r"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
unknownRegistries: deny
publicRegistries: []
";

/// The namespace as the kubelet of a new node sees it, the node's name and its uid.
async fn kubelet(scene: &Scene) -> (Namespace, String, String) {
    let name = format!("node-of-{}", scene.name);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let node = scene.api.post("/api/v1/nodes", &node).await.succeeded();
    let user = format!("system:node:{name}");
    let api = Api::impersonating(
        scene.plane,
        &user,
        &["system:nodes", "system:authenticated"],
    )
    .await;
    let uid = node["metadata"]["uid"].as_str().unwrap().to_owned();
    (scene.namespace.through(&api), name, uid)
}

#[tokio::test]
async fn a_mirror_pod_of_a_kubelet_is_left_alone() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let (namespace, node, uid) = kubelet(&scene).await;
    // A registry that nobody named, and one whose secret a mirror pod may not have.
    for (name, image) in [
        ("proxy", "registry.unknown.example/proxy:1"),
        ("agent", "registry.corp.example/agent:1"),
    ] {
        let made = namespace
            .create("pods", &mirror_pod(name, &node, &uid, image))
            .await;
        assert_eq!(made.warnings, Vec::<String>::new());
        let made = made.succeeded();
        assert_eq!(secrets(&made), Vec::<&str>::new());
        assert_eq!(injected(&made), None);
    }
}

#[tokio::test]
async fn a_forged_mirror_pod_is_judged_like_any_other() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let (_, node, uid) = kubelet(&scene).await;
    let forged = mirror_pod("proxy", &node, &uid, "registry.unknown.example/proxy:1");
    let answer = scene.namespace.create("pods", &forged).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.message().contains("validate.pullpass.dev"),
        "{}",
        answer.message()
    );

    // Judged, but never patched: the API server refuses mirror pods with secrets.
    let allowed = mirror_pod("agent", &node, &uid, "registry.corp.example/agent:1");
    let made = scene.namespace.create("pods", &allowed).await.succeeded();
    assert_eq!(secrets(&made), Vec::<&str>::new());
}
