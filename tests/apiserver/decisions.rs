//! `--observe`, decision records and Events where their readers find them: at the
//! terminal, in the audit log, in a file, on the controller's object.

use crate::api::{Api, Namespace, eventually};
use crate::audit::annotations;
use crate::control_plane::{ControlPlane, control_plane};
use crate::objects::{container, pod_of, workload};
use crate::pullpass::{Pullpass, Scene};
use crate::registration::Hook;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MAP: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
  - {name: old, match: old.corp.example, action: warn, reason: "move to registry.corp.example"}
unknownRegistries: deny
publicRegistries: []
"#;

const SCHEMA: &str = include_str!("../../docs/decision-record.schema.json");

/// As many as a Deployment of some size has.
const REPLICAS: u64 = 20;

/// A kubeconfig of an account that has the right of the chart's `ClusterRole` and no other,
/// or none at all.
async fn kubeconfig(plane: &ControlPlane, may_create_events: bool) -> PathBuf {
    let api = Api::new(plane).await;
    let namespace = api.namespace("events").await;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pullpass"}});
    namespace
        .create("serviceaccounts", &account)
        .await
        .succeeded();
    let name = format!("pullpass-{}", namespace.name);
    let version = "rbac.authorization.k8s.io/v1";
    let rules =
        json!([{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]);
    let role = json!({"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let binding = json!({
        "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "pullpass", "namespace": namespace.name}],
    });
    for (what, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        if may_create_events {
            let path = format!("/apis/{version}/{what}");
            api.post(&path, &object).await.succeeded();
        }
    }
    let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = namespace
        .create("serviceaccounts/pullpass/token", &ask)
        .await
        .succeeded();
    let text = fs::read(&plane.kubeconfig).unwrap();
    let mut config: Value = serde_json::from_slice(&text).unwrap();
    config["users"][0]["user"] = json!({"token": answer["status"]["token"]});
    let path = plane.folder.join(format!("kubeconfig-{}", namespace.name));
    fs::write(&path, config.to_string()).unwrap();
    path
}

fn flags(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn deployment(image: &str, replicas: u64) -> Value {
    let spec = json!({"containers": [container("web", image)]});
    workload("Deployment", "web", &spec, &json!({"replicas": replicas}))
}

fn metric(pullpass: &Pullpass, series: &str) -> u64 {
    let (_, text) = pullpass.admin("/metrics");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
        .parse()
        .unwrap()
}

fn events_that_were(pullpass: &Pullpass, result: &str) -> u64 {
    metric(
        pullpass,
        &format!(r#"pullpass_events_total{{result="{result}"}}"#),
    )
}

/// Pullpass's own; the controllers write theirs there too.
async fn our_events(namespace: &Namespace) -> Vec<Value> {
    let list = namespace.get("events").await.succeeded();
    let items = list["items"].as_array().unwrap().iter();
    let ours = items.filter(|event| event["reportingController"] == "pullpass.dev/webhook");
    ours.cloned().collect()
}

/// The ten minutes in which an Event stands for all that are like it.
fn window() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs() / 600
}

#[tokio::test]
async fn a_warning_about_twenty_replicas_is_one_event_on_their_replica_set() {
    let Some(plane) = control_plane() else { return };
    let kubeconfig = kubeconfig(plane, true).await;
    let events = flags(&["--events"]);
    let scene = Scene::with_flags(MAP, Some(&kubeconfig), &events)
        .await
        .unwrap();
    // A second replica of pullpass, which is asked about every pod too.
    let second = Pullpass::start(plane, Some(MAP), Some(&kubeconfig), &events);
    eventually("a ready pullpass", async || {
        (second.admin("/readyz").0 == 200).then_some(())
    })
    .await;
    let [_, validate] = Hook::pair(&format!("{}-second", scene.name), &second.url, &second.ca);
    validate.register(&scene.api, &[&scene.namespace]).await;

    // Somebody at a terminal sees the warning there, and a dry run is nothing.
    let pod = pod_of("of-a-person", &["old.corp.example/web:1"]);
    let answer = scene.namespace.create("pods", &pod).await;
    assert!(!answer.warnings.is_empty());
    let began = window();
    scene
        .namespace
        .create(
            "deployments?dryRun=All",
            &deployment("old.corp.example/x", 1),
        )
        .await
        .succeeded();
    scene
        .namespace
        .create(
            "deployments",
            &deployment("old.corp.example/web:1", REPLICAS),
        )
        .await
        .succeeded();
    for pullpass in [&scene.pullpass, &second] {
        eventually("a word about every pod", async || {
            let all = ["made", "repeated"].map(|result| events_that_were(pullpass, result));
            (all.iter().sum::<u64>() == REPLICAS).then_some(())
        })
        .await;
        for result in ["limited", "dropped", "failed"] {
            assert_eq!(events_that_were(pullpass, result), 0, "{result}");
        }
    }
    let events = our_events(&scene.namespace).await;
    // Where ten minutes ended in between it is said again.
    let windows = 1 + window() - began;
    assert!(
        !events.is_empty() && events.len() as u64 <= windows,
        "{events:#?}"
    );
    let made = [&scene.pullpass, &second].map(|pullpass| events_that_were(pullpass, "made"));
    assert_eq!(made.iter().sum::<u64>(), events.len() as u64);

    says_it_on_the_replica_set(&scene, &events[0]).await;
}

async fn says_it_on_the_replica_set(scene: &Scene, event: &Value) {
    let sets = scene.namespace.get("replicasets").await.succeeded();
    let set = &sets["items"][0]["metadata"];
    let regarding = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set["name"], "uid": set["uid"],
        "namespace": scene.name,
    });
    assert_eq!(event["regarding"], regarding);
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["reason"], "PullpassWarning");
    let note = event["note"].as_str().unwrap();
    assert!(
        note.contains("old.corp.example/web:1") && note.contains("move to registry.corp.example"),
        "{note}"
    );
    // Where people look.
    let described = scene.kubectl(&["describe", "replicasets"], &Value::Null);
    assert!(described.contains("PullpassWarning"), "{described}");
}

