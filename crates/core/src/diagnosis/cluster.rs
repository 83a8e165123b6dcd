//! What a diagnosis takes from the objects of a cluster beside their words: a pod's Secrets,
//! its node, and whether the image is on that node already.
//!
//! It reads objects as the API server returns them. It must not fetch them.

use super::cause::Cause;
use super::finding::ImageFailure;
use super::observation::Subject;
use super::platform::Platform;
use crate::text::visible;
use image_reference::Reference;
use serde_json::Value;
use std::collections::BTreeSet;

/// What matters about a pod that waits for an image.
#[derive(Debug, Clone, Default)]
pub struct PodFacts {
    /// The pod.
    pub subject: Subject,
    /// Its node; empty before it is scheduled.
    pub node: String,
    /// Its ServiceAccount.
    pub service_account: String,
    /// The names of its pull secrets, in its order.
    pub pull_secrets: Vec<String>,
    /// Its images, with their pull policies.
    images: Vec<(String, String)>,
}

impl PodFacts {
    /// Reads a pod.
    #[must_use]
    pub fn of(pod: &Value) -> Self {
        let names = array(pod, "/spec/imagePullSecrets").iter();
        let names = names.filter_map(|one| one.get("name")?.as_str());
        let images = [
            "/spec/initContainers",
            "/spec/containers",
            "/spec/ephemeralContainers",
        ]
        .into_iter()
        .flat_map(|list| array(pod, list))
        .map(|container| {
            (
                text(container, "/image"),
                text(container, "/imagePullPolicy"),
            )
        });
        Self {
            subject: Subject::pod(
                text(pod, "/metadata/namespace"),
                text(pod, "/metadata/name"),
            ),
            node: text(pod, "/spec/nodeName").to_owned(),
            service_account: text(pod, "/spec/serviceAccountName").to_owned(),
            pull_secrets: names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            images: images
                .map(|(image, policy)| (image.to_owned(), policy.to_owned()))
                .collect(),
        }
    }

    fn may_use_cached(&self, image: &str) -> bool {
        self.images
            .iter()
            .any(|(one, policy)| one == image && policy != "Always")
    }
}

/// Whether a container of a pod waits, for whatever reason, and the pod is meant to run.
#[must_use]
pub fn is_waiting(pod: &Value) -> bool {
    let is_ending = pod.pointer("/metadata/deletionTimestamp").is_some();
    let statuses = [
        "/status/initContainerStatuses",
        "/status/containerStatuses",
        "/status/ephemeralContainerStatuses",
    ];
    let waits = |status: &Value| status.pointer("/state/waiting").is_some();
    !is_ending
        && (text(pod, "/status/reason") == "Evicted"
            || statuses
                .into_iter()
                .flat_map(|list| array(pod, list))
                .any(waits))
}

/// Whether all containers of a pod have their images.
#[must_use]
pub fn has_images(pod: &Value) -> bool {
    let count = array(pod, "/spec/containers").len() + array(pod, "/spec/initContainers").len();
    let with_image = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .flat_map(|list| array(pod, list))
        .filter(|status| !text(status, "/imageID").is_empty())
        .count();
    count == with_image
}

/// What matters about a node.
#[derive(Debug, Clone, Default)]
pub struct NodeFacts {
    /// Its architecture, such as `arm64`.
    pub architecture: String,
    /// What configures its container runtime.
    pub platform: Platform,
    /// The images that it reports, by full name; a node reports not more than fifty.
    images: BTreeSet<String>,
}

impl NodeFacts {
    /// Reads a node.
    #[must_use]
    pub fn of(node: &Value) -> Self {
        let info = |field: &str| text(node, &format!("/status/nodeInfo/{field}"));
        let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flat_map(|labels| labels.keys());
        let names = array(node, "/status/images").iter();
        let names = names.flat_map(|image| array(image, "/names"));
        Self {
            architecture: info("architecture").to_owned(),
            platform: Platform::of_node(
                info("kubeletVersion"),
                info("osImage"),
                info("containerRuntimeVersion"),
                labels.map(String::as_str),
            ),
            images: names.filter_map(|name| full_name(name.as_str()?)).collect(),
        }
    }
}

/// Completes a failure by what the pod's node says.
pub fn complete(failure: &mut ImageFailure, pod: &PodFacts, node: Option<&NodeFacts>) {
    let Some(node) = node else { return };
    if failure.cause == Cause::NoPlatform && !node.architecture.is_empty() {
        failure.show(format!(
            "node {} is {}",
            visible(&pod.node),
            visible(&node.architecture)
        ));
    }
    let image = failure.image.clone().unwrap_or_default();
    let is_there = full_name(&image).is_some_and(|name| node.images.contains(&name));
    let is_check = failure.cause.is_denial() || failure.cause == Cause::NeverPull;
    if is_there && is_check && pod.may_use_cached(&image) {
        failure
            .also_possible
            .retain(|one| *one != Cause::CredentialUnverified);
        let denial = std::mem::replace(&mut failure.cause, Cause::CredentialUnverified);
        failure.also(denial);
        failure.show(format!(
            "the image is on node {}, and the kubelet does not let this pod use it without a credential for it",
            visible(&pod.node)
        ));
    }
}

/// A reference with everything that it leaves out.
fn full_name(image: &str) -> Option<String> {
    let reference = Reference::parse(image).ok()?;
    let name = reference.name();
    Some(match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("{name}@{digest}"),
        (None, tag) => format!("{name}:{}", tag.unwrap_or("latest")),
    })
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn array<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
