//! `serve --check` with the account of the chart, against the real API server: which rights are
//! missing, and whether another installation judges the pods of this one.

use crate::self_signed::Scene;
use axum::http::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const MAP: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries: [{match: registry.corp.example, namespaceSelector: {matchLabels: {team: a}}}]
";

struct Installation {
    scene: Scene,
    kubeconfig: PathBuf,
}

impl Installation {
    async fn new(prefix: &str) -> Option<Self> {
        let (scene, kubeconfig) = Scene::without_replicas(prefix).await?;
        Some(Self { scene, kubeconfig })
    }

    /// Exit code and stdout of the check.
    fn check(&self, more: &[&str]) -> (Option<i32>, String) {
        let name = self.scene.name();
        let namespace = &self.scene.namespace.name;
        let map = self.kubeconfig.with_extension("map.yaml");
        fs::write(&map, MAP).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
            .env("KUBECONFIG", &self.kubeconfig)
            .args(["serve", "--check", "--webhook-service=pullpass"])
            .args(["--self-signed-secret=pullpass-tls", "--listen=127.0.0.1:0"])
            .arg("--admin-listen=127.0.0.1:0")
            .arg(format!("--config={}", map.display()))
            .arg(format!("--namespace={namespace}"))
            .arg(format!("--mutating-webhook-configuration={name}"))
            .arg(format!("--validating-webhook-configuration={name}-map"))
            .arg(format!("--check-service=pullpass.{namespace}"))
            .args(more)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), out)
    }

    /// Gives the account what the check itself needs, and the watch on namespaces.
    async fn allow(&self) {
        let rules = json!([
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["list"]},
        ]);
        let name = format!("{}-check", self.scene.name());
        let group = "rbac.authorization.k8s.io";
        let version = format!("{group}/v1");
        let role = json!({"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
        let binding = json!({
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "pullpass", "namespace": self.scene.namespace.name}],
        });
        for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
            self.post(&format!("/apis/{group}/v1/{resource}"), &object)
                .await;
        }
    }

    async fn post(&self, path: &str, object: &Value) {
        let answer = self.scene.api.send(Method::POST, path, Some(object)).await;
        answer.succeeded();
    }
}

#[tokio::test]
async fn rights_that_are_missing_are_named_and_those_that_are_there_are_not() {
    let Some(installation) = Installation::new("check-rights").await else {
        return;
    };
    let (code, out) = installation.check(&[]);
    assert_eq!(code, Some(1), "{out}");
    let missing = "has no right to list namespaces, watch namespaces;";
    assert!(out.contains(missing), "{out}");
    // What is no problem of serving is no problem.
    assert!(out.contains("note: cannot tell whether another"), "{out}");

    let role = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles/{}",
        installation.scene.namespace.name,
        installation.scene.name()
    );
    let api = &installation.scene.api;
    api.send(Method::DELETE, &role, None).await.succeeded();
    let (_, out) = installation.check(&["--events"]);
    let secret = format!(
        "patch secrets {}/pullpass-tls",
        installation.scene.namespace.name
    );
    assert!(out.contains(&secret), "{out}");
    assert!(out.contains("create events.events.k8s.io"), "{out}");
    assert!(!out.contains("webhookconfigurations"), "{out}");
}

#[tokio::test]
async fn another_installation_that_judges_these_pods_is_refused() {
    let Some(installation) = Installation::new("check-second").await else {
        return;
    };
    installation.allow().await;
    let (code, out) = installation.check(&[]);
    assert_eq!(code, Some(0), "{out}");

    // It selects this test's namespace alone, so that no other test meets it.
    let own = &installation.scene.namespace.name;
    let foreign = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": format!("foreign-{own}"), "labels": {"pullpass.dev/webhook": ""}},
        "webhooks": [{
            "name": "mutate.pullpass.dev",
            "clientConfig": {"service": {"namespace": "elsewhere", "name": "pullpass"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [own]},
            ]},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    installation.post(path, &foreign).await;
    let (code, out) = installation.check(&[]);
    assert_eq!(code, Some(1), "{out}");
    let words = format!("add {own} to the exempt namespaces of that installation");
    assert!(out.contains("the installation in elsewhere"), "{out}");
    assert!(out.contains(&words), "{out}");

    let path = format!("{path}/foreign-{own}");
    let api = &installation.scene.api;
    api.send(Method::DELETE, &path, None).await.succeeded();
    let (code, out) = installation.check(&[]);
    assert_eq!(code, Some(0), "{out}");
}
