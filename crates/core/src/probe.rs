//! What `verify` sends to an API server so that the response shows whether pullpass
//! decides there, and what the response means.
//!
//! [`Context::decide`] says what is expected, as in the server. The pods are such that
//! other admission checks let them through (the `restricted` Pod Security Standard, a
//! request for every resource). It must not send anything: the caller does, as a dry run.

use crate::policy::message::WOULD_DENY;
use crate::policy::{Action, Context, Field, LabelsUnknown, Namespace, Pattern, PodField, Policy};
use crate::text::{cut, visible};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// An image of a host that nobody can have (RFC 6761, 6.4).
pub const UNKNOWN_IMAGE: &str = "pullpass-verify.invalid/unknown:1";
/// The start of the names of pods and containers.
const NAME: &str = "pullpass-verify";
/// How many patterns are tried for one that decides, in the map's order.
const CANDIDATES: usize = 2_000;
/// How much of an answer's text is kept, in characters.
const SHOWN: usize = 300;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// A registry that no rule names.
    UnknownRegistry,
    /// A registry that an entry denies.
    DeniedRegistry,
    /// A registry that no rule names, in an image volume.
    ImageVolume,
    /// The same, in an ephemeral container of a pod that is there.
    EphemeralContainer,
    /// An image whose pull secrets are to be added.
    PullSecret,
    /// An image that was asked for.
    Image,
}

impl ProbeKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownRegistry => "unknown registry",
            Self::DeniedRegistry => "denied registry",
            Self::ImageVolume => "image volume",
            Self::EphemeralContainer => "ephemeral container",
            Self::PullSecret => "pull secret",
            Self::Image => "image",
        }
    }
}

/// What the map says must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// A denial that names these fields.
    Denied(Vec<String>),
    /// Warnings that name these fields.
    Warned(Vec<String>),
    /// The pod with these pull secrets.
    Patched(Vec<String>),
    /// Nothing: the map allows it, or records it where only the audit log shows it.
    Admitted,
    /// Nothing: the namespace is exempt.
    Untouched,
}

impl Expected {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Warned(_) => "warned",
            Self::Patched(_) => "patched",
            Self::Admitted => "admitted",
            Self::Untouched => "untouched",
        }
    }
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// This pod, to be created.
    Pod(Value),
    /// A strategic merge patch for `ephemeralcontainers` of a running pod.
    Ephemeral(Value),
    /// Nothing, and why.
    Nothing(&'static str),
}

/// One thing to try in one namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// What it is about.
    pub kind: ProbeKind,
    /// The image in question; empty where nothing is sent.
    pub image: String,
    /// What to send.
    pub sent: Sent,
    /// What must come back.
    pub expected: Expected,
}

/// What the API server answered.
#[derive(Debug, Default)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// The object, or a `Status`.
    pub body: Value,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeOutcome {
    /// As the map says, and only pullpass can have done it.
    AsExpected,
    /// As the map says, and as without pullpass.
    NoProof,
    /// The namespace is exempt, and was left alone.
    Exempt,
    /// Nothing can be said. It never counts as passed.
    NotTried,
    /// Not as the map says.
    Finding,
}

impl ProbeOutcome {
    /// The words for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsExpected => "as expected",
            Self::NoProof => "no proof",
            Self::Exempt => "exempt",
            Self::NotTried => "not tried",
            Self::Finding => "FINDING",
        }
    }
}

/// What a probe came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The word for what came back.
    pub got: &'static str,
    /// What that is worth.
    pub outcome: ProbeOutcome,
    /// Why, where it is not as expected; safe to show.
    pub detail: String,
}

