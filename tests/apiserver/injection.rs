//! A pod gets the pull secrets that its images need, and keeps those it has.

use crate::api::{Namespace, eventually};
use crate::objects::{container, every_field, injected, pod, pod_of, renamed, secrets, workload};
use crate::pullpass::Scene;
use serde_json::{Value, json};

/// Two private registries of the same provider, and some of other kinds.
const MAP: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
  - {name: mesh, match: "*.corp.example:5000", pullSecrets: [mesh-pull]}
  - {name: aliyun-team, match: registry.cn-hangzhou.aliyuncs.com/team, pullSecrets: [aliyun-team]}
  - {name: rbd, match: registry.cn-hangzhou.aliyuncs.com/xxxx/rbd-rest-api, pullSecrets: [aliyun-rbd]}
  - {name: test, match: registry.cn-hangzhou.aliyuncs.com/xxxx/test, pullSecrets: [aliyun-test]}
  - {name: local, match: localhost:5000, pullSecrets: [local-pull]}
  - {name: cdn, match: kube-registry.cdn, pullSecrets: [cdn-pull]}
  - {name: gcr, match: k8s.gcr.io, pullSecrets: [gcr-pull]}
  - {name: model, match: quay.io/shop, pullSecrets: [quay-pull]}
  - {name: dockerhub, match: docker.io, pullSecrets: [hub-pull]}
  - {name: open, match: open.corp.example}
unknownRegistries: deny
publicRegistries: []
"#;

#[tokio::test]
async fn a_deployments_pods_get_their_pull_secrets() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let spec = json!({"containers": [container("web", "registry.corp.example/shop/web:1")]});
    let deployment = workload("Deployment", "web", &spec, &json!({"replicas": 2}));
    scene
        .namespace
        .create("deployments", &deployment)
        .await
        .succeeded();

    for pod in pods(&scene.namespace, "web", 2).await {
        assert_eq!(secrets(&pod), ["corp-pull"]);
        assert_eq!(injected(&pod), Some("corp-pull"));
    }
    // Only pods are changed: what GitOps tools compare stays as it was written.
    let deployment = scene.namespace.get("deployments/web").await.succeeded();
    assert_eq!(
        deployment["spec"]["template"]["spec"]["imagePullSecrets"],
        Value::Null
    );
}

#[tokio::test]
async fn every_other_workloads_pods_get_their_pull_secrets() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    // A DaemonSet makes pods for nodes, and here are none but this.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": scene.name}});
    scene
        .namespace
        .api
        .post("/api/v1/nodes", &node)
        .await
        .succeeded();
    let spec = json!({"containers": [container("app", "registry.corp.example/shop/app:1")]});
    // The API server taints a node that no kubelet has reported ready.
    let anywhere =
        json!({"containers": spec["containers"], "tolerations": [{"operator": "Exists"}]});
    let once = json!({"containers": spec["containers"], "restartPolicy": "Never"});
    let job = json!({"template": {"metadata": {"labels": {"app": "job"}}, "spec": once}});
    let replica_set = workload("ReplicaSet", "replicas", &spec, &json!({"replicas": 1}));
    let stateful_set = workload(
        "StatefulSet",
        "state",
        &spec,
        &json!({"serviceName": "state"}),
    );
    let daemon_set = workload("DaemonSet", "daemons", &anywhere, &json!({}));
    let job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": job});

    for (what, name, object) in [
        ("replicasets", "replicas", replica_set),
        ("statefulsets", "state", stateful_set),
        ("daemonsets", "daemons", daemon_set),
        ("jobs", "job", job),
    ] {
        scene.namespace.create(what, &object).await.succeeded();
        let pods = pods(&scene.namespace, name, 1).await;
        assert_eq!(secrets(&pods[0]), ["corp-pull"], "a pod of {what}");
    }
}

