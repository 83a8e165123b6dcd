//! `doctor` on a cluster: reads pods that wait for images, their events, Secrets and nodes,
//! and hands them to [`pullpass_core::diagnosis`].
//!
//! It must not write. A pod is forgotten as soon as its facts are taken, and a namespace's Secrets
//! as soon as its pods are done, so that the memory does not grow with the cluster. Where a
//! right is missing, it goes on and says what it could not see.

use super::secrets::NamespaceSecrets;
use super::target::{Target, TargetKind};
use crate::cli::cluster_args::request_error;
use crate::cli::{CliError, output};
use crate::kube::dry_run::DryRunClient;
use jiff::Timestamp;
use pullpass_core::diagnosis::cluster::{self, NodeFacts, PodFacts};
use pullpass_core::diagnosis::message::diagnose;
use pullpass_core::diagnosis::observation::{self, Observation, Subject};
use pullpass_core::diagnosis::pull_secret;
use pullpass_core::diagnosis::{self, ImageFailure, Platform};
use pullpass_core::text::visible;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How many owners are asked whether they still lack pods.
const OWNERS: usize = 200;

/// Where pods are looked for.
pub(super) struct Scope {
    /// All namespaces, if there is none.
    pub(super) namespace: Option<String>,
    pub(super) targets: Vec<Target>,
}

/// What was found in a cluster.
pub(super) struct Examined {
    pub(super) failures: Vec<ImageFailure>,
    /// The kind of nodes that most of the failing pods are on.
    pub(super) platform: Platform,
    pub(super) notes: Vec<String>,
    /// How many pods were looked at.
    pub(super) pods: usize,
    /// Whether the targets have all their pods, with all images.
    pub(super) is_complete: bool,
}

/// Looks at a cluster once.
pub(super) async fn examine(api: &DryRunClient, scope: &Scope) -> Result<Examined, CliError> {
    let mut examiner = Examiner {
        api,
        scope,
        notes: BTreeSet::new(),
        events: BTreeMap::new(),
        pods: 0,
        is_complete: true,
    };
    examiner.read_events().await;
    let waiting = examiner.read_pods().await?;
    let nodes = examiner.read_nodes(&waiting).await;
    let mut failures = Vec::new();
    for (pod, observations) in &waiting {
        let mut found = diagnosis::failures(observations);
        for failure in &mut found {
            cluster::complete(failure, pod, nodes.get(&pod.node));
        }
        failures.push(found);
    }
    examiner.prove(&waiting, &mut failures).await;
    let mut failures: Vec<ImageFailure> = failures.into_iter().flatten().collect();
    failures.extend(examiner.owners_without_pods().await);
    output::progress("");
    Ok(Examined {
        platform: most_frequent(&waiting, &nodes),
        failures,
        notes: examiner.notes.into_iter().collect(),
        pods: examiner.pods,
        is_complete: examiner.is_complete,
    })
}

type WaitingPod = (PodFacts, Vec<Observation>);

struct Examiner<'e> {
    api: &'e DryRunClient,
    scope: &'e Scope,
    notes: BTreeSet<String>,
    /// What events say about each object, as far as it is about images.
    events: BTreeMap<Subject, Vec<Observation>>,
    pods: usize,
    is_complete: bool,
}

