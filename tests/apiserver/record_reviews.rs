//! The reviews in `tests/fixtures/reviews` are what a real API server sends.
//!
//! Typical objects are sent through kubectl, and a recording webhook keeps the
//! reviews byte for byte. The test compares them with the files, so that the fast
//! tests, which start from the files, cannot drift from the truth;
//! `make record-reviews` writes the files anew.

use crate::api::{Api, Namespace, eventually};
use crate::control_plane::{ControlPlane, control_plane};
use crate::objects::{container, every_field, mirror_pod, pod, renamed};
use crate::recording_webhook::{Recorded, RecordingWebhook};
use crate::registration::{Hook, Stage, rule};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{env, fs};

/// Who the tests are, and kubectl with them.
const ADMIN: &str = "admin@shop.example";
/// What is different in each recording, wherever it stands.
const VOLATILE: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    // Written by controllers meanwhile, in no certain order.
    "managedFields",
    "status",
    "resourceVersion",
    "pod-template-hash",
];

#[tokio::test]
async fn recorded_reviews_are_what_the_api_server_sends() {
    let Some(plane) = control_plane() else { return };
    let api = Api::new(plane).await;
    let namespace = api.namespace_named("shop").await;
    let webhook = RecordingWebhook::allowing();
    for mut hook in Hook::pair("recording", &webhook.url, &webhook.ca) {
        if hook.stage == Stage::Validate {
            let rules = hook.rules.as_array_mut().unwrap();
            rules.push(rule("", &["pods"], &["DELETE"]));
            rules.push(rule(
                "apps",
                &["deployments", "statefulsets", "daemonsets", "replicasets"],
                &["*"],
            ));
            rules.push(rule("batch", &["jobs", "cronjobs"], &["*"]));
        }
        hook.register(&api, &[&namespace]).await;
    }
    let mut recorder = Recorder {
        plane,
        namespace,
        webhook,
        reviews: BTreeMap::new(),
    };
    recorder.record_creates().await;
    recorder.record_workloads().await;
    recorder.record_updates().await;
    recorder.record_mirror_pod().await;
    recorder.compare_or_write();
}

struct Recorder {
    plane: &'static ControlPlane,
    namespace: Namespace,
    webhook: RecordingWebhook,
    reviews: BTreeMap<&'static str, Recorded>,
}

