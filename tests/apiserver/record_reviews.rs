//! The reviews in `tests/fixtures/reviews` are what a real API server sends.
//!
//! Typical objects are sent through kubectl, and a recording webhook keeps the
//! reviews byte for byte. The test compares them with the files, so that the fast
//! tests, which start from the files, cannot drift from the truth;
//! `make record-reviews` writes the files anew.

use crate::api::{Api, Namespace, eventually};
use crate::assets;
use crate::control_plane::{ControlPlane, Said, control_plane, skip};
use crate::objects::{container, every_field, mirror_pod, pod_of, renamed, workload};
use crate::recording_webhook::{Recorded, RecordingWebhook};
use crate::registration::{Hook, Stage, rule};
use crate::review_difference::{difference, steady};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

/// Who the tests are, and kubectl with them.
const ADMIN: &str = "admin@shop.example";

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
    recorder.record_pods().await;
    recorder.record_dry_run_and_denied_pods().await;
    recorder.record_workloads().await;
    recorder.record_changes().await;
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
    /// Pods as people write them.
    async fn record_pods(&mut self) {
        let web = pod_of("web", &["registry.corp.example/shop/web:1.4"]);
        self.create(&["mutate-pod", "validate-pod"], &web).await;
        let tool = pod_of("tool", &["registry.unknown.example/tool:2"]);
        let names = [
            "mutate-pod-unknown-registry",
            "validate-pod-unknown-registry",
        ];
        self.create(&names, &tool).await;
        let names = ["mutate-pod-every-field", "validate-pod-every-field"];
        self.create(&names, &every_field()).await;

        let with_secrets = |name: &str, secrets: Value| {
            let mut pod = renamed(&web, name);
            pod["spec"]["imagePullSecrets"] = secrets;
            pod
        };
        let own = with_secrets(
            "own-secrets",
            json!([{"name": "own-one"}, {"name": "own-two"}]),
        );
        self.create(&["mutate-pod-own-secrets"], &own).await;
        let unnamed = with_secrets("unnamed-secret", json!([{"name": ""}]));
        self.create(&["mutate-pod-unnamed-secret"], &unnamed).await;
        let empty = with_secrets("empty-secrets", json!([]));
        self.create(&["mutate-pod-empty-secrets"], &empty).await;

        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "builder"},
            "imagePullSecrets": [{"name": "account-one"}, {"name": "account-two"}],
        });
        self.create(&[], &account).await;
        let mut built = renamed(&web, "account-secrets");
        built["spec"]["serviceAccountName"] = json!("builder");
        self.create(&["mutate-pod-service-account-secrets"], &built)
            .await;
    }

    /// Pods of which nothing is left.
    async fn record_dry_run_and_denied_pods(&mut self) {
        let web = pod_of("web-2", &["registry.corp.example/shop/web:1.4"]);
        self.kubectl("create --dry-run=server -f -", &web);
        self.keep("mutate-pod-dry-run", "Pod", "CREATE", ADMIN)
            .await;
        self.keep("validate-pod-dry-run", "Pod", "CREATE", ADMIN)
            .await;

        let mut no_image = web;
        no_image["spec"]["containers"][0]
            .as_object_mut()
            .unwrap()
            .remove("image");
        // The API server refuses it, but only after it asked.
        let said = self.run("create --validate=false -f -", &no_image);
        assert!(
            said.stderr.contains("image: Required value"),
            "{}",
            said.stderr
        );
        self.keep("mutate-pod-without-image", "Pod", "CREATE", ADMIN)
            .await;
    }

    async fn record_workloads(&mut self) {
        let spec =
            json!({"containers": [container("cart", "registry.corp.example/shop/cart:2.0")]});
        let deployment = workload("Deployment", "cart", &spec, &json!({"replicas": 1}));
        self.create(&["validate-deployment"], &deployment).await;
        let controller = "deployment-controller";
        self.keep("validate-replica-set", "ReplicaSet", "CREATE", controller)
            .await;
        let controller = "replicaset-controller";
        self.keep("mutate-pod-of-deployment", "Pod", "CREATE", controller)
            .await;
        self.keep("validate-pod-of-deployment", "Pod", "CREATE", controller)
            .await;
        let change = "set image deployment/cart cart=registry.corp.example/shop/cart:2.1";
        self.kubectl(change, &Value::Null);
        self.keep("validate-deployment-update", "Deployment", "UPDATE", ADMIN)
            .await;

        let set = workload(
            "StatefulSet",
            "store",
            &spec,
            &json!({"serviceName": "store"}),
        );
        self.create(&["validate-stateful-set"], &set).await;
        let controller = "statefulset-controller";
        self.keep("mutate-pod-of-stateful-set", "Pod", "CREATE", controller)
            .await;

        let daemons = workload("DaemonSet", "agent", &spec, &json!({}));
        self.create(&["validate-daemon-set"], &daemons).await;

        let once = json!({"containers": spec["containers"], "restartPolicy": "Never"});
        let template = json!({"template": {"spec": once}});
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": template,
        });
        self.create(&["validate-job"], &job).await;
        let nightly = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": template}},
        });
        self.create(&["validate-cron-job"], &nightly).await;
    }

    async fn record_changes(&mut self) {
        let change = "label pod/web tier=front";
        self.change("validate-pod-update-labels", change, "UPDATE")
            .await;
        let change = "set image pod/web c0=registry.unknown.example/shop/web:1.5";
        self.change("validate-pod-update-image", change, "UPDATE")
            .await;
        let change = "debug web --image=registry.unknown.example/tools/busybox:1 \
            --container=look --attach=false --profile=general";
        self.change("validate-pod-ephemeral-container", change, "UPDATE")
            .await;

        let mut held = pod_of("held", &["registry.corp.example/shop/held:1"]);
        held["metadata"]["finalizers"] = json!(["shop.example/hold"]);
        self.create(&[], &held).await;
        self.change(
            "validate-pod-delete",
            "delete pod/held --wait=false",
            "DELETE",
        )
        .await;
        let change = r#"patch pod/held --type=merge --patch={"metadata":{"finalizers":null}}"#;
        self.change("validate-pod-being-deleted", change, "UPDATE")
            .await;
    }

    /// As a kubelet makes one of a static pod.
    async fn record_mirror_pod(&mut self) {
        let name = "node-1.shop.example";
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        self.create(&[], &node).await;
        let uid = self.kubectl(
            &format!("get node/{name} --output=jsonpath={{.metadata.uid}}"),
            &Value::Null,
        );
        let pod = mirror_pod(
            "proxy-node-1",
            name,
            &uid,
            "registry.unknown.example/proxy:1",
        );
        let kubelet = format!("system:node:{name}");
        self.kubectl(
            &format!("--as={kubelet} --as-group=system:nodes create -f -"),
            &pod,
        );
        self.keep("mutate-pod-mirror", "Pod", "CREATE", &kubelet)
            .await;
        self.keep("validate-pod-mirror", "Pod", "CREATE", &kubelet)
            .await;
    }

    /// Creates an object and keeps its reviews under these names.
    async fn create(&mut self, names: &[&'static str], object: &Value) {
        self.kubectl("create -f -", object);
        for name in names {
            self.keep(name, object["kind"].as_str().unwrap(), "CREATE", ADMIN)
                .await;
        }
    }

    /// Changes a pod and keeps the one review that comes of it.
    async fn change(&mut self, name: &'static str, command: &str, operation: &str) {
        self.webhook.forget();
        self.kubectl(command, &Value::Null);
        self.keep(name, "Pod", operation, ADMIN).await;
    }

    fn kubectl(&self, command: &str, object: &Value) -> String {
        let said = self.run(command, object);
        assert!(said.success, "kubectl {command}: {}", said.stderr);
        said.stdout
    }

    fn run(&self, command: &str, object: &Value) -> Said {
        let mut arguments = vec!["--namespace", &self.namespace.name];
        arguments.extend(command.split_whitespace());
        self.plane.kubectl(&arguments, &object.to_string())
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
        let (version, expected) = (self.plane.version(), assets::kubernetes());
        if version != expected {
            let why = format!("they are of {expected}, and the API server is {version}");
            skip("recorded-reviews", &why);
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
