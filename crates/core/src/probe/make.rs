//! Makes the probes of a namespace.
//!
//! [`Context::decide`] says which response to expect, as in the server. Other admission checks
//! let the pods pass: they meet the `restricted` Pod Security Standard and set requests and
//! limits. This module must not send anything.

use super::{Expected, Probe, ProbeKind, Sent, UNKNOWN_IMAGE};
use crate::policy::{
    Action, Context, Field, Judgement, LabelsUnknown, Namespace, Pattern, PodField, Policy,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The name of the volume in the probe of image volumes.
pub(super) const IMAGE_VOLUME: &str = "image";

/// The names of the containers, and the beginning of the names of the pods.
const NAME: &str = "pullpass-verify";
/// How many patterns of the map [`ProbeMaker::image_that`] tries, in the order of the map.
const MOST_CANDIDATES: usize = 2_000;

/// The probes of a namespace: one of each kind but [`ProbeKind::Image`], and one for each of
/// `images`. An exempt namespace gets only the first probe and those for `images`.
///
/// It fails if the expected response depends on labels of the namespace that are not known.
pub fn probes(
    policy: &Policy,
    namespace: Namespace<'_>,
    now: Timestamp,
    images: &[String],
) -> Result<Vec<Probe>, LabelsUnknown> {
    let maker = ProbeMaker(policy.context(Some(namespace), now));
    let mut probes = vec![maker.container(ProbeKind::UnknownRegistry, UNKNOWN_IMAGE)?];
    // In an exempt namespace all kinds of probes would show the same.
    if !policy.exempts(namespace.name) {
        probes.extend([
            maker.denied()?,
            maker.volume()?,
            maker.ephemeral()?,
            maker.pull_secret()?,
        ]);
    }
    for image in images {
        probes.push(maker.container(ProbeKind::Image, image)?);
    }
    Ok(probes)
}

/// Makes probes for one namespace.
struct ProbeMaker<'p>(Context<'p, 'p>);

impl ProbeMaker<'_> {
    fn container(&self, kind: ProbeKind, image: &str) -> Result<Probe, LabelsUnknown> {
        Ok(Probe {
            kind,
            image: image.to_owned(),
            sent: Sent::Pod(pod(&json!([container(image)]), &json!([]))),
            expected: self.expected(&[(pod_field(PodField::Container(0)), image)])?,
        })
    }

    fn nothing(&self, kind: ProbeKind, why: &'static str) -> Result<Probe, LabelsUnknown> {
        Ok(Probe {
            kind,
            image: String::new(),
            sent: Sent::Nothing(why),
            expected: self.expected(&[])?,
        })
    }

    fn denied(&self) -> Result<Probe, LabelsUnknown> {
        let kind = ProbeKind::DeniedRegistry;
        match self.image_that(|action, _| action == Action::Deny)? {
            Some(image) => self.container(kind, &image),
            None => self.nothing(kind, "no entry of the map denies anything here"),
        }
    }

    /// The container has an image that is allowed, so that a denial is about the volume.
    fn volume(&self) -> Result<Probe, LabelsUnknown> {
        let allowed = self.image_that(|action, _| action == Action::Allow)?;
        let container_image = allowed.as_deref().unwrap_or(UNKNOWN_IMAGE);
        let volume = json!([{"name": IMAGE_VOLUME, "image": {"reference": UNKNOWN_IMAGE}}]);
        Ok(Probe {
            kind: ProbeKind::ImageVolume,
            image: UNKNOWN_IMAGE.to_owned(),
            sent: Sent::Pod(pod(&json!([container(container_image)]), &volume)),
            expected: self.expected(&[
                (pod_field(PodField::Container(0)), container_image),
                (pod_field(PodField::Volume(0)), UNKNOWN_IMAGE),
            ])?,
        })
    }

    fn ephemeral(&self) -> Result<Probe, LabelsUnknown> {
        let patch = json!({"spec": {"ephemeralContainers": [container(UNKNOWN_IMAGE)]}});
        // The index of the container depends on the pod, so the expected field has none.
        let without_index =
            |field: String| field.split('[').next().unwrap_or_default().to_owned() + "[";
        let fields = |fields: Vec<String>| fields.into_iter().map(without_index).collect();
        let field = pod_field(PodField::EphemeralContainer(0));
        let expected = match self.expected(&[(field, UNKNOWN_IMAGE)])? {
            Expected::Denied(all) => Expected::Denied(fields(all)),
            Expected::Warned(all) => Expected::Warned(fields(all)),
            other => other,
        };
        Ok(Probe {
            kind: ProbeKind::EphemeralContainer,
            image: UNKNOWN_IMAGE.to_owned(),
            sent: Sent::Ephemeral(patch),
            expected,
        })
    }

    fn pull_secret(&self) -> Result<Probe, LabelsUnknown> {
        let kind = ProbeKind::PullSecret;
        let Some(image) = self.image_that(|_, secrets| !secrets.is_empty())? else {
            return self.nothing(kind, "no entry of the map has pull secrets here");
        };
        let mut probe = self.container(kind, &image)?;
        let judgement = self.0.judge(&image)?;
        probe.expected = Expected::Patched(judgement.pull_secrets.to_vec());
        Ok(probe)
    }

    /// The response that the map requires to a pod with these images.
    fn expected(&self, images: &[(Field, &str)]) -> Result<Expected, LabelsUnknown> {
        if self.0.is_exempt() {
            return Ok(Expected::Untouched);
        }
        let images = images.iter().copied();
        let decision = self.0.decide(images)?;
        let fields = |wanted: &dyn Fn(&Judgement<'_, '_>) -> bool| {
            let verdicts = decision.verdicts.iter();
            let matching = verdicts.filter(|verdict| wanted(&verdict.judgement));
            matching
                .map(|verdict| verdict.field.to_string())
                .collect::<Vec<_>>()
        };
        let (denied, warned) = (
            fields(&|judgement| judgement.action == Action::Deny),
            fields(&|judgement| judgement.is_warned()),
        );
        Ok(if !denied.is_empty() {
            Expected::Denied(denied)
        } else if !warned.is_empty() {
            Expected::Warned(warned)
        } else {
            Expected::Admitted
        })
    }

    /// An image that a rule of the map covers and whose action and pull secrets are wanted; it
    /// is made from the pattern of a rule.
    fn image_that(
        &self,
        wanted: impl Fn(Action, &[String]) -> bool,
    ) -> Result<Option<String>, LabelsUnknown> {
        let entries = self.0.policy.entries().iter();
        let patterns = entries.flat_map(|entry| entry.patterns.iter());
        let patterns = patterns.chain(self.0.policy.public_registries());
        for image in patterns.take(MOST_CANDIDATES).map(image_of) {
            let judgement = self.0.judge(&image)?;
            if judgement.rule.name().is_some() && wanted(judgement.action, judgement.pull_secrets) {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }
}

/// A field of a pod that is not inside another object.
fn pod_field(field: PodField) -> Field {
    Field { within: "", field }
}

/// An image that the pattern covers.
fn image_of(pattern: &Pattern) -> String {
    let text = match pattern.text.strip_prefix("**.") {
        Some(rest) => format!("{NAME}.{rest}"),
        None => pattern.text.clone(),
    };
    format!("{}/{NAME}", text.replace('*', "x"))
}

fn container(image: &str) -> Value {
    json!({
        "name": NAME,
        "image": image,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

fn pod(containers: &Value, volumes: &Value) -> Value {
    let mut containers = containers.clone();
    for container in containers.as_array_mut().into_iter().flatten() {
        let few = json!({"cpu": "1m", "memory": "8Mi"});
        if let Some(fields) = container.as_object_mut() {
            fields.insert(
                "resources".to_owned(),
                json!({"requests": few, "limits": few}),
            );
        }
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": format!("{NAME}-")},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": containers,
            // A pod with a pull secret of its own gets none of its ServiceAccount, so all
            // others in the response come from pullpass.
            "imagePullSecrets": [{"name": NAME}],
            "restartPolicy": "Never",
            "volumes": volumes,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{self, Options, SourceFile};

    fn policy(rest: &str) -> Policy {
        let text = format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\n{rest}");
        let name = "map.yaml".to_owned();
        let files = [SourceFile { name, text }];
        map::load(&files, &Options::default()).unwrap().policy
    }

    fn probes_of(rest: &str, namespace: &str) -> Vec<(ProbeKind, String, Expected)> {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let probes = probes(&policy(rest), Namespace::named(namespace), now, &[]).unwrap();
        let of = |probe: Probe| (probe.kind, probe.image, probe.expected);
        probes.into_iter().map(of).collect()
    }

    #[test]
    fn a_pattern_covers_the_image_that_is_made_from_it() {
        for pattern in [
            "registry.corp.example",
            "registry.corp.example:5000/team",
            "*.corp.example:5000",
            "reg*.corp.example/a/b",
            "**.corp.example",
            "docker.io/library/redis",
            "[2001:db8::1]:5000",
            "10.0.0.5:5000",
        ] {
            let rest = format!(
                "registries: [{{match: '{pattern}', action: deny}}]\nunknownRegistries: allow"
            );
            let found = probes_of(&rest, "shop");
            let (kind, image, expected) = &found[1];
            assert_eq!(*kind, ProbeKind::DeniedRegistry, "{pattern}");
            let fields = vec!["spec.containers[0].image".to_owned()];
            assert_eq!(*expected, Expected::Denied(fields), "{pattern}: {image}");
        }
    }

    #[test]
    fn the_expected_response_is_what_the_map_says_in_the_namespace() {
        let map = "registries: [{match: a.example, pullSecrets: [a], namespaces: [shop]}]
unknownRegistries: {default: deny, overrides: [{namespaces: [dev], action: warn}, {namespaces: [free], action: allow}]}
publicRegistries: []
exemptNamespaces: [away]";
        let words = |namespace| {
            let probes = probes_of(map, namespace).into_iter();
            let words = probes.map(|(_, image, expected)| {
                if image.is_empty() {
                    "-"
                } else {
                    expected.as_str()
                }
            });
            words.collect::<Vec<_>>()
        };
        assert_eq!(
            words("shop"),
            ["denied", "-", "denied", "denied", "patched"]
        );
        assert_eq!(words("other"), ["denied", "-", "denied", "denied", "-"]);
        assert_eq!(words("dev"), ["warned", "-", "warned", "warned", "-"]);
        assert_eq!(
            words("free"),
            ["admitted", "-", "admitted", "admitted", "-"]
        );
        assert_eq!(words("away"), ["untouched"]);
    }
}
