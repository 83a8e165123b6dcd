//! Observations: what pods, events and pasted text say, each with the object it speaks of.
//!
//! The reader takes objects as `kubectl get -o json` prints them. It keeps what a diagnosis
//! needs and forgets the rest, so that a cluster with thousands of pods fits into little
//! memory. It must not decide what a message means.

use serde_json::Value;

/// The object that an observation speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Its kind, such as `Pod`; empty where the text does not say.
    pub kind: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

impl Subject {
    /// A pod.
    #[must_use]
    pub fn pod(namespace: &str, name: &str) -> Self {
        Self {
            kind: "Pod".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
        }
    }
}

/// One thing that was said about an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// Of which object.
    pub subject: Subject,
    /// The image, where it is known beside the words.
    pub image: Option<String>,
    /// The words.
    pub text: String,
    /// Whether the words say that an image is there now.
    pub is_success: bool,
}

/// Reasons of waiting containers that are no failures.
const QUIET: [&str; 3] = ["ContainerCreating", "PodInitializing", "CrashLoopBackOff"];

/// Events about pods whose messages are about something else.
const OTHER_REASONS: [&str; 12] = [
    "Scheduled",
    "FailedScheduling",
    "Created",
    "Started",
    "Killing",
    "Unhealthy",
    "FailedMount",
    "FailedAttachVolume",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "Pulling",
    "NetworkNotReady",
];

/// Adds what an object says: a Pod, an Event of either API, or a list of them. Tells whether
/// the object is one of these.
pub fn observe(object: &Value, out: &mut Vec<Observation>) -> bool {
    match text(object, "/kind") {
        "Pod" => observe_pod(object, out),
        "Event" => observe_event(object, out),
        _ => {
            let Some(items) = object.get("items").and_then(Value::as_array) else {
                return false;
            };
            let list = text(object, "/kind");
            let mut known = ["PodList", "EventList", "List"].contains(&list);
            for item in items {
                known |= match (text(item, "/kind"), list) {
                    ("Pod", _) | ("", "PodList") => {
                        observe_pod(item, out);
                        true
                    }
                    ("Event", _) | ("", "EventList") => {
                        observe_event(item, out);
                        true
                    }
                    _ => false,
                };
            }
            return known;
        }
    }
    true
}

/// Adds what the status of a pod says.
pub fn observe_pod(pod: &Value, out: &mut Vec<Observation>) {
    let subject = Subject::pod(
        text(pod, "/metadata/namespace"),
        text(pod, "/metadata/name"),
    );
    if text(pod, "/status/reason") == "Evicted" {
        push(out, &subject, None, text(pod, "/status/message"));
    }
    for (statuses, containers) in [
        ("/status/initContainerStatuses", "/spec/initContainers"),
        ("/status/containerStatuses", "/spec/containers"),
        (
            "/status/ephemeralContainerStatuses",
            "/spec/ephemeralContainers",
        ),
    ] {
        for status in array(pod, statuses) {
            let name = text(status, "/name");
            let specified = array(pod, containers)
                .iter()
                .find(|container| text(container, "/name") == name)
                .map(|container| text(container, "/image"));
            let image = specified.unwrap_or_else(|| text(status, "/image"));
            let reason = text(status, "/state/waiting/reason");
            let message = text(status, "/state/waiting/message");
            if !reason.is_empty() && !QUIET.contains(&reason) {
                // A pull secret that cannot be read: the kubelet gives Go's error as the reason
                // (`EnsureImageExists` in pkg/kubelet/images/image_manager.go).
                let is_raw_error = ["invalid character", "json:", "unexpected end of JSON"]
                    .iter()
                    .any(|words| reason.starts_with(words));
                let what = if is_raw_error {
                    "malformed pull secret: "
                } else {
                    ""
                };
                push(
                    out,
                    &subject,
                    Some(image),
                    &format!("{what}{reason}: {message}"),
                );
            }
            for state in ["/state/terminated/message", "/lastState/terminated/message"] {
                let message = text(status, state);
                if message.contains("exec format error") {
                    push(out, &subject, Some(image), message);
                }
            }
        }
    }
}

/// Adds what an event says, of `v1` or of `events.k8s.io/v1`.
pub fn observe_event(event: &Value, out: &mut Vec<Observation>) {
    let reason = text(event, "/reason");
    if OTHER_REASONS.contains(&reason) {
        return;
    }
    let about = if event.get("regarding").is_some() {
        "/regarding"
    } else {
        "/involvedObject"
    };
    let field = |field: &str| {
        let text = text(event, &format!("{about}/{field}"));
        (!text.is_empty()).then(|| text.to_owned())
    };
    let subject = Subject {
        kind: field("kind").unwrap_or_default(),
        namespace: field("namespace"),
        name: field("name"),
    };
    let message = match text(event, "/note") {
        "" => text(event, "/message"),
        note => note,
    };
    let is_success = reason == "Pulled";
    out.push(Observation {
        subject,
        image: super::message::image_of(message),
        text: format!("{reason}: {message}"),
        is_success,
    });
}

fn push(out: &mut Vec<Observation>, subject: &Subject, image: Option<&str>, text: &str) {
    out.push(Observation {
        subject: subject.clone(),
        image: image.filter(|image| !image.is_empty()).map(str::to_owned),
        text: text.to_owned(),
        is_success: false,
    });
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn array<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
