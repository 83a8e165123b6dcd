//! `pullpass doctor` on a real API server: pods with a kubelet's words in their status, and
//! the Secrets, `ServiceAccount`s and nodes that prove the cause.

use crate::api::{Api, Namespace, eventually};
use crate::control_plane::{ControlPlane, control_plane};
use crate::objects::{container, pod, workload};
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// A test's own namespace, and the program to look at it with.
struct Ward {
    plane: &'static ControlPlane,
    namespace: Namespace,
}

impl Ward {
    async fn new() -> Option<Self> {
        let plane = control_plane()?;
        let namespace = Api::new(plane).await.namespace("doctor").await;
        Some(Self { plane, namespace })
    }

    /// A pod on a node that does not exist, which waits for its image with these words.
    async fn patient(&self, name: &str, image: &str, spec: Value, message: &str) {
        let mut whole =
            json!({"containers": [container("app", image)], "nodeName": "node-of-doctor"});
        whole
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        self.namespace
            .create("pods", &pod(name, &whole))
            .await
            .succeeded();
        self.say(name, image, "ImagePullBackOff", message).await;
    }

    async fn say(&self, name: &str, image: &str, reason: &str, message: &str) {
        let status = json!({"status": {"phase": "Pending", "containerStatuses": [{
            "name": "app", "image": image, "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}},
        }]}});
        let path = format!("pods/{name}/status");
        self.namespace.patch(&path, &status).await.succeeded();
    }

    async fn secret(&self, name: &str, kind: &str, key: &str, content: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind,
            "data": {key: STANDARD.encode(content)},
        });
        self.namespace.create("secrets", &secret).await.succeeded();
    }

    async fn login(&self, name: &str, registry: &str, user: &str, password: &str) {
        let config = json!({"auths": {registry: {"username": user, "password": password}}});
        self.secret(
            name,
            "kubernetes.io/dockerconfigjson",
            ".dockerconfigjson",
            &config.to_string(),
        )
        .await;
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullpass"));
        command
            .env_clear()
            .arg("doctor")
            .arg("--kubeconfig")
            .arg(&self.plane.kubeconfig);
        command
    }

    /// The report about this namespace, or about some of its objects.
    fn report(&self, targets: &[&str]) -> (Option<i32>, Value) {
        let output = self
            .command()
            .args(["--namespace", &self.namespace.name, "-o", "json"])
            .args(targets)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("hunter2"), "a password is printed: {text}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_str(&text).unwrap_or_else(|_| json!({"error": errors}));
        (output.status.code(), report)
    }

    /// The one finding about a pod.
    #[track_caller]
    fn finding(&self, pod: &str) -> Value {
        let (code, report) = self.report(&[pod]);
        assert_eq!(code, Some(1), "{pod}: {report}");
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{pod}: {report}");
        findings[0].clone()
    }

    /// Whether a pod gets a cause, with these words among its evidence.
    #[track_caller]
    fn expect(&self, pod: &str, cause: &str, evidence: &str) {
        let finding = self.finding(pod);
        assert_eq!(finding["cause"], cause, "{pod}: {finding}");
        let told = finding["evidence"].to_string();
        assert!(
            told.contains(evidence),
            "{pod}: {evidence:?} is not in {told}"
        );
    }
}

const IMAGE: &str = "registry.corp.example/shop/web:1";
/// What containerd before 1.7 says, with a credential and without.
const DENIED: &str = "Back-off pulling image \"registry.corp.example/shop/web:1\": ErrImagePull: failed to pull and \
    unpack image \"registry.corp.example/shop/web:1\": failed to resolve reference \
    \"registry.corp.example/shop/web:1\": pulling from host registry.corp.example failed with status code \
    [manifests 1]: 401 Unauthorized";

fn named(secrets: &[&str]) -> Value {
    let list: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
    json!({"imagePullSecrets": list})
}

/// One Secret of each kind that people have.
async fn make_secrets(ward: &Ward) {
    let ecr = STANDARD.encode("{\"payload\":\"hunter2\",\"expiration\":1600000000}");
    ward.login("fits", "registry.corp.example", "u", "hunter2")
        .await;
    ward.login("robot", "registry.corp.example", "robot", "hunter2\n")
        .await;
    ward.login("old", "registry.corp.example", "AWS", &ecr)
        .await;
    ward.login("port", "registry.corp.example:443", "u", "hunter2")
        .await;
    ward.login("case", "Registry.corp.example", "u", "hunter2")
        .await;
    ward.login("path", "registry.corp.example/other", "u", "hunter2")
        .await;
    ward.login("elsewhere", "registry.other.example", "u", "hunter2")
        .await;
    ward.secret("opaque", "Opaque", ".dockerconfigjson", "{\"auths\":{}}")
        .await;
    ward.secret(
        "helper",
        "kubernetes.io/dockerconfigjson",
        ".dockerconfigjson",
        "{\"credsStore\":\"x\"}",
    )
    .await;
    ward.secret(
        "malformed",
        "kubernetes.io/dockerconfigjson",
        ".dockerconfigjson",
        "{\"auths\":{\"registry.corp.example\":{\"auth\":\"hunter2!\"}}}",
    )
    .await;
}

