//! The API server, as far as the self-signed certificates need it: one Secret and some
//! webhook configurations, read, watched and written by name.
//!
//! Writes only in the version that was read: a change of somebody else's in between
//! is a [`ClusterError::Conflict`], and the caller looks again. Never creates or
//! deletes an object: they are the chart's. Decides nothing.

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
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// Who the `caBundle`s belong to (server-side apply).
const BUNDLE_MANAGER: &str = "pullpass-ca-bundle";
/// Who the Secret's data belong to.
const SECRET_MANAGER: &str = "pullpass";
/// On a webhook configuration whose `caBundle` is somebody else's, whatever its value: the
/// chart writes it where the certificate is not kept by pullpass. A replica of the time
/// before, which is still there during an upgrade, must not take the field back.
const BUNDLE_OF_OTHERS: &str = "pullpass.dev/ca-bundle";
/// For one request; only a server that is not well takes so long.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Which objects.
#[derive(Debug, Clone)]
pub struct Names {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// `MutatingWebhookConfiguration`s; they need not be there.
    pub mutating: Vec<String>,
    /// `ValidatingWebhookConfiguration`s; they need not be there.
    pub validating: Vec<String>,
}

/// A client for these objects.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    names: Names,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.names).finish()
    }
}

/// Why the API server could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There is neither a kubeconfig nor a pod's ServiceAccount.
    #[error("cannot tell how to reach the API server: {0}")]
    Config(String),
    /// Somebody else has changed the object since it was read.
    #[error("{0} has changed in the meantime")]
    Conflict(String),
    /// An object of that name is there already.
    #[error("{0} is there already")]
    Exists(String),
    /// The object is not there.
    #[error("there is no {0}; it is made by the chart, and pullpass only fills it in")]
    Missing(String),
    /// The API server says no.
    #[error("{what}: {message}")]
    Refused {
        /// The object.
        what: String,
        /// The API server's words.
        message: String,
    },
    /// There was no answer.
    #[error("{what}: the API server does not answer: {error}")]
    Unreachable {
        /// The object.
        what: String,
        /// What went wrong.
        error: String,
    },
}

/// Takes `$KUBECONFIG`, or else the ServiceAccount of the pod; does not connect yet.
pub async fn connect() -> Result<Client, ClusterError> {
    // The one provider of this program; an error means that it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = kube::Config::infer().await;
    let config = config.map_err(|error| ClusterError::Config(chain(&error)))?;
    Client::try_from(config).map_err(|error| ClusterError::Config(chain(&error)))
}

/// What was read, and in which versions.
#[derive(Debug)]
pub struct Sight {
    /// For the brain.
    pub observed: Observation,
    secret: Version,
    configurations: Vec<Configuration>,
}

#[derive(Debug, Clone)]
struct Version {
    uid: String,
    resource_version: String,
}

/// A webhook configuration: its webhooks' names and `caBundle`s.
#[derive(Debug)]
struct Configuration {
    resource: ApiResource,
    name: String,
    version: Version,
    hooks: Vec<(String, Vec<u8>)>,
}

impl Cluster {
    /// Takes `$KUBECONFIG`, or else the ServiceAccount of the pod; does not connect yet.
    pub async fn new(names: Names) -> Result<Self, ClusterError> {
        let client = connect().await?;
        Ok(Self { client, names })
    }

    /// Reads everything: the `caBundle`s first, see [`Observation`].
    pub async fn look(&self) -> Result<Sight, ClusterError> {
        let mut configurations = Vec::new();
        for (resource, name) in self.configurations() {
            configurations.extend(self.configuration(resource, name).await?);
        }
        let name = &self.names.secret;
        let what = format!("Secret {}/{name}", self.names.namespace);
        let secret = request(&what, self.secret().get(name)).await?;
        let mut observed = Observation::default();
        for (key, value) in secret.data.unwrap_or_default() {
            observed.secret.insert(key, value.0);
        }
        let bundles = configurations.iter().flat_map(|c| &c.hooks);
        observed.bundles = bundles.map(|(_, bundle)| bundle.clone()).collect();
        Ok(Sight {
            observed,
            secret: Version::of(&secret.metadata),
            configurations,
        })
    }

