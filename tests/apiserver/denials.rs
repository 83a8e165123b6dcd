//! What people read when pullpass says no, or beware: the whole text that kubectl
//! shows, compared with files in `golden`.

use crate::api::eventually;
use crate::golden;
use crate::objects::{container, pod, pod_of, secrets, workload};
use crate::pullpass::Scene;
use axum::http::Method;
use serde_json::{Value, json};

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

const MAP: &str = r##"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
  - {name: other, match: other.corp.example, pullSecrets: [other-pull]}
  - match: docker.io/evil
    action: deny
    reason: "compromised, see SEC-142"
    replaceWith: registry.corp.example/mirror
  - {name: future, match: quay.io/legacy, action: deny, from: 2999-01-01, replaceWith: registry.corp.example/legacy}
  - {name: old, match: old.corp.example, action: warn, reason: "it is going away"}
  - {name: watched, match: watched.corp.example, action: audit}
unknownRegistries: {default: deny, reason: "ask for an entry"}
publicRegistries: [docker.io]
contact: "#platform on chat"
"##;

/// Creates a pod with these images through kubectl and compares what is said.
async fn create(golden: &str, map: &str, images: &[&str]) {
    let Some(scene) = Scene::new(map).await else {
        return;
    };
    golden::same(
        golden,
        &scene.kubectl(&["create", "-f", "-"], &pod_of("web", images)),
    );
}

#[tokio::test]
async fn an_unknown_registry_is_denied() {
    create(
        "unknown-registry",
        MAP,
        &["registry.corp.exmaple/shop/web:1"],
    )
    .await;
}

#[tokio::test]
async fn a_registry_with_the_action_deny_is_denied() {
    create("denied-registry", MAP, &["evil/miner:1"]).await;
}

#[tokio::test]
async fn every_offending_image_is_named() {
    let images = [
        "registry.unknown.example/a:1",
        "registry.corp.example/shop/web:1",
        "evil/miner",
    ];
    create("several-images", MAP, &images).await;
}

#[tokio::test]
async fn of_very_many_images_some_are_named_and_the_others_counted() {
    let images: Vec<String> = (0..40)
        .map(|number| format!("registry.unknown.example/tool-{number}"))
        .collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    create("very-many-images", MAP, &images).await;
}

#[tokio::test]
async fn what_is_no_image_reference_is_denied_where_the_unknown_is() {
    create(
        "invalid-reference",
        MAP,
        &["https://registry.corp.example/shop/web:1"],
    )
    .await;
}

#[tokio::test]
async fn an_entry_that_warns_does_so() {
    create("warning-of-an-entry", MAP, &["old.corp.example/web:1"]).await;
}

#[tokio::test]
async fn a_deny_that_is_yet_to_begin_warns_with_the_date() {
    create("deny-in-future", MAP, &["quay.io/legacy/web:1"]).await;
}

#[tokio::test]
async fn an_unknown_registry_is_warned_about_where_the_map_says_so() {
    let map = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries:\n- {match: registry.corp.example}\n";
    create(
        "warning-of-the-unknown",
        map,
        &["registry.unknown.example/tool:1", "nginx"],
    )
    .await;
}

#[tokio::test]
async fn an_entry_that_records_says_nothing() {
    create("audited", MAP, &["watched.corp.example/web:1"]).await;
}

#[tokio::test]
async fn a_forgotten_port_is_guessed() {
    let map = MAP.replace(
        "match: registry.corp.example,",
        "match: \"registry.corp.example:5000\",",
    );
    create("nearest-port", &map, &["registry.corp.example/shop/web:1"]).await;
}

#[tokio::test]
async fn a_deny_that_has_begun_says_what_to_use_instead() {
    let map = MAP.replace("2999-01-01", "2020-01-01");
    create("deny-begun", &map, &["quay.io/legacy/web:1"]).await;
}

#[tokio::test]
async fn an_entry_that_expires_soon_is_announced() {
    let last_day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5 * 24);
    let last_day = last_day.strftime("%Y-%m-%d").to_string();
    let entry = format!(
        "registries:\n  - {{name: exception, match: soon.corp.example, until: {last_day}, reason: \"SEC-142, owner: payments\"}}"
    );
    let Some(scene) = Scene::new(&MAP.replace("registries:", &entry)).await else {
        return;
    };
    let web = pod_of("web", &["soon.corp.example/web:1"]);
    let said = scene.kubectl(&["create", "-f", "-"], &web);
    golden::same("ends-soon", &said.replace(&last_day, "LAST-DAY"));
}

