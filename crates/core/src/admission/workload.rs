//! The pod in an object that has one: a Pod itself, or the template of a workload.
//!
//! Only this module knows where each kind has its pod. It returns a [`Pod`] with the
//! object's own metadata and the template's spec, and names its fields from the root of
//! the object (`spec.template.spec.containers[0].image`). The same code reads the JSON of
//! a review and the tree of a manifest. This module must not judge.

use super::json::JsonObject;
use super::pod::{Metadata, Pod};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer};

/// A kind of object that has a pod or makes pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// `v1`
    Pod,
    /// `v1`; a template without a workload.
    PodTemplate,
    /// `v1`
    ReplicationController,
    /// `apps/v1`
    Deployment,
    /// `apps/v1`
    StatefulSet,
    /// `apps/v1`
    DaemonSet,
    /// `apps/v1`
    ReplicaSet,
    /// `batch/v1`
    Job,
    /// `batch/v1`
    CronJob,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Pod,
        Self::PodTemplate,
        Self::ReplicationController,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::Job,
        Self::CronJob,
    ];

    /// The name in the `kind` of an object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::PodTemplate => "PodTemplate",
            Self::ReplicationController => "ReplicationController",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// The API group; empty for the core one.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Pod | Self::PodTemplate | Self::ReplicationController => "",
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet => "apps",
            Self::Job | Self::CronJob => "batch",
        }
    }

    /// The kind of an object with this `apiVersion` and `kind`. The version does not matter,
    /// because every version of a kind has the pod in the same place. The group
    /// `extensions` counts too: files still name it, though no API server since Kubernetes
    /// 1.16 serves workloads there.
    #[must_use]
    pub fn of_object(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let mut kinds = Self::ALL.into_iter().filter(|known| known.as_str() == kind);
        kinds.find(|known| {
            known.group() == group || (group == "extensions" && known.began_in_extensions())
        })
    }

    fn began_in_extensions(self) -> bool {
        matches!(
            self,
            Self::Deployment | Self::DaemonSet | Self::ReplicaSet | Self::Job
        )
    }

    /// The workload with this resource (`deployments` of `apps`). Pods, and templates that
    /// make no pods, are not workloads.
    #[must_use]
    pub fn of_resource(group: &str, resource: &str) -> Option<Self> {
        let makes_pods = |kind: &Self| !matches!(kind, Self::Pod | Self::PodTemplate);
        // The plural of each is its name in lower case with an `s`.
        let singular = resource.strip_suffix('s')?;
        let mut kinds = Self::ALL.into_iter().filter(makes_pods);
        kinds.find(|kind| kind.group() == group && kind.as_str().to_ascii_lowercase() == singular)
    }

    /// The prefix of the field paths of the pod.
    #[must_use]
    pub fn path_to_pod(self) -> &'static str {
        match self {
            Self::Pod => "",
            Self::PodTemplate => "template.",
            Self::CronJob => "spec.jobTemplate.spec.template.",
            _ => "spec.template.",
        }
    }
}

/// Reads an object of the kind; `None` if it is `null`.
impl<'de> DeserializeSeed<'de> for ObjectKind {
    type Value = Option<Pod<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, object: D) -> Result<Self::Value, D::Error> {
        match self {
            Self::Pod => JsonObject::deserialize(object).map(|JsonObject(pod)| pod),
            Self::PodTemplate => JsonObject::<PodTemplate<'de>>::deserialize(object)
                .map(|JsonObject(it)| it.map(|it| self.pod(it.metadata, it.template))),
            Self::CronJob => {
                JsonObject::<CronJob<'de>>::deserialize(object).map(|JsonObject(it)| {
                    it.map(|it| {
                        let job = it.spec.0.and_then(|spec| spec.job_template.0);
                        let spec = job.and_then(|job| job.spec.0);
                        self.pod(it.metadata, spec.unwrap_or_default().template)
                    })
                })
            }
            _ => JsonObject::<WorkloadObject<'de>>::deserialize(object).map(|JsonObject(it)| {
                it.map(|it| self.pod(it.metadata, it.spec.0.unwrap_or_default().template))
            }),
        }
    }
}

