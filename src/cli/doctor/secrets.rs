//! The pull secrets of a namespace, as its pods and their `ServiceAccount`s name them.
//!
//! What is read is the user's own: without the right to read a Secret, it is called hidden.
//! This module must not print anything of a Secret's content.

use super::target::Target;
use crate::kube::dry_run::DryRunClient;
use futures_util::{StreamExt as _, stream};
use pullpass_core::diagnosis::cluster::PodFacts;
use pullpass_core::diagnosis::pull_secret::{NamedSecret, PodSecrets, SecretState};
use pullpass_core::secret_manifest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Objects that are fetched at the same time, few enough for a busy API server.
const AT_ONCE: usize = 8;

/// The Secrets of a namespace, and which `ServiceAccount` lists which.
pub(super) struct NamespaceSecrets {
    secrets: BTreeMap<String, SecretRead>,
    lists: BTreeMap<String, Vec<String>>,
}

impl NamespaceSecrets {
    /// What pods of a namespace name, and what their `ServiceAccount`s list. It adds to the notes
    /// what could not be read.
    pub(super) async fn read(
        api: &DryRunClient,
        namespace: &str,
        pods: &[&PodFacts],
        notes: &mut BTreeSet<String>,
    ) -> Self {
        let accounts: BTreeSet<&str> = pods
            .iter()
            .map(|pod| pod.service_account.as_str())
            .filter(|name| !name.is_empty())
            .collect();
        let reads: Vec<_> = accounts
            .into_iter()
            .map(|name| read_account(api, namespace, name.to_owned()))
            .collect();
        let accounts: Vec<(String, Option<Vec<String>>)> = stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        if accounts.iter().any(|(_, list)| list.is_none()) {
            notes.insert(
                "some ServiceAccounts could not be read, so their pull secrets are not known"
                    .to_owned(),
            );
        }
        let lists: BTreeMap<String, Vec<String>> = accounts
            .into_iter()
            .filter_map(|(name, list)| Some((name, list?)))
            .collect();
        let mut names: BTreeSet<String> = pods
            .iter()
            .flat_map(|pod| pod.pull_secrets.clone())
            .collect();
        names.extend(lists.values().flatten().cloned());
        let reads: Vec<_> = names
            .into_iter()
            .filter(|name| name.parse::<Target>().is_ok())
            .map(|name| async move {
                let state = SecretRead::new(api, namespace, &name).await;
                (name, state)
            })
            .collect();
        let secrets: BTreeMap<String, SecretRead> = stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let is_hidden = |one: &SecretRead| matches!(one, SecretRead::Hidden);
        if secrets.values().any(is_hidden) {
            notes.insert(
                "some Secrets could not be read, so it is not known whether they serve their images"
                    .to_owned(),
            );
        }
        Self { secrets, lists }
    }

    /// Those of one pod.
    pub(super) fn of_pod<'s>(&'s self, pod: &'s PodFacts) -> PodSecrets<'s> {
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

/// The pull secrets that a `ServiceAccount` lists; none if it cannot be read.
async fn read_account(
    api: &DryRunClient,
    namespace: &str,
    name: String,
) -> (String, Option<Vec<String>>) {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
    let response = match api.read(&path).await {
        Ok(response) if response.status == 200 => response,
        _ => return (name, None),
    };
    let list = response.body.get("imagePullSecrets");
    let names = list
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("name")?.as_str())
        .map(str::to_owned)
        .collect();
    (name, Some(names))
}

/// A Secret, as far as it could be read.
enum SecretRead {
    Seen(secret_manifest::SecretFinding),
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