#[tokio::test]
async fn a_secret_that_nobody_added_is_named() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let path = format!("{MUTATING}/{}-pullpass", scene.name);
    let answer = scene.api.send(Method::DELETE, &path, None).await;
    answer.succeeded();
    let web = pod_of("web", &["registry.corp.example/shop/web:1"]);
    eventually("a pod that nobody patches", async || {
        let pod = scene.namespace.create("pods?dryRun=All", &web).await;
        secrets(&pod.succeeded()).is_empty().then_some(())
    })
    .await;
    golden::same(
        "missing-secret",
        &scene.kubectl(&["create", "-f", "-"], &web),
    );
}

/// What of a hostile pod reaches a terminal.
async fn hostile(golden: &str, map: &str) {
    let Some(scene) = Scene::new(map).await else {
        return;
    };
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/hostile-pod.json"
    );
    let pod = std::fs::read_to_string(file).unwrap();
    let mut pod: Value = serde_json::from_str(&pod).unwrap();
    // The API server has its own words for these, and would not come to ours.
    pod["metadata"] = json!({"name": "hostile"});
    pod["spec"]["imagePullSecrets"] = Value::Null;
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        let image = container["image"].as_str().unwrap();
        if image.trim() != image {
            container["image"] = json!(format!("x{image}x"));
        }
    }
    let said = scene.kubectl(&["create", "-f", "-"], &pod);
    let odd = said.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(odd, None, "{said:?}");
    golden::same(golden, &said);
}

#[tokio::test]
async fn a_hostile_pod_is_denied_in_plain_text() {
    hostile("hostile-pod", MAP).await;
}

#[tokio::test]
async fn a_hostile_pod_is_warned_about_in_plain_text() {
    hostile(
        "hostile-pod-warning",
        &MAP.replace("default: deny", "default: warn"),
    )
    .await;
}

#[tokio::test]
async fn a_denied_dry_run_reads_the_same() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let tool = pod_of("tool", &["registry.unknown.example/tool:1"]);
    golden::same(
        "dry-run",
        &scene.kubectl(&["create", "--dry-run=server", "-f", "-"], &tool),
    );
}

#[tokio::test]
async fn a_denied_debug_container_is_named_by_its_field() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    scene.kubectl(
        &["create", "-f", "-"],
        &pod_of("web", &["registry.corp.example/shop/web:1"]),
    );
    let debug = [
        "debug",
        "web",
        "--image=registry.unknown.example/tools:1",
        "--container=look",
    ];
    let debug = [&debug[..], &["--attach=false", "--profile=general"]].concat();
    golden::same("debug-container", &scene.kubectl(&debug, &Value::Null));
}

#[tokio::test]
async fn a_denied_image_change_and_one_without_its_secret_are_explained() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    scene.kubectl(
        &["create", "-f", "-"],
        &pod_of("web", &["registry.corp.example/shop/web:1"]),
    );
    let change = |image: &str| {
        scene.kubectl(
            &["set", "image", "pod/web", &format!("c0={image}")],
            &Value::Null,
        )
    };
    let said = change("registry.unknown.example/web:1") + &change("other.corp.example/web:1");
    golden::same("image-change", &said);
}

#[tokio::test]
async fn every_field_is_named_in_its_own_words() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mut sidecar = container("side", "registry.unknown.example/side");
    sidecar["restartPolicy"] = json!("Always");
    let spec = json!({
        "containers": [container("app", "registry.unknown.example/app")],
        "initContainers": [container("init", "registry.unknown.example/init"), sidecar],
        "volumes": [{"name": "v", "image": {"reference": "registry.unknown.example/volume"}}],
    });
    golden::same(
        "every-field",
        &scene.kubectl(&["create", "-f", "-"], &pod("web", &spec)),
    );
}

#[tokio::test]
async fn a_deployment_tells_why_its_pods_are_denied() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let spec = json!({"containers": [container("web", "registry.unknown.example/web:1")]});
    let deployment = workload("Deployment", "web", &spec, &json!({}));
    scene
        .namespace
        .create("deployments", &deployment)
        .await
        .succeeded();
    let message = eventually("the condition ReplicaFailure", async || {
        let deployment = scene.namespace.get("deployments/web").await.succeeded();
        let conditions = deployment["status"]["conditions"].as_array()?.clone();
        let failure = conditions
            .into_iter()
            .find(|condition| condition["type"] == "ReplicaFailure")?;
        failure["message"].as_str().map(str::to_owned)
    })
    .await;
    // Before it stands the generated name of the pod.
    let (_, words) = message
        .split_once(" is forbidden: ")
        .unwrap_or(("", &message));
    golden::same(
        "deployment",
        &format!("{}\n", words.replace(&scene.name, "NAMESPACE")),
    );
}
