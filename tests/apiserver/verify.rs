//! `pullpass verify` on a real API server: what it says when all is well, what it
//! finds when it is not, and that it leaves nothing behind.

use crate::api::{Namespace, eventually};
use crate::golden;
use crate::objects::{pod_of, secrets};
use crate::pullpass::Scene;
use axum::http::Method;
use serde_json::{Value, json};
use std::process::Command;

const MAP: &str = include_str!("../../examples/deny-all.yaml");

/// What a run came to.
struct Said {
    code: Option<i32>,
    text: String,
}

/// Runs `pullpass verify` for the namespace; `map` is what is expected there.
fn verify(scene: &Scene, map: Option<&str>, more: &[&str]) -> Said {
    let file = scene.plane.folder.join(format!("{}-map.yaml", scene.name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullpass"));
    command.env_clear().arg("verify");
    if let Some(map) = map {
        std::fs::write(&file, map.replace("NAMESPACE", &scene.name)).unwrap();
        command.arg("--config").arg(&file);
        command.args(["--pullpass-namespace", "pullpass"]);
    }
    if !more.contains(&"--kubeconfig") {
        command.arg("--kubeconfig").arg(&scene.plane.kubeconfig);
    }
    let output = command
        .args(["--namespace", &scene.name])
        .args(more)
        .output()
        .unwrap();
    let text = output.stderr.into_iter().chain(output.stdout).collect();
    let text = String::from_utf8(text).unwrap();
    Said {
        code: output.status.code(),
        text: text
            .replace(file.to_str().unwrap(), "registry-map.yaml")
            .replace(&scene.name, "NAMESPACE"),
    }
}

/// Without what differs from run to run: the header, and the widths that come from
/// names.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = match words.first() {
            _ if line.starts_with("    ") => format!("    {}", words.join(" ")),
            Some(&"map") => "map       registry-map.yaml, sha256:DIGEST".to_owned(),
            Some(&"time") => "time      TIME".to_owned(),
            Some(&"pullpass") => "pullpass  VERSION".to_owned(),
            Some(&"cluster") => {
                "cluster   URL, Kubernetes VERSION, context test, uid UID".to_owned()
            }
            _ => {
                let cells = line.split("  ").map(str::trim);
                let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
                cells.join("  ")
            }
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// A scene with a pod in it, which can take an ephemeral container.
async fn scene() -> Option<Scene> {
    let scene = Scene::new(MAP).await?;
    let pod = pod_of("web", &["registry.corp.example/shop/web:1"]);
    scene.namespace.create("pods", &pod).await.succeeded();
    Some(scene)
}

/// Requests in the namespace that the audit log has and that were no dry run.
fn meant(scene: &Scene) -> usize {
    let log = std::fs::read_to_string(&scene.plane.audit_log).unwrap();
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let here = events.filter(|event| event["objectRef"]["namespace"] == scene.name.as_str());
    let uris = here.map(|event| event["requestURI"].to_string());
    uris.filter(|uri| !uri.contains("dryRun=All")).count()
}

async fn pods(namespace: &Namespace) -> String {
    let list = namespace.get("pods").await.succeeded();
    list["items"].to_string()
}

#[tokio::test]
async fn all_is_well_and_nothing_is_left_behind() {
    let Some(scene) = scene().await else {
        return;
    };
    let (before, requests) = (pods(&scene.namespace).await, meant(&scene));
    let said = verify(&scene, Some(MAP), &["--image", "docker.io/nginx"]);
    golden::same("verify", &steady(&said.text));
    assert_eq!(said.code, Some(0));
    assert_eq!(steady(&said.text), steady(&shown_in_documentation()));
    assert_eq!(pods(&scene.namespace).await, before);
    assert_eq!(meant(&scene), requests);
    // The log has them: it is not that nothing was asked.
    let log = std::fs::read_to_string(&scene.plane.audit_log).unwrap();
    let asked = log.lines().filter(|line| {
        line.contains(&format!("/namespaces/{}/pods", scene.name)) && line.contains("dryRun=All")
    });
    assert!(asked.count() >= 6);
}

#[tokio::test]
async fn the_same_by_hand_is_as_documented() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let by_hand = ["run", "try", "--image", "docker.io/nginx"];
    let by_hand = [&by_hand[..], &["--dry-run=server"]].concat();
    let said = scene.kubectl(&by_hand, &Value::Null);
    let (_, said) = said.split_once('\n').unwrap();
    let page = include_str!("../../docs/compliance.md");
    let said = said.trim_end().trim_end_matches("(failed)");
    assert!(page.contains(said), "{said}");
}

/// What docs/commands.md says that the command prints.
fn shown_in_documentation() -> String {
    let page = include_str!("../../docs/commands.md");
    let (_, rest) = page.split_once("```text\n$ pullpass verify ").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let (_, output) = block.split_once('\n').unwrap();
    output.replace("shop", "NAMESPACE")
}

#[tokio::test]
async fn the_same_as_json() {
    let Some(scene) = scene().await else {
        return;
    };
    let said = verify(&scene, Some(MAP), &["-o", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    let report: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(
        report["summary"],
        json!({"asExpected": 5, "findings": 0, "notTried": 0, "noProof": 0, "exempt": 0, "unprovenNamespaces": []})
    );
    let row = json!({
        "namespace": "NAMESPACE", "probe": "denied-registry", "image": "docker.io/evil/pullpass-verify",
        "expected": "denied", "got": "denied", "result": "as-expected", "detail": "",
    });
    assert_eq!(report["probes"][1], row);
    let cluster = &report["cluster"];
    assert_eq!(cluster["version"], json!(scene.plane.version()));
    assert_eq!(cluster["uid"].as_str().unwrap().len(), 36);
    assert!(report["time"].as_str().unwrap().ends_with('Z'));
    let digest = report["map"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:"), "{digest}");
}

#[tokio::test]
async fn a_namespace_without_a_pod_is_not_said_to_have_been_tried() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let said = verify(&scene, Some(MAP), &[]);
    assert!(said.text.contains("    no running pod\n"), "{}", said.text);
    assert!(said.text.contains("not tried: 1,"), "{}", said.text);
    assert_eq!(said.code, Some(0));
}

/// Changes pullpass's webhook configurations and waits for a sign of it.
async fn reconfigure(scene: &Scene, change: &Value, sign: impl AsyncFn(&Scene) -> bool) {
    for kind in ["mutating", "validating"] {
        let path = format!(
            "/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/{}-pullpass",
            scene.name
        );
        let mut object = scene.api.send(Method::GET, &path, None).await.succeeded();
        for hook in object["webhooks"].as_array_mut().unwrap() {
            let fields = change.as_object().unwrap().clone();
            hook.as_object_mut().unwrap().extend(fields);
        }
        let answer = scene.api.send(Method::PUT, &path, Some(&object)).await;
        answer.succeeded();
    }
    eventually("the changed webhook configurations", async || {
        sign(scene).await.then_some(())
    })
    .await;
}

/// Whether neither webhook is asked, or neither answer counts.
async fn nobody_decides(scene: &Scene) -> bool {
    let fine = pod_of("probe", &["registry.corp.example/web:1"]);
    let bad = pod_of("probe", &["registry.unknown.example/web:1"]);
    let fine = scene.namespace.create("pods?dryRun=All", &fine).await;
    let bad = scene.namespace.create("pods?dryRun=All", &bad).await;
    bad.status < 300 && fine.status < 300 && secrets(&fine.body).is_empty()
}

#[tokio::test]
async fn a_namespace_that_the_selector_leaves_out_is_found() {
    let Some(scene) = scene().await else {
        return;
    };
    let elsewhere = json!({"namespaceSelector": {"matchLabels": {"no": "namespace"}}});
    reconfigure(&scene, &elsewhere, nobody_decides).await;
    let said = verify(&scene, Some(MAP), &[]);
    golden::same("verify-left-out", &steady(&said.text));
    assert_eq!(said.code, Some(1));
}

#[tokio::test]
async fn a_server_that_is_down_is_found() {
    let Some(mut scene) = scene().await else {
        return;
    };
    scene.pullpass.stop();
    let said = verify(&scene, Some(MAP), &[]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert_eq!(said.text.matches("FINDING").count(), 5, "{}", said.text);
    assert!(
        said.text
            .contains(r#"failed calling webhook "mutate.pullpass.dev""#),
        "{}",
        said.text
    );
    // For `pods/ephemeralcontainers` there is only the other one.
    assert!(
        said.text
            .contains(r#"failed calling webhook "validate.pullpass.dev""#),
        "{}",
        said.text
    );

    let ignore = json!({"failurePolicy": "Ignore"});
    reconfigure(&scene, &ignore, nobody_decides).await;
    let said = verify(&scene, Some(MAP), &[]);
    golden::same("verify-left-out", &steady(&said.text));
    assert_eq!(said.code, Some(1));
}

#[tokio::test]
async fn a_map_in_the_cluster_that_is_not_the_one_in_force_is_found() {
    let Some(scene) = scene().await else {
        return;
    };
    let home = scene.api.namespace("home").await;
    let config_map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "the-map", "labels": {"pullpass.dev/map": ""}},
        "data": {"map.yaml": MAP, "README.md": "no map"},
    });
    let answer = home.create("configmaps", &config_map).await;
    answer.succeeded();
    let in_home = ["--pullpass-namespace", home.name.as_str()];

    let said = verify(&scene, None, &in_home);
    let source = format!("map       ConfigMap {}/the-map, sha256:", home.name);
    assert!(said.text.contains(&source), "{}", said.text);
    assert_eq!(said.code, Some(0), "{}", said.text);

    let other = MAP.replace("unknownRegistries: deny", "unknownRegistries: warn");
    scene.change_map(&other).await;
    let said = verify(&scene, None, &in_home);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert_eq!(said.text.matches("FINDING").count(), 3, "{}", said.text);
    assert!(
        said.text
            .contains("only a warning: a different map is in force"),
        "{}",
        said.text
    );
    // Against the map that is in force there is nothing to find.
    let said = verify(&scene, Some(&other), &[]);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[tokio::test]
async fn a_namespace_that_takes_only_restricted_pods_can_be_tried() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let mut pod = pod_of("web", &["registry.corp.example/shop/web:1"]);
    pod["spec"]["containers"][0]["securityContext"] = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let label =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let path = format!("/api/v1/namespaces/{}", scene.name);
    scene
        .api
        .send(Method::PATCH, &path, Some(&label))
        .await
        .succeeded();
    scene.namespace.create("pods", &pod).await.succeeded();
    let said = verify(&scene, Some(MAP), &[]);
    assert!(said.text.contains("as expected: 5,"), "{}", said.text);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[tokio::test]
async fn an_exempt_namespace_is_listed_as_such() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    let elsewhere = json!({"namespaceSelector": {"matchLabels": {"no": "namespace"}}});
    reconfigure(&scene, &elsewhere, nobody_decides).await;
    let exempt = MAP.replace("[kube-system]", "[kube-system, NAMESPACE]");
    let said = verify(&scene, Some(&exempt), &[]);
    golden::same("verify-exempt", &steady(&said.text));
    assert_eq!(said.code, Some(0));
}

#[tokio::test]
async fn what_others_refuse_is_not_taken_for_ours() {
    let Some(scene) = scene().await else {
        return;
    };
    // Somebody who may do nothing.
    let kubeconfig = scene
        .plane
        .folder
        .join(format!("{}-kubeconfig", scene.name));
    let text = std::fs::read_to_string(&scene.plane.kubeconfig).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["users"][0]["user"]["as"] = json!("jane");
    std::fs::write(&kubeconfig, value.to_string()).unwrap();
    let as_jane = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let said = verify(&scene, Some(MAP), &as_jane);
    golden::same("verify-no-right", &steady(&said.text));
    // Nothing was shown, which is not the same as fine.
    assert_eq!(said.code, Some(1));

    let said = verify(&scene, None, &as_jane);
    assert_eq!(said.code, Some(3), "{}", said.text);
    assert!(
        said.text
            .contains("kubectl run try --image IMAGE --dry-run=server"),
        "{}",
        said.text
    );
}

/// A map that is on its way is waited for. There are no pods of pullpass here that could be
/// asked, which tests/cluster does.
#[tokio::test]
async fn with_wait_the_map_that_is_on_its_way_is_waited_for() {
    let Some(scene) = Scene::new(&MAP.replace("corp-pull", "old-pull")).await else {
        return;
    };
    let said = verify(&scene, Some(MAP), &["--wait", "--timeout", "2s"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(
        said.text.contains("a different map is in force"),
        "{}",
        said.text
    );
    let note = "note: the replicas cannot be asked which map is in force: there is no ready pod of \
                pullpass in the namespace pullpass; waiting for 3 attempts without a finding instead";
    assert!(said.text.contains(note), "{}", said.text);

    let path = scene.pullpass.map_path();
    let map = MAP.replace("NAMESPACE", &scene.name);
    let kubelet = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(5));
        std::fs::write(path, map).unwrap();
    });
    let said = verify(&scene, Some(MAP), &["--wait", "--timeout", "1m"]);
    kubelet.join().unwrap();
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(said.text.contains("findings: 0,"), "{}", said.text);
}
