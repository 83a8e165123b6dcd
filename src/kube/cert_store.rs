//! Where self-signed certificates are stored: one Secret and some webhook configurations,
//! read, watched and written by name.
//!
//! Writes an object only in the version that was read: a change in between is a
//! [`KubeError::Conflict`], and the caller reads again. Never creates or deletes an
//! object, because the chart does. Decides nothing.

use super::client::{self, KubeError, request, with_causes};
use super::rights::Right;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, select_all};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, PartialObjectMeta, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
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
    /// `MutatingWebhookConfiguration`s; those that do not exist are left out.
    pub mutating: Vec<String>,
    /// `ValidatingWebhookConfiguration`s; those that do not exist are left out.
    pub validating: Vec<String>,
}

/// A client for these objects.
#[derive(Clone)]
pub struct CertStore {
    client: Client,
    names: ObjectNames,
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
        Ok(Self { client, names })
    }

    /// The rights that this needs.
    #[must_use]
    pub fn rights(&self) -> Vec<Right> {
        let names = &self.names;
        let secret = |verb| {
            Right::everywhere(verb, "", "secrets").named(Some(&names.namespace), &names.secret)
        };
        let mut rights: Vec<Right> = VERBS.into_iter().map(secret).collect();
        for (resource, names) in [
            ("mutatingwebhookconfigurations", &names.mutating),
            ("validatingwebhookconfigurations", &names.validating),
        ] {
            for name in names {
                let right = |verb| {
                    Right::everywhere(verb, "admissionregistration.k8s.io", resource)
                        .named(None, name)
                };
                rights.extend(VERBS.into_iter().map(right));
            }
        }
        rights
    }

    /// Reads everything: the `caBundle`s first, see [`Observation`].
    pub async fn read(&self) -> Result<Snapshot, KubeError> {
        let mut configurations = Vec::new();
        for (resource, name) in self.configurations() {
            configurations.extend(self.configuration(resource, name).await?);
        }
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

    /// An endless stream that gives something whenever one of the objects may have changed.
    #[must_use]
    pub fn changes(&self) -> BoxStream<'static, ()> {
        let config =
            |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let secret: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(self.client.clone(), &self.names.namespace);
        let mut streams: Vec<BoxStream<'static, ()>> =
            vec![hints(watcher(secret, config(&self.names.secret)))];
        for (resource, name) in self.configurations() {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            streams.push(hints(watcher(api, config(name))));
        }
        select_all(streams).boxed()
    }

    /// The Secret in words.
    fn secret_name(&self) -> String {
        format!("Secret {}/{}", self.names.namespace, self.names.secret)
    }

    fn secret(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }

    fn configurations(&self) -> impl Iterator<Item = (ApiResource, &str)> {
        let mutating = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let validating = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
        [
            (mutating, &self.names.mutating),
            (validating, &self.names.validating),
        ]
        .into_iter()
        .flat_map(|(resource, names)| {
            names
                .iter()
                .map(move |name| (resource.clone(), name.as_str()))
        })
    }

    /// `None` when there is no such object, or its `caBundle` comes from elsewhere: the API
    /// server then calls nobody through it who has to be trusted by our CA.
    async fn configuration(
        &self,
        resource: ApiResource,
        name: &str,
    ) -> Result<Option<WebhookConfiguration>, KubeError> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let what = format!("{} {name}", resource.kind);
        let object = match request(&what, api.get(name)).await {
            Ok(object) => object,
            Err(KubeError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let annotations = object.metadata.annotations.as_ref();
        if annotations.is_some_and(|all| all.contains_key(CA_BUNDLE_ANNOTATION)) {
            return Ok(None);
        }
        let hooks = object.data.get("webhooks").and_then(Value::as_array);
        let hooks = hooks.into_iter().flatten().filter_map(hook).collect();
        Ok(Some(WebhookConfiguration {
            resource,
            name: name.to_owned(),
            version: ObjectVersion::of(&object.metadata),
            hooks,
        }))
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

/// Leaves out errors: the watch begins again by itself with growing pauses, and the
/// caller reads from time to time anyway.
fn hints<T: Send + 'static>(
    events: impl futures_util::Stream<Item = Result<T, watcher::Error>> + Send + 'static,
) -> BoxStream<'static, ()> {
    let hints = events
        .default_backoff()
        .filter_map(async |event| match event {
            Ok(_) => Some(()),
            Err(error) => {
                tracing::debug!(error = with_causes(&error), "a watch was interrupted");
                None
            }
        });
    hints.boxed()
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
