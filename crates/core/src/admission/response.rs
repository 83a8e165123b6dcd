//! Responses to reviews, as AdmissionReview v1 JSON.
//!
//! The API server checks a response (`VerifyAdmissionResponse` in
//! `k8s.io/apiserver/pkg/admission/plugin/webhook/request`): the uid is that of the request,
//! `kind` and `apiVersion` are exact, `patch` and `patchType` are both set or both absent,
//! and a validating webhook sets neither. No other module may write a response, and this one
//! must not decide.

use super::Mode;
use super::ReviewEffect;
use super::verdict::Ruling;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseReview<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<DenialStatus<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, &'a str>,
}

/// `Status` of `k8s.io/apimachinery/pkg/apis/meta/v1`. The reason is always set, because
/// kubectl drops the message of a status without a reason.
#[derive(Serialize)]
struct DenialStatus<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

/// `StatusDetails` of `k8s.io/apimachinery/pkg/apis/meta/v1`.
#[derive(Serialize)]
struct Details<'a> {
    kind: &'static str,
    name: &'a str,
    causes: [Cause<'a>; 1],
}

#[derive(Serialize)]
struct Cause<'a> {
    reason: &'static str,
    field: &'static str,
    message: &'a str,
}

/// The response to a review of a pod or a workload.
pub(super) fn write(uid: &str, effect: &ReviewEffect<'_>) -> serde_json::Result<Vec<u8>> {
    let mut response = Response::admitted(uid);
    match effect {
        ReviewEffect::Nothing | ReviewEffect::Map { .. } => {}
        ReviewEffect::Patch { patch, .. } => {
            response.patch_type = Some("JSONPatch");
            response.patch = Some(STANDARD.encode(serde_json::to_vec(patch)?));
        }
        ReviewEffect::Judgement { statement, .. } => {
            response.say(&statement.ruling, |message| DenialStatus {
                code: 403,
                reason: "Forbidden",
                message,
                details: None,
            });
            if let Some((action, images)) = &statement.audit {
                let annotations = &mut response.audit_annotations;
                annotations.insert("decision", action.as_str());
                annotations.insert("images", images.as_str());
                if matches!(statement.ruling, Ruling::WouldDeny(_)) {
                    annotations.insert("mode", Mode::Observe.as_str());
                }
            }
        }
    }
    encode(response)
}

/// The response to a review of the registry map, in the `ConfigMap` with this name.
///
/// A denial is `Invalid` with a cause, like those of the API server's own validation:
/// `kubectl edit` then opens the editor again, with the cause above the text. After any
/// other code it gives up.
pub(super) fn write_map(uid: &str, name: &str, ruling: &Ruling) -> serde_json::Result<Vec<u8>> {
    let mut response = Response::admitted(uid);
    response.say(ruling, |message| DenialStatus {
        code: 422,
        reason: "Invalid",
        message,
        details: Some(Details {
            kind: "ConfigMap",
            name,
            causes: [Cause {
                reason: "FieldValueInvalid",
                field: "data",
                message,
            }],
        }),
    });
    encode(response)
}

impl<'a> Response<'a> {
    fn admitted(uid: &'a str) -> Self {
        Self {
            uid,
            allowed: true,
            patch_type: None,
            patch: None,
            status: None,
            warnings: &[],
            audit_annotations: BTreeMap::new(),
        }
    }

    fn say(&mut self, ruling: &'a Ruling, denial: impl FnOnce(&'a str) -> DenialStatus<'a>) {
        match ruling {
            Ruling::Admitted(warnings) | Ruling::WouldDeny(warnings) => self.warnings = warnings,
            Ruling::Denied(reason) => {
                self.allowed = false;
                self.status = Some(denial(reason));
            }
        }
    }
}

fn encode(response: Response<'_>) -> serde_json::Result<Vec<u8>> {
    // Most responses fit into this capacity.
    let mut buffer = Vec::with_capacity(512);
    serde_json::to_writer(
        &mut buffer,
        &ResponseReview {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response,
        },
    )?;
    Ok(buffer)
}
