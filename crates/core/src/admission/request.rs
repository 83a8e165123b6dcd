//! The parser of AdmissionReview v1: the part of a request that pullpass needs.
//!
//! It reads few fields and borrows them, because decoding a whole typed pod costs about
//! seven times as much and fails on unknown fields. A body that cannot be read, or that
//! lacks what a response needs, is a [`BadReview`] and never a verdict. This module must not
//! know the map.

use super::json::{Groups, JsonObject, MAX_ELEMENTS, Text};
use super::pod::Pod;
use super::workload::ObjectKind;
use crate::text::{cut, visible};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::{self, Formatter};

/// Why a body is not a review that pullpass can answer. For the API server the call has
/// failed, so `failurePolicy` decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReview {
    /// The body is empty.
    #[error("the body is empty: send an AdmissionReview of admission.k8s.io/v1 as JSON")]
    Empty,
    /// The body is not JSON, or a value in it has the wrong type.
    #[error("the body cannot be read as an AdmissionReview: {0}")]
    Json(String),
    /// The body is JSON of another kind or version.
    #[error(
        "the body is {kind} of {api_version}, but this webhook answers AdmissionReview of \
         admission.k8s.io/v1; set admissionReviewVersions to [\"v1\"]"
    )]
    NotV1Review {
        /// `apiVersion` as sent, escaped.
        api_version: String,
        /// `kind` as sent, escaped.
        kind: String,
    },
    /// The pod names more images than a real pod can, and each would need memory.
    #[error(
        "the pod names more than {MAX_ELEMENTS} images, which is more than the API server accepts"
    )]
    TooManyImages,
    /// No API server accepts such a `ConfigMap`.
    #[error("the ConfigMap is not one that an API server accepts: {0}")]
    InvalidConfigMap(&'static str),
    /// A field is missing that pullpass needs for a response.
    #[error("the AdmissionReview has no {0}")]
    Missing(&'static str),
}

/// The most characters of what the JSON reader says, which quotes texts of the body.
const LONGEST_REASON: usize = 300;

impl BadReview {
    /// The error for a body, or a part of it, that the JSON reader refuses.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let said = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        // The place stands behind what is quoted, and stays.
        let (words, place) = match said.strip_suffix(&place) {
            Some(words) => (words, place.as_str()),
            None => (said.as_str(), ""),
        };
        Self::Json(cut(visible(words), LONGEST_REASON) + place)
    }
}

/// The operation of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operation {
    /// The object is created.
    Create,
    /// The object, or one of its subresources, is changed.
    Update,
    /// `DELETE`, `CONNECT`, or an operation of a later Kubernetes.
    Other,
    /// The request names no operation; [`parse`] refuses it.
    #[default]
    Missing,
}

impl Operation {
    /// The name of the operation in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Other | Self::Missing => "other",
        }
    }
}

/// The request of a review, as far as pullpass reads it.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// The uid, which the response repeats; the API server refuses a response without it.
    pub uid: Cow<'a, str>,
    /// The namespace of the request; that of the object can be absent.
    pub namespace: Cow<'a, str>,
    /// The name; empty if the API server is to generate it (`generateName`).
    pub name: Cow<'a, str>,
    /// The operation.
    pub operation: Operation,
    /// What kind of object the request is about.
    pub subject: Subject,
    /// Whether the request is a dry run. The response is the same.
    pub dry_run: bool,
    /// Whether a kubelet sent the request (group `system:nodes`).
    pub from_node: bool,
    /// The name of the user who sent the request.
    pub username: Cow<'a, str>,
    /// The first sixteen groups of the user.
    pub groups: Vec<Cow<'a, str>>,
    /// How many other groups the user has.
    pub more_groups: usize,
    /// The pod, or the pod that a workload makes; `None` for other subjects.
    pub object: Option<Pod<'a>>,
    /// The same before the request; `None` on `CREATE`.
    pub old_object: Option<Pod<'a>>,
}

