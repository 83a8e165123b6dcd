//! The part of a pod that pullpass reads: every field that names an image, the pull secrets,
//! and some metadata.
//!
//! Other fields are skipped and never written back, so fields that are newer than this build
//! stay as they are. As in the API server's own decoding, `null` is the same as absent. A new
//! field of Kubernetes that names an image belongs into [`PodField`], `Spec` and
//! [`Pod::images`], and into the CEL of [`crate::vap`]. This module must not judge.

use super::json::{JsonObject, List, Text};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt::{self, Formatter};

use crate::policy::{Field, PodField};
use crate::well_known::{INJECTED_ANNOTATION, MIRROR_POD_ANNOTATION};

/// The part of a pod that pullpass reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    /// The path from the root of the object in the request to the pod; see [`Field::within`].
    #[serde(skip)]
    within: &'static str,
    #[serde(borrow)]
    metadata: JsonObject<Metadata<'a>>,
    #[serde(borrow)]
    spec: JsonObject<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    generate_name: Text<'a>,
    #[serde(borrow)]
    deletion_timestamp: Text<'a>,
    #[serde(borrow)]
    annotations: Option<Annotations<'a>>,
    #[serde(borrow)]
    owner_references: List<OwnerReference<'a>>,
}

/// An item of `metadata.ownerReferences`; the owner is in the pod's own namespace.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OwnerReference<'a> {
    #[serde(borrow)]
    pub(super) api_version: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) uid: Text<'a>,
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    init_containers: List<Container<'a>>,
    #[serde(borrow)]
    containers: List<Container<'a>>,
    #[serde(borrow)]
    ephemeral_containers: List<Container<'a>>,
    #[serde(borrow)]
    volumes: List<Volume<'a>>,
    #[serde(borrow)]
    image_pull_secrets: List<SecretReference<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    image: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume<'a> {
    #[serde(borrow)]
    image: JsonObject<VolumeImage<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VolumeImage<'a> {
    #[serde(borrow)]
    reference: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SecretReference<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

impl<'a> Pod<'a> {
    /// Every image that the pod names, with its field. Empty images are left out: the API
    /// server refuses them with a message of its own after mutation
    /// (`pkg/apis/core/validation`, `validateContainerCommon`).
    pub fn images(&self) -> impl Iterator<Item = (Field, &str)> {
        let spec = self.spec.0.as_ref();
        let within = self.within;
        let containers = move |list: for<'s> fn(&'s Spec<'a>) -> &'s List<Container<'a>>,
                               field: fn(u32) -> PodField| {
            spec.into_iter().flat_map(move |spec| {
                numbered(list(spec)).map(move |(i, container)| (field(i), &*container.image.0))
            })
        };
        let volumes = spec.into_iter().flat_map(|spec| {
            numbered(&spec.volumes).filter_map(|(i, volume)| {
                let image = volume.image.0.as_ref()?;
                Some((PodField::Volume(i), &*image.reference.0))
            })
        });
        containers(|spec| &spec.containers, PodField::Container)
            .chain(containers(
                |spec| &spec.init_containers,
                PodField::InitContainer,
            ))
            .chain(containers(
                |spec| &spec.ephemeral_containers,
                PodField::EphemeralContainer,
            ))
            .chain(volumes)
            .filter(|(_, image)| !image.is_empty())
            .map(move |(field, image)| (Field { within, field }, image))
    }

    /// The names in `spec.imagePullSecrets`, in order. Elements without a name, which the API
    /// allows, are left out.
    pub fn pull_secrets(&self) -> impl Iterator<Item = &str> {
        self.spec
            .0
            .iter()
            .flat_map(|spec| spec.image_pull_secrets.0.iter())
            .map(|secret| &*secret.name.0)
            .filter(|name| !name.is_empty())
    }

    /// Whether `spec.imagePullSecrets` has elements, with or without names, so that a patch
    /// can append to it.
    #[must_use]
    pub fn has_pull_secret_list(&self) -> bool {
        self.spec
            .0
            .as_ref()
            .is_some_and(|spec| !spec.image_pull_secrets.0.is_empty())
    }

    /// The pod that a workload makes: `self` is its template, the metadata are the
    /// workload's own, and `within` is the path from the workload to the pod.
    pub(super) fn made_by(self, metadata: JsonObject<Metadata<'a>>, within: &'static str) -> Self {
        Self {
            within,
            metadata,
            spec: self.spec,
        }
    }

