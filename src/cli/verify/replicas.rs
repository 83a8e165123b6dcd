//! Which map the replicas have in force, asked through the API server, which forwards the
//! question to the admin port of each pod.
//!
//! This module must not write or wait: its caller asks again.

use crate::kube::client::KubeError;
use crate::kube::dry_run::DryRunClient;
use serde::Serialize;
use serde_json::Value;

/// The labels that the chart gives to the pods of pullpass and to no others.
const LABELS: &str =
    "&labelSelector=app.kubernetes.io%2Fpart-of%3Dpullpass,app.kubernetes.io%2Fcomponent%3Dwebhook";
/// The name that the chart gives to the admin port.
const PORT: &str = "admin";
/// The metric whose label is the digest of the map in force.
const METRIC: &str = "pullpass_map_info{digest=\"";

/// What the replicas said.
pub(super) enum Replicas {
    /// Nobody asked them, or they cannot be asked.
    NotAsked,
    /// Every ready one.
    Asked(Vec<ReplicaMap>),
}

/// The map of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ReplicaMap {
    /// Its pod.
    pub(super) pod: String,
    /// The digest of the map in force.
    pub(super) digest: Option<String>,
}

/// Asks every ready replica in the namespace.
pub(super) async fn ask(api: &DryRunClient, namespace: &str) -> Result<Vec<ReplicaMap>, KubeError> {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let list = api.list(&pods, LABELS).await?;
    let mut replicas = Vec::new();
    for (pod, port) in list.iter().filter_map(ready) {
        let metrics = api
            .get_text(&format!("{pods}/http:{pod}:{port}/proxy/metrics"))
            .await?;
        replicas.push(ReplicaMap {
            pod: pod.to_owned(),
            digest: digest(&metrics),
        });
    }
    if replicas.is_empty() {
        return Err(KubeError::Missing(format!(
            "ready pod of pullpass in the namespace {namespace}"
        )));
    }
    Ok(replicas)
}

/// Name and admin port of a pod that is ready and is not being deleted.
fn ready(pod: &Value) -> Option<(&str, u64)> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let is_ready = conditions.iter().any(|condition| {
        condition.get("type").is_some_and(|kind| kind == "Ready")
            && condition
                .get("status")
                .is_some_and(|status| status == "True")
    });
    let is_going = pod.pointer("/metadata/deletionTimestamp").is_some();
    let name = pod.pointer("/metadata/name")?.as_str()?;
    // The name stands in a path.
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    let containers = pod.pointer("/spec/containers")?.as_array()?.iter();
    let ports = containers.filter_map(|container| container.get("ports")?.as_array());
    let port = ports
        .flatten()
        .find(|port| port.get("name").is_some_and(|name| name == PORT))?;
    let port = port.get("containerPort")?.as_u64()?;
    (is_ready && !is_going && is_plain).then_some((name, port))
}

/// The digest in the text of the metrics.
fn digest(metrics: &str) -> Option<String> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(METRIC))?;
    let (digest, _) = line.split_once('"')?;
    Some(digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_ready_pods_with_the_port_are_asked() {
        let pod = |name: &str, ready: &str, port: &str| {
            json!({
                "metadata": {"name": name},
                "spec": {"containers": [{"name": "sidecar"}, {"ports": [{"name": port, "containerPort": 8080}]}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        assert_eq!(ready(&pod("a-1", "True", "admin")), Some(("a-1", 8080)));
        assert_eq!(ready(&pod("a-1", "False", "admin")), None);
        assert_eq!(ready(&pod("a-1", "True", "http")), None);
        assert_eq!(ready(&pod("../a", "True", "admin")), None);
        let mut going = pod("a-1", "True", "admin");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(ready(&going), None);
        assert_eq!(ready(&json!({})), None);
    }

    #[test]
    fn the_digest_is_that_of_the_metric() {
        let metrics =
            "# HELP pullpass_map_info The map.\npullpass_map_info{digest=\"sha256:ab\"} 1\n";
        assert_eq!(digest(metrics).as_deref(), Some("sha256:ab"));
        assert_eq!(digest("pullpass_map_entries 1\n"), None);
        assert_eq!(digest(""), None);
    }
}