/// What to try in a namespace: each [`ProbeKind`] once, in an exempt one only the first, and
/// each image that was asked for.
///
/// Fails where what is to be expected hangs on labels that are not given.
pub fn probes(
    policy: &Policy,
    namespace: Namespace<'_>,
    now: Timestamp,
    images: &[String],
) -> Expecting<Vec<Probe>> {
    let maker = ProbeMaker(policy.context(Some(namespace), now));
    let mut probes = vec![maker.container(ProbeKind::UnknownRegistry, UNKNOWN_IMAGE)?];
    // Of an exempt one there is only this to see: that it is left alone.
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

/// What is to be expected, where the namespace's labels suffice to tell.
type Expecting<T> = Result<T, LabelsUnknown>;

/// Makes probes for one namespace.
struct ProbeMaker<'p>(Context<'p, 'p>);

impl ProbeMaker<'_> {
    fn container(&self, kind: ProbeKind, image: &str) -> Expecting<Probe> {
        Ok(Probe {
            kind,
            image: image.to_owned(),
            sent: Sent::Pod(pod(&json!([container(image)]), &json!([]))),
            expected: self.expected(&[(of_pod(PodField::Container(0)), image)])?,
        })
    }

    fn nothing(&self, kind: ProbeKind, why: &'static str) -> Expecting<Probe> {
        Ok(Probe {
            kind,
            image: String::new(),
            sent: Sent::Nothing(why),
            expected: self.expected(&[])?,
        })
    }

    fn denied(&self) -> Expecting<Probe> {
        let kind = ProbeKind::DeniedRegistry;
        match self.find(|action, _| action == Action::Deny)? {
            Some(image) => self.container(kind, &image),
            None => self.nothing(kind, "no entry of the map denies anything here"),
        }
    }

    /// Beside an image that is allowed, so that the denial is the volume's.
    fn volume(&self) -> Expecting<Probe> {
        let allowed = self.find(|action, _| action == Action::Allow)?;
        let beside = allowed.as_deref().unwrap_or(UNKNOWN_IMAGE);
        let volume = json!([{"name": "image", "image": {"reference": UNKNOWN_IMAGE}}]);
        Ok(Probe {
            kind: ProbeKind::ImageVolume,
            image: UNKNOWN_IMAGE.to_owned(),
            sent: Sent::Pod(pod(&json!([container(beside)]), &volume)),
            expected: self.expected(&[
                (of_pod(PodField::Container(0)), beside),
                (of_pod(PodField::Volume(0)), UNKNOWN_IMAGE),
            ])?,
        })
    }

    fn ephemeral(&self) -> Expecting<Probe> {
        let patch = json!({"spec": {"ephemeralContainers": [container(UNKNOWN_IMAGE)]}});
        // Which number it gets depends on the pod.
        let any = |field: String| field.split('[').next().unwrap_or_default().to_owned() + "[";
        let fields = |fields: Vec<String>| fields.into_iter().map(any).collect();
        let field = of_pod(PodField::EphemeralContainer(0));
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

    fn pull_secret(&self) -> Expecting<Probe> {
        let kind = ProbeKind::PullSecret;
        let Some(image) = self.find(|_, secrets| !secrets.is_empty())? else {
            return self.nothing(kind, "no entry of the map has pull secrets here");
        };
        let mut probe = self.container(kind, &image)?;
        let judgement = self.0.judge(&image)?;
        probe.expected = Expected::Patched(judgement.pull_secrets.to_vec());
        Ok(probe)
    }

    /// What the map says about a pod with these images.
    fn expected(&self, images: &[(Field, &str)]) -> Expecting<Expected> {
        if self.0.is_exempt() {
            return Ok(Expected::Untouched);
        }
        let images = images.iter().copied();
        let decision = self.0.decide(images)?;
        let fields = |wanted: Action| {
            let verdicts = decision.verdicts.iter();
            let ours = verdicts.filter(|verdict| {
                let judgement = &verdict.judgement;
                judgement.action == wanted
                    || wanted == Action::Warn && judgement.expires_soon(self.0.now).is_some()
            });
            ours.map(|verdict| verdict.field.to_string())
                .collect::<Vec<_>>()
        };
        let (denied, warned) = (fields(Action::Deny), fields(Action::Warn));
        Ok(if !denied.is_empty() {
            Expected::Denied(denied)
        } else if !warned.is_empty() {
            Expected::Warned(warned)
        } else {
            Expected::Admitted
        })
    }

    /// An image for which an entry decides so, made from the entry's pattern.
    fn find(&self, wanted: impl Fn(Action, &[String]) -> bool) -> Expecting<Option<String>> {
        let entries = self.0.policy.entries().iter();
        let patterns = entries.flat_map(|entry| &entry.patterns);
        let patterns = patterns.chain(self.0.policy.public_registries());
        for image in patterns.take(CANDIDATES).map(image_of) {
            let judgement = self.0.judge(&image)?;
            if judgement.rule.name().is_some() && wanted(judgement.action, judgement.pull_secrets) {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }
}

/// A field of a pod itself.
fn of_pod(field: PodField) -> Field {
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
            // With one of its own the pod gets none of its ServiceAccount's, so that
            // whatever else is there was added by pullpass.
            "imagePullSecrets": [{"name": NAME}],
            "restartPolicy": "Never",
            "volumes": volumes,
        },
    })
}

/// What came back.
enum Got {
    /// A webhook of pullpass denied it.
    Denied(String),
    /// The webhook could not be asked, and `failurePolicy` is `Fail`.
    Down(String),
    /// Somebody else rejected it.
    Elsewhere(String),
    Admitted,
}