impl Examiner<'_> {
    fn path(&self, resource: &str) -> String {
        match &self.scope.namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/{resource}"),
            None => format!("/api/v1/{resource}"),
        }
    }

    /// Keeps of all events those that are about images and admission.
    async fn read_events(&mut self) {
        output::progress("reading events…");
        let mut events: BTreeMap<Subject, Vec<Observation>> = BTreeMap::new();
        let path = self.path("events");
        let read = self
            .api
            .each_page(&path, "&fieldSelector=type%3DWarning", |page| {
                let mut found = Vec::new();
                for event in &page {
                    observation::observe_event(event, &mut found);
                }
                for observation in found {
                    if diagnose(&observation.text).is_some() {
                        let known = events.entry(observation.subject.clone()).or_default();
                        known.push(observation);
                    }
                }
            });
        if let Err(error) = read.await {
            self.notes.insert(format!(
                "events could not be read ({}), so only the status of the pods is known",
                visible(&error.to_string())
            ));
        }
        self.events = events;
    }

    /// The pods that wait for an image, with all that is said about them.
    async fn read_pods(&mut self) -> Result<Vec<WaitingPod>, CliError> {
        let mut waiting = Vec::new();
        if self.scope.targets.is_empty() {
            let path = self.path("pods");
            self.read_pod_list(&path, "", &mut waiting).await?;
            return Ok(waiting);
        }
        let namespace = self.scope.namespace.clone().unwrap_or_default();
        for target in &self.scope.targets {
            let pods = format!("/api/v1/namespaces/{namespace}/pods");
            match target.kind {
                TargetKind::Pod => {
                    let pod = self.get(&format!("{pods}/{}", target.name), target).await?;
                    self.is_complete &= cluster::has_images(&pod);
                    self.take(&pod, &mut waiting);
                }
                TargetKind::Workload { group, resource } => {
                    let path = format!(
                        "/apis/{group}/namespaces/{namespace}/{resource}/{}",
                        target.name
                    );
                    let workload = self.get(&path, target).await?;
                    self.is_complete &= is_rolled_out(&workload);
                    let query = format!("&labelSelector={}", selector(&workload)?);
                    self.read_pod_list(&pods, &query, &mut waiting).await?;
                }
            }
        }
        Ok(waiting)
    }

    async fn get(&self, path: &str, target: &Target) -> Result<Value, CliError> {
        let response = self
            .api
            .read(path)
            .await
            .map_err(|error| request_error(&error))?;
        match response.status {
            200..300 => Ok(response.body),
            404 => Err(CliError::input(format_args!(
                "there is no {} in namespace {}; name another namespace with -n",
                target.name,
                self.scope.namespace.as_deref().unwrap_or_default()
            ))),
            _ => {
                let message = response.body.get("message").and_then(Value::as_str);
                Err(CliError::unreachable(visible(
                    message.unwrap_or("the API server gives no reason"),
                )))
            }
        }
    }

    async fn read_pod_list(
        &mut self,
        path: &str,
        query: &str,
        waiting: &mut Vec<WaitingPod>,
    ) -> Result<(), CliError> {
        let mut found = Vec::new();
        let (mut count, mut complete) = (0, true);
        let events = &self.events;
        let read = self.api.each_page(path, query, |page| {
            count += page.len();
            output::progress(&format!("{count} pods…"));
            for pod in &page {
                complete &= cluster::has_images(pod);
                found.extend(waiting_pod(pod, events));
            }
        });
        read.await.map_err(|error| request_error(&error))?;
        self.pods += count;
        self.is_complete &= complete;
        waiting.extend(found);
        Ok(())
    }

    fn take(&mut self, pod: &Value, waiting: &mut Vec<WaitingPod>) {
        self.pods += 1;
        waiting.extend(waiting_pod(pod, &self.events));
    }

    /// The nodes of the pods that wait.
    async fn read_nodes(&mut self, waiting: &[WaitingPod]) -> BTreeMap<String, NodeFacts> {
        let wanted: BTreeSet<&str> = waiting.iter().map(|(pod, _)| pod.node.as_str()).collect();
        let mut nodes = BTreeMap::new();
        if wanted.iter().all(|name| name.is_empty()) {
            return nodes;
        }
        let read = self.api.each_page("/api/v1/nodes", "", |page| {
            for node in &page {
                let name = node.pointer("/metadata/name").and_then(Value::as_str);
                if let Some(name) = name.filter(|name| wanted.contains(name)) {
                    nodes.insert(name.to_owned(), NodeFacts::of(node));
                }
            }
        });
        if let Err(error) = read.await {
            self.notes.insert(format!(
                "nodes could not be read ({}), so their architecture and distribution are not known",
                visible(&error.to_string())
            ));
        }
        nodes
    }

    /// Corrects the failures by the Secrets of the pods, namespace by namespace.
    async fn prove(&mut self, waiting: &[WaitingPod], failures: &mut [Vec<ImageFailure>]) {
        let mut namespaces: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, (pod, _)) in waiting.iter().enumerate() {
            let namespace = pod.subject.namespace.as_deref().unwrap_or_default();
            namespaces.entry(namespace).or_default().push(i);
        }
        let all = namespaces.len();
        for (done, (namespace, pods)) in namespaces.into_iter().enumerate() {
            output::progress(&format!(
                "Secrets of {namespace} ({done} of {all} namespaces)…"
            ));
            let facts: Vec<&PodFacts> = pods
                .iter()
                .filter_map(|i| waiting.get(*i))
                .map(|(pod, _)| pod)
                .collect();
            let secrets =
                NamespaceSecrets::read(self.api, namespace, &facts, &mut self.notes).await;
            for i in pods {
                let (Some((pod, _)), Some(failures)) = (waiting.get(i), failures.get_mut(i)) else {
                    continue;
                };
                for failure in failures {
                    pull_secret::prove(failure, &secrets.of_pod(pod), Timestamp::now());
                }
            }
        }
    }

    /// Owners whose pods are not admitted: the words are in events about the owner.
    async fn owners_without_pods(&mut self) -> Vec<ImageFailure> {
        let mut failures = Vec::new();
        let events = std::mem::take(&mut self.events);
        let owners = events.into_iter().filter(|(owner, _)| owner.kind != "Pod");
        for (owner, observations) in owners.take(OWNERS) {
            if self.is_wanted(&owner) && self.lacks_pods(&owner).await {
                failures.extend(diagnosis::failures(&observations));
            }
        }
        failures
    }

    /// Whether an owner belongs to a target: a ReplicaSet has the name of its Deployment and
    /// more.
    fn is_wanted(&self, owner: &Subject) -> bool {
        let name = owner.name.as_deref().unwrap_or_default();
        let belongs = |target: &Target| {
            let rest = name.strip_prefix(target.name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.scope.targets.is_empty() || self.scope.targets.iter().any(belongs)
    }

    async fn lacks_pods(&self, owner: &Subject) -> bool {
        let (Some(namespace), Some(name)) = (&owner.namespace, &owner.name) else {
            return true;
        };
        let kind = owner.kind.to_ascii_lowercase();
        let Ok(Target {
            kind: TargetKind::Workload { group, resource },
            name,
        }) = format!("{kind}/{name}").parse()
        else {
            return true;
        };
        let path = format!("/apis/{group}/namespaces/{namespace}/{resource}/{name}");
        match self.api.read(&path).await {
            Ok(response) if response.status == 404 => false,
            Ok(response) if response.status == 200 => {
                let count = |field: &str| response.body.pointer(field).and_then(Value::as_u64);
                let wanted = count("/spec/replicas")
                    .or_else(|| count("/status/desiredNumberScheduled"))
                    .unwrap_or(1);
                let there = count("/status/replicas")
                    .or_else(|| count("/status/currentNumberScheduled"))
                    .or_else(|| count("/status/active"))
                    .or_else(|| count("/status/succeeded"))
                    .unwrap_or(0);
                there < wanted
            }
            _ => true,
        }
    }
}

/// A pod that waits, and what its status and its events say about images; none for a pod that
/// waits for something else.
fn waiting_pod(pod: &Value, events: &BTreeMap<Subject, Vec<Observation>>) -> Option<WaitingPod> {
    if !cluster::is_waiting(pod) {
        return None;
    }
    let facts = PodFacts::of(pod);
    let mut observations = Vec::new();
    observation::observe_pod(pod, &mut observations);
    observations.extend(events.get(&facts.subject).into_iter().flatten().cloned());
    let is_about_images = observations
        .iter()
        .any(|observation| diagnose(&observation.text).is_some());
    is_about_images.then_some((facts, observations))
}

/// Whether a workload has all pods that it wants, in its newest version.
fn is_rolled_out(workload: &Value) -> bool {
    let count = |field: &str| workload.pointer(field).and_then(Value::as_u64);
    let is_seen = count("/status/observedGeneration") >= count("/metadata/generation");
    let wanted = count("/spec/replicas").or_else(|| count("/status/desiredNumberScheduled"));
    let updated = count("/status/updatedReplicas")
        .or_else(|| count("/status/updatedNumberScheduled"))
        .or_else(|| count("/status/replicas"))
        .or_else(|| count("/status/active"))
        .or_else(|| count("/status/succeeded"));
    is_seen && updated.unwrap_or(0) >= wanted.unwrap_or(1)
}

/// The selector of a workload's pods, for a query.
fn selector(workload: &Value) -> Result<String, CliError> {
    let labels = workload
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object)
        .filter(|labels| !labels.is_empty());
    let labels = labels.ok_or_else(|| {
        CliError::input("the workload selects its pods by expressions; name the pods instead")
    })?;
    let pairs = labels.iter().map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        format!("{}%3D{value}", key.replace('/', "%2F"))
    });
    Ok(pairs.collect::<Vec<_>>().join("%2C"))
}

fn most_frequent(waiting: &[WaitingPod], nodes: &BTreeMap<String, NodeFacts>) -> Platform {
    let mut counts: BTreeMap<Platform, usize> = BTreeMap::new();
    for (pod, _) in waiting {
        if let Some(node) = nodes.get(&pod.node) {
            *counts.entry(node.platform).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(platform, _)| platform).unwrap_or_default()
}