    /// `metadata.name`, or `metadata.generateName` if the API server is to generate the
    /// name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.0.as_ref().map_or("", |metadata| {
            if metadata.name.0.is_empty() {
                &metadata.generate_name.0
            } else {
                &metadata.name.0
            }
        })
    }

    /// `metadata.generateName`, also if the pod has a name.
    #[must_use]
    pub fn generate_name(&self) -> &str {
        let metadata = self.metadata.0.as_ref();
        metadata.map_or("", |metadata| &metadata.generate_name.0)
    }

    /// `metadata.namespace`; empty if the object does not name it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let metadata = self.metadata.0.as_ref();
        metadata.map_or("", |metadata| &metadata.namespace.0)
    }

    /// The owner that controls the object; there is at most one
    /// (`pkg/apis/meta/v1/validation`, `ValidateOwnerReferences`).
    pub(super) fn controller(&self) -> Option<&OwnerReference<'a>> {
        let metadata = self.metadata.0.as_ref()?;
        let mut owners = metadata.owner_references.0.iter();
        owners.find(|owner| owner.controller == Some(true))
    }

    /// Whether the pod claims to be the API object of a static pod.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.annotations()
            .is_some_and(|annotations| annotations.is_mirror)
    }

    /// Whether the pod is being deleted, so that updates only remove its finalizers.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.metadata
            .0
            .as_ref()
            .is_some_and(|metadata| !metadata.deletion_timestamp.0.is_empty())
    }

    /// Whether the pod has `metadata`, so that a patch can add fields to it.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        self.metadata.0.is_some()
    }

    /// Whether the pod has `metadata.annotations`, so that a patch can add an annotation.
    #[must_use]
    pub fn has_annotations(&self) -> bool {
        self.annotations().is_some()
    }

    /// The value of [`INJECTED_ANNOTATION`]; empty if the pod does not have it.
    #[must_use]
    pub fn injected(&self) -> &str {
        self.annotations()
            .map_or("", |annotations| &annotations.injected)
    }

    fn annotations(&self) -> Option<&Annotations<'a>> {
        self.metadata.0.as_ref()?.annotations.as_ref()
    }
}

fn numbered<T>(list: &List<T>) -> impl Iterator<Item = (u32, &T)> {
    (0_u32..).zip(list.0.iter())
}

/// The two annotations that pullpass reads.
#[derive(Debug, Default)]
struct Annotations<'a> {
    is_mirror: bool,
    injected: Cow<'a, str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor;
        impl<'de> Visitor<'de> for AnnotationsVisitor {
            type Value = Annotations<'de>;
            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a map of annotations")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Annotations::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if key.0 == INJECTED_ANNOTATION {
                        found.injected = map.next_value::<Text<'de>>()?.0;
                    } else {
                        found.is_mirror |= key.0 == MIRROR_POD_ANNOTATION;
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(AnnotationsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: &str) -> Pod<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_image_bearing_field_is_found_with_its_path() {
        let pod = pod(r#"{"spec":{
            "volumes":[{"name":"x"},{"image":{"reference":"v"}},{"image":null}],
            "initContainers":[{"image":"i"}],
            "containers":[{"name":"no-image"},{"image":"c"},null,{"image":null}],
            "ephemeralContainers":[{"image":"e"}]}}"#);
        let found: Vec<_> = pod
            .images()
            .map(|(field, image)| (field.to_string(), image.to_owned()))
            .collect();
        let expected = [
            ("spec.containers[1].image", "c"),
            ("spec.initContainers[0].image", "i"),
            ("spec.ephemeralContainers[0].image", "e"),
            ("spec.volumes[1].image.reference", "v"),
        ];
        assert_eq!(found, expected.map(|(f, i)| (f.to_owned(), i.to_owned())));
    }

    #[test]
    fn null_is_read_like_an_absent_value() {
        for text in [
            "{}",
            r#"{"metadata":null,"spec":null}"#,
            r#"{"metadata":{},"spec":{}}"#,
            r#"{"metadata":{"annotations":null,"deletionTimestamp":null,"name":null},
                "spec":{"containers":null,"imagePullSecrets":null,"volumes":null}}"#,
        ] {
            let pod = pod(text);
            assert_eq!(pod.images().count(), 0, "{text}");
            assert!(!pod.has_pull_secret_list() && !pod.is_mirror() && !pod.is_being_deleted());
            assert!(!pod.has_annotations());
        }
    }

    #[test]
    fn nameless_secrets_count_for_the_list_and_not_for_the_names() {
        let pod = pod(r#"{"spec":{"imagePullSecrets":[{},{"name":"a"},null,{"name":""}]}}"#);
        assert_eq!(pod.pull_secrets().collect::<Vec<_>>(), ["a"]);
        assert!(pod.has_pull_secret_list());
    }

    #[test]
    fn escapes_in_strings_are_read() {
        let pod = pod(
            r#"{"metadata":{"annotations":{"kubernetes.io\/config.mirror":"x"}},
            "spec":{"containers":[{"image":"a\u002fb"}]}}"#,
        );
        assert!(pod.is_mirror());
        assert_eq!(pod.images().next().unwrap().1, "a/b");
    }
}
