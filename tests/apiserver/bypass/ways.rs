//! How an image is brought to the API server.

use crate::api::{Answer, Api};
use crate::objects::{container, mirror_pod, pod, pod_of, workload};
use crate::pullpass::Scene;
use crate::recording_webhook::{RecordingWebhook, patched_by};
use crate::registration::{Hook, Stage, rule};
use axum::http::Method;
use serde_json::{Value, json};

const GOOD: &str = "registry.corp.example/base:1";
/// What the late webhook is told by.
const ADD: &str = "tests.pullpass.dev/add";
const REWRITE: &str = "tests.pullpass.dev/rewrite";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Container,
    InitContainer,
    SideCar,
    ImageVolume,
    LastOfMany,
    Padded,
    GenerateName,
    Yaml,
    Protobuf,
    RepeatedKey,
    RepeatedSpec,
    ServerSideApply,
    ForgedMirror,
    ExemptLooking,
    RelabelledNamespace,
    DeletionTimestamp,
    OtherNamespace,
    EphemeralAtOnce,
    Gated,
    Replace,
    ReplaceInit,
    MergePatch,
    JsonPatch,
    StrategicPatch,
    ApplyPatch,
    MirrorByBinding,
    Ephemeral,
    EphemeralPatch,
    Status,
    Resize,
    Binding,
    Eviction,
    BeingDeleted,
    Deployment,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    Job,
    CronJob,
    LateSideCar,
    LateRewrite,
}

impl Way {
    /// Whether the pod is made by a controller, later, and nobody sees the answer.
    pub(super) fn is_by_controller(self) -> bool {
        matches!(
            self,
            Self::Deployment
                | Self::ReplicaSet
                | Self::ReplicationController
                | Self::StatefulSet
                | Self::Job
                | Self::CronJob
        )
    }

    /// Whether [`late_webhook`] has a part in it.
    pub(super) fn needs_late_webhook(self) -> bool {
        matches!(self, Self::LateSideCar | Self::LateRewrite)
    }

    /// Goes it; the answer is that to the request that carries the image.
    pub(super) async fn go(self, scene: &Scene, name: &str, image: &str) -> Answer {
        let to = To { scene, name, image };
        if self.is_by_controller() {
            return to.controller(self).await;
        }
        if let Some(pod) = self.new_pod(name, image) {
            let path = match self {
                // Storing it is another matter: etcd takes 1.5 MiB.
                Self::Padded | Self::LastOfMany => "pods?dryRun=All",
                _ => "pods",
            };
            if self == Self::RelabelledNamespace {
                to.relabel_namespace().await;
            }
            return scene.namespace.create(path, &pod).await;
        }
        if let Some(answer) = to.raw(self).await {
            return answer;
        }
        to.change(self).await
    }

