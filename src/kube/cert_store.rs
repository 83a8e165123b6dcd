//! Where self-signed certificates are stored: one Secret and some webhook configurations,
//! read, watched and written by name.
//!
//! An object is written only in the version that was read: a change in between is a
//! [`KubeError::Conflict`], and the caller reads again. This module must not create or delete an
//! object, because the chart does, and it must not decide anything.

use super::changes::{Changes, by_name, hints};
use super::client::{self, KubeError, request};
use super::rights::Right;
use super::webhook_objects::{ConfigurationName, WebhookObjects};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, PartialObjectMeta, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client};
use pullpass_core::rotation::{Observation, SecretChange};
use pullpass_core::well_known::CA_BUNDLE_ANNOTATION;
use serde_json::{Map, Value, json};
use std::fmt;

/// The field manager of the `caBundle`s (server-side apply).
const BUNDLE_MANAGER: &str = "pullpass-ca-bundle";
/// The field manager of the Secret's data.
const SECRET_MANAGER: &str = "pullpass";

/// What is done with each of the objects.
const VERBS: [&str; 4] = ["get", "list", "watch", "patch"];

/// The names of the objects.
#[derive(Debug, Clone)]
pub struct ObjectNames {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The webhook configurations; those that do not exist are left out.
    pub configurations: Vec<ConfigurationName>,
}

/// A client for these objects.
#[derive(Clone)]
pub struct CertStore {
    client: Client,
    names: ObjectNames,
    webhooks: WebhookObjects,
}

impl fmt::Debug for CertStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CertStore").field(&self.names).finish()
    }
}

/// What was read, and in which versions.
#[derive(Debug)]
pub struct Snapshot {
    /// What the decision about the next step needs.
    pub observed: Observation,
    secret: ObjectVersion,
    configurations: Vec<WebhookConfiguration>,
}

#[derive(Debug, Clone)]
struct ObjectVersion {
    uid: String,
    resource_version: String,
}

/// A webhook configuration: its webhooks' names and `caBundle`s.
#[derive(Debug)]
struct WebhookConfiguration {
    resource: ApiResource,
    name: String,
    version: ObjectVersion,
    hooks: Vec<(String, Vec<u8>)>,
}

impl CertStore {
    /// Takes `$KUBECONFIG`, or else the ServiceAccount of the pod; does not connect yet.
    pub async fn new(names: ObjectNames) -> Result<Self, KubeError> {
        let client = client::connect().await?;
        let webhooks = WebhookObjects::with_client(client.clone(), names.configurations.clone());
        Ok(Self {
            client,
            names,
            webhooks,
        })
    }

    /// The rights that this needs.
    #[must_use]
    pub fn rights(&self) -> Vec<Right> {
        let names = &self.names;
        let secret = |verb| {
            Right::everywhere(verb, "", "secrets").named(Some(&names.namespace), &names.secret)
        };
        let mut rights: Vec<Right> = VERBS.into_iter().map(secret).collect();
        for ConfigurationName { kind, name } in &names.configurations {
            let right = |verb| {
                Right::everywhere(verb, "admissionregistration.k8s.io", kind.plural())
                    .named(None, name)
            };
            rights.extend(VERBS.into_iter().map(right));
        }
        rights
    }

    /// Reads everything: the `caBundle`s first, see [`Observation`].
    pub async fn read(&self) -> Result<Snapshot, KubeError> {
        let objects = self.webhooks.read().await?.into_iter();
        let configurations: Vec<WebhookConfiguration> = objects
            .filter_map(|(name, object)| WebhookConfiguration::of(name, &object?))
            .collect();
        let read = request(&self.secret_name(), self.secret().get(&self.names.secret)).await;
        let secret = read.map_err(|error| match error {
            KubeError::Missing(what) => KubeError::Missing(format!(
                "{what}; the chart creates it, and pullpass only fills it in"
            )),
            error => error,
        })?;
        let mut observed = Observation::default();
        for (key, value) in secret.data.unwrap_or_default() {
            observed.secret.insert(key, value.0);
        }
        let bundles = configurations.iter().flat_map(|c| &c.hooks);
        observed.bundles = bundles.map(|(_, bundle)| bundle.clone()).collect();
        Ok(Snapshot {
            observed,
            secret: ObjectVersion::of(&secret.metadata),
            configurations,
        })
    }

