//! What `doctor` is asked about: `POD`, `pod/NAME`, `deploy/NAME` and the like. This module must
//! not ask a cluster.

use std::str::FromStr;

/// The longest name of an object.
const NAME: usize = 253;

/// An object whose pods are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: TargetKind,
    pub(super) name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetKind {
    Pod,
    /// The resource's path and name in the API.
    Workload {
        group: &'static str,
        resource: &'static str,
    },
}

const WORKLOADS: [(&[&str], &str, &str); 5] = [
    (
        &["deploy", "deployment", "deployments"],
        "apps/v1",
        "deployments",
    ),
    (
        &["sts", "statefulset", "statefulsets"],
        "apps/v1",
        "statefulsets",
    ),
    (&["ds", "daemonset", "daemonsets"], "apps/v1", "daemonsets"),
    (
        &["rs", "replicaset", "replicasets"],
        "apps/v1",
        "replicasets",
    ),
    (&["job", "jobs"], "batch/v1", "jobs"),
];

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("pod", text));
        let is_name = !name.is_empty()
            && name.len() <= NAME
            && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
            });
        if !is_name {
            return Err(
                "write POD, or a kind and a name, such as deploy/NAME; - reads text from stdin"
                    .to_owned(),
            );
        }
        let kind = match kind {
            "pod" | "pods" | "po" => TargetKind::Pod,
            kind => {
                let found = WORKLOADS.iter().find(|(names, ..)| names.contains(&kind));
                let (_, group, resource) = found.ok_or_else(|| {
                    format!("{kind:?} leads to no pods; write pod, deploy, sts, ds, rs or job")
                })?;
                TargetKind::Workload { group, resource }
            }
        };
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_pod_or_a_workload() {
        let kind = |text: &str| text.parse::<Target>().map(|target| target.kind);
        assert_eq!(kind("web-1"), Ok(TargetKind::Pod));
        assert_eq!(kind("po/web-1"), Ok(TargetKind::Pod));
        assert!(matches!(
            kind("deploy/web"),
            Ok(TargetKind::Workload {
                resource: "deployments",
                ..
            })
        ));
        for wrong in [
            "",
            "-x",
            "svc/web",
            "deploy/",
            "deploy/a b",
            "../x",
            "a?x=1",
            "Web",
        ] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }
}
