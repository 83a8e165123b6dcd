//! Says what the response to a probe means.
//!
//! Only what pullpass alone can have caused counts as proof: denials by its webhooks, warnings
//! in its words, and the pull secrets that it adds. Texts of the response are untrusted and
//! pass through [`crate::text`]. This module must not send anything or decide by the map.

use super::make::IMAGE_VOLUME;
use super::{ApiResponse, Expected, Probe, ProbeKind, ProbeOutcome, ProbeResult};
use crate::policy::message::WOULD_DENY;
use crate::text::{cut, visible};
use serde_json::Value;

/// How many characters of a response's text a result contains.
const SHOWN: usize = 300;

/// What the API server did with a probe.
enum Reaction {
    /// A webhook of pullpass denied it.
    Denied(String),
    /// The API server could not call a webhook of pullpass, and `failurePolicy` is `Fail`.
    CallFailed(String),
    /// Something other than pullpass rejected it.
    RejectedByOthers(String),
    /// The API server admitted it.
    Admitted,
}

impl ApiResponse {
    fn message(&self) -> String {
        let text = self.body.get("message").and_then(Value::as_str);
        cut(visible(text.unwrap_or_default()), SHOWN)
    }

    fn reaction(&self) -> Reaction {
        let text = self.body.get("message").and_then(Value::as_str);
        let text = text.unwrap_or_default();
        if (200..300).contains(&self.status) {
            Reaction::Admitted
        } else if let Some(words) =
            text_after_webhook(text, "admission webhook \"", "\" denied the request: ")
        {
            Reaction::Denied(words.to_owned())
        } else if text_after_webhook(text, "failed calling webhook \"", "\": ").is_some() {
            Reaction::CallFailed(self.message())
        } else {
            Reaction::RejectedByOthers(self.message())
        }
    }

    /// Whether pullpass warns about an image in this field.
    fn warns_about(&self, field: &str) -> bool {
        let is_by_pullpass = |text: &&String| {
            let text = text.strip_prefix(WOULD_DENY).unwrap_or(text);
            text.starts_with("image \"")
        };
        let mut warnings = self.warnings.iter().filter(is_by_pullpass);
        warnings.any(|text| text.contains(field))
    }

    /// Whether a warning says that pullpass observes.
    fn is_observed(&self) -> bool {
        self.warnings
            .iter()
            .any(|text| text.starts_with(WOULD_DENY))
    }

    /// Whether the API server kept the volume of a probe without its image: a version that
    /// does not know the field drops it before any webhook is called, and makes an
    /// `emptyDir` of the volume.
    fn drops_image_volume(&self) -> bool {
        let volumes = self.body.pointer("/spec/volumes").and_then(Value::as_array);
        let mut volumes = volumes.into_iter().flatten();
        volumes.any(|volume| {
            volume.get("name").is_some_and(|name| name == IMAGE_VOLUME)
                && volume.get("image").is_none()
        })
    }

    fn pull_secrets(&self) -> Vec<&str> {
        let list = self.body.pointer("/spec/imagePullSecrets");
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|secret| secret.get("name")?.as_str())
            .collect()
    }
}

/// The text after the name of a webhook of pullpass, between `before` and `behind`; `None` if
/// the text does not name such a webhook.
fn text_after_webhook<'t>(text: &'t str, before: &str, behind: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    let (name, words) = rest.split_once(behind)?;
    name.ends_with(".pullpass.dev").then_some(words)
}

/// Why the response can be one without pullpass.
const NOT_CALLED: &str = "pullpass was not called (the webhook's selectors exclude the namespace, \
     or pullpass does not answer and failurePolicy is Ignore), or a different map is in force";

/// Why an image volume cannot be tried.
const NO_IMAGE_VOLUMES: &str =
    "this API server drops spec.volumes[].image, so no pod of this cluster has an image volume";

/// Why pullpass can decide otherwise than the map of the probe.
const OTHER_MAP: &str = "a different map is in force";