impl Recorder {
    async fn record_creates(&mut self) {
        let apply = ["create", "-f", "-"];
        let web = pod(
            "web",
            json!({"containers": [container("web", "registry.corp.example/shop/web:1.4")]}),
        );
        self.kubectl(&apply, &web);
        self.keep("mutate-pod", "Pod", "CREATE", ADMIN).await;
        self.keep("validate-pod", "Pod", "CREATE", ADMIN).await;

        let tool = pod(
            "tool",
            json!({"containers": [container("tool", "registry.unknown.example/tool:2")]}),
        );
        self.kubectl(&apply, &tool);
        self.keep("mutate-pod-unknown-registry", "Pod", "CREATE", ADMIN)
            .await;
        self.keep("validate-pod-unknown-registry", "Pod", "CREATE", ADMIN)
            .await;

        self.kubectl(
            &["create", "--dry-run=server", "-f", "-"],
            &renamed(&web, "web-dry-run"),
        );
        self.keep("mutate-pod-dry-run", "Pod", "CREATE", ADMIN)
            .await;
        self.keep("validate-pod-dry-run", "Pod", "CREATE", ADMIN)
            .await;

        let mut own = renamed(&web, "own-secrets");
        own["spec"]["imagePullSecrets"] = json!([{"name": "own-one"}, {"name": "own-two"}]);
        self.kubectl(&apply, &own);
        self.keep("mutate-pod-own-secrets", "Pod", "CREATE", ADMIN)
            .await;

        let mut unnamed = renamed(&web, "unnamed-secret");
        unnamed["spec"]["imagePullSecrets"] = json!([{"name": ""}]);
        self.kubectl(&apply, &unnamed);
        self.keep("mutate-pod-unnamed-secret", "Pod", "CREATE", ADMIN)
            .await;

        let mut empty = renamed(&web, "no-secrets");
        empty["spec"]["imagePullSecrets"] = json!([]);
        self.kubectl(&apply, &empty);
        self.keep("mutate-pod-empty-secrets", "Pod", "CREATE", ADMIN)
            .await;

        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "builder"},
            "imagePullSecrets": [{"name": "account-one"}, {"name": "account-two"}],
        });
        self.kubectl(&apply, &account);
        let mut built = renamed(&web, "account-secrets");
        built["spec"]["serviceAccountName"] = json!("builder");
        self.kubectl(&apply, &built);
        self.keep("mutate-pod-service-account-secrets", "Pod", "CREATE", ADMIN)
            .await;

        self.kubectl(&apply, &every_field());
        self.keep("mutate-pod-every-field", "Pod", "CREATE", ADMIN)
            .await;
        self.keep("validate-pod-every-field", "Pod", "CREATE", ADMIN)
            .await;

        let mut no_image = renamed(&web, "no-image");
        no_image["spec"]["containers"][0]
            .as_object_mut()
            .unwrap()
            .remove("image");
        // The API server refuses it, but only after it asked.
        self.plane.kubectl(
            &self.arguments(&["create", "--validate=false", "-f", "-"]),
            &no_image.to_string(),
        );
        self.keep("mutate-pod-without-image", "Pod", "CREATE", ADMIN)
            .await;
    }

    async fn record_workloads(&mut self) {
        let template = json!({
            "metadata": {"labels": {"app": "cart"}},
            "spec": {"containers": [container("cart", "registry.corp.example/shop/cart:2.0")]},
        });
        let workload = |kind: &str, name: &str, version: &str, more: Value| {
            let mut object = json!({
                "apiVersion": version,
                "kind": kind,
                "metadata": {"name": name},
                "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": template},
            });
            let spec = object["spec"].as_object_mut().unwrap();
            spec.extend(more.as_object().unwrap().clone());
            object
        };
        let apply = ["create", "-f", "-"];

        let deployment = workload("Deployment", "cart", "apps/v1", json!({"replicas": 1}));
        self.kubectl(&apply, &deployment);
        self.keep("validate-deployment", "Deployment", "CREATE", ADMIN)
            .await;
        self.keep(
            "validate-replica-set",
            "ReplicaSet",
            "CREATE",
            "deployment-controller",
        )
        .await;
        self.keep(
            "mutate-pod-of-deployment",
            "Pod",
            "CREATE",
            "replicaset-controller",
        )
        .await;
        self.keep(
            "validate-pod-of-deployment",
            "Pod",
            "CREATE",
            "replicaset-controller",
        )
        .await;
        self.kubectl(
            &[
                "set",
                "image",
                "deployment/cart",
                "cart=registry.corp.example/shop/cart:2.1",
            ],
            &json!(""),
        );
        self.keep("validate-deployment-update", "Deployment", "UPDATE", ADMIN)
            .await;

        let set = workload(
            "StatefulSet",
            "store",
            "apps/v1",
            json!({"serviceName": "store"}),
        );
        self.kubectl(&apply, &set);
        self.keep("validate-stateful-set", "StatefulSet", "CREATE", ADMIN)
            .await;
        self.keep(
            "mutate-pod-of-stateful-set",
            "Pod",
            "CREATE",
            "statefulset-controller",
        )
        .await;

        let daemons = workload("DaemonSet", "agent", "apps/v1", json!({}));
        self.kubectl(&apply, &daemons);
        self.keep("validate-daemon-set", "DaemonSet", "CREATE", ADMIN)
            .await;

        let mut once = template.clone();
        once["spec"]["restartPolicy"] = json!("Never");
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"template": once},
        });
        self.kubectl(&apply, &job);
        self.keep("validate-job", "Job", "CREATE", ADMIN).await;
        let nightly = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": once}}},
        });
        self.kubectl(&apply, &nightly);
        self.keep("validate-cron-job", "CronJob", "CREATE", ADMIN)
            .await;
    }

    async fn record_updates(&mut self) {
        self.webhook.forget();
        self.kubectl(&["label", "pod/web", "tier=front"], &json!(""));
        self.keep("validate-pod-update-labels", "Pod", "UPDATE", ADMIN)
            .await;
        self.kubectl(
            &[
                "set",
                "image",
                "pod/web",
                "web=registry.unknown.example/shop/web:1.5",
            ],
            &json!(""),
        );
        self.keep("validate-pod-update-image", "Pod", "UPDATE", ADMIN)
            .await;
        let debug = [
            "debug",
            "web",
            "--image=registry.unknown.example/tools/busybox:1",
            "--container=look",
        ];
        let debug = [&debug[..], &["--attach=false", "--profile=general"]].concat();
        self.kubectl(&debug, &json!(""));
        self.keep("validate-pod-ephemeral-container", "Pod", "UPDATE", ADMIN)
            .await;

        let mut held = pod(
            "held",
            json!({"containers": [container("held", "registry.corp.example/shop/held:1")]}),
        );
        held["metadata"]["finalizers"] = json!(["shop.example/hold"]);
        self.kubectl(&["create", "-f", "-"], &held);
        self.webhook.forget();
        self.kubectl(&["delete", "pod/held", "--wait=false"], &json!(""));
        self.keep("validate-pod-delete", "Pod", "DELETE", ADMIN)
            .await;
        let release = [
            "patch",
            "pod/held",
            "--type=merge",
            "--patch",
            r#"{"metadata":{"finalizers":null}}"#,
        ];
        self.kubectl(&release, &json!(""));
        self.keep("validate-pod-being-deleted", "Pod", "UPDATE", ADMIN)
            .await;
    }

    /// As a kubelet makes one of a static pod.
    async fn record_mirror_pod(&mut self) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1.shop.example"}});
        self.kubectl(&["create", "-f", "-"], &node);
        let uid = self.kubectl(
            &[
                "get",
                "node/node-1.shop.example",
                "--output=jsonpath={.metadata.uid}",
            ],
            &json!(""),
        );
        let pod = mirror_pod(
            "proxy-node-1",
            "node-1.shop.example",
            &uid,
            "registry.unknown.example/proxy:1",
        );
        let kubelet = [
            "--as=system:node:node-1.shop.example",
            "--as-group=system:nodes",
            "create",
            "-f",
            "-",
        ];
        self.webhook.forget();
        self.kubectl(&kubelet, &pod);
        self.keep(
            "mutate-pod-mirror",
            "Pod",
            "CREATE",
            "system:node:node-1.shop.example",
        )
        .await;
        self.keep(
            "validate-pod-mirror",
            "Pod",
            "CREATE",
            "system:node:node-1.shop.example",
        )
        .await;
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["--namespace", self.namespace.name.as_str()], arguments].concat()
    }

    fn kubectl(&self, arguments: &[&str], object: &Value) -> String {
        let said = self
            .plane
            .kubectl(&self.arguments(arguments), &object.to_string());
        assert!(said.success, "kubectl {arguments:?}: {}", said.stderr);
        said.stdout
    }

    /// Keeps the latest review of this kind, caused by this user, under the name,
    /// which begins with the stage.
    async fn keep(&mut self, name: &'static str, kind: &str, operation: &str, by: &str) {
        let found = eventually(name, async || {
            self.webhook.seen().into_iter().rev().find(|review| {
                let request = review.request();
                let stage = review
                    .target
                    .trim_start_matches('/')
                    .split('?')
                    .next()
                    .unwrap();
                name.starts_with(stage)
                    && request["kind"]["kind"] == kind
                    && request["operation"] == operation
                    && request["userInfo"]["username"]
                        .as_str()
                        .unwrap()
                        .ends_with(by)
            })
        })
        .await;
        self.reviews.insert(name, found);
    }

    fn compare_or_write(&self) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reviews");
        let file = |name: &str| folder.join(format!("{name}.json"));
        if env::var_os("PULLPASS_RECORD_REVIEWS").is_some() {
            for (name, review) in &self.reviews {
                fs::write(file(name), &review.body).unwrap();
            }
            return;
        }
        for (name, review) in &self.reviews {
            let recorded = fs::read(file(name))
                .unwrap_or_else(|error| panic!("{name}: {error}; run make record-reviews"));
            let recorded = steady(&serde_json::from_slice(&recorded).unwrap());
            let fresh = steady(&serde_json::from_slice(&review.body).unwrap());
            let differs = difference("", &recorded, &fresh);
            assert_eq!(
                differs, None,
                "{name} is not what the API server sends; run make record-reviews"
            );
        }
    }
}