    /// Changes the Secret, unless it is no longer what was read.
    pub async fn write(&self, sight: &Sight, change: &SecretChange) -> Result<(), ClusterError> {
        let data: Map<String, Value> = change
            .entries()
            .map(|(key, value)| (key.to_owned(), value.map(|v| STANDARD.encode(v)).into()))
            .collect();
        let patch = Patch::Merge(json!({"metadata": sight.secret.guard(), "data": data}));
        let params = PatchParams {
            field_manager: Some(SECRET_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = &self.names.secret;
        let what = format!("Secret {}/{name}", self.names.namespace);
        let api = self.secret();
        request(&what, api.patch_metadata(name, &params, &patch)).await?;
        Ok(())
    }

    /// Writes this bundle wherever there was another, unless the object is no longer
    /// what was read. All objects are tried; the error is the first one's.
    pub async fn publish(&self, sight: &Sight, bundle: &str) -> Result<(), ClusterError> {
        let mut result = Ok(());
        for configuration in &sight.configurations {
            let differs = |(_, held): &(String, Vec<u8>)| held.as_slice() != bundle.as_bytes();
            if configuration.hooks.iter().any(differs) {
                result = result.and(self.apply(configuration, bundle).await);
            }
        }
        result
    }

    async fn apply(&self, configuration: &Configuration, bundle: &str) -> Result<(), ClusterError> {
        let Configuration {
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
        // Whoever else has written the field: it is ours.
        let params = PatchParams::apply(BUNDLE_MANAGER).force();
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let what = format!("{} {name}", resource.kind);
        request(&what, api.patch_metadata(name, &params, &patch)).await?;
        Ok(())
    }

    /// Ends never; gives something whenever one of the objects may have changed.
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

    /// `None` when there is no such object, or its `caBundle` is somebody else's: then
    /// nobody is called through it who trusts our CA.
    async fn configuration(
        &self,
        resource: ApiResource,
        name: &str,
    ) -> Result<Option<Configuration>, ClusterError> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let what = format!("{} {name}", resource.kind);
        let object = match request(&what, api.get(name)).await {
            Ok(object) => object,
            Err(ClusterError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let annotations = object.metadata.annotations.as_ref();
        if annotations.is_some_and(|all| all.contains_key(BUNDLE_OF_OTHERS)) {
            return Ok(None);
        }
        let hooks = object.data.get("webhooks").and_then(Value::as_array);
        let hooks = hooks.into_iter().flatten().filter_map(hook).collect();
        Ok(Some(Configuration {
            resource,
            name: name.to_owned(),
            version: Version::of(&object.metadata),
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

/// Errors are left out: the watch begins again by itself, later and later, and the
/// caller looks from time to time anyway.
fn hints<T: Send + 'static>(
    events: impl futures_util::Stream<Item = Result<T, watcher::Error>> + Send + 'static,
) -> BoxStream<'static, ()> {
    let hints = events
        .default_backoff()
        .filter_map(async |event| match event {
            Ok(_) => Some(()),
            Err(error) => {
                tracing::debug!(error = chain(&error), "a watch was interrupted");
                None
            }
        });
    hints.boxed()
}

impl Version {
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

pub(crate) async fn request<T>(
    what: &str,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    let what = what.to_owned();
    let Ok(answer) = timeout(REQUEST_TIME, answer).await else {
        let error = format!("waited {REQUEST_TIME:?}");
        return Err(ClusterError::Unreachable { what, error });
    };
    answer.map_err(|error| match error {
        kube::Error::Api(status) if status.is_already_exists() => ClusterError::Exists(what),
        kube::Error::Api(status) if status.is_conflict() => ClusterError::Conflict(what),
        kube::Error::Api(status) if status.is_not_found() => ClusterError::Missing(what),
        kube::Error::Api(status) => ClusterError::Refused {
            what,
            message: status.message,
        },
        // Its words may quote what was sent, and that is a Secret.
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => ClusterError::Unreachable {
            what,
            error: "what comes back is no such object".to_owned(),
        },
        error => ClusterError::Unreachable {
            what,
            error: chain(&error),
        },
    })
}

/// An error and all that caused it, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}
