//! Creates Kubernetes Events in the background.
//!
//! There is a bounded queue and a task that empties it: a review never waits for the API
//! server, and an Event that does not fit is dropped and counted. Which Events there are, and
//! how many, is decided in [`pullpass_core::admission::event`]; this module must not decide it. It
//! only creates objects. A name that is taken means that another replica has created the same
//! Event.

use super::Origin;
use crate::kube::client::{KubeError, request};
use crate::observe::metrics::{EventFate, Metrics};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as KubernetesEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use pullpass_core::admission::event::{Event, EventBudget, EventOutcome};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many Events may wait.
const WAITING: usize = 256;
/// The reporting controller; a qualified name of at most 128 characters
/// (`pkg/apis/core/validation/events.go`).
const CONTROLLER: &str = "pullpass.dev/webhook";

/// Where Events are created, and by which replica.
#[derive(Clone)]
pub struct EventSource {
    /// The client of the API server.
    pub client: Client,
    /// The name of this replica.
    pub instance: String,
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventSource").field(&self.instance).finish()
    }
}

/// An Event, and the peer that caused it; `None` stands for verified callers.
pub type WaitingEvent = (Event, Option<IpAddr>);

/// Where Events are put to be created.
#[derive(Debug, Clone)]
pub struct EventQueue {
    queue: Sender<WaitingEvent>,
    metrics: Arc<Metrics>,
}

impl EventQueue {
    /// An empty queue and its other end.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> (Self, Receiver<WaitingEvent>) {
        let (queue, waiting) = channel(WAITING);
        (Self { queue, metrics }, waiting)
    }

    /// Puts an Event into the queue, if there is room; never waits.
    pub fn put(&self, event: Event, origin: Origin) {
        let peer = (!origin.is_verified).then_some(origin.peer);
        if self.queue.try_send((event, peer)).is_err() {
            self.metrics.event(EventFate::Dropped);
        }
    }
}

/// Creates what comes out of the queue, until nobody can put anything in.
pub async fn create(
    source: EventSource,
    mut waiting: Receiver<WaitingEvent>,
    metrics: Arc<Metrics>,
) {
    let mut budget = EventBudget::default();
    while let Some((event, peer)) = waiting.recv().await {
        let now = Timestamp::now();
        metrics.event(match budget.ask(&event, peer, now) {
            EventOutcome::Repeated => EventFate::Repeated,
            EventOutcome::TooMany => EventFate::Limited,
            EventOutcome::Make(name) => source.create(name, event, now).await,
        });
    }
}

impl EventSource {
    async fn create(&self, name: String, event: Event, now: Timestamp) -> EventFate {
        let api: Api<KubernetesEvent> = Api::namespaced(self.client.clone(), &event.namespace);
        let what = format!("Event in {}", event.namespace);
        let object = self.object(name, event, now);
        let made = request(&what, api.create(&PostParams::default(), &object)).await;
        match made {
            Ok(_) => EventFate::Made,
            Err(KubeError::Exists(_)) => EventFate::Repeated,
            // There is no such namespace, so the review did not come from this API server.
            Err(error @ KubeError::Missing(_)) => {
                tracing::debug!(%error, "cannot create an Event");
                EventFate::Failed
            }
            Err(error) => {
                tracing::warn!(%error, "cannot create an Event");
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
