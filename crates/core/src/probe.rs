//! The probes that `verify` sends to an API server to find out whether pullpass decides
//! there.
//!
//! [`probes`] makes the probes of a namespace, and [`read`] says what the response to a probe
//! means. This module must not send anything: its caller sends the probes as dry runs.

mod make;
mod response;

use serde::Serialize;
use serde_json::Value;

pub use make::probes;
pub use response::read;

/// An image of a host that cannot exist (RFC 6761, 6.4).
pub const UNKNOWN_IMAGE: &str = "pullpass-verify.invalid/unknown:1";

/// What a probe tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// A registry that no rule names.
    UnknownRegistry,
    /// A registry that an entry denies.
    DeniedRegistry,
    /// A registry that no rule names, in an image volume.
    ImageVolume,
    /// A registry that no rule names, in an ephemeral container of a running pod.
    EphemeralContainer,
    /// An image that needs pull secrets, which the pod does not have.
    PullSecret,
    /// An image that the user of `verify` names.
    Image,
}

impl ProbeKind {
    /// The name of the kind in the output.
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

/// The response that the map requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// A denial that names these fields.
    Denied(Vec<String>),
    /// Warnings that name these fields.
    Warned(Vec<String>),
    /// The pod with these pull secrets.
    Patched(Vec<String>),
    /// The unchanged pod without warnings: the map allows the image, or only the audit log
    /// records it.
    Admitted,
    /// The unchanged pod without warnings, because the namespace is exempt.
    Untouched,
}

impl Expected {
    /// The name of the response in the output.
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

/// The request of a probe.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// A request that creates this pod.
    Pod(Value),
    /// A request that patches `ephemeralcontainers` of a running pod with this strategic
    /// merge patch.
    Ephemeral(Value),
    /// There is nothing to send, for this reason.
    Nothing(&'static str),
}

/// One probe of one namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// What the probe tries.
    pub kind: ProbeKind,
    /// The image that the probe is about; empty if nothing is sent.
    pub image: String,
    /// The request.
    pub sent: Sent,
    /// The response that the map requires.
    pub expected: Expected,
}

/// A response of the API server, whatever its status.
#[derive(Debug, Default)]
pub struct ApiResponse {
    /// The HTTP status code.
    pub status: u16,
    /// The object, or the `Status` that says why there is none.
    pub body: Value,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
}

/// What the response to a probe proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeOutcome {
    /// The response is what the map requires, and only pullpass can have caused it.
    AsExpected,
    /// The response is what the map requires, but it would be the same without pullpass.
    NoProof,
    /// The namespace is exempt, and the pod is admitted.
    Exempt,
    /// The probe shows nothing, because it was not sent or another check rejected it. It
    /// never counts as passed.
    NotTried,
    /// The response is not what the map requires.
    Finding,
}

impl ProbeOutcome {
    /// The name of the outcome in the output.
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

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The name of the response in the output.
    pub got: &'static str,
    /// What the response proves.
    pub outcome: ProbeOutcome,
    /// Why the outcome is not as expected; safe to show.
    pub detail: String,
}
