//! The answer → AdmissionReview v1 JSON, in one buffer.
//!
//! What the API server checks (`VerifyAdmissionResponse` in
//! `k8s.io/apiserver/pkg/admission/plugin/webhook/request`): the uid echoed, kind
//! and version exact, `patch` and `patchType` both or neither, and neither from a
//! validating webhook. Pure; the only place that writes a response.

use super::Mode;
use super::verdict::Words;
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

/// An answer to `/mutate`: allowed, with a patch or without.
pub fn patched(uid: &str, patch: Option<&Patch>) -> serde_json::Result<Vec<u8>> {
    let encoded = patch
        .map(|patch| serde_json::to_vec(patch).map(|json| STANDARD.encode(json)))
        .transpose()?;
    write(Response {
        patch_type: encoded.is_some().then_some("JSONPatch"),
        patch: encoded,
        ..Response::allowed(uid)
    })
}

/// An answer to `/validate`.
pub fn judged(uid: &str, words: &Words) -> serde_json::Result<Vec<u8>> {
    let mut audit_annotations = BTreeMap::new();
    if let Some((action, images)) = &words.record {
        audit_annotations.insert("decision", action.as_str());
        audit_annotations.insert("images", images.as_str());
        if words.would_be_refused {
            audit_annotations.insert("mode", Mode::Observe.as_str());
        }
    }
    write(Response {
        allowed: words.refusal.is_none(),
        status: words.refusal.as_deref().map(|message| Status {
            code: 403,
            reason: "Forbidden",
            message,
            details: None,
        }),
        warnings: &words.warnings,
        audit_annotations,
        ..Response::allowed(uid)
    })
}

/// An answer to `/validate-map`, about the `ConfigMap` of this name.
///
/// A refusal is `Invalid` with a cause, as the API server's own validation says it:
/// `kubectl edit` then opens the editor again, with the cause above the text, where it
/// would give up on any other code.
pub(super) fn map_judged(uid: &str, name: &str, words: &Words) -> serde_json::Result<Vec<u8>> {
    write(Response {
        allowed: words.refusal.is_none(),
        status: words.refusal.as_deref().map(|message| Status {
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
        warnings: &words.warnings,
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

fn write(response: Response<'_>) -> serde_json::Result<Vec<u8>> {
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
