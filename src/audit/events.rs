//! Makes Events of Kubernetes, off the way of reviews.
//!
//! A queue with a bound and a task that empties it: a review never waits for the API
//! server, and what does not fit is dropped and counted. Which Events there are, and how
//! many, is decided in [`pullpass_core::admission::event`]. Only creates; a name that is taken
//! means that another replica has said it.

use crate::kube::cert_store::{self, ClusterError};
use crate::observe::metrics::{EventFate, Metrics};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as KubernetesEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use pullpass_core::admission::event::{Event, EventBudget, Share};
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many may wait to be looked at.
const WAITING: usize = 256;
/// Who says it; a qualified name of at most 128 characters
/// (`pkg/apis/core/validation/events.go`).
const CONTROLLER: &str = "pullpass.dev/webhook";

/// Where Events are made, and by whom.
#[derive(Clone)]
pub struct EventSource {
    /// To the API server.
    pub client: Client,
    /// The name of this replica.
    pub instance: String,
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventSource").field(&self.instance).finish()
    }
}

/// Where Events are put to be made.
#[derive(Debug, Clone)]
pub struct EventQueue {
    queue: Sender<Event>,
    metrics: Arc<Metrics>,
}

impl EventQueue {
    /// A queue, and what comes out of it.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> (Self, Receiver<Event>) {
        let (queue, waiting) = channel(WAITING);
        (Self { queue, metrics }, waiting)
    }

    /// Puts an Event into the queue, if there is room; never waits.
    pub fn put(&self, event: Event) {
        if self.queue.try_send(event).is_err() {
            self.metrics.event(EventFate::Dropped);
        }
    }
}

/// Makes what comes out of the queue, until nobody can put anything in.
pub async fn make(source: EventSource, mut waiting: Receiver<Event>, metrics: Arc<Metrics>) {
    let mut budget = EventBudget::default();
    while let Some(event) = waiting.recv().await {
        let now = Timestamp::now();
        metrics.event(match budget.ask(&event, now) {
            Share::Repeated => EventFate::Repeated,
            Share::TooMany => EventFate::Limited,
            Share::Make(name) => source.make(name, event, now).await,
        });
    }
}

impl EventSource {
    async fn make(&self, name: String, event: Event, now: Timestamp) -> EventFate {
        let api: Api<KubernetesEvent> = Api::namespaced(self.client.clone(), &event.namespace);
        let what = format!("Event in {}", event.namespace);
        let object = self.object(name, event, now);
        let made = cert_store::request(&what, api.create(&PostParams::default(), &object)).await;
        match made {
            Ok(_) => EventFate::Made,
            Err(ClusterError::Exists(_)) => EventFate::Repeated,
            // There is no such namespace: whoever sent that review was no API server.
            Err(error @ ClusterError::Missing(_)) => {
                tracing::debug!(%error, "an Event was not made");
                EventFate::Failed
            }
            Err(error) => {
                tracing::warn!(%error, "an Event was not made");
                EventFate::Failed
            }
        }
    }

    fn object(&self, name: String, event: Event, now: Timestamp) -> KubernetesEvent {
        let Event {
            namespace,
            regarding,
            reason,
            note,
        } = event;
        KubernetesEvent {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some("Warning".to_owned()),
            reason: Some(reason.to_owned()),
            action: Some("AdmitPod".to_owned()),
            note: Some(note),
            regarding: Some(ObjectReference {
                api_version: Some(regarding.api_version),
                kind: Some(regarding.kind),
                name: Some(regarding.name),
                namespace: Some(namespace),
                uid: Some(regarding.uid),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..KubernetesEvent::default()
        }
    }
}
