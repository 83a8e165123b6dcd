//! AdmissionReview v1 bytes → [`Request`]: what the API server asks, as far as
//! pullpass needs it to answer.
//!
//! Minimal and borrowed on purpose: decoding a whole typed pod costs about seven
//! times as much and fails on fields it does not know. Whether something is a
//! fault is decided here: what cannot be read, or has nobody to answer to, is a
//! [`BadReview`] and never a verdict. Pure; knows no map.

use super::json::{Groups, MAX_ELEMENTS, Object, Text};
use super::pod::Pod;
use super::workload::Kind;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::{self, Formatter};

/// Why a body is no review that can be answered. The API server takes it as a
/// failed call, so `failurePolicy` decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReview {
    /// Nothing was sent.
    #[error("the body is empty: send an AdmissionReview of admission.k8s.io/v1 as JSON")]
    Empty,
    /// The body is no JSON, or a value in it has the wrong type.
    #[error("the body cannot be read as an AdmissionReview: {0}")]
    Json(String),
    /// JSON, but of another kind or version.
    #[error(
        "the body is {kind} of {api_version}, this webhook answers AdmissionReview of \
         admission.k8s.io/v1: set admissionReviewVersions to [\"v1\"]"
    )]
    NotV1Review {
        /// `apiVersion` as sent, escaped.
        api_version: String,
        /// `kind` as sent, escaped.
        kind: String,
    },
    /// More images than a pod can have: each would cost memory.
    #[error(
        "the pod names more than {MAX_ELEMENTS} images, which is more than the API server takes"
    )]
    TooManyImages,
    /// A `ConfigMap` that no API server has taken.
    #[error("the ConfigMap cannot be what an API server has taken: {0}")]
    NoConfigMap(&'static str),
    /// A field is missing without which there is no answer.
    #[error("the AdmissionReview has no {0}")]
    Missing(&'static str),
}

/// The operation that is under review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operation {
    /// The object is made.
    Create,
    /// The object, or one of its sub-resources, is changed.
    Update,
    /// `DELETE`, `CONNECT`, and whatever a later Kubernetes adds.
    Other,
    /// None is named. [`parse`] lets no such request through.
    #[default]
    Unsaid,
}

impl Operation {
    /// The word for it in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Other | Self::Unsaid => "other",
        }
    }
}

/// What is asked.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// Echoed in the answer; the API server refuses an answer without it.
    pub uid: Cow<'a, str>,
    /// The namespace. Of the request, not of the object: that one may be absent.
    pub namespace: Cow<'a, str>,
    /// Empty where the API server is still to make the name (`generateName`).
    pub name: Cow<'a, str>,
    /// The operation.
    pub operation: Operation,
    /// What the object is.
    pub subject: Subject,
    /// Whether the result is thrown away. The answer is the same.
    pub dry_run: bool,
    /// Whether a kubelet asks (group `system:nodes`).
    pub from_node: bool,
    /// Who asks, by name.
    pub username: Cow<'a, str>,
    /// Their groups: the first sixteen.
    pub groups: Vec<Cow<'a, str>>,
    /// How many groups they have besides those.
    pub more_groups: usize,
    /// The pod, or what a workload's pods would be; none of another subject.
    pub object: Option<Pod<'a>>,
    /// The same as it is; none on `CREATE`.
    pub old_object: Option<Pod<'a>>,
}

/// What kind of object a review is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subject {
    /// A pod.
    Pod,
    /// A pod, through `pods/ephemeralcontainers`.
    EphemeralContainers,
    /// What makes pods.
    Workload(Kind),
    /// Another resource or sub-resource; its object is not read.
    Other,
    /// None is named. [`parse`] lets no such request through.
    #[default]
    Unsaid,
}

impl Subject {
    /// How the object is read, where it is.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Pod | Self::EphemeralContainers => Some(Kind::Pod),
            Self::Workload(kind) => Some(kind),
            Self::Other | Self::Unsaid => None,
        }
    }
}

/// Reads a review. Any error is the sender's fault.
pub fn parse(body: &[u8]) -> Result<Request<'_>, BadReview> {
    let request: Request<'_> = envelope(body)?;
    if let Some(field) = request.missing() {
        return Err(BadReview::Missing(field));
    }
    // Each list is bounded while it is read; all of a pod together are bounded here.
    let objects = [&request.object, &request.old_object];
    if objects
        .into_iter()
        .flatten()
        .any(|pod| pod.images().nth(MAX_ELEMENTS).is_some())
    {
        return Err(BadReview::TooManyImages);
    }
    Ok(request)
}