/// What kind of object a review is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subject {
    /// The request is about a pod.
    Pod,
    /// The request is about a pod, through `pods/ephemeralcontainers`.
    EphemeralContainers,
    /// The request is about a workload of this kind.
    Workload(ObjectKind),
    /// The request is about another resource or subresource, whose object is not read.
    Other,
    /// The request names no resource; [`parse`] refuses it.
    #[default]
    Missing,
}

impl Subject {
    /// The kind as which the object is read; `None` if it is not read.
    fn kind(self) -> Option<ObjectKind> {
        match self {
            Self::Pod | Self::EphemeralContainers => Some(ObjectKind::Pod),
            Self::Workload(kind) => Some(kind),
            Self::Other | Self::Missing => None,
        }
    }
}

/// Parses a review. It fails if the body is not a review that pullpass can answer.
pub fn parse(body: &[u8]) -> Result<Request<'_>, BadReview> {
    let request: Request<'_> = envelope(body)?;
    if let Some(field) = request.missing_field() {
        return Err(BadReview::Missing(field));
    }
    // Each list is bounded while it is read; this bounds all lists of a pod together.
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

/// The `request` of an AdmissionReview.
pub(super) fn envelope<'a, R: Deserialize<'a>>(body: &'a [u8]) -> Result<R, BadReview> {
    if body.is_empty() {
        return Err(BadReview::Empty);
    }
    // The whole body is checked here, because fields that are skipped are not checked.
    let text = std::str::from_utf8(body).map_err(|error| BadReview::Json(error.to_string()))?;
    let JsonObject(review) = serde_json::from_str(text).map_err(|error| BadReview::json(&error))?;
    let review: RequestReview<'a, R> = review.unwrap_or_default();
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
    /// The name of the first missing field that a response needs.
    fn missing_field(&self) -> Option<&'static str> {
        let is_read = self.subject.kind().is_some() && self.operation != Operation::Other;
        if self.uid.is_empty() {
            Some("request.uid")
        } else if self.subject == Subject::Missing {
            Some("request.resource")
        } else if self.operation == Operation::Missing {
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
struct RequestReview<'a, R> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(default = "Option::default")]
    request: Option<R>,
}

// A derived impl would require `R: Default`.
impl<R> Default for RequestReview<'_, R> {
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
        deserializer.deserialize_map(RequestVisitor::default())
    }
}

/// The fields of `request` that are read, by the numbers that [`RequestVisitor::once`] takes.
const FIELDS: [&str; 10] = [
    "uid",
    "resource",
    "subResource",
    "name",
    "namespace",
    "operation",
    "userInfo",
    "dryRun",
    "object",
    "oldObject",
];

/// Reads the fields of `request` in one pass.
///
/// How `object` is read depends on `resource` and `subResource`, which the API server writes
/// first. If another sender writes them later, the object stays raw text until they are known.
#[derive(Default)]
struct RequestVisitor<'de> {
    // A bit for each of `FIELDS` that was read: a list would be allocated for every review.
    seen: u16,
    request: Request<'de>,
    resource: Option<Resource<'de>>,
    sub_resource: Text<'de>,
    object: Payload<'de>,
    old_object: Payload<'de>,
}

/// An object of the request: absent, read, or still raw text.
#[derive(Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "a request has two of them, on the stack, and nearly always of the large variant"
)]
enum Payload<'de> {
    #[default]
    Absent,
    Read(Option<Pod<'de>>),
    Raw(&'de RawValue),
}

impl<'de> Visitor<'de> for RequestVisitor<'de> {
    type Value = Request<'de>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an admission request")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "uid" => {
                    self.once(0)?;
                    self.request.uid = map.next_value::<Text<'de>>()?.0;
                }
                "resource" => {
                    self.once(1)?;
                    self.resource = map.next_value::<JsonObject<_>>()?.0;
                }
                "subResource" => {
                    self.once(2)?;
                    self.sub_resource = map.next_value()?;
                }
                "name" => {
                    self.once(3)?;
                    self.request.name = map.next_value::<Text<'de>>()?.0;
                }
                "namespace" => {
                    self.once(4)?;
                    self.request.namespace = map.next_value::<Text<'de>>()?.0;
                }
                "operation" => {
                    self.once(5)?;
                    self.request.operation = operation(&map.next_value()?);
                }
                "userInfo" => {
                    self.once(6)?;
                    let user: UserInfo<'_> =
                        map.next_value::<JsonObject<_>>()?.0.unwrap_or_default();
                    self.request.username = user.username.0;
                    self.request.from_node = user.groups.has_nodes;
                    self.request.more_groups = user.groups.more;
                    self.request.groups = user.groups.first;
                }
                "dryRun" => {
                    self.once(7)?;
                    self.request.dry_run = map.next_value::<Option<bool>>()? == Some(true);
                }
                "object" => {
                    self.once(8)?;
                    self.object = self.next_object(&mut map)?;
                }
                "oldObject" => {
                    self.once(9)?;
                    self.old_object = self.next_object(&mut map)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.finish()
    }
}

