//! The flags of a command that reaches a cluster, and the registry map in that cluster. This
//! module must not write to the cluster.

use super::map_args::{self, MapArgs};
use super::{CliError, output};
use crate::kube::client::KubeError;
use crate::kube::dry_run::DryRunClient;
use crate::state::map_store;
use pullpass_core::map::{self, LoadedMap, Options, SourceFile};
use pullpass_core::text::visible;
use pullpass_core::well_known::MAP_LABEL;
use serde_json::Value;
use std::path::PathBuf;

/// Where all `ConfigMap`s are.
const MAPS: &str = "/api/v1/configmaps";

/// The flags that say which cluster is meant.
#[derive(Debug, clap::Args)]
pub struct ConnectionArgs {
    /// The kubeconfig, instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ConnectionArgs {
    /// Prepares requests to the API server.
    pub async fn connect(&self) -> Result<DryRunClient, CliError> {
        DryRunClient::new(self.kubeconfig.as_deref(), self.context.as_deref())
            .await
            .map_err(|error| request_error(&error))
    }
}

/// The flags of every command that reaches a cluster and its map.
#[derive(Debug, clap::Args)]
pub struct ClusterArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// The namespace that pullpass is installed in; found by the map's ConfigMap where it is
    /// left out
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    pullpass_namespace: Option<String>,
}

/// A map, and where it comes from.
#[derive(Debug)]
pub struct MapSource {
    /// The map.
    pub loaded: LoadedMap,
    /// For people: a path, or `ConfigMap namespace/name`.
    pub source: String,
    /// The namespace of pullpass, if it is known.
    pub namespace: Option<String>,
}

/// A map in the cluster.
struct MapObject {
    namespace: String,
    name: String,
    files: Vec<SourceFile>,
}

impl ClusterArgs {
    /// Prepares requests to the API server.
    pub async fn connect(&self) -> Result<DryRunClient, CliError> {
        self.connection.connect().await
    }

    /// The map: `--config`, `$PULLPASS_CONFIG`, else the ConfigMap that is labelled
    /// `pullpass.dev/map`. The namespace of pullpass is exempt in it, as in the server.
    pub async fn map(&self, args: &MapArgs, api: &DryRunClient) -> Result<MapSource, CliError> {
        let in_cluster = self.map_objects(api).await;
        let (files, source, namespace) = if let Some(path) = &args.config {
            let files = map_store::read(path).map_err(CliError::input)?;
            let namespace = match in_cluster.as_deref() {
                Ok([only]) => Some(only.namespace.clone()),
                _ => None,
            };
            (files, path.display().to_string(), namespace)
        } else {
            let MapObject {
                namespace,
                name,
                files,
            } = only_one(in_cluster.map_err(|error| no_right(&error))?)?;
            (
                files,
                format!("ConfigMap {namespace}/{name}"),
                Some(namespace),
            )
        };
        let own_namespace = self.pullpass_namespace.clone().or(namespace);
        if own_namespace.is_none() {
            output::say(
                "note: the namespace of pullpass is not known, so it is treated like any other; name \
                 it by --pullpass-namespace",
            );
        }
        let namespace = own_namespace.clone();
        let loaded = map_args::load_with(&files, &Options { own_namespace })?;
        Ok(MapSource {
            loaded,
            source,
            namespace,
        })
    }

    async fn map_objects(&self, api: &DryRunClient) -> Result<Vec<MapObject>, KubeError> {
        let path = match &self.pullpass_namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/configmaps"),
            None => MAPS.to_owned(),
        };
        let labelled = format!("&labelSelector={}", MAP_LABEL.replace('/', "%2F"));
        let objects = api.list(&path, &labelled).await?;
        Ok(objects.iter().map(map_object).collect())
    }
}

/// A ConfigMap as the kubelet would mount it: its keys are files, those that
/// `serve` reads.
fn map_object(object: &Value) -> MapObject {
    let text = |pointer: &str| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        visible(text.unwrap_or_default())
    };
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let data = object.get("data").and_then(Value::as_object);
    let mut files: Vec<SourceFile> = data
        .into_iter()
        .flatten()
        .filter(|(key, _)| map::is_map_file(key))
        .map(|(key, text)| SourceFile {
            name: format!("ConfigMap {namespace}/{name}: {}", visible(key)),
            text: text.as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    MapObject {
        namespace,
        name,
        files,
    }
}

fn only_one(mut found: Vec<MapObject>) -> Result<MapObject, CliError> {
    let names: Vec<String> = found
        .iter()
        .map(|map| format!("{}/{}", map.namespace, map.name))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(CliError::input(format_args!(
            "no ConfigMap has the label {MAP_LABEL}; name the map by --config FILE or \
             $PULLPASS_CONFIG",
        ))),
        (Some(_), false) => Err(CliError::input(format_args!(
            "several ConfigMaps have the label {MAP_LABEL} ({}); choose one by \
             --pullpass-namespace, or name the map by --config FILE",
            names.join(", ")
        ))),
    }
}

/// The user may have no right to read the map, and can ask the cluster without it.
fn no_right(error: &KubeError) -> CliError {
    if let KubeError::Refused { .. } = error {
        return CliError::unreachable(format_args!(
            "cannot read the registry map in the cluster: {}; name it by --config FILE, or try \
             one image: kubectl run try --image IMAGE --dry-run=server",
            visible(&error.to_string())
        ));
    }
    request_error(error)
}

/// An error of a request to the API server, as the command's own.
#[must_use]
pub fn request_error(error: &KubeError) -> CliError {
    let words = visible(&error.to_string());
    match error {
        KubeError::Config(_) => CliError::input(words),
        _ => CliError::unreachable(words),
    }
}

/// A name that a namespace can have, so that it may stand in a path.
pub fn namespace(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.len() <= 63
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        "a namespace has at most 63 lower-case letters, digits and hyphens".to_owned()
    })
}
