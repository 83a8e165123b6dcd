//! Objects that the tests send, as JSON: what is sent is what is written here.

use serde_json::{Value, json};

pub(crate) fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image})
}

/// A pod with this spec.
pub(crate) fn pod(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    })
}

/// A pod with a container for each image.
pub(crate) fn pod_of(name: &str, images: &[&str]) -> Value {
    let containers = images.iter().enumerate();
    let containers = containers.map(|(index, image)| container(&format!("c{index}"), image));
    pod(name, &json!({"containers": containers.collect::<Vec<_>>()}))
}

pub(crate) fn renamed(pod: &Value, name: &str) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["name"] = json!(name);
    pod
}

/// A pod with an image in every place that a new pod may have one.
pub(crate) fn every_field() -> Value {
    let mut sidecar = container("mesh", "registry.corp.example:5000/mesh/proxy:3");
    sidecar["restartPolicy"] = json!("Always");
    let digest = format!("quay.io/shop/model@sha256:{}", "0123456789abcdef".repeat(4));
    let schema = container("schema", "registry.cn-hangzhou.aliyuncs.com/team/schema:7");
    let web = container("web", "registry.corp.example/shop/web:1.4");
    let spec = json!({
        "initContainers": [schema, sidecar],
        "containers": [web, container("cache", "redis")],
        "volumes": [
            {"name": "model", "image": {"reference": digest, "pullPolicy": "IfNotPresent"}},
            {"name": "scratch", "emptyDir": {}},
        ],
    });
    pod("every-field", &spec)
}

/// A pod as a kubelet shows one of its static pods.
pub(crate) fn mirror_pod(name: &str, node: &str, node_uid: &str, image: &str) -> Value {
    let owner = json!({
        "apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid, "controller": true,
    });
    let annotations = json!({
        "kubernetes.io/config.mirror": "0123456789abcdef", "kubernetes.io/config.source": "file",
    });
    let mut pod = pod(
        name,
        &json!({"nodeName": node, "containers": [container("proxy", image)]}),
    );
    pod["metadata"] = json!({"name": name, "annotations": annotations, "ownerReferences": [owner]});
    pod
}

/// An object of the group `apps` that makes pods with this spec.
pub(crate) fn workload(kind: &str, name: &str, pod_spec: &Value, more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec},
        },
    });
    let more = more.as_object().unwrap().clone();
    object["spec"].as_object_mut().unwrap().extend(more);
    object
}

/// The names of a pod's pull secrets, in its order.
pub(crate) fn secrets(pod: &Value) -> Vec<&str> {
    let secrets = pod["spec"]["imagePullSecrets"].as_array();
    let secrets = secrets.map(Vec::as_slice).unwrap_or_default();
    secrets
        .iter()
        .map(|secret| secret["name"].as_str().unwrap_or_default())
        .collect()
}

/// What pullpass says on the pod that it added.
pub(crate) fn injected(pod: &Value) -> Option<&str> {
    pod["metadata"]["annotations"]["pullpass.dev/injected"].as_str()
}
