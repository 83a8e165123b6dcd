//! The answer → AdmissionReview v1 JSON, in one buffer.
//!
//! What the API server checks (`VerifyAdmissionResponse` in
//! `k8s.io/apiserver/pkg/admission/plugin/webhook/request`): the uid echoed, kind
//! and version exact, `patch` and `patchType` both or neither, and neither from a
//! validating webhook. Pure; the only place that writes a response.

use super::Mode;
use super::verdict::Statement;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
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
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, &'a str>,
}

/// Code and reason set, because kubectl prints the reason and drops the message of a
/// status without one.
#[derive(Serialize)]
struct Status<'a> {
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

/// An answer: allowed with a patch or without, or what is said of the object.
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
        status: statement.denial.as_deref().map(|message| Status {
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

/// An answer to `/validate-map`, about the `ConfigMap` of this name.
///
/// A denial is `Invalid` with a cause, as the API server's own validation says it:
/// `kubectl edit` then opens the editor again, with the cause above the text, where it
/// would give up on any other code.
pub(super) fn write_map(
    uid: &str,
    name: &str,
    statement: &Statement,
) -> serde_json::Result<Vec<u8>> {
    encode(Response {
        allowed: statement.denial.is_none(),
        status: statement.denial.as_deref().map(|message| Status {
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
    // Most answers fit; a larger one grows.
    let mut buffer = Vec::with_capacity(512);
    serde_json::to_writer(
        &mut buffer,
        &Review {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response,
        },
    )?;
    Ok(buffer)
}