/// Cause and evidence for a pod that has this Secret.
const BY_SECRET: [(&str, &str, &str); 11] = [
    ("fits", "credential-rejected", "sends its credential"),
    ("robot", "credential-rejected", "single quotes"),
    ("old", "credential-rejected", "its token expired"),
    (
        "port",
        "no-credential",
        "the kubelet compares ports as text",
    ),
    ("case", "no-credential", "letter by letter"),
    (
        "path",
        "no-credential",
        "not the beginning of the image's path",
    ),
    (
        "elsewhere",
        "no-credential",
        "the image's registry is registry.corp.example",
    ),
    ("opaque", "no-credential", "which the kubelet ignores"),
    ("helper", "no-credential", "never calls"),
    (
        "malformed",
        "secret-malformed",
        "the kubelet starts no pull",
    ),
    (
        "absent",
        "secret-missing",
        "does not exist in this namespace",
    ),
];

#[tokio::test]
async fn the_secrets_of_a_pod_prove_why_the_registry_denies_it() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    make_secrets(&ward).await;
    for (secret, cause, evidence) in BY_SECRET {
        let name = format!("with-{secret}");
        ward.patient(&name, IMAGE, named(&[secret]), DENIED).await;
        ward.expect(&name, cause, evidence);
    }
    ward.patient("without", IMAGE, json!({}), DENIED).await;
    ward.expect("without", "no-credential", "the pod names no pull secret");
}

#[tokio::test]
async fn a_pod_with_a_list_of_its_own_does_not_get_that_of_its_service_account() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    ward.login("of-account", "registry.corp.example", "u", "hunter2")
        .await;
    ward.login("of-pod", "registry.other.example", "u", "hunter2")
        .await;
    let patch = json!({"imagePullSecrets": [{"name": "of-account"}]});
    ward.namespace
        .patch("serviceaccounts/default", &patch)
        .await
        .succeeded();
    ward.patient("own-list", IMAGE, named(&["of-pod"]), DENIED)
        .await;
    ward.expect(
        "own-list",
        "no-credential",
        "Secret of-account of ServiceAccount default serves this image",
    );
}

#[tokio::test]
async fn a_secret_in_another_namespace_is_named() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    let other = Api::new(ward.plane).await.namespace("doctor-other").await;
    let other = Ward {
        plane: ward.plane,
        namespace: other,
    };
    let name = format!("only-{}", other.namespace.name);
    other
        .login(&name, "registry.corp.example", "u", "hunter2")
        .await;
    ward.patient("astray", IMAGE, named(&[&name]), DENIED).await;
    ward.expect(
        "astray",
        "secret-missing",
        &format!("but in {}", other.namespace.name),
    );
}

#[tokio::test]
async fn the_words_of_a_kubelet_get_their_cause_from_the_status_alone() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    for (name, reason, message, cause) in [
        (
            "reference",
            "InvalidImageName",
            "Failed to apply default image tag \"HTTP://x\": couldn't parse image name \"HTTP://x\": invalid reference format: repository name must be lowercase",
            "bad-reference",
        ),
        (
            "never",
            "ErrImageNeverPull",
            "Container image \"registry.corp.example/shop/web:1\" is not present with pull policy of Never",
            "never-pull",
        ),
        (
            "raw",
            "unable to parse auth field, must be formatted as base64(username:password)",
            "unable to parse auth field, must be formatted as base64(username:password)",
            "secret-malformed",
        ),
        (
            "json",
            "invalid character 'h' looking for beginning of value",
            "invalid character 'h' looking for beginning of value",
            "secret-malformed",
        ),
        ("qps", "ErrImagePull", "pull QPS exceeded", "kubelet-qps"),
        (
            "down",
            "RegistryUnavailable",
            "image pull failed for registry.corp.example/shop/web:1 because the registry is unavailable: pinging container registry registry.corp.example: Get \"https://registry.corp.example/v2/\": dial tcp 10.0.0.1:443: connect: connection refused",
            "unreachable",
        ),
        (
            "signature",
            "SignatureValidationFailed",
            "image pull failed for registry.corp.example/shop/web:1 because the signature validation failed: Source image rejected: A signature was required, but no signature exists",
            "policy-rejected",
        ),
    ] {
        ward.patient(name, IMAGE, json!({}), message).await;
        ward.say(name, IMAGE, reason, message).await;
        ward.expect(name, cause, "");
    }
}

