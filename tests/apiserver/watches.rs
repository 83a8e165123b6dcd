//! What pullpass notices by itself: its webhook configurations, the ConfigMap of the map and
//! the way to the API server, each taken away and given back. Two replicas, as the chart
//! starts them.

use crate::api::{Api, Namespace, eventually};
use crate::control_plane::{ControlPlane, control_plane};
use crate::pullpass::Pullpass;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const MAP: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example}
unknownRegistries: deny
publicRegistries: []
";

const KINDS: [&str; 2] = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
];

/// The map with an entry for this host too.
fn with_entry(host: &str) -> String {
    MAP.replace(
        "registries:\n",
        &format!("registries:\n  - {{name: more, match: {host}}}\n"),
    )
}

struct Scene {
    api: Api,
    namespace: Namespace,
    replicas: Vec<Pullpass>,
}

impl Scene {
    /// Replicas that start with [`MAP`] in their files and in the ConfigMap.
    async fn new(prefix: &str, replicas: usize, road: Option<&Road>) -> Option<Self> {
        let plane = control_plane()?;
        let api = Api::new(plane).await;
        let namespace = api.namespace(prefix).await;
        let mut scene = Self {
            api,
            namespace,
            replicas: Vec::new(),
        };
        scene.write_map(MAP).await;
        let kubeconfig = road.map_or(&plane.kubeconfig, |road| &road.kubeconfig);
        let name = &scene.namespace.name;
        let flags = [
            format!("--namespace={name}"),
            "--map-configmap=pullpass-map".to_owned(),
            "--log-level=info,pullpass=debug".to_owned(),
            format!("--mutating-webhook-configuration={name}"),
            format!("--validating-webhook-configuration={name}:validate"),
        ];
        let start = |_| Pullpass::start(plane, Some(MAP), Some(kubeconfig), &flags);
        scene.replicas = (0..replicas).map(start).collect();
        for replica in &scene.replicas {
            replica
                .shows("/readyz?verbose", "[!]webhooks warning")
                .await;
        }
        Some(scene)
    }

    /// Writes the ConfigMap, as `kubectl apply` does.
    async fn write_map(&self, map: &str) {
        let path = self
            .namespace
            .path("configmaps/pullpass-map?fieldManager=test&force=true");
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "pullpass-map"},
            "data": {"map.yaml": map, "notes.txt": "no map"},
        });
        self.api.apply(&path, &object).await.succeeded();
    }

    fn path(&self, at: usize) -> String {
        let name = &self.namespace.name;
        format!("/apis/admissionregistration.k8s.io/v1/{}/{name}", KINDS[at])
    }

    /// The chart's configurations for the first replica; they select nothing of others.
    async fn register(&self) {
        for at in 0..KINDS.len() {
            let path = format!("{}?fieldManager=helm&force=true", self.path(at));
            let object = self.configuration(at);
            self.api.apply(&path, &object).await.succeeded();
        }
    }

    fn configuration(&self, at: usize) -> Value {
        let replica = &self.replicas[0];
        let (word, kind) = [
            ("mutate", "MutatingWebhookConfiguration"),
            ("validate", "ValidatingWebhookConfiguration"),
        ][at];
        let rule = |resource: &str, operations: &[&str]| {
            json!({
                "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource],
                "operations": operations, "scope": "Namespaced",
            })
        };
        let rules = match at {
            0 => json!([rule("pods", &["CREATE"])]),
            _ => json!([
                rule("pods", &["CREATE", "UPDATE"]),
                rule("pods/ephemeralcontainers", &["UPDATE"])
            ]),
        };
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace.name}});
        let expected = json!({"failurePolicy": "Fail", "namespaceSelector": selector, "objectSelector": {}, "matchConditions": []});
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {
                "name": self.namespace.name,
                "annotations": {"pullpass.dev/expected": expected.to_string()},
            },
            "webhooks": [{
                "name": format!("{word}.pullpass.dev"),
                "clientConfig": {
                    "url": format!("{}/{word}", replica.url),
                    "caBundle": STANDARD.encode(&replica.ca),
                },
                "rules": rules,
                "namespaceSelector": selector,
                "failurePolicy": "Fail",
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1"],
            }],
        })
    }

    /// Changes one field of a webhook, as somebody with `kubectl edit` does.
    async fn edit(&self, at: usize, pointer: &str, value: Value) {
        let mut object = self
            .api
            .send(Method::GET, &self.path(at), None)
            .await
            .succeeded();
        *object
            .pointer_mut(&format!("/webhooks/0{pointer}"))
            .unwrap() = value;
        let path = self.path(at);
        let answer = self.api.send(Method::PUT, &path, Some(&object)).await;
        answer.succeeded();
    }

    async fn delete(&self, at: usize) {
        let path = self.path(at);
        let answer = self.api.send(Method::DELETE, &path, None).await;
        answer.succeeded();
    }

    async fn all_have(&self, entries: usize) {
        for replica in &self.replicas {
            let metric = format!("pullpass_map_entries {entries}\n");
            replica.shows("/metrics", &metric).await;
        }
    }
}