/// What an AdmissionReview holds in `request`.
pub(super) fn envelope<'a, R: Deserialize<'a>>(body: &'a [u8]) -> Result<R, BadReview> {
    if body.is_empty() {
        return Err(BadReview::Empty);
    }
    // Of the whole body at once, because what is skipped is not looked at later.
    let text = std::str::from_utf8(body).map_err(|error| BadReview::Json(error.to_string()))?;
    let Object(review) =
        serde_json::from_str(text).map_err(|error| BadReview::Json(error.to_string()))?;
    let review: Review<'a, R> = review.unwrap_or_default();
    if review.api_version.0 != "admission.k8s.io/v1" || review.kind.0 != "AdmissionReview" {
        let shown = |text: &Text<'_>| crate::text::quoted(&text.0, 60).to_string();
        return Err(BadReview::NotV1Review {
            api_version: shown(&review.api_version),
            kind: shown(&review.kind),
        });
    }
    review.request.ok_or(BadReview::Missing("request"))
}

impl Request<'_> {
    /// A field without which there is nothing to answer, or nobody.
    fn missing(&self) -> Option<&'static str> {
        let is_read = self.subject.kind().is_some() && self.operation != Operation::Other;
        if self.uid.is_empty() {
            Some("request.uid")
        } else if self.subject == Subject::Unsaid {
            Some("request.resource")
        } else if self.operation == Operation::Unsaid {
            Some("request.operation")
        } else if is_read && self.object.is_none() {
            Some("request.object")
        } else if is_read && self.namespace.is_empty() {
            Some("request.namespace")
        } else {
            None
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "R: Deserialize<'de>"))]
struct Review<'a, R> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(default = "Option::default")]
    request: Option<R>,
}

// Not derived: that would ask it of `R`.
impl<R> Default for Review<'_, R> {
    fn default() -> Self {
        Self {
            api_version: Text::default(),
            kind: Text::default(),
            request: None,
        }
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Resource<'a> {
    #[serde(borrow)]
    pub(super) group: Text<'a>,
    #[serde(borrow)]
    pub(super) resource: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UserInfo<'a> {
    #[serde(borrow)]
    username: Text<'a>,
    #[serde(borrow)]
    groups: Groups<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Request<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields::default())
    }
}

/// Reads the fields of `request` in one pass.
///
/// What `object` is depends on `resource` and `subResource`, which the API server
/// writes first. Where another sender has them behind it, the object is kept as
/// raw text until they are known.
#[derive(Default)]
struct Fields<'de> {
    request: Request<'de>,
    resource: Option<Resource<'de>>,
    sub_resource: Text<'de>,
    object: Payload<'de>,
    old_object: Payload<'de>,
}

/// An object of the request: read, or still text.
#[derive(Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are two, on the stack, and nearly always of this variant"
)]
enum Payload<'de> {
    #[default]
    Absent,
    Read(Option<Pod<'de>>),
    Raw(&'de RawValue),
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Request<'de>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an admission request")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "uid" => self.request.uid = map.next_value::<Text<'de>>()?.0,
                "resource" => self.resource = map.next_value::<Object<_>>()?.0,
                "subResource" => self.sub_resource = map.next_value()?,
                "name" => self.request.name = map.next_value::<Text<'de>>()?.0,
                "namespace" => self.request.namespace = map.next_value::<Text<'de>>()?.0,
                "operation" => self.request.operation = operation(&map.next_value()?),
                "userInfo" => {
                    let user: UserInfo<'_> = map.next_value::<Object<_>>()?.0.unwrap_or_default();
                    self.request.username = user.username.0;
                    self.request.from_node = user.groups.nodes;
                    self.request.more_groups = user.groups.more;
                    self.request.groups = user.groups.first;
                }
                "dryRun" => self.request.dry_run = map.next_value::<Option<bool>>()? == Some(true),
                "object" => self.object = self.next_object(&mut map)?,
                "oldObject" => self.old_object = self.next_object(&mut map)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.finish()
    }
}

impl<'de> Fields<'de> {
    fn subject(&self) -> Subject {
        match &self.resource {
            Some(at) if at.group.0.is_empty() && at.resource.0 == "pods" => {
                match &*self.sub_resource.0 {
                    "" => Subject::Pod,
                    "ephemeralcontainers" => Subject::EphemeralContainers,
                    _ => Subject::Other,
                }
            }
            Some(at) if !at.resource.0.is_empty() => {
                match Kind::of_resource(&at.group.0, &at.resource.0) {
                    Some(kind) if self.sub_resource.0.is_empty() => Subject::Workload(kind),
                    _ => Subject::Other,
                }
            }
            _ => Subject::Unsaid,
        }
    }

