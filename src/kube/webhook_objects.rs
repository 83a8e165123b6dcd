//! The webhook configurations of pullpass, read and watched by name.
//!
//! This module must not write or judge them; [`pullpass_core::registration`] judges.

use super::changes::{Changes, by_name, hints};
use super::client::{self, KubeError, request};
use futures_util::stream::BoxStream;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::{Api, Client};
use std::fmt;

/// Which of the two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigurationKind {
    /// `MutatingWebhookConfiguration`.
    Mutating,
    /// `ValidatingWebhookConfiguration`.
    Validating,
}

impl ConfigurationKind {
    /// The name of the resource in RBAC rules.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Mutating => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
            Self::Validating => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
        }
    }
}

/// The name of one webhook configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationName {
    /// Its kind.
    pub kind: ConfigurationKind,
    /// Its name.
    pub name: String,
}

/// A client for these objects.
#[derive(Clone)]
pub struct WebhookObjects {
    client: Client,
    names: Vec<ConfigurationName>,
}

impl fmt::Debug for WebhookObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookObjects").field(&self.names).finish()
    }
}

impl WebhookObjects {
    /// Takes `$KUBECONFIG`, or else the ServiceAccount of the pod; does not connect yet.
    pub async fn new(names: Vec<ConfigurationName>) -> Result<Self, KubeError> {
        Ok(Self::with_client(client::connect().await?, names))
    }

    pub(super) fn with_client(client: Client, names: Vec<ConfigurationName>) -> Self {
        Self { client, names }
    }

    /// Reads all of them, in the order of their names in the list; `None` stands for one that
    /// does not exist.
    pub async fn read(
        &self,
    ) -> Result<Vec<(&ConfigurationName, Option<DynamicObject>)>, KubeError> {
        let mut read = Vec::new();
        for configuration in &self.names {
            let ConfigurationName { kind, name } = configuration;
            let resource = kind.resource();
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let what = format!("{} {name}", resource.kind);
            let object = match request(&what, api.get(name)).await {
                Ok(object) => Some(object),
                Err(KubeError::Missing(_)) => None,
                Err(error) => return Err(error),
            };
            read.push((configuration, object));
        }
        Ok(read)
    }

    /// Watches all of them.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::of(self.hints())
    }

    pub(super) fn hints(&self) -> Vec<BoxStream<'static, ()>> {
        let watch = |ConfigurationName { kind, name }: &ConfigurationName| {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind.resource());
            hints(kube::runtime::watcher(api, by_name(name)))
        };
        self.names.iter().map(watch).collect()
    }
}