    /// Changes the Secret, unless it has changed since it was read.
    pub async fn write(&self, snapshot: &Snapshot, change: &SecretChange) -> Result<(), KubeError> {
        let data: Map<String, Value> = change
            .entries()
            .map(|(key, value)| (key.to_owned(), value.map(|v| STANDARD.encode(v)).into()))
            .collect();
        let patch = Patch::Merge(json!({"metadata": snapshot.secret.guard(), "data": data}));
        let params = PatchParams {
            field_manager: Some(SECRET_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.secret();
        let written = api.patch_metadata(&self.names.secret, &params, &patch);
        request(&self.secret_name(), written).await?;
        Ok(())
    }

    /// Writes this bundle wherever another one was read, unless the object has changed since.
    /// All objects are tried; the error is the first one's.
    pub async fn publish(&self, snapshot: &Snapshot, bundle: &str) -> Result<(), KubeError> {
        let mut result = Ok(());
        for configuration in &snapshot.configurations {
            let differs = |(_, held): &(String, Vec<u8>)| held.as_slice() != bundle.as_bytes();
            if configuration.hooks.iter().any(differs) {
                result = result.and(self.apply(configuration, bundle).await);
            }
        }
        result
    }

    async fn apply(
        &self,
        configuration: &WebhookConfiguration,
        bundle: &str,
    ) -> Result<(), KubeError> {
        let WebhookConfiguration {
            resource,
            name,
            version,
            hooks,
        } = configuration;
        let bundle = STANDARD.encode(bundle);
        let hooks: Vec<Value> = hooks
            .iter()
            .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        // The uid keeps an object that was just deleted from being made again.
        let mut metadata = version.guard();
        metadata.insert("name".to_owned(), json!(name));
        let patch = Patch::Apply(json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            "webhooks": hooks,
        }));
        // Forced, because the field is ours whoever has written it.
        let params = PatchParams::apply(BUNDLE_MANAGER).force();
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let what = format!("{} {name}", resource.kind);
        request(&what, api.patch_metadata(name, &params, &patch)).await?;
        Ok(())
    }

    /// Watches the objects.
    #[must_use]
    pub fn changes(&self) -> Changes {
        let secret: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(self.client.clone(), &self.names.namespace);
        let mut streams = vec![hints(watcher(secret, by_name(&self.names.secret)))];
        streams.extend(self.webhooks.hints());
        Changes::of(streams)
    }

    /// The Secret in words.
    #[must_use]
    pub fn secret_name(&self) -> String {
        format!("Secret {}/{}", self.names.namespace, self.names.secret)
    }

    fn secret(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }
}

impl WebhookConfiguration {
    /// `None` when its `caBundle` comes from elsewhere: the API server then calls nobody
    /// through it who has to be trusted by our CA.
    fn of(name: &ConfigurationName, object: &DynamicObject) -> Option<Self> {
        let annotations = object.metadata.annotations.as_ref();
        if annotations.is_some_and(|all| all.contains_key(CA_BUNDLE_ANNOTATION)) {
            return None;
        }
        let hooks = object.data.get("webhooks").and_then(Value::as_array);
        Some(Self {
            resource: name.kind.resource(),
            name: name.name.clone(),
            version: ObjectVersion::of(&object.metadata),
            hooks: hooks.into_iter().flatten().filter_map(hook).collect(),
        })
    }
}

/// Name and `caBundle` of one webhook.
fn hook(hook: &Value) -> Option<(String, Vec<u8>)> {
    let name = hook.get("name")?.as_str()?;
    let bundle = hook.pointer("/clientConfig/caBundle");
    let bundle = bundle.and_then(Value::as_str).unwrap_or_default();
    let bundle = STANDARD.decode(bundle).unwrap_or_default();
    Some((name.to_owned(), bundle))
}

impl ObjectVersion {
    fn of(metadata: &kube::core::ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }

    /// What makes the API server refuse the write when this is not the version.
    fn guard(&self) -> Map<String, Value> {
        let mut guard = Map::new();
        guard.insert("uid".to_owned(), json!(self.uid));
        guard.insert("resourceVersion".to_owned(), json!(self.resource_version));
        guard
    }
}
