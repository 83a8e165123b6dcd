//! The ConfigMap of the registry map, read and watched by name.
//!
//! It is the object that the kubelet mounts, a minute or two earlier. This module must not write
//! it, or know what a map is.

use super::changes::{Changes, by_name, hints};
use super::client::{self, KubeError, request};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::fmt;

/// Which ConfigMap it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A client for the ConfigMap.
#[derive(Clone)]
pub struct MapObject {
    client: Client,
    name: MapObjectName,
}

impl fmt::Debug for MapObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapObject").field(&self.name).finish()
    }
}

impl fmt::Display for MapObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigMap {}/{}", self.namespace, self.name)
    }
}

/// What was read of it.
#[derive(Debug)]
pub enum MapReading {
    /// It does not exist.
    Missing,
    /// It has not changed since it was read last.
    Unchanged,
    /// Its keys with their bytes, as the kubelet would mount them, and its version.
    Changed {
        /// The files.
        files: BTreeMap<String, Vec<u8>>,
        /// What the next reading compares with.
        version: Option<String>,
    },
}

impl MapObject {
    /// Takes `$KUBECONFIG`, or else the ServiceAccount of the pod; does not connect yet.
    pub async fn new(name: MapObjectName) -> Result<Self, KubeError> {
        let client = client::connect().await?;
        Ok(Self { client, name })
    }

    /// Reads it, its content only if its version is another than this.
    pub async fn read(&self, known: Option<&str>) -> Result<MapReading, KubeError> {
        let what = self.name.to_string();
        let name = &self.name.name;
        let api: Api<ConfigMap> = self.api();
        if known.is_some() {
            match request(&what, api.get_metadata(name)).await {
                Ok(object) if object.metadata.resource_version.as_deref() == known => {
                    return Ok(MapReading::Unchanged);
                }
                Ok(_) => {}
                Err(KubeError::Missing(_)) => return Ok(MapReading::Missing),
                Err(error) => return Err(error),
            }
        }
        let object = match request(&what, api.get(name)).await {
            Ok(object) => object,
            Err(KubeError::Missing(_)) => return Ok(MapReading::Missing),
            Err(error) => return Err(error),
        };
        let texts = object.data.unwrap_or_default().into_iter();
        let texts = texts.map(|(key, text)| (key, text.into_bytes()));
        let binaries = object.binary_data.unwrap_or_default().into_iter();
        let binaries = binaries.map(|(key, bytes)| (key, bytes.0));
        Ok(MapReading::Changed {
            files: texts.chain(binaries).collect(),
            version: object.metadata.resource_version,
        })
    }

    /// Watches it.
    #[must_use]
    pub fn changes(&self) -> Changes {
        // The API server sends the metadata alone.
        let api: Api<PartialObjectMeta<ConfigMap>> = self.api();
        Changes::of(vec![hints(watcher(api, by_name(&self.name.name)))])
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name.namespace)
    }
}