    fn next_object<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Payload<'de>, A::Error> {
        // What else the resource is may hang on its sub-resource, which is not known yet
        // where that stands behind the object.
        match self.subject() {
            Subject::Pod | Subject::EphemeralContainers => {
                Ok(Payload::Read(map.next_value::<Object<_>>()?.0))
            }
            _ => Ok(Payload::Raw(map.next_value()?)),
        }
    }

    fn finish<E: Error>(mut self) -> Result<Request<'de>, E> {
        self.request.subject = self.subject();
        if let Some(kind) = self.request.subject.kind() {
            self.request.object = self.object.read(kind)?;
            self.request.old_object = self.old_object.read(kind)?;
        }
        Ok(self.request)
    }
}

impl<'de> Payload<'de> {
    fn read<E: Error>(self, kind: Kind) -> Result<Option<Pod<'de>>, E> {
        match self {
            Self::Absent => Ok(None),
            Self::Read(pod) => Ok(pod),
            Self::Raw(text) => kind
                .deserialize(&mut serde_json::Deserializer::from_str(text.get()))
                .map_err(E::custom),
        }
    }
}

pub(super) fn operation(word: &Text<'_>) -> Operation {
    match &*word.0 {
        "CREATE" => Operation::Create,
        "UPDATE" => Operation::Update,
        "" => Operation::Unsaid,
        _ => Operation::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":"#;

    fn review(request: &str) -> String {
        format!("{BEFORE}{request}}}")
    }

    #[test]
    fn the_order_of_the_fields_does_not_matter() {
        let object = r#""object":{"spec":{"containers":[{"image":"a"}]}}"#;
        let rest = r#""uid":"u","namespace":"n","operation":"CREATE","resource":{"group":"","version":"v1","resource":"pods"}"#;
        for request in [
            format!("{{{rest},{object}}}"),
            format!("{{{object},{rest}}}"),
        ] {
            let text = review(&request);
            let request = parse(text.as_bytes()).unwrap();
            assert_eq!(request.subject, Subject::Pod);
            assert_eq!(request.object.unwrap().images().next().unwrap().1, "a");
        }
    }

    #[test]
    fn an_object_that_is_no_pod_is_not_read() {
        let text = review(
            r#"{"uid":"u","operation":"CREATE","resource":{"group":"x.dev","resource":"pods"},
                "object":{"spec":{"containers":"not a list"}}}"#,
        );
        let request = parse(text.as_bytes()).unwrap();
        assert_eq!(request.subject, Subject::Other);
        assert!(request.object.is_none());
    }

    #[test]
    fn what_cannot_be_answered_is_a_fault_that_says_so() {
        let pods = r#""resource":{"group":"","resource":"pods"},"operation":"CREATE""#;
        let cases = [
            (String::new(), "the body is empty"),
            ("null".to_owned(), r#"the body is "" of """#),
            ("[]".to_owned(), "cannot be read"),
            ("{".to_owned(), "cannot be read"),
            ("{}".to_owned(), r#"the body is "" of "","#),
            (
                r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#.to_owned(),
                "v1beta1",
            ),
            (
                r#"{"apiVersion":"v1","kind":"Pod"}"#.to_owned(),
                r#""Pod" of "v1""#,
            ),
            (review("null"), "has no request"),
            (review("{}"), "has no request.uid"),
            (
                review(&format!(r#"{{"uid":"u",{pods},"namespace":"n"}}"#)),
                "has no request.object",
            ),
            (
                review(&format!(r#"{{"uid":"u",{pods},"object":{{}}}}"#)),
                "has no request.namespace",
            ),
            (
                review(&format!(
                    r#"{{"uid":"u",{pods},"object":{{"spec":{{"containers":[{{"image":7}}]}}}}}}"#
                )),
                "expected a string",
            ),
        ];
        for (body, words) in cases {
            let error = parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{body}: {error}");
        }
    }

    #[test]
    fn deep_nesting_in_fields_we_skip_is_skipped() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = review(&format!(
            r#"{{"uid":"u","operation":"CREATE","resource":{{"resource":"x"}},"options":{deep},"object":{deep}}}"#
        ));
        assert_eq!(parse(text.as_bytes()).unwrap().subject, Subject::Other);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_a_fault() {
        let mut body = review(r#"{"uid":"u","name":"X"}"#).into_bytes();
        let at = body.iter().position(|&b| b == b'X').unwrap();
        body[at] = 0xff;
        assert!(matches!(parse(&body), Err(BadReview::Json(_))));
    }
}