impl Drop for Scene {
    /// The configurations stand in no namespace, and other tests must not meet them.
    fn drop(&mut self) {
        if let Some(plane) = control_plane() {
            for kind in KINDS {
                plane.kubectl(
                    &["delete", "--ignore-not-found", kind, &self.namespace.name],
                    "",
                );
            }
        }
    }
}

impl Pullpass {
    /// Waits until a page of the admin port contains this.
    async fn shows(&self, path: &str, words: &str) {
        let what = format!("{words:?} in {path}");
        eventually(&what, async || {
            self.admin(path).1.contains(words).then_some(())
        })
        .await;
    }

    async fn logs(&self, words: &str) {
        let what = format!("{words:?} in the log");
        eventually(&what, async || self.log().contains(words).then_some(())).await;
    }
}

const LOADS_OF_TWO_MAPS: &str = "pullpass_map_loads_total{result=\"ok\"} 2\n";
const READY: &str = "/readyz?verbose";
/// The line of `/readyz?verbose` when nothing is wrong with the registration.
const WELL: &str = "[+]webhooks ok: 2 configurations are as they should be";

#[tokio::test]
async fn webhook_configurations_that_are_deleted_or_changed_are_reported_at_once() {
    let Some(scene) = Scene::new("registration", 1, None).await else {
        return;
    };
    let replica = &scene.replicas[0];
    let name = &scene.namespace.name;
    let problems = |webhook: &str, count: u8| {
        format!("pullpass_webhook_configuration_problems{{webhook=\"{webhook}\"}} {count}\n")
    };
    // Nothing is registered yet.
    let missing = format!(
        "ValidatingWebhookConfiguration {name}: it does not exist; pods that the map denies are admitted; restore it"
    );
    replica.shows(READY, &missing).await;
    replica
        .shows(
            READY,
            "[!]mode warning: set to enforce, but nothing is enforced",
        )
        .await;
    assert_eq!(
        replica.admin("/readyz").0,
        200,
        "an unready replica would make it worse"
    );

    scene.register().await;
    replica.shows(READY, WELL).await;
    replica.shows(READY, "[+]mode ok: enforcing").await;
    replica
        .logs("the webhook configurations are as they should be again")
        .await;
    replica.shows("/metrics", &problems("validate", 0)).await;

    // One is deleted, and then the other.
    scene.delete(1).await;
    replica.shows(READY, &missing).await;
    replica.shows("/metrics", &problems("validate", 1)).await;
    replica.shows("/metrics", &problems("mutate", 0)).await;
    scene.register().await;
    replica.shows(READY, WELL).await;
    scene.delete(0).await;
    replica
        .shows(
            READY,
            "pods are created without the pull secrets that the map names",
        )
        .await;
    replica.shows(READY, "[+]mode ok: enforcing").await;
}

#[tokio::test]
async fn each_change_of_a_webhook_configuration_is_reported_in_words() {
    let Some(scene) = Scene::new("changed", 1, None).await else {
        return;
    };
    let replica = &scene.replicas[0];
    let other = rcgen_authority();
    for (at, pointer, value, words) in [
        (
            1,
            "/failurePolicy",
            json!("Ignore"),
            "its failurePolicy is Ignore instead of Fail; whenever pullpass does not answer, pods that the map denies are admitted",
        ),
        (
            1,
            "/rules/0/operations",
            json!(["UPDATE"]),
            "its rules leave out CREATE pods",
        ),
        (
            0,
            "/clientConfig/caBundle",
            json!(STANDARD.encode(&other)),
            "it was issued by another CA; no call reaches pullpass: the API server denies pods (failurePolicy Fail)",
        ),
        (
            1,
            "/clientConfig/url",
            json!("https://evil.example/validate"),
            "it calls https://evil.example/validate, which is no name of the certificate that pullpass serves",
        ),
        (
            0,
            "/clientConfig/url",
            json!(format!("{}/validate", replica.url)),
            "it calls the path /validate",
        ),
        (
            1,
            "/namespaceSelector",
            json!({}),
            "somebody changed its namespaceSelector",
        ),
        (
            0,
            "/objectSelector",
            json!({"matchLabels": {"never": "met"}}),
            "somebody changed its objectSelector",
        ),
    ] {
        scene.register().await;
        replica.shows(READY, WELL).await;
        scene.edit(at, pointer, value).await;
        replica.shows(READY, words).await;
        // The log says the same, once.
        let (problem, _) = words.split_once(';').unwrap_or((words, ""));
        replica.logs(problem).await;
        scene.delete(at).await;
    }
}

/// A CA that nobody has heard of.
fn rcgen_authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&key).unwrap().pem()
}