    /// The pod that is created, where that is all.
    fn new_pod(self, name: &str, image: &str) -> Option<Value> {
        let mut made = pod_of(name, &[image]);
        let metadata = |made: &mut Value, more: Value| {
            let more = more.as_object().unwrap().clone();
            made["metadata"].as_object_mut().unwrap().extend(more);
        };
        match self {
            Self::Container | Self::RelabelledNamespace => {}
            Self::InitContainer | Self::SideCar | Self::EphemeralAtOnce | Self::ImageVolume => {
                made = pod(name, &self.spec(image));
            }
            Self::LastOfMany => {
                let mut images = vec![GOOD; 5_000];
                images.push(image);
                made = pod_of(name, &images);
            }
            Self::Padded => {
                let filling = "x".repeat(2_900 * 1024);
                made["spec"]["containers"][0]["env"] = json!([{"name": "X", "value": filling}]);
            }
            Self::GenerateName => {
                made["metadata"] = json!({"generateName": format!("{name}-")});
            }
            Self::ForgedMirror => made = mirror_pod(name, "nowhere", "f00", image),
            Self::ExemptLooking => metadata(&mut made, exempt_looking()),
            Self::DeletionTimestamp => metadata(
                &mut made,
                json!({"deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 9}),
            ),
            Self::OtherNamespace => metadata(&mut made, json!({"namespace": "kube-system"})),
            Self::LateSideCar | Self::LateRewrite => {
                let key = if self == Self::LateSideCar {
                    ADD
                } else {
                    REWRITE
                };
                made = pod_of(name, &[GOOD]);
                metadata(&mut made, json!({"annotations": {key: image}}));
            }
            _ => return None,
        }
        Some(made)
    }

    /// A good container, and the image in another field.
    fn spec(self, image: &str) -> Value {
        let mut spec = json!({"containers": [container("app", GOOD)]});
        let mut other = container("other", image);
        match self {
            Self::ImageVolume => {
                spec["volumes"] = json!([{"name": "v", "image": {"reference": image}}]);
            }
            Self::EphemeralAtOnce => spec["ephemeralContainers"] = json!([other]),
            _ => {
                if self == Self::SideCar {
                    other["restartPolicy"] = json!("Always");
                }
                spec["initContainers"] = json!([other]);
            }
        }
        spec
    }
}

/// What other admission webhooks, or people who guess, take for "let me through".
fn exempt_looking() -> Value {
    let words = json!({
        "pullpass.dev/ignore": "true",
        "pullpass.dev/exempt": "true",
        "pullpass.dev/injected": "corp-pull",
        "pullpass.dev/map": "true",
        "admission.pullpass.dev/disabled": "true",
        "kubernetes.io/metadata.name": "kube-system",
        "app.kubernetes.io/name": "pullpass",
        "control-plane": "true",
    });
    json!({"labels": words, "annotations": words})
}

/// The image, and where it is to go.
struct To<'a> {
    scene: &'a Scene,
    name: &'a str,
    image: &'a str,
}

impl To<'_> {
    fn api(&self) -> &Api {
        &self.scene.api
    }

    fn path(&self, what: &str) -> String {
        self.scene.namespace.path(what)
    }

    async fn relabel_namespace(&self) {
        let metadata = json!({"metadata": exempt_looking()});
        let path = format!("/api/v1/namespaces/{}", self.scene.name);
        // The API server keeps `kubernetes.io/metadata.name` as it was, or refuses.
        self.api().send(Method::PATCH, &path, Some(&metadata)).await;
    }

    /// A new pod in a body of our own making.
    async fn raw(&self, way: Way) -> Option<Answer> {
        let Self { name, image, .. } = self;
        let quoted = Value::from(*image).to_string();
        let good = format!(r#"{{"containers":[{{"name":"c0","image":"{GOOD}"}}]}}"#);
        let bad = format!(r#"{{"containers":[{{"name":"c0","image":{quoted}}}]}}"#);
        let start = format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}}"#);
        let (media_type, body) = match way {
            Way::RepeatedKey => {
                let twice = bad.replace(r#""image""#, &format!(r#""image":"{GOOD}","image""#));
                ("application/json", format!(r#"{start},"spec":{twice}}}"#).into_bytes())
            }
            Way::RepeatedSpec => (
                "application/json",
                format!(r#"{start},"spec":{good},"spec":{bad}}}"#).into_bytes(),
            ),
            Way::Yaml => (
                "application/yaml",
                format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{x: &image {quoted}}}}}\n\
                     spec: {{containers: [{{name: c0, image: *image}}]}}\n"
                )
                .into_bytes(),
            ),
            Way::Protobuf => ("application/vnd.kubernetes.protobuf", protobuf(name, image)),
            Way::ServerSideApply => {
                let path = self.path(&format!("pods/{name}?fieldManager=tests"));
                return Some(self.api().apply(&path, &pod_of(name, &[image])).await);
            }
            _ => return None,
        };
        let path = self.path("pods");
        Some(
            self.api()
                .send_bytes(media_type, Method::POST, &path, body)
                .await,
        )
    }