impl ApiResponse {
    fn message(&self) -> String {
        let text = self.body.get("message").and_then(Value::as_str);
        cut(visible(text.unwrap_or_default()), SHOWN)
    }

    fn got(&self) -> Got {
        let text = self.body.get("message").and_then(Value::as_str);
        let text = text.unwrap_or_default();
        if (200..300).contains(&self.status) {
            Got::Admitted
        } else if let Some(words) = after(text, "admission webhook \"", "\" denied the request: ") {
            Got::Denied(words.to_owned())
        } else if after(text, "failed calling webhook \"", "\": ").is_some() {
            Got::Down(self.message())
        } else {
            Got::Elsewhere(self.message())
        }
    }

    /// Whether one of the warnings is pullpass's on an image in this field.
    fn warns_of(&self, field: &str) -> bool {
        let ours = |text: &&String| {
            let text = text.strip_prefix(WOULD_DENY).unwrap_or(text);
            text.starts_with("image \"")
        };
        let mut ours = self.warnings.iter().filter(ours);
        ours.any(|text| text.contains(field))
    }

    /// Whether pullpass said that it only observes.
    fn is_observed(&self) -> bool {
        self.warnings
            .iter()
            .any(|text| text.starts_with(WOULD_DENY))
    }

    fn secrets(&self) -> Vec<&str> {
        let list = self.body.pointer("/spec/imagePullSecrets");
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|secret| secret.get("name")?.as_str())
            .collect()
    }
}

/// The text behind the name of one of pullpass's webhooks.
fn after<'t>(text: &'t str, before: &str, behind: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    let (name, words) = rest.split_once(behind)?;
    name.ends_with(".pullpass.dev").then_some(words)
}

/// What it looks like when no webhook is in the way.
const NOT_CALLED: &str = "pullpass was not called (the webhook's selectors leave the namespace out, \
     or it does not answer and failurePolicy is Ignore), or another map is in force than this one";