#[tokio::test]
async fn a_new_map_is_in_force_on_all_replicas_before_the_files_change() {
    let Some(scene) = Scene::new("map-watch", 2, None).await else {
        return;
    };
    scene.all_have(1).await;
    scene.write_map(&with_entry("more.example")).await;
    scene.all_have(2).await;
    // The kubelet is late and shows what is older than what is in force: only once it has
    // shown the newest version can what follows be newer.
    for replica in &scene.replicas {
        replica.write_map(&MAP.replace("corp", "old"));
        replica.logs("changed to a version that is not newer").await;
        assert!(replica.admin("/metrics").1.contains(LOADS_OF_TWO_MAPS));
    }
    scene.all_have(2).await;

    // A map with errors changes nothing, and is refused in words.
    scene
        .write_map(&MAP.replace("registries", "registrys"))
        .await;
    for replica in &scene.replicas {
        replica.shows(READY, "a newer version was refused").await;
    }
    scene.all_have(2).await;
    scene.write_map(MAP).await;
    scene.all_have(1).await;
}

#[tokio::test]
async fn a_map_that_is_deleted_is_reported_and_stays_in_force() {
    let Some(scene) = Scene::new("map-gone", 1, None).await else {
        return;
    };
    let replica = &scene.replicas[0];
    let name = &scene.namespace.name;
    scene.all_have(1).await;
    scene
        .namespace
        .delete("configmaps/pullpass-map")
        .await
        .succeeded();
    replica
        .logs("the ConfigMap of the registry map does not exist")
        .await;
    replica
        .shows("/metrics", "pullpass_map_configmap_missing 1\n")
        .await;
    let words = format!("ConfigMap {name}/pullpass-map does not exist since ");
    replica
        .shows(READY, "[!]registry-map warning: loaded ")
        .await;
    replica.shows(READY, &words).await;
    assert_eq!(replica.admin("/readyz").0, 200);
    scene.all_have(1).await;

    scene.write_map(&with_entry("more.example")).await;
    scene.all_have(2).await;
    replica
        .shows("/metrics", "pullpass_map_configmap_missing 0\n")
        .await;
    replica.shows(READY, "[+]registry-map ok: loaded ").await;
    replica
        .logs("the ConfigMap of the registry map exists again")
        .await;
}

#[tokio::test]
async fn while_the_api_server_is_away_the_map_stays_and_the_files_may_bring_a_newer_one() {
    let Some(plane) = control_plane() else {
        return;
    };
    let road = Road::new(plane, "away").await;
    let Some(scene) = Scene::new("map-away", 1, Some(&road)).await else {
        return;
    };
    let replica = &scene.replicas[0];
    scene.write_map(&with_entry("more.example")).await;
    scene.all_have(2).await;
    // The kubelet has caught up.
    replica.write_map(&with_entry("more.example"));

    road.close(true);
    replica
        .logs("cannot read the ConfigMap of the registry map")
        .await;
    replica
        .shows("/metrics", "pullpass_watch_failing{object=\"map\"} 1\n")
        .await;
    replica
        .shows(
            "/metrics",
            "pullpass_watch_failing{object=\"webhooks\"} 1\n",
        )
        .await;
    replica.shows(READY, "its ConfigMap cannot be read").await;
    assert_eq!(replica.admin("/readyz").0, 200);
    scene.all_have(2).await;
    replica.write_map(MAP);
    scene.all_have(1).await;

    // What the API server tells counts again.
    scene.write_map(&with_entry("third.example")).await;
    road.close(false);
    scene.all_have(2).await;
    replica
        .shows("/metrics", "pullpass_watch_failing{object=\"map\"} 0\n")
        .await;
    replica
        .logs("the ConfigMap of the registry map can be read again")
        .await;
}

/// A way to the API server that can be closed. It is the fault that a real one has when its
/// node or the network is gone.
struct Road {
    kubeconfig: PathBuf,
    closed: watch::Sender<bool>,
}

impl Road {
    async fn new(plane: &ControlPlane, name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = fs::read_to_string(&plane.kubeconfig).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        let server = &mut config["clusters"][0]["cluster"]["server"];
        let theirs = server.as_str().unwrap().replace("https://", "");
        *server = json!(format!("https://{}", listener.local_addr().unwrap()));
        let kubeconfig = plane.folder.join(format!("kubeconfig-{name}"));
        fs::write(&kubeconfig, config.to_string()).unwrap();
        let (closed, is_closed) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut is_closed = is_closed.clone();
                if *is_closed.borrow() {
                    continue;
                }
                let theirs = theirs.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(&theirs).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = is_closed.wait_for(|closed| *closed) => {}
                    }
                });
            }
        });
        Self { kubeconfig, closed }
    }

    fn close(&self, closed: bool) {
        self.closed.send_replace(closed);
    }
}