#[tokio::test]
async fn pods_are_grouped_by_cause_and_host_and_the_node_is_asked() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-of-doctor"}});
    // Another test may have made it.
    ward.namespace.api.post("/api/v1/nodes", &node).await;
    let status = json!({"status": {
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "Ubuntu",
            "containerRuntimeVersion": "containerd://2.0.5-k3s1", "kubeletVersion": "v1.33.1+k3s1",
            "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "arm64",
        },
        "images": [{"names": ["registry.corp.example/shop/cached:1"], "sizeBytes": 1}],
    }});
    let path = "/api/v1/nodes/node-of-doctor/status";
    ward.namespace
        .api
        .send(Method::PATCH, path, Some(&status))
        .await
        .succeeded();
    let x509 = "failed to do request: Head \"https://registry.corp.example/v2/shop/web/manifests/1\": tls: failed to \
        verify certificate: x509: certificate signed by unknown authority";
    for number in 0..7 {
        ward.patient(&format!("web-{number}"), IMAGE, json!({}), x509)
            .await;
    }
    let platform = "failed to pull and unpack image \"registry.corp.example/shop/arm:1\": no match for platform in \
        manifest: not found";
    ward.patient(
        "arm",
        "registry.corp.example/shop/arm:1",
        json!({}),
        platform,
    )
    .await;
    let cached = "registry.corp.example/shop/cached:1";
    let denied = DENIED.replace("web:1", "cached:1");
    ward.patient("cached", cached, json!({}), &denied).await;
    let (code, report) = ward.report(&[]);
    assert_eq!(code, Some(1));
    let findings = report["findings"].as_array().unwrap();
    let causes: Vec<_> = findings
        .iter()
        .map(|one| one["cause"].as_str().unwrap())
        .collect();
    assert_eq!(causes[0], "tls-unknown-ca", "{report}");
    assert_eq!(findings[0]["count"], 7);
    let commands = findings[0]["remedy"]["commands"].to_string();
    assert!(
        commands.contains("/etc/rancher/k3s/registries.yaml"),
        "{commands}"
    );
    ward.expect("arm", "no-platform", "node node-of-doctor is arm64");
    ward.expect("cached", "credential-unverified", "the image is on node");
}

#[tokio::test]
async fn an_owner_whose_pods_are_denied_is_found_by_its_events() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    let spec = json!({"containers": [container("app", IMAGE)], "serviceAccountName": "nobody"});
    let deployment = workload("Deployment", "web", &spec, &json!({"replicas": 1}));
    ward.namespace
        .create("deployments", &deployment)
        .await
        .succeeded();
    eventually("the finding about admission", async || {
        let (_, report) = ward.report(&["deploy/web"]);
        (report["findings"][0]["cause"] == "admission").then_some(())
    })
    .await;
}

/// The kubeconfig of somebody who may read the pods and nothing else.
async fn reader(ward: &Ward) -> PathBuf {
    let user = format!("reader-of-{}", ward.namespace.name);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "pods"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "pods"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
    let rbac = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}",
        ward.namespace.name
    );
    ward.namespace
        .api
        .post(&format!("{rbac}/roles"), &role)
        .await
        .succeeded();
    ward.namespace
        .api
        .post(&format!("{rbac}/rolebindings"), &binding)
        .await
        .succeeded();
    let kubeconfig = std::fs::read_to_string(&ward.plane.kubeconfig).unwrap();
    let mut kubeconfig: kube::config::Kubeconfig = serde_saphyr::from_str(&kubeconfig).unwrap();
    kubeconfig.auth_infos[0]
        .auth_info
        .as_mut()
        .unwrap()
        .impersonate = Some(user);
    let path = ward
        .plane
        .folder
        .join(format!("{}.kubeconfig", ward.namespace.name));
    std::fs::write(&path, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
    path
}

#[tokio::test]
async fn without_rights_the_words_are_read_and_the_rest_is_said() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    ward.login("fits", "registry.corp.example", "u", "hunter2")
        .await;
    ward.patient("web", IMAGE, named(&["fits"]), DENIED).await;
    let path = reader(&ward).await;
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .env_clear()
        .args([
            "doctor",
            "-n",
            &ward.namespace.name,
            "-o",
            "json",
            "--kubeconfig",
        ])
        .arg(&path)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(1));
    let finding = &report["findings"][0];
    assert_eq!(finding["cause"], "credential-rejected");
    let notes = report["notes"].to_string();
    for what in [
        "events could not be read",
        "nodes could not be read",
        "Secrets could not be read",
        "ServiceAccounts",
    ] {
        assert!(notes.contains(what), "{what}: {notes}");
    }
}

#[tokio::test]
async fn a_healthy_namespace_is_fine_and_an_absent_object_is_an_error() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    assert_eq!(ward.report(&[]).0, Some(0));
    assert_eq!(ward.report(&["deploy/absent"]).0, Some(2));
}

#[tokio::test]
async fn waiting_ends_with_a_cause_that_stands_and_with_the_time() {
    let Some(ward) = Ward::new().await else {
        return;
    };
    ward.patient("web", IMAGE, json!({}), DENIED).await;
    let (code, report) = ward.report(&["web", "--wait", "--timeout", "5m"]);
    assert_eq!(code, Some(1));
    assert_eq!(report["findings"][0]["cause"], "no-credential");
    ward.patient("slow", IMAGE, json!({}), "pull QPS exceeded")
        .await;
    let (code, report) = ward.report(&["slow", "--wait", "--timeout", "1s"]);
    assert_eq!(code, Some(1));
    assert!(
        report["notes"].to_string().contains("the time is over"),
        "{report}"
    );
}