/// What an answer means.
#[must_use]
pub fn read(probe: &Probe, answer: &ApiResponse) -> ProbeResult {
    let result = |got, outcome, detail: String| ProbeResult {
        got,
        outcome,
        detail,
    };
    let finding = |got, detail: &str| result(got, ProbeOutcome::Finding, detail.to_owned());
    let fine = |got| result(got, ProbeOutcome::AsExpected, String::new());
    let names_all = |fields: &[String], has: &dyn Fn(&str) -> bool| fields.iter().all(|f| has(f));
    match (answer.got(), &probe.expected) {
        (Got::Down(message), _) => result("no answer", ProbeOutcome::Finding, message),
        (Got::Elsewhere(message), _) => {
            result("rejected by others", ProbeOutcome::NotTried, message)
        }
        (Got::Denied(words), Expected::Denied(fields)) => {
            if names_all(fields, &|field| words.contains(field)) {
                fine("denied")
            } else {
                let words = cut(visible(&words), SHOWN);
                result("denied otherwise", ProbeOutcome::Finding, words)
            }
        }
        (Got::Denied(words), _) => {
            let words = cut(visible(&words), SHOWN);
            let detail = format!("another map is in force than this one: {words}");
            result("denied", ProbeOutcome::Finding, detail)
        }
        (Got::Admitted, Expected::Untouched) => {
            result("admitted", ProbeOutcome::Exempt, String::new())
        }
        (Got::Admitted, Expected::Patched(secrets)) => {
            let has = answer.secrets();
            if secrets.iter().all(|secret| has.contains(&secret.as_str())) {
                fine("patched")
            } else {
                finding("not patched", NOT_CALLED)
            }
        }
        (Got::Admitted, Expected::Warned(fields)) => {
            if names_all(fields, &|field| answer.warns_of(field)) {
                fine("warned")
            } else {
                finding("admitted", NOT_CALLED)
            }
        }
        (Got::Admitted, Expected::Denied(fields)) => {
            if names_all(fields, &|field| answer.warns_of(field)) {
                let why = if answer.is_observed() {
                    "only a warning: pullpass runs with --observe"
                } else {
                    "only a warning: another map is in force than this one"
                };
                finding("warned", why)
            } else {
                finding("admitted", NOT_CALLED)
            }
        }
        (Got::Admitted, Expected::Admitted) if answer.warns_of("(spec.") => {
            finding("warned", "another map is in force than this one")
        }
        (Got::Admitted, Expected::Admitted) => {
            result("admitted", ProbeOutcome::NoProof, String::new())
        }
    }
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
    fn an_image_is_made_that_the_pattern_covers() {
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
    fn what_is_expected_is_what_the_map_says_in_this_namespace() {
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

    fn outcome(expected: &Expected, status: u16, body: Value, warnings: &[&str]) -> ProbeOutcome {
        let probe = Probe {
            kind: ProbeKind::Image,
            image: UNKNOWN_IMAGE.to_owned(),
            sent: Sent::Nothing(""),
            expected: expected.clone(),
        };
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let answer = ApiResponse {
            status,
            body,
            warnings,
        };
        read(&probe, &answer).outcome
    }

    #[test]
    fn only_pullpass_denies_for_pullpass() {
        let expected = Expected::Denied(vec!["spec.volumes[0].image.reference".to_owned()]);
        let denied = |by: &str, words: &str| {
            let message = format!("admission webhook \"{by}\" denied the request: {words}");
            outcome(&expected, 403, json!({"message": message}), &[])
        };
        let words = "image \"x\" (spec.volumes[0].image.reference) is not allowed";
        assert_eq!(
            denied("validate.pullpass.dev", words),
            ProbeOutcome::AsExpected
        );
        // Of the other image in the pod.
        let other = "image \"x\" (spec.containers[0].image) is not allowed";
        assert_eq!(
            denied("validate.pullpass.dev", other),
            ProbeOutcome::Finding
        );
        for by in [
            "policy.example",
            "validatepullpass.dev",
            "pullpass.dev.example",
        ] {
            assert_eq!(denied(by, words), ProbeOutcome::NotTried, "{by}");
        }
        for (status, message) in [
            (
                403,
                "pods is forbidden: User \"jane\" cannot create resource",
            ),
            (403, "pods \"x\" is forbidden: exceeded quota: few"),
            (403, "pods \"x\" is forbidden: violates PodSecurity"),
            (404, "namespaces \"shop\" not found"),
            (500, "failed calling webhook \"other.example\": no"),
        ] {
            let found = outcome(&expected, status, json!({"message": message}), &[]);
            assert_eq!(found, ProbeOutcome::NotTried, "{message}");
        }
        let down = "Internal error occurred: failed calling webhook \"mutate.pullpass.dev\": no";
        let down = outcome(&expected, 500, json!({"message": down}), &[]);
        assert_eq!(down, ProbeOutcome::Finding);
    }

    #[test]
    fn an_admitted_pod_is_compared_with_what_was_expected() {
        let field = || vec!["spec.containers[0].image".to_owned()];
        let secrets = Expected::Patched(vec!["a".to_owned()]);
        let ours = "image \"x\" (spec.containers[0].image): no entry";
        let others = "spec.containers[0].image: a tag would be nice";
        let with = json!({"spec": {"imagePullSecrets": [{"name": "own"}, {"name": "a"}]}});
        let without = json!({"spec": {"imagePullSecrets": [{"name": "own"}]}});
        for (expected, body, warnings, found) in [
            (
                Expected::Warned(field()),
                &without,
                &[ours][..],
                ProbeOutcome::AsExpected,
            ),
            (
                Expected::Warned(field()),
                &without,
                &[others],
                ProbeOutcome::Finding,
            ),
            (
                Expected::Denied(field()),
                &without,
                &[ours],
                ProbeOutcome::Finding,
            ),
            (
                Expected::Denied(field()),
                &without,
                &[],
                ProbeOutcome::Finding,
            ),
            (secrets.clone(), &with, &[], ProbeOutcome::AsExpected),
            (secrets, &without, &[], ProbeOutcome::Finding),
            (Expected::Admitted, &without, &[], ProbeOutcome::NoProof),
            (
                Expected::Admitted,
                &without,
                &[others],
                ProbeOutcome::NoProof,
            ),
            (Expected::Admitted, &without, &[ours], ProbeOutcome::Finding),
            (
                Expected::Admitted,
                &without,
                &[r#"would be denied: image "x" (spec.containers[0].image)"#],
                ProbeOutcome::Finding,
            ),
            (Expected::Untouched, &without, &[], ProbeOutcome::Exempt),
        ] {
            let got = outcome(&expected, 201, body.clone(), warnings);
            assert_eq!(got, found, "{expected:?} {warnings:?}");
        }
    }

    #[test]
    fn texts_of_an_answer_are_safe_to_show() {
        let message = format!("no \u{1b}[2J{}", "x".repeat(10_000));
        let probe = Probe {
            kind: ProbeKind::Image,
            image: String::new(),
            sent: Sent::Nothing(""),
            expected: Expected::Admitted,
        };
        let answer = ApiResponse {
            status: 403,
            body: json!({"message": message}),
            warnings: Vec::new(),
        };
        let detail = read(&probe, &answer).detail;
        assert!(detail.starts_with("no \\u{1b}[2Jx") && detail.chars().count() <= SHOWN);
    }
}