    /// A good pod first, then the request that is to change it.
    async fn change(&self, way: Way) -> Answer {
        self.good_pod(way).await;
        let Self { name, image, scene } = self;
        let (pods, at) = (&scene.namespace, format!("pods/{name}"));
        let mut now = pods.get(&at).await.succeeded();
        let list = if way == Way::ReplaceInit {
            "initContainers"
        } else {
            "containers"
        };
        now["spec"][list][0]["image"] = json!(image);
        let changed = json!({"spec": {"containers": now["spec"]["containers"]}});
        let strategic = json!({"spec": {"containers": [{"name": "c0", "image": image}]}});
        let debug = json!({"spec": {"ephemeralContainers": [container("look", image)]}});
        match way {
            Way::MergePatch => pods.patch(&at, &changed).await,
            Way::JsonPatch => {
                let patch =
                    json!([{"op": "replace", "path": "/spec/containers/0/image", "value": image}]);
                self.patch("application/json-patch+json", &at, &patch).await
            }
            Way::StrategicPatch => self.patch(STRATEGIC, &at, &strategic).await,
            Way::Status => {
                self.patch(STRATEGIC, &format!("{at}/status"), &strategic)
                    .await
            }
            Way::Resize => {
                self.patch(STRATEGIC, &format!("{at}/resize"), &strategic)
                    .await
            }
            Way::EphemeralPatch => {
                self.patch(STRATEGIC, &format!("{at}/ephemeralcontainers"), &debug)
                    .await
            }
            Way::ApplyPatch => {
                let path = self.path(&format!("{at}?fieldManager=tests&force=true"));
                self.api().apply(&path, &pod_of(name, &[image])).await
            }
            Way::Ephemeral => {
                let mut now = pods.get(&at).await.succeeded();
                now["spec"]["ephemeralContainers"] = debug["spec"]["ephemeralContainers"].clone();
                pods.replace(&format!("{at}/ephemeralcontainers"), &now)
                    .await
            }
            Way::Binding => self.bind(&json!({"image": image})).await,
            Way::Eviction => {
                let mut eviction = self.about_pod("policy/v1", "Eviction");
                eviction["spec"] = strategic["spec"].clone();
                pods.create(&format!("{at}/eviction"), &eviction).await
            }
            _ => pods.replace(&at, &now).await,
        }
    }

    /// A pod with nothing wrong, in the state that the way begins with.
    async fn good_pod(&self, way: Way) {
        let mut spec = json!({
            "containers": [container("c0", GOOD)],
            "initContainers": [container("first", GOOD)],
        });
        if way == Way::Gated {
            spec["schedulingGates"] = json!([{"name": "tests.pullpass.dev/wait"}]);
        }
        let mut good = pod(self.name, &spec);
        if way == Way::BeingDeleted {
            good["metadata"]["finalizers"] = json!(["tests.pullpass.dev/hold"]);
        }
        let pods = &self.scene.namespace;
        pods.create("pods", &good).await.succeeded();
        if way == Way::BeingDeleted {
            let at = format!("pods/{}", self.name);
            pods.delete(&at).await.succeeded();
        }
        if way == Way::MirrorByBinding {
            self.bind(&json!({"kubernetes.io/config.mirror": "f00"}))
                .await;
        }
    }

