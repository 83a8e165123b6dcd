//! What pullpass keeps its hands off, even where it is asked.

use crate::objects::{container, injected, pod_of, secrets, workload};
use crate::pullpass::Scene;
use crate::registration::{Hook, rule};
use serde_json::{Value, json};

const MAP: &str = r"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
unknownRegistries: deny
publicRegistries: []
";

/// The same after somebody denied everything.
const NOTHING: &str = r"
apiVersion: pullpass.dev/v1
kind: RegistryMap
unknownRegistries: deny
publicRegistries: []
";

#[tokio::test]
async fn an_exempt_namespace_is_left_alone() {
    let map = format!("{MAP}exemptNamespaces: [NAMESPACE]\n");
    let Some(scene) = Scene::new(&map).await else {
        return;
    };
    for (name, image) in [
        ("web", "registry.corp.example/web:1"),
        ("tool", "registry.unknown.example/tool:1"),
    ] {
        let made = scene
            .namespace
            .create("pods", &pod_of(name, &[image]))
            .await;
        assert_eq!(made.warnings, Vec::<String>::new());
        let made = made.succeeded();
        assert_eq!((secrets(&made), injected(&made)), (vec![], None));
    }
}

/// Both webhooks for all that they can be registered for, but for `CONNECT`: there is
/// no kubelet to connect to.
fn everything(hook: &mut Hook<'_>) {
    let operations = ["CREATE", "UPDATE", "DELETE"];
    hook.rules = json!([
        rule(
            "",
            &["pods", "pods/*", "replicationcontrollers"],
            &operations
        ),
        rule("apps", &["*"], &operations),
        rule("batch", &["*"], &operations),
    ]);
}

#[tokio::test]
async fn workloads_are_let_through_as_they_are() {
    let Some(scene) = Scene::with(Some(MAP), everything).await else {
        return;
    };
    let spec = json!({"containers": [container("web", "registry.corp.example/web:1")]});
    let refused = json!({"containers": [container("web", "registry.unknown.example/web:1")]});
    let once = json!({"containers": spec["containers"], "restartPolicy": "Never"});
    let template = json!({"template": {"spec": once}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": template});
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cron"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": template}},
    });
    let controller = json!({
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"},
        "spec": {"replicas": 0, "selector": {"app": "old"}, "template": {"metadata": {"labels": {"app": "old"}}, "spec": spec}},
    });
    let none = json!({"replicas": 0});
    let service = json!({"replicas": 0, "serviceName": "state"});
    for (what, object) in [
        ("deployments", workload("Deployment", "web", &spec, &none)),
        (
            "deployments",
            workload("Deployment", "refused", &refused, &none),
        ),
        ("replicasets", workload("ReplicaSet", "web", &spec, &none)),
        (
            "statefulsets",
            workload("StatefulSet", "state", &spec, &service),
        ),
        (
            "daemonsets",
            workload("DaemonSet", "daemons", &spec, &json!({})),
        ),
        ("jobs", job),
        ("cronjobs", cron_job),
        ("replicationcontrollers", controller),
    ] {
        let made = scene.namespace.create(what, &object).await.succeeded();
        assert!(
            !made.to_string().contains("imagePullSecrets"),
            "{what}: {made}"
        );
    }
    // And their sub-resources.
    let scale = json!({"spec": {"replicas": 1}});
    scene
        .namespace
        .patch("deployments/refused/scale", &scale)
        .await
        .succeeded();
}

#[tokio::test]
async fn what_the_table_does_not_name_is_let_through() {
    let Some(scene) = Scene::with(Some(MAP), everything).await else {
        return;
    };
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-of-{}", scene.name)}});
    let node = scene.api.post("/api/v1/nodes", &node).await.succeeded();
    for name in ["web", "evicted"] {
        let pod = pod_of(name, &["registry.corp.example/web:1"]);
        scene.namespace.create("pods", &pod).await.succeeded();
    }
    scene.change_map(NOTHING).await;

    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"},
        "target": {"kind": "Node", "name": node["metadata"]["name"]},
    });
    scene
        .namespace
        .create("pods/web/binding", &binding)
        .await
        .succeeded();
    let status = json!({"status": {"message": "fine"}});
    scene
        .namespace
        .patch("pods/web/status", &status)
        .await
        .succeeded();
    let label = json!({"metadata": {"labels": {"tier": "front"}}});
    let labelled = scene.namespace.patch("pods/web", &label).await.succeeded();
    assert_eq!(secrets(&labelled), ["corp-pull"]);
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted"}});
    scene
        .namespace
        .create("pods/evicted/eviction", &eviction)
        .await
        .succeeded();
    assert_eq!(scene.namespace.get("pods/evicted").await.status, 404);
    scene
        .namespace
        .delete("pods/web?gracePeriodSeconds=0")
        .await
        .succeeded();
    assert_eq!(scene.namespace.get("pods/web").await.status, 404);
    // The map is in force all the same.
    let answer = scene
        .namespace
        .create("pods", &pod_of("web", &["registry.corp.example/web:1"]))
        .await;
    assert_eq!(answer.status, 403, "{}", answer.message());
}

#[tokio::test]
async fn an_existing_pod_is_never_patched() {
    let map = MAP.replace(
        "unknownRegistries: deny",
        "  - {name: open, match: open.corp.example}\nunknownRegistries: deny",
    );
    let Some(scene) = Scene::with(Some(&map), everything).await else {
        return;
    };
    let pod = pod_of("web", &["open.corp.example/web:1"]);
    let mut pod = scene.namespace.create("pods", &pod).await.succeeded();
    // The secret for this image is missing and cannot be added: a patch that tries is
    // refused on `pods` and dropped on the sub-resource.
    pod["spec"]["containers"][0]["image"] = json!("registry.corp.example/web:1");
    let changed = scene.namespace.replace("pods/web", &pod).await.succeeded();
    assert_eq!((secrets(&changed), injected(&changed)), (vec![], None));
    let mut pod = changed;
    pod["spec"]["ephemeralContainers"] =
        json!([container("look", "registry.corp.example/tools:1")]);
    let path = "pods/web/ephemeralcontainers";
    let changed = scene.namespace.replace(path, &pod).await.succeeded();
    assert_eq!((secrets(&changed), injected(&changed)), (vec![], None));
}

#[tokio::test]
async fn fields_that_pullpass_does_not_know_survive() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mut pod = pod_of("web", &["registry.corp.example/web:1"]);
    pod["metadata"]["annotations"] = json!({"shop.example/note": "tab\there, \"quotes\", <tags>, \u{1f980}", "shop.example/a_b.C": "c"});
    pod["spec"]["schedulingGates"] = json!([{"name": "shop.example/gate"}]);
    pod["spec"]["hostUsers"] = json!(false);
    pod["spec"]["containers"][0]["resizePolicy"] =
        json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]);
    let made = scene.namespace.create("pods", &pod).await.succeeded();
    assert_eq!(secrets(&made), ["corp-pull"]);
    for pointer in [
        "/metadata/annotations/shop.example~1note",
        "/spec/schedulingGates",
        "/spec/hostUsers",
        "/spec/containers/0/resizePolicy",
    ] {
        assert_eq!(made.pointer(pointer), pod.pointer(pointer), "{pointer}");
        assert_ne!(made.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
}
