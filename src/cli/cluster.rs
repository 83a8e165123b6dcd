//! How a command reaches a cluster, and finds the registry map that is in it.

use super::map_args::{self, MapArgs};
use super::{Failure, output};
use crate::kube::dry_run::{ApiError, ApiServer};
use crate::state::map_store;
use pullpass_core::map::{self, LoadedMap, Options, SourceFile};
use pullpass_core::text::visible;
use serde_json::Value;
use std::path::PathBuf;

/// The label of the map's ConfigMap, and what a namespace's own objects are read by.
const MAPS: &str = "/api/v1/configmaps";
const LABELLED: &str = "&labelSelector=pullpass.dev%2Fmap";

/// The flags of every command that asks a cluster.
#[derive(Debug, clap::Args)]
pub struct ClusterArgs {
    /// The kubeconfig, instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The namespace that pullpass is installed in; found by the map's `ConfigMap` where this is
    /// not given
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    pullpass_namespace: Option<String>,
}

/// A map, and where it was found.
#[derive(Debug)]
pub struct Found {
    /// The map.
    pub loaded: LoadedMap,
    /// For people: a path, or `ConfigMap namespace/name`.
    pub source: String,
}

/// A map in the cluster.
struct MapObject {
    namespace: String,
    name: String,
    files: Vec<SourceFile>,
}

impl ClusterArgs {
    /// Makes ready to ask the API server.
    pub async fn connect(&self) -> Result<ApiServer, Failure> {
        ApiServer::new(self.kubeconfig.as_deref(), self.context.as_deref())
            .await
            .map_err(|error| failure(&error))
    }

    /// The map: `--config`, `$PULLPASS_CONFIG`, else the ConfigMap that is labelled
    /// `pullpass.dev/map`. The namespace of pullpass is exempt in it, as in the server.
    pub async fn map(&self, args: &MapArgs, api: &ApiServer) -> Result<Found, Failure> {
        let in_cluster = self.map_objects(api).await;
        let (files, source, namespace) = if let Some(path) = &args.config {
            let files = map_store::read(path).map_err(Failure::input)?;
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
            } = the_one(in_cluster.map_err(|error| no_right(&error))?)?;
            (
                files,
                format!("ConfigMap {namespace}/{name}"),
                Some(namespace),
            )
        };
        let own_namespace = self.pullpass_namespace.clone().or(namespace);
        if own_namespace.is_none() {
            output::say(
                "note: the namespace of pullpass is not known (--pullpass-namespace), so it is \
                 expected to be like any other",
            );
        }
        let loaded = map_args::load_with(&files, &Options { own_namespace })?;
        Ok(Found { loaded, source })
    }

    async fn map_objects(&self, api: &ApiServer) -> Result<Vec<MapObject>, ApiError> {
        let path = match &self.pullpass_namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/configmaps"),
            None => MAPS.to_owned(),
        };
        let objects = api.list(&path, LABELLED).await?;
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

fn the_one(mut found: Vec<MapObject>) -> Result<MapObject, Failure> {
    let names: Vec<String> = found
        .iter()
        .map(|map| format!("{}/{}", map.namespace, map.name))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Failure::input(
            "no ConfigMap has the label pullpass.dev/map: name the map by --config FILE or \
             $PULLPASS_CONFIG",
        )),
        (Some(_), false) => Err(Failure::input(format_args!(
            "several ConfigMaps have the label pullpass.dev/map ({}): choose one by \
             --pullpass-namespace, or name the map by --config FILE",
            names.join(", ")
        ))),
    }
}

/// The map may be none of the user's business; there is a way to ask without it.
fn no_right(error: &ApiError) -> Failure {
    if let ApiError::Refused { .. } = error {
        return Failure::unreachable(format_args!(
            "the registry map cannot be read in the cluster: {}\nname it by --config FILE, or ask \
             the cluster about one image: kubectl run try --image IMAGE --dry-run=server",
            visible(&error.to_string())
        ));
    }
    failure(error)
}

/// An error of the API server's, in words for people.
#[must_use]
pub fn failure(error: &ApiError) -> Failure {
    let words = visible(&error.to_string());
    match error {
        ApiError::Config(_) => Failure::input(words),
        _ => Failure::unreachable(words),
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
