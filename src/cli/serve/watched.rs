//! The flags that name what pullpass watches in the cluster: its webhook configurations, and
//! the ConfigMap of the registry map. This module must not connect to an API server.

use crate::cli::CliError;
use crate::kube::map_object::MapObjectName;
use crate::kube::webhook_objects::{ConfigurationKind, ConfigurationName};
use crate::registration::RegistrationSource;
use pullpass_core::registration::RegisteredWebhook;
use std::str::FromStr;

#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    /// The Service through which the API server calls
    #[arg(long, value_name = "NAME")]
    pub(super) webhook_service: Option<String>,
    /// A mutating webhook configuration, which is watched; may be repeated; with
    /// --self-signed-secret its caBundle is written
    #[arg(long = "mutating-webhook-configuration", value_name = "NAME")]
    mutating: Vec<String>,
    /// The same of a validating one; after a colon validate, validate-map or
    /// validate-workloads may say what it registers
    #[arg(
        long = "validating-webhook-configuration",
        value_name = "NAME[:WEBHOOK]"
    )]
    validating: Vec<Validating>,
    /// The ConfigMap that --config is mounted from, in the namespace of --namespace: it is
    /// watched, so that a change is in force before the kubelet has updated the files
    #[arg(long, value_name = "NAME")]
    map_configmap: Option<String>,
}

/// A validating webhook configuration, and what it registers if that is known.
#[derive(Debug, Clone)]
struct Validating {
    name: String,
    webhook: Option<RegisteredWebhook>,
}

impl FromStr for Validating {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, word)) = text.split_once(':') else {
            return Ok(Self {
                name: text.to_owned(),
                webhook: None,
            });
        };
        let mut webhooks = RegisteredWebhook::ALL.into_iter();
        let webhook = webhooks
            .find(|webhook| *webhook != RegisteredWebhook::Mutate && webhook.as_str() == word);
        match webhook {
            Some(_) => Ok(Self {
                name: name.to_owned(),
                webhook,
            }),
            None => Err("after the colon write validate, validate-map or validate-workloads"),
        }
    }
}

impl WatchArgs {
    /// The names of all webhook configurations.
    pub(super) fn configurations(&self) -> Vec<ConfigurationName> {
        let named = |kind| {
            move |name: &String| ConfigurationName {
                kind,
                name: name.clone(),
            }
        };
        let mutating = self.mutating.iter().map(named(ConfigurationKind::Mutating));
        let validating = self.validating.iter().map(|validating| &validating.name);
        mutating
            .chain(validating.map(named(ConfigurationKind::Validating)))
            .collect()
    }

    /// The webhook configurations to watch, if any are named.
    pub(super) fn registration(&self, namespace: Option<&str>) -> Option<RegistrationSource> {
        let configurations = self.configurations();
        if configurations.is_empty() {
            return None;
        }
        let mutating = self
            .mutating
            .iter()
            .map(|_| Some(RegisteredWebhook::Mutate));
        let validating = self.validating.iter().map(|validating| validating.webhook);
        let service = namespace.zip(self.webhook_service.as_deref());
        Some(RegistrationSource {
            configurations,
            webhooks: mutating.chain(validating).collect(),
            service: service.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
        })
    }

    /// The ConfigMap to watch, if it is named.
    pub(super) fn map_object(
        &self,
        namespace: Option<&str>,
    ) -> Result<Option<MapObjectName>, CliError> {
        let Some(name) = self.map_configmap.clone() else {
            return Ok(None);
        };
        let Some(namespace) = namespace else {
            return Err(CliError::input(
                "--map-configmap needs the namespace of the ConfigMap; name it by --namespace or POD_NAMESPACE",
            ));
        };
        let namespace = namespace.to_owned();
        Ok(Some(MapObjectName { namespace, name }))
    }
}
