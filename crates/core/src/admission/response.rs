//! Responses to reviews, as AdmissionReview v1 JSON.
//!
//! The API server checks a response (`VerifyAdmissionResponse` in
//! `k8s.io/apiserver/pkg/admission/plugin/webhook/request`): the uid is that of the request,
//! `kind` and `apiVersion` are exact, `patch` and `patchType` are both set or both absent,
//! and a validating webhook sets neither. No other module may write a response, and this one
//! must not decide.

use super::Mode;
use super::verdict::Statement;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
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
pub fn write(
    uid: &str,
    patch: Option<&Patch>,
    statement: &Statement,
) -> serde_json::Result<Vec<u8>> {
    let patch = patch
        .map(|patch| serde_json::to_vec(patch).map(|json| STANDARD.encode(json)))
        .transpose()?;
    let mut audit_annotations = BTreeMap::new();
    if let Some((action, images)) = &statement.audit {
        audit_annotations.insert("decision", action.as_str());
        audit_annotations.insert("images", images.as_str());
        if statement.would_deny {
            audit_annotations.insert("mode", Mode::Observe.as_str());
        }
    }
    encode(Response {
        allowed: statement.denial.is_none(),
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        status: statement.denial.as_deref().map(|message| DenialStatus {
            code: 403,
            reason: "Forbidden",
            message,
            details: None,
        }),
        warnings: &statement.warnings,
        audit_annotations,
        ..Response::allowed(uid)
    })
}

/// The response to a review of the registry map, in the `ConfigMap` with this name.
///
/// A denial is `Invalid` with a cause, like those of the API server's own validation:
/// `kubectl edit` then opens the editor again, with the cause above the text. After any
/// other code it gives up.
pub(super) fn write_map(
    uid: &str,
    name: &str,
    statement: &Statement,
) -> serde_json::Result<Vec<u8>> {
    encode(Response {
        allowed: statement.denial.is_none(),
        status: statement.denial.as_deref().map(|message| DenialStatus {
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
        }),
        warnings: &statement.warnings,
        ..Response::allowed(uid)
    })
}

impl<'a> Response<'a> {
    fn allowed(uid: &'a str) -> Self {
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