/// The review without what differs from run to run.
fn steady(review: &Value) -> Value {
    match review {
        Value::Object(fields) => {
            let steady_field = |(key, value): (&String, &Value)| {
                let value = if VOLATILE.contains(&key.as_str()) || key.ends_with("-uid") {
                    json!("*")
                } else {
                    steady(value)
                };
                (key.clone(), value)
            };
            fields.iter().map(steady_field).collect()
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::String(text) if text.starts_with("JTI=") => json!("*"),
        // Names end in random letters: `cart-5d9c7b6f4-x2x9z`, `kube-api-access-x2x9z`.
        Value::String(text) => {
            let words = text
                .split('-')
                .map(|word| if generated(word) { "*" } else { word });
            json!(words.collect::<Vec<_>>().join("-"))
        }
        other => other.clone(),
    }
}

/// Whether Kubernetes may have made the word: its alphabet has no vowels, and 0, 1 and
/// 3 are missing too.
fn generated(word: &str) -> bool {
    (5..=10).contains(&word.len())
        && word
            .bytes()
            .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
}

/// The first place where the two differ, as a JSON pointer.
fn difference(at: &str, old: &Value, new: &Value) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let null = Value::Null;
            let of = |object: &serde_json::Map<String, Value>, key| {
                object.get(key).unwrap_or(&null).clone()
            };
            keys.into_iter()
                .find_map(|key| difference(&format!("{at}/{key}"), &of(old, key), &of(new, key)))
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            { pairs }.find_map(|(index, (old, new))| difference(&format!("{at}/{index}"), old, new))
        }
        _ => (old != new).then(|| format!("{at}: recorded {old}, now {new}")),
    }
}