impl<'de> RequestVisitor<'de> {
    /// Notes that a field of [`FIELDS`] was written. A second time is an error: another
    /// reader may take the other of two values.
    fn once<E: Error>(&mut self, field: usize) -> Result<(), E> {
        let bit = 1 << field;
        if self.seen & bit != 0 {
            let name = FIELDS.get(field).copied().unwrap_or_default();
            return Err(E::duplicate_field(name));
        }
        self.seen |= bit;
        Ok(())
    }

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
                match ObjectKind::of_resource(&at.group.0, &at.resource.0) {
                    Some(kind) if self.sub_resource.0.is_empty() => Subject::Workload(kind),
                    _ => Subject::Other,
                }
            }
            _ => Subject::Missing,
        }
    }

    fn next_object<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Payload<'de>, A::Error> {
        // Other subjects depend on the subresource, which is not known yet if the sender
        // writes it after the object.
        match self.subject() {
            Subject::Pod | Subject::EphemeralContainers => {
                Ok(Payload::Read(map.next_value::<JsonObject<_>>()?.0))
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
    fn read<E: Error>(self, kind: ObjectKind) -> Result<Option<Pod<'de>>, E> {
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
        "" => Operation::Missing,
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
    fn a_field_that_is_repeated_is_an_error() {
        for field in FIELDS {
            let twice = review(&format!(r#"{{"{field}":null,"uid2":1,"{field}":null}}"#));
            let error = parse(twice.as_bytes()).unwrap_err().to_string();
            let expected = format!("duplicate field `{field}`");
            assert!(error.contains(&expected), "{field}: {error}");
        }
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
    fn an_object_that_is_not_a_pod_is_not_read() {
        let text = review(
            r#"{"uid":"u","operation":"CREATE","resource":{"group":"x.dev","resource":"pods"},
                "object":{"spec":{"containers":"not a list"}}}"#,
        );
        let request = parse(text.as_bytes()).unwrap();
        assert_eq!(request.subject, Subject::Other);
        assert!(request.object.is_none());
    }

    #[test]
    fn a_review_that_cannot_be_answered_is_an_error_that_says_why() {
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
    fn deep_nesting_in_unread_fields_is_skipped() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = review(&format!(
            r#"{{"uid":"u","operation":"CREATE","resource":{{"resource":"x"}},"options":{deep},"object":{deep}}}"#
        ));
        assert_eq!(parse(text.as_bytes()).unwrap().subject, Subject::Other);
    }

    #[test]
    fn an_error_quotes_little_of_the_body_and_nothing_invisible() {
        let long = "\u{3164}\u{202e}x".repeat(10_000);
        let text = review(&format!(
            r#"{{"uid":"u","resource":{{"resource":"pods"}},"operation":"CREATE","namespace":"n","object":{{"spec":{{"containers":"{long}"}}}}}}"#
        ));
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains(r#"invalid type: string "\u{3164}"#),
            "{error}"
        );
        assert!(error.contains(" at line 1 column "), "{error}");
        assert!(error.chars().count() < 450, "{error}");
        assert!(!error.contains(crate::text::is_hidden), "{error}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_an_error() {
        let mut body = review(r#"{"uid":"u","name":"X"}"#).into_bytes();
        let at = body.iter().position(|&b| b == b'X').unwrap();
        body[at] = 0xff;
        assert!(matches!(parse(&body), Err(BadReview::Json(_))));
    }
}