#[tokio::test]
async fn secrets_of_the_pod_and_of_its_service_account_stay_and_come_first() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder"},
        "imagePullSecrets": [{"name": "account-1"}, {"name": "account-2"}],
    });
    scene
        .namespace
        .create("serviceaccounts", &account)
        .await
        .succeeded();
    for (number, (account, own, expected)) in [
        ("default", json!(null), vec!["corp-pull"]),
        ("default", json!([]), vec!["corp-pull"]),
        (
            "builder",
            json!(null),
            vec!["account-1", "account-2", "corp-pull"],
        ),
        (
            "default",
            json!([{"name": "own"}]),
            vec!["own", "corp-pull"],
        ),
        // Kubernetes' own rule: the account's are taken only where the pod has none.
        (
            "builder",
            json!([{"name": "own"}]),
            vec!["own", "corp-pull"],
        ),
        ("default", json!([{"name": "corp-pull"}]), vec!["corp-pull"]),
        (
            "default",
            json!([{"name": "corp-pull"}, {"name": "own"}]),
            vec!["corp-pull", "own"],
        ),
        // An empty name is legal and means nothing.
        ("default", json!([{}]), vec!["", "corp-pull"]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut pod = pod_of(
            &format!("pod-{number}"),
            &["registry.corp.example/shop/web:1"],
        );
        pod["spec"]["serviceAccountName"] = json!(account);
        pod["spec"]["imagePullSecrets"] = own.clone();
        let pod = scene.namespace.create("pods", &pod).await.succeeded();
        assert_eq!(secrets(&pod), expected, "account {account}, own {own}");
    }
}

#[tokio::test]
async fn two_registries_in_one_pod_need_two_secrets() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let images = [
        "registry.cn-hangzhou.aliyuncs.com/xxxx/rbd-rest-api",
        "registry.cn-hangzhou.aliyuncs.com/xxxx/test",
    ];
    let pod = scene
        .namespace
        .create("pods", &pod_of("both", &images))
        .await
        .succeeded();
    assert_eq!(secrets(&pod), ["aliyun-rbd", "aliyun-test"]);
    assert_eq!(injected(&pod), Some("aliyun-rbd,aliyun-test"));
}

#[tokio::test]
async fn each_image_gets_the_secret_of_its_registry() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    for (number, (image, expected)) in [
        ("localhost:5000/zyxist/moj-obraz", &["local-pull"][..]),
        ("kube-registry.cdn/kube-test/myweb:1.0", &["cdn-pull"]),
        ("k8s.gcr.io/busybox", &["gcr-pull"]),
        ("nginx", &["hub-pull"]),
        ("library/nginx:1.27", &["hub-pull"]),
        ("docker.io/library/nginx", &["hub-pull"]),
        ("index.docker.io/library/nginx", &["hub-pull"]),
        ("a.corp.example:5000/x", &["mesh-pull"]),
        ("registry.corp.example:443/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &["corp-pull"]),
        ("open.corp.example/x", &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let pod = pod_of(&format!("pod-{number}"), &[image]);
        let pod = scene.namespace.create("pods", &pod).await.succeeded();
        assert_eq!(secrets(&pod), expected, "{image}");
        assert_eq!(pod["spec"]["containers"][0]["image"], image, "images are never rewritten");
    }
}

#[tokio::test]
async fn every_field_with_an_image_counts() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let made = scene
        .namespace
        .create("pods", &every_field())
        .await
        .succeeded();
    let mut names = secrets(&made);
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "aliyun-team",
            "corp-pull",
            "hub-pull",
            "mesh-pull",
            "quay-pull"
        ]
    );

    let corp = "registry.corp.example/shop/tool:1";
    let open = container("open", "open.corp.example/x");
    let mut sidecar = container("side", corp);
    sidecar["restartPolicy"] = json!("Always");
    for (field, spec) in [
        (
            "containers",
            json!({"containers": [open, container("tool", corp)]}),
        ),
        (
            "initContainers",
            json!({"containers": [open], "initContainers": [container("tool", corp)]}),
        ),
        (
            "sidecars",
            json!({"containers": [open], "initContainers": [sidecar]}),
        ),
        (
            "volumes",
            json!({"containers": [open], "volumes": [{"name": "v", "image": {"reference": corp}}]}),
        ),
    ] {
        let pod = pod(&format!("in-{}", field.to_lowercase()), &spec);
        let made = scene.namespace.create("pods", &pod).await.succeeded();
        assert_eq!(secrets(&made), ["corp-pull"], "{field}");
    }
}

#[tokio::test]
async fn a_pod_that_lacks_nothing_is_left_as_it_is() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mut has_it = pod_of("has-it", &["registry.corp.example/shop/web:1"]);
    has_it["spec"]["imagePullSecrets"] = json!([{"name": "corp-pull"}]);
    for pod in [pod_of("needs-none", &["open.corp.example/x"]), has_it] {
        let made = scene.namespace.create("pods", &pod).await;
        assert_eq!(made.warnings, Vec::<String>::new());
        let made = made.succeeded();
        assert_eq!(made["metadata"]["annotations"], Value::Null);
        assert_eq!(
            made["spec"]["imagePullSecrets"],
            pod["spec"]["imagePullSecrets"]
        );
    }
}

