//! `doctor` on a cluster: reads pods that wait for images, their events, Secrets and nodes,
//! and hands them to [`pullpass_core::diagnosis`].
//!
//! It only reads. A pod is forgotten as soon as its facts are taken, and a namespace's Secrets
//! as soon as its pods are done, so that the memory does not grow with the cluster. Where a
//! right is missing, it goes on and says what it could not see.

use super::target::{Target, TargetKind};
use crate::cli::cluster_args::request_error;
use crate::cli::{CliError, output};
use crate::kube::dry_run::DryRunClient;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use pullpass_core::diagnosis::cluster::{self, NodeFacts, PodFacts};
use pullpass_core::diagnosis::message::diagnose;
use pullpass_core::diagnosis::observation::{self, Observation, Subject};
use pullpass_core::diagnosis::pull_secret::{self, NamedSecret, PodSecrets, SecretState};
use pullpass_core::diagnosis::{self, ImageFailure, Platform};
use pullpass_core::secret_manifest;
use pullpass_core::text::visible;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Objects that are fetched at the same time, few enough for a busy API server.
const AT_ONCE: usize = 8;
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
            let secrets = self.read_secrets(namespace, &pods, waiting).await;
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

    /// What the pods of a namespace name, and what their ServiceAccounts list.
    async fn read_secrets(
        &mut self,
        namespace: &str,
        pods: &[usize],
        waiting: &[WaitingPod],
    ) -> NamespaceSecrets {
        let facts = || {
            pods.iter()
                .filter_map(|i| waiting.get(*i))
                .map(|(pod, _)| pod)
        };
        let accounts: BTreeSet<&str> = facts()
            .map(|pod| pod.service_account.as_str())
            .filter(|name| !name.is_empty())
            .collect();
        let api = self.api;
        let read_account = |name: &str| {
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
            let name = name.to_owned();
            async move { (name, api.read(&path).await) }
        };
        let mut lists = BTreeMap::new();
        let accounts: Vec<_> = accounts.into_iter().map(read_account).collect();
        let mut accounts = stream::iter(accounts).buffer_unordered(AT_ONCE);
        while let Some((name, read)) = accounts.next().await {
            match read {
                Ok(response) if response.status == 200 => {
                    let list = response
                        .body
                        .get("imagePullSecrets")
                        .and_then(Value::as_array);
                    let names = list
                        .into_iter()
                        .flatten()
                        .filter_map(|one| one.get("name")?.as_str());
                    lists.insert(name, names.map(str::to_owned).collect::<Vec<_>>());
                }
                _ => {
                    self.notes.insert(
                        "some ServiceAccounts could not be read, so their pull secrets are not known".to_owned(),
                    );
                }
            }
        }
        let mut names: BTreeSet<String> =
            facts().flat_map(|pod| pod.pull_secrets.clone()).collect();
        names.extend(lists.values().flatten().cloned());
        let read_secret = |name: String| async move {
            let state = SecretRead::new(api, namespace, &name).await;
            (name, state)
        };
        let reads: Vec<_> = names
            .into_iter()
            .filter(|name| name.parse::<Target>().is_ok())
            .map(read_secret)
            .collect();
        let secrets: BTreeMap<String, SecretRead> = stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        if secrets
            .values()
            .any(|one| matches!(one, SecretRead::Hidden))
        {
            self.notes.insert(
                "some Secrets could not be read, so it is not known whether they serve their images".to_owned(),
            );
        }
        NamespaceSecrets { secrets, lists }
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

/// A Secret, as far as it could be read.
enum SecretRead {
    Seen(secret_manifest::Finding),
    /// It does not exist here, but in these namespaces.
    Missing(Vec<String>),
    Hidden,
}

impl SecretRead {
    async fn new(api: &DryRunClient, namespace: &str, name: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        match api.read(&path).await {
            Ok(response) if response.status == 200 => secret_manifest::from_object(&response.body)
                .map_or(Self::Hidden, |secret| Self::Seen(secret.finding)),
            Ok(response) if response.status == 404 => {
                // Without the right to look elsewhere, it is just missing.
                let query = format!("&fieldSelector=metadata.name%3D{name}");
                let others = api
                    .list("/api/v1/secrets", &query)
                    .await
                    .unwrap_or_default();
                let namespaces = others
                    .iter()
                    .filter_map(|one| one.pointer("/metadata/namespace")?.as_str());
                Self::Missing(namespaces.take(5).map(str::to_owned).collect())
            }
            _ => Self::Hidden,
        }
    }

    fn state(&self) -> SecretState<'_> {
        match self {
            Self::Seen(finding) => SecretState::Seen(finding),
            Self::Missing(others) => SecretState::Missing(others),
            Self::Hidden => SecretState::Hidden,
        }
    }
}

/// The Secrets of a namespace, and which ServiceAccount lists which.
struct NamespaceSecrets {
    secrets: BTreeMap<String, SecretRead>,
    lists: BTreeMap<String, Vec<String>>,
}

impl NamespaceSecrets {
    fn of_pod<'s>(&'s self, pod: &'s PodFacts) -> PodSecrets<'s> {
        let named = |name: &'s String| NamedSecret {
            name,
            state: self
                .secrets
                .get(name)
                .map_or(SecretState::Hidden, SecretRead::state),
        };
        let list = self.lists.get(&pod.service_account);
        PodSecrets {
            named: pod.pull_secrets.iter().map(named).collect(),
            shadowed: list
                .into_iter()
                .flatten()
                .filter(|name| !pod.pull_secrets.contains(name))
                .map(named)
                .collect(),
            service_account: &pod.service_account,
        }
    }
}
