//! What happens to a pod after it was made: only images that it did not have before
//! are judged, and nothing is ever added.

use crate::objects::{container, pod, pod_of, secrets};
use crate::pullpass::Scene;
use serde_json::json;

const MAP: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
  - {name: other, match: other.corp.example, pullSecrets: [other-pull]}
  - {name: old, match: old.corp.example, action: warn, reason: "it is going away"}
  - {name: evil, match: evil.example, action: deny, reason: "it is evil"}
unknownRegistries: deny
publicRegistries: []
contact: "platform@shop.example"
"#;

/// The same after somebody denied `registry.corp.example`.
fn map_that_denies_corp() -> String {
    MAP.replace(
        "match: registry.corp.example, pullSecrets: [corp-pull]",
        "match: registry.corp.example, action: deny",
    )
}

/// Changes the image of the only container, which a merge patch cannot do alone.
async fn set_image(scene: &Scene, name: &str, image: &str) -> crate::api::Answer {
    let mut pod = scene
        .namespace
        .get(&format!("pods/{name}"))
        .await
        .succeeded();
    pod["spec"]["containers"][0]["image"] = json!(image);
    scene.namespace.replace(&format!("pods/{name}"), &pod).await
}

#[tokio::test]
async fn a_changed_image_is_judged_like_a_new_one() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let web = pod_of("web", &["registry.corp.example/shop/web:1"]);
    scene.namespace.create("pods", &web).await.succeeded();

    for image in [
        "evil.example/web:1",
        "registry.unknown.example/web:1",
        "not a reference",
    ] {
        let answer = set_image(&scene, "web", image).await;
        assert_eq!(answer.status, 403, "{image}: {}", answer.message());
        let first_line = answer.message().lines().next().unwrap();
        assert!(first_line.contains(image), "{first_line}");
        assert!(
            first_line.contains("spec.containers[0].image"),
            "{first_line}"
        );
    }
    let warned = set_image(&scene, "web", "old.corp.example/web:1").await;
    assert!(
        warned
            .warnings
            .iter()
            .any(|line| line.contains("it is going away")),
        "{warned:?}"
    );
    warned.succeeded();
    let fine = set_image(&scene, "web", "registry.corp.example/shop/web:2").await;
    assert_eq!(fine.warnings, Vec::<String>::new());
    fine.succeeded();
}

#[tokio::test]
async fn a_changed_image_whose_secret_the_pod_lacks_is_allowed_with_a_warning() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let web = pod_of("web", &["registry.corp.example/shop/web:1"]);
    scene.namespace.create("pods", &web).await.succeeded();

    let answer = set_image(&scene, "web", "other.corp.example/web:1").await;
    let [warning] = &answer.warnings[..] else {
        panic!("{answer:?}")
    };
    assert!(
        warning.contains("other-pull") && warning.contains("other.corp.example/web:1"),
        "{warning}"
    );
    let pod = answer.succeeded();
    // Kubernetes lets nobody change the list; trying would have been an error.
    assert_eq!(secrets(&pod), ["corp-pull"]);
}

#[tokio::test]
async fn an_old_pod_with_a_now_denied_image_stays_changeable() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let spec = json!({
        "containers": [container("c0", "registry.corp.example/shop/web:1"), container("c1", "other.corp.example/web:1")],
    });
    scene
        .namespace
        .create("pods", &pod("web", &spec))
        .await
        .succeeded();
    scene.change_map(&map_that_denies_corp()).await;

    let label = json!({"metadata": {"labels": {"tier": "front"}}});
    let answer = scene.namespace.patch("pods/web", &label).await;
    assert_eq!(answer.warnings, Vec::<String>::new());
    answer.succeeded();

    // Another container may even take the image that the pod has already.
    let mut pod = scene.namespace.get("pods/web").await.succeeded();
    pod["spec"]["containers"][1]["image"] = json!("registry.corp.example/shop/web:1");
    scene.namespace.replace("pods/web", &pod).await.succeeded();
    // But not a new one of that registry.
    let answer = set_image(&scene, "web", "registry.corp.example/shop/web:2").await;
    assert_eq!(answer.status, 403, "{}", answer.message());
}

#[tokio::test]
async fn a_pod_with_a_finalizer_and_a_now_denied_image_can_be_deleted() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mut pod = pod_of("held", &["registry.corp.example/shop/web:1"]);
    pod["metadata"]["finalizers"] = json!(["shop.example/hold"]);
    scene.namespace.create("pods", &pod).await.succeeded();
    scene.change_map(&map_that_denies_corp()).await;

    scene.namespace.delete("pods/held").await.succeeded();
    let held = scene.namespace.get("pods/held").await.succeeded();
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    let release = json!({"metadata": {"finalizers": null}});
    scene
        .namespace
        .patch("pods/held", &release)
        .await
        .succeeded();
    assert_eq!(scene.namespace.get("pods/held").await.status, 404);
}

#[tokio::test]
async fn an_image_changed_while_the_pod_is_being_deleted_is_not_judged() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mut pod = pod_of("held", &["registry.corp.example/shop/web:1"]);
    pod["metadata"]["finalizers"] = json!(["shop.example/hold"]);
    scene.namespace.create("pods", &pod).await.succeeded();
    scene.namespace.delete("pods/held").await.succeeded();
    set_image(&scene, "held", "evil.example/web:1")
        .await
        .succeeded();
}

#[tokio::test]
async fn an_ephemeral_container_is_judged_and_nothing_is_added() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let web = pod_of("web", &["registry.corp.example/shop/web:1"]);
    scene.namespace.create("pods", &web).await.succeeded();
    let debug = async |name: &str, image: &str| {
        let mut pod = scene.namespace.get("pods/web").await.succeeded();
        let mut containers = pod["spec"]["ephemeralContainers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        containers.push(container(name, image));
        pod["spec"]["ephemeralContainers"] = json!(containers);
        scene
            .namespace
            .replace("pods/web/ephemeralcontainers", &pod)
            .await
    };

    let denied = debug("look-1", "evil.example/tools:1").await;
    assert_eq!(denied.status, 403, "{}", denied.message());
    assert!(
        denied
            .message()
            .contains("spec.ephemeralContainers[0].image"),
        "{}",
        denied.message()
    );

    let fine = debug("look-2", "registry.corp.example/tools:1").await;
    assert_eq!(fine.warnings, Vec::<String>::new());
    fine.succeeded();

    let lacking = debug("look-3", "other.corp.example/tools:1").await;
    let [warning] = &lacking.warnings[..] else {
        panic!("{lacking:?}")
    };
    assert!(warning.contains("other-pull"), "{warning}");
    assert!(
        warning.contains("spec.ephemeralContainers[1].image"),
        "{warning}"
    );
    assert_eq!(secrets(&lacking.succeeded()), ["corp-pull"]);

    // Those that are there are not judged again when the next one comes.
    scene.change_map(&map_that_denies_corp()).await;
    debug("look-4", "old.corp.example/tools:1")
        .await
        .succeeded();
}