#[tokio::test]
async fn a_pod_with_a_generated_name_gets_its_secrets() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mut pod = pod_of("", &["registry.corp.example/shop/web:1"]);
    pod["metadata"] = json!({"generateName": "batch-"});
    let pod = scene.namespace.create("pods", &pod).await.succeeded();
    assert!(
        pod["metadata"]["name"]
            .as_str()
            .unwrap()
            .starts_with("batch-")
    );
    assert_eq!(secrets(&pod), ["corp-pull"]);
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_and_keeps_nothing() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let pod = pod_of("web", &["registry.corp.example/shop/web:1"]);
    let shown = scene
        .namespace
        .create("pods?dryRun=All", &pod)
        .await
        .succeeded();
    assert_eq!(secrets(&shown), ["corp-pull"]);
    assert_eq!(scene.namespace.get("pods/web").await.status, 404);
    let made = scene.namespace.create("pods", &pod).await.succeeded();
    assert_eq!(
        (secrets(&made), injected(&made)),
        (secrets(&shown), injected(&shown))
    );

    let refused = pod_of("tool", &["registry.unknown.example/tool"]);
    let dry = scene.namespace.create("pods?dryRun=All", &refused).await;
    let wet = scene.namespace.create("pods", &refused).await;
    assert_eq!((dry.status, dry.message()), (403, wet.message()));
}

#[tokio::test]
async fn an_entry_holds_only_in_its_namespaces() {
    let map = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: here, match: registry.corp.example, pullSecrets: [here-pull], namespaces: [NAMESPACE]}
  - {name: elsewhere, match: registry.corp.example/shop, pullSecrets: [elsewhere-pull], namespaces: ["other-*"]}
unknownRegistries: deny
publicRegistries: []
"#;
    let Some(scene) = Scene::new(map).await else {
        return;
    };
    let pod = pod_of("web", &["registry.corp.example/shop/web:1"]);
    let pod = scene.namespace.create("pods", &pod).await.succeeded();
    assert_eq!(secrets(&pod), ["here-pull"]);
}

#[tokio::test]
async fn a_new_map_holds_for_the_next_pod() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let pod = pod_of("before", &["registry.corp.example/shop/web:1"]);
    let before = scene.namespace.create("pods", &pod).await.succeeded();
    assert_eq!(secrets(&before), ["corp-pull"]);
    scene
        .change_map(&MAP.replace("corp-pull", "corp-pull-2"))
        .await;
    let after = scene
        .namespace
        .create("pods", &renamed(&pod, "after"))
        .await
        .succeeded();
    assert_eq!(secrets(&after), ["corp-pull-2"]);
}

#[tokio::test]
async fn a_service_account_that_lists_its_secrets_strictly_refuses_ours() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
    });
    scene
        .namespace
        .create("serviceaccounts", &account)
        .await
        .succeeded();
    let mut pod = pod_of("web", &["registry.corp.example/shop/web:1"]);
    pod["spec"]["serviceAccountName"] = json!("strict");
    let answer = scene.namespace.create("pods", &pod).await;
    // Kubernetes' own words; pullpass cannot see the ServiceAccount.
    let expected = r#"imagePullSecrets[0].name="corp-pull" is not allowed because service account strict does not reference that imagePullSecret"#;
    assert_eq!(answer.status, 403, "{}", answer.message());
    assert!(answer.message().ends_with(expected), "{}", answer.message());

    // The first remedy: the account's own list.
    let listed = json!({"imagePullSecrets": [{"name": "corp-pull"}]});
    scene
        .namespace
        .patch("serviceaccounts/strict", &listed)
        .await
        .succeeded();
    let pod = eventually("the changed ServiceAccount", async || {
        let answer = scene.namespace.create("pods", &pod).await;
        (answer.status == 201).then_some(answer.body)
    })
    .await;
    assert_eq!(secrets(&pod), ["corp-pull"]);
}

/// The pods of a workload, once there are so many.
async fn pods(namespace: &Namespace, app: &str, count: usize) -> Vec<Value> {
    let what = format!("pods?labelSelector=app%3D{app}");
    eventually(&format!("{count} pods of {app}"), async || {
        let list = namespace.get(&what).await.succeeded();
        let pods = list["items"].as_array().unwrap();
        (pods.len() >= count).then(|| pods.clone())
    })
    .await
}