/// What the response to a probe means.
#[must_use]
pub fn read(probe: &Probe, response: &ApiResponse) -> ProbeResult {
    match (response.reaction(), &probe.expected) {
        (Reaction::CallFailed(message), _) => finding("no answer", message),
        (Reaction::RejectedByOthers(message), _) => {
            result("rejected by others", ProbeOutcome::NotTried, message)
        }
        (Reaction::Denied(words), Expected::Denied(fields)) => {
            if fields.iter().all(|field| words.contains(field)) {
                as_expected("denied")
            } else {
                finding("denied for another reason", cut(visible(&words), SHOWN))
            }
        }
        (Reaction::Denied(words), _) => {
            let words = cut(visible(&words), SHOWN);
            finding("denied", format!("{OTHER_MAP}: {words}"))
        }
        (Reaction::Admitted, _)
            if probe.kind == ProbeKind::ImageVolume && response.drops_image_volume() =>
        {
            result(
                "admitted",
                ProbeOutcome::NotTried,
                NO_IMAGE_VOLUMES.to_owned(),
            )
        }
        (Reaction::Admitted, expected) => read_admitted(expected, response),
    }
}

/// What it means that the API server admitted a probe.
fn read_admitted(expected: &Expected, response: &ApiResponse) -> ProbeResult {
    let warns_about_all =
        |fields: &[String]| fields.iter().all(|field| response.warns_about(field));
    match expected {
        Expected::Untouched => result("admitted", ProbeOutcome::Exempt, String::new()),
        Expected::Patched(secrets) => {
            let actual = response.pull_secrets();
            if secrets.iter().all(|name| actual.contains(&name.as_str())) {
                as_expected("patched")
            } else {
                finding("not patched", NOT_CALLED)
            }
        }
        Expected::Warned(fields) if warns_about_all(fields) => as_expected("warned"),
        Expected::Denied(fields) if warns_about_all(fields) => {
            let cause = if response.is_observed() {
                "pullpass runs with --observe"
            } else {
                OTHER_MAP
            };
            finding("warned", format!("only a warning: {cause}"))
        }
        Expected::Warned(_) | Expected::Denied(_) => finding("admitted", NOT_CALLED),
        Expected::Admitted if response.warns_about("(spec.") => finding("warned", OTHER_MAP),
        Expected::Admitted => result("admitted", ProbeOutcome::NoProof, String::new()),
    }
}

fn result(got: &'static str, outcome: ProbeOutcome, detail: String) -> ProbeResult {
    ProbeResult {
        got,
        outcome,
        detail,
    }
}

fn as_expected(got: &'static str) -> ProbeResult {
    result(got, ProbeOutcome::AsExpected, String::new())
}

fn finding(got: &'static str, detail: impl Into<String>) -> ProbeResult {
    result(got, ProbeOutcome::Finding, detail.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Sent, UNKNOWN_IMAGE};
    use serde_json::json;

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
    fn only_a_denial_by_pullpass_counts() {
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
        // This denial is about the other image in the pod.
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
    fn an_image_volume_that_the_api_server_drops_is_not_tried() {
        let field = "spec.volumes[0].image.reference";
        let probe = |kind| Probe {
            kind,
            image: UNKNOWN_IMAGE.to_owned(),
            sent: Sent::Nothing(""),
            expected: Expected::Denied(vec![field.to_owned()]),
        };
        let outcome = |kind, volume: Value| {
            let response = ApiResponse {
                status: 201,
                body: json!({"spec": {"volumes": [{"name": "other", "emptyDir": {}}, volume]}}),
                warnings: Vec::new(),
            };
            read(&probe(kind), &response).outcome
        };
        let dropped = || json!({"name": "image", "emptyDir": {}});
        assert_eq!(
            outcome(ProbeKind::ImageVolume, dropped()),
            ProbeOutcome::NotTried
        );
        let kept = json!({"name": "image", "image": {"reference": UNKNOWN_IMAGE}});
        assert_eq!(outcome(ProbeKind::ImageVolume, kept), ProbeOutcome::Finding);
        assert_eq!(outcome(ProbeKind::Image, dropped()), ProbeOutcome::Finding);
    }

    #[test]
    fn an_admitted_pod_is_compared_with_the_expected_response() {
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
    fn texts_of_a_response_are_safe_to_show() {
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
