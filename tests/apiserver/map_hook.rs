//! The `ConfigMap` that holds the registry map, written with kubectl: a broken one is
//! refused, in the words of `pullpass config validate`.

use crate::api::{Api, Namespace, eventually};
use crate::control_plane::{ControlPlane, Said, control_plane};
use crate::golden;
use crate::pullpass::Pullpass;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const GOOD: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - name: corp
    match: registry.corp.example
    pullSecrets: [corp-pull]
";

const BROKEN: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - name: corp
    match: team/app
    pullSecret: [corp-pull]
";

struct Scene {
    plane: &'static ControlPlane,
    api: Api,
    namespace: Namespace,
    pullpass: Pullpass,
}

impl Scene {
    /// A namespace whose maps are asked about, as the chart does it. The server has no
    /// map itself: what it says does not hang on it.
    async fn new() -> Option<Self> {
        let plane = control_plane()?;
        let api = Api::new(plane).await;
        let namespace = api.namespace("map").await;
        let pullpass = Pullpass::start(plane, None, None, &[]);
        let scene = Self {
            plane,
            api,
            namespace,
            pullpass,
        };
        scene.register().await;
        Some(scene)
    }

    async fn register(&self) {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": format!("{}-map", self.namespace.name)},
            "webhooks": [{
                "name": "validate-map.pullpass.dev",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": format!("{}/validate-map", self.pullpass.url),
                    "caBundle": STANDARD.encode(&self.pullpass.ca),
                },
                "rules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["configmaps"],
                    "operations": ["CREATE", "UPDATE"],
                    "scope": "Namespaced",
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace.name}},
                "objectSelector": {"matchExpressions": [{"key": "pullpass.dev/map", "operator": "Exists"}]},
                "failurePolicy": "Ignore",
                "timeoutSeconds": 30,
                "sideEffects": "None",
            }],
        });
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        self.api
            .send(Method::POST, path, Some(&object))
            .await
            .succeeded();
        let broken = config_map("probe", BROKEN);
        eventually("the webhook configuration", async || {
            let answer = self
                .namespace
                .create("configmaps?dryRun=All", &broken)
                .await;
            (answer.status == 422).then_some(())
        })
        .await;
    }

    fn run(&self, editor: &str, arguments: &[&str], stdin: &Value) -> Said {
        let named = [&["--namespace", self.namespace.name.as_str()], arguments].concat();
        self.plane
            .kubectl_with_editor(editor, &named, &stdin.to_string())
    }

    /// What people see; the command has to come out like this.
    #[track_caller]
    fn kubectl(&self, success: bool, arguments: &[&str], stdin: &Value) -> String {
        let said = self.run("false", arguments, stdin);
        let text = format!("{}{}", said.stderr, said.stdout);
        assert_eq!(said.success, success, "{text}");
        text
    }

    #[track_caller]
    fn apply(&self, success: bool, object: &Value) -> String {
        self.kubectl(success, &["apply", "-f", "-"], object)
    }
}

fn config_map(name: &str, map: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"pullpass.dev/map": ""}},
        "data": {"map.yaml": map},
    })
}

/// What `pullpass config validate map.yaml` prints.
fn config_validate(map: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("map.yaml"), map).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["config", "validate", "map.yaml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_map_is_denied_with_the_words_of_config_validate() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let refused = scene.apply(false, &config_map("registry-map", BROKEN));
    let words = config_validate(BROKEN);
    assert!(refused.contains(words.trim_end()), "{words}\n{refused}");
    golden::same("broken-map", &refused);
    let gone = scene.namespace.get("configmaps/registry-map").await;
    assert_eq!(gone.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_map_is_taken_and_cannot_be_broken_later() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let object = config_map("registry-map", GOOD);
    assert_eq!(
        scene.apply(true, &object),
        "configmap/registry-map created\n"
    );
    scene.apply(false, &config_map("registry-map", BROKEN));
    let serverside = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    scene.kubectl(false, &serverside, &config_map("registry-map", BROKEN));
    let patch = json!({"data": {"20-more.yaml": "no map"}}).to_string();
    let patch = [
        "patch",
        "configmap/registry-map",
        "--type=merge",
        "-p",
        &patch,
    ];
    let said = scene.kubectl(false, &patch, &Value::Null);
    assert!(said.contains("20-more.yaml:1:1"), "{said}");
    let stored = scene.namespace.get("configmaps/registry-map").await;
    assert_eq!(stored.succeeded()["data"], object["data"]);

    let warned = format!("{GOOD}exemptNamespaces: [\"team-*\"]\n");
    let said = scene.apply(true, &config_map("registry-map", &warned));
    assert!(
        said.starts_with("Warning: map.yaml:7:20: warning: "),
        "{said}"
    );
    let label = ["label", "configmap/registry-map", "pullpass.dev/map-"];
    let said = scene.kubectl(true, &label, &Value::Null);
    assert!(
        said.starts_with("Warning: without the label pullpass.dev/map"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_opens_again_with_the_errors_in_it() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    scene.apply(true, &config_map("registry-map", GOOD));
    let folder = tempfile::tempdir().unwrap();
    let [script, shown] = ["edit", "shown"].map(|name| folder.path().join(name));
    let text = |path: &PathBuf| path.display().to_string();
    // Breaks the map; the second time it looks, changes nothing and goes.
    let editor = format!(
        "if [ -e {0} ]; then cp \"$1\" {0}; else : >{0}; sed -i s/pullSecrets/pullSecret/ \"$1\"; fi\n",
        text(&shown)
    );
    fs::write(&script, editor).unwrap();
    let editor = format!("/bin/sh {}", text(&script));
    let arguments = ["edit", "configmap/registry-map"];
    let said = scene.run(&editor, &arguments, &Value::Null);
    assert!(!said.success, "{}{}", said.stderr, said.stdout);
    let shown = fs::read_to_string(shown).unwrap_or_else(|_| panic!("{}", said.stderr));
    let comments: Vec<&str> = shown.lines().filter(|l| l.starts_with('#')).collect();
    golden::same("broken-map-in-the-editor", &(comments.join("\n") + "\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_and_without_the_label_anything_is_taken() {
    let Some(mut scene) = Scene::new().await else {
        return;
    };
    let mut other = config_map("other", BROKEN);
    other["metadata"]["labels"] = json!({});
    scene.apply(true, &other);
    let elsewhere = scene.api.namespace("elsewhere").await;
    let broken = config_map("registry-map", BROKEN);
    elsewhere.create("configmaps", &broken).await.succeeded();

    scene.pullpass.stop();
    scene.apply(true, &broken);
}