#[tokio::test]
async fn without_the_right_to_make_events_pods_are_admitted_all_the_same() {
    let Some(plane) = control_plane() else { return };
    let kubeconfig = kubeconfig(plane, false).await;
    let scene = Scene::with_flags(MAP, Some(&kubeconfig), &flags(&["--events"]))
        .await
        .unwrap();
    let deployment = deployment("old.corp.example/web:1", 2);
    scene
        .namespace
        .create("deployments", &deployment)
        .await
        .succeeded();
    eventually("an Event that failed, and one not tried", async || {
        let counts = ["failed", "repeated"].map(|r| events_that_were(&scene.pullpass, r));
        (counts.iter().sum::<u64>() == 2 && counts[0] >= 1).then_some(())
    })
    .await;
    assert_eq!(our_events(&scene.namespace).await, [] as [Value; 0]);
}

#[tokio::test]
async fn observing_denies_nothing_and_says_everywhere_what_would_be_denied() {
    let Some(plane) = control_plane() else { return };
    let kubeconfig = kubeconfig(plane, true).await;
    let log = kubeconfig.with_extension("decisions");
    let wanted = flags(&[
        "--observe",
        "--events",
        &format!("--decision-log={}", log.display()),
    ]);
    let scene = Scene::with_flags(MAP, Some(&kubeconfig), &wanted)
        .await
        .unwrap();
    let (_, ready) = scene.pullpass.admin("/readyz?verbose");
    assert!(ready.contains("observing"), "{ready}");
    assert_eq!(metric(&scene.pullpass, "pullpass_observing"), 1);

    // At the terminal, and in the audit log.
    let pod = pod_of("web", &["registry.unknown.example/web:1"]);
    let answer = scene.namespace.create("pods", &pod).await;
    assert!(
        answer.warnings[0]
            .starts_with(r#"would be denied: image "registry.unknown.example/web:1""#),
        "{:?}",
        answer.warnings
    );
    answer.succeeded();
    let annotations = annotations(&scene, "web");
    for (key, value) in [("decision", "deny"), ("mode", "observe")] {
        let expected = (key.to_owned(), value.to_owned());
        assert!(annotations.contains(&expected), "{annotations:?}");
    }

    // On the controller's object.
    let deployment = deployment("registry.unknown.example/web:1", 1);
    scene
        .namespace
        .create("deployments", &deployment)
        .await
        .succeeded();
    let event = eventually("the Event", async || {
        our_events(&scene.namespace).await.into_iter().next()
    })
    .await;
    assert_eq!(event["reason"], "PullpassWouldDeny");
    let note = event["note"].as_str().unwrap();
    assert!(note.starts_with("would be denied: "), "{note}");

    // In the records, which are what their schema says, and in the metrics.
    let outcome = r#"pullpass_reviews_total{route="validate",outcome="would_deny"}"#;
    assert_eq!(metric(&scene.pullpass, outcome), 2);
    let records = eventually("two records", async || {
        let records = records(&log);
        (records.len() == 2).then_some(records)
    })
    .await;
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for record in &records {
        assert!(schema.is_valid(record), "{record:#}");
        assert_eq!(record["outcome"], "would_deny");
    }
    assert_eq!(records[0]["requester"]["username"], "admin@shop.example");
    assert_eq!(records[0]["object"]["name"], "web");
    assert_eq!(records[1]["owner"]["uid"], event["regarding"]["uid"]);
    assert_eq!(
        records[1]["requester"]["username"],
        "system:serviceaccount:kube-system:replicaset-controller"
    );
}

fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    // The last line may be half there.
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