    fn about_pod(&self, version: &str, kind: &str) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": self.name, "namespace": self.scene.name}})
    }

    /// Puts the pod on a node, with annotations, which go to the pod.
    async fn bind(&self, annotations: &Value) -> Answer {
        let mut binding = self.about_pod("v1", "Binding");
        binding["metadata"]["annotations"] = annotations.clone();
        binding["target"] = json!({"apiVersion": "v1", "kind": "Node", "name": "nowhere"});
        binding["spec"] = json!({"containers": [container("c0", self.image)]});
        let path = format!("pods/{}/binding", self.name);
        self.scene.namespace.create(&path, &binding).await
    }

    async fn patch(&self, media_type: &str, what: &str, patch: &Value) -> Answer {
        let body = patch.to_string().into_bytes();
        self.api()
            .send_bytes(media_type, Method::PATCH, &self.path(what), body)
            .await
    }

    /// An object whose controller makes the pod.
    async fn controller(&self, way: Way) -> Answer {
        let Self { name, image, scene } = self;
        let spec = json!({"containers": [container("c0", image)]});
        let once = json!({"containers": [container("c0", image)], "restartPolicy": "Never"});
        let job = json!({"template": {"spec": once}});
        let batch = |kind: &str, spec: &Value| {
            json!({
                "apiVersion": "batch/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
            })
        };
        let none = json!({});
        let (what, object) = match way {
            Way::Deployment => ("deployments", workload("Deployment", name, &spec, &none)),
            Way::ReplicaSet => ("replicasets", workload("ReplicaSet", name, &spec, &none)),
            Way::StatefulSet => ("statefulsets", workload("StatefulSet", name, &spec, &none)),
            Way::ReplicationController => {
                let mut object = workload("ReplicationController", name, &spec, &none);
                object["apiVersion"] = json!("v1");
                object["spec"]["selector"] = json!({"app": name});
                ("replicationcontrollers", object)
            }
            Way::Job => ("jobs", batch("Job", &job)),
            _ => {
                let spec = json!({"schedule": "* * * * *", "jobTemplate": {"spec": job}});
                ("cronjobs", batch("CronJob", &spec))
            }
        };
        let answer = scene.namespace.create(what, &object).await;
        if way == Way::CronJob {
            // A time that it missed: it need not wait for the next full minute.
            let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(2))
                .strftime("%Y-%m-%dT%H:%M:%SZ");
            let status = json!({"status": {"lastScheduleTime": at.to_string()}});
            scene
                .namespace
                .patch(&format!("cronjobs/{name}/status"), &status)
                .await
                .succeeded();
        }
        answer
    }
}

const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A pod with one container in the API server's binary form
/// (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`): four letters, and a
/// `runtime.Unknown` around the object.
fn protobuf(name: &str, image: &str) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap());
        out.extend_from_slice(bytes);
        out
    }
    let container = [field(1, b"c0"), field(2, image.as_bytes())].concat();
    let pod = [
        field(1, &field(1, name.as_bytes())),
        field(2, &field(2, &container)),
    ]
    .concat();
    let kind = [field(1, b"v1"), field(2, b"Pod")].concat();
    [b"k8s\0".to_vec(), field(1, &kind), field(2, &pod)].concat()
}

/// Registers a webhook that is called after pullpass and does what a pod's
/// annotations say.
pub(super) async fn late_webhook(scene: &Scene) -> RecordingWebhook {
    let webhook = RecordingWebhook::start(|request| {
        let pod = &request["object"];
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let has = |image: &Value| containers.iter().any(|c| &c["image"] == image);
        let annotations = &pod["metadata"]["annotations"];
        match (&annotations[ADD], &annotations[REWRITE]) {
            (image @ Value::String(text), _) if !has(image) => patched_by(
                &json!([{"op": "add", "path": "/spec/containers/-", "value": container("late", text)}]),
            ),
            (_, image @ Value::String(_)) if !has(image) => patched_by(
                &json!([{"op": "replace", "path": "/spec/containers/0/image", "value": image}]),
            ),
            _ => json!({"allowed": true}),
        }
    });
    let hook = Hook {
        configuration: format!("{}-z-late", scene.name),
        name: "late.tests.pullpass.dev",
        stage: Stage::Mutate,
        url: format!("{}/late", webhook.url),
        ca: &webhook.ca,
        rules: json!([rule("", &["pods"], &["CREATE"])]),
        match_conditions: json!([]),
        timeout_seconds: 5,
    };
    hook.register(&scene.api, &[&scene.namespace]).await;
    webhook
}