impl ObjectKind {
    fn pod<'a>(self, metadata: JsonObject<Metadata<'a>>, template: JsonObject<Pod<'a>>) -> Pod<'a> {
        let template = template.0.unwrap_or_default();
        template.made_by(metadata, self.path_to_pod())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodTemplate<'a> {
    #[serde(borrow)]
    metadata: JsonObject<Metadata<'a>>,
    #[serde(borrow)]
    template: JsonObject<Pod<'a>>,
}

/// All the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadObject<'a> {
    #[serde(borrow)]
    metadata: JsonObject<Metadata<'a>>,
    #[serde(borrow)]
    spec: JsonObject<WorkloadSpec<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadSpec<'a> {
    #[serde(borrow)]
    template: JsonObject<Pod<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CronJob<'a> {
    #[serde(borrow)]
    metadata: JsonObject<Metadata<'a>>,
    #[serde(borrow)]
    spec: JsonObject<CronJobSpec<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CronJobSpec<'a> {
    #[serde(borrow)]
    job_template: JsonObject<WorkloadObject<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: ObjectKind, json: &str) -> Option<Pod<'_>> {
        kind.deserialize(&mut serde_json::Deserializer::from_str(json))
            .unwrap()
    }

    #[test]
    fn each_kind_has_its_pod_where_its_fields_say() {
        for kind in ObjectKind::ALL {
            let pod =
                r#"{"metadata":{"name":"inner"},"spec":{"initContainers":[{},{"image":"i"}]}}"#;
            // The object is built from the path, so that the path and the code must agree.
            let mut object = pod.to_owned();
            for key in kind
                .path_to_pod()
                .split('.')
                .rev()
                .filter(|key| !key.is_empty())
            {
                object = format!(r#"{{"{key}":{object}}}"#);
            }
            object.insert_str(1, r#""kind":"X","#);
            if kind != ObjectKind::Pod {
                object.insert_str(1, r#""metadata":{"name":"outer"},"#);
            }
            let pod = read(kind, &object).unwrap();
            let found: Vec<_> = pod
                .images()
                .map(|(field, image)| (field.to_string(), image))
                .collect();
            let field = format!("{}spec.initContainers[1].image", kind.path_to_pod());
            assert_eq!(found, [(field, "i")], "{object}");
            let name = if kind == ObjectKind::Pod {
                "inner"
            } else {
                "outer"
            };
            assert_eq!(pod.name(), name, "{object}");
        }
    }

    #[test]
    fn what_is_not_there_is_no_image() {
        for kind in ObjectKind::ALL {
            assert!(read(kind, "null").is_none());
            for json in [
                "{}",
                r#"{"spec":null,"template":null,"metadata":null}"#,
                r#"{"spec":{"template":null,"jobTemplate":null}}"#,
                r#"{"spec":{"jobTemplate":{"spec":null}}}"#,
            ] {
                assert_eq!(
                    read(kind, json).unwrap().images().count(),
                    0,
                    "{kind:?} {json}"
                );
            }
        }
    }

    #[test]
    fn kinds_are_told_by_group_and_name() {
        for (api_version, kind, expected) in [
            ("v1", "Pod", Some(ObjectKind::Pod)),
            ("apps/v1", "Deployment", Some(ObjectKind::Deployment)),
            ("apps/v1beta2", "Deployment", Some(ObjectKind::Deployment)),
            ("batch/v1", "CronJob", Some(ObjectKind::CronJob)),
            ("batch/v1beta1", "CronJob", Some(ObjectKind::CronJob)),
            ("batch/v2alpha1", "CronJob", Some(ObjectKind::CronJob)),
            (
                "extensions/v1beta1",
                "Deployment",
                Some(ObjectKind::Deployment),
            ),
            (
                "extensions/v1beta1",
                "DaemonSet",
                Some(ObjectKind::DaemonSet),
            ),
            (
                "extensions/v1beta1",
                "ReplicaSet",
                Some(ObjectKind::ReplicaSet),
            ),
            ("extensions/v1beta1", "Job", Some(ObjectKind::Job)),
            ("extensions/v1beta1", "StatefulSet", None),
            ("extensions/v1beta1", "Ingress", None),
            ("extensions", "Deployment", None),
            ("v1", "Deployment", None),
            ("apps/v1", "Pod", None),
            ("example.dev/v1", "Deployment", None),
            ("apps/v1", "deployment", None),
            ("", "", None),
        ] {
            assert_eq!(
                ObjectKind::of_object(api_version, kind),
                expected,
                "{api_version} {kind}"
            );
        }
    }

    #[test]
    fn kinds_are_told_by_group_and_resource() {
        for (group, resource, expected) in [
            ("apps", "deployments", Some(ObjectKind::Deployment)),
            ("apps", "statefulsets", Some(ObjectKind::StatefulSet)),
            ("apps", "daemonsets", Some(ObjectKind::DaemonSet)),
            ("apps", "replicasets", Some(ObjectKind::ReplicaSet)),
            (
                "",
                "replicationcontrollers",
                Some(ObjectKind::ReplicationController),
            ),
            ("batch", "jobs", Some(ObjectKind::Job)),
            ("batch", "cronjobs", Some(ObjectKind::CronJob)),
            ("", "pods", None),
            ("", "podtemplates", None),
            ("example.dev", "deployments", None),
            ("apps", "Deployments", None),
            ("", "", None),
        ] {
            assert_eq!(
                ObjectKind::of_resource(group, resource),
                expected,
                "{group} {resource}"
            );
        }
    }
}
