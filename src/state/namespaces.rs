//! The labels of namespaces, from a watch that runs while the map in force has a
//! `namespaceSelector`.
//!
//! A review reads what is known without a lock and without a request. Before the first list
//! is complete nothing is known, and a decision that depends on labels stays undecided
//! ([`pullpass_core::policy::LabelsUnknown`]). While the watch is interrupted the known labels
//! stay: the API server evaluates `namespaceSelector`s of webhooks from a cache of its own in
//! the same way (`plugin/webhook/predicates/namespace`). This
//! module must not decide anything.

use crate::kube::client::{self, with_causes};
use crate::observe::health::Health;
use crate::observe::metrics::Metrics;
use arc_swap::{ArcSwapOption, Guard};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use pullpass_core::admission::NamespaceLabels;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// The pause before the next attempt to connect.
const CONNECT_PAUSE: Duration = Duration::from_secs(5);

/// What is known, and how the watch is doing.
#[derive(Debug)]
pub struct Namespaces {
    known: ArcSwapOption<NamespaceLabels>,
    watch: Health,
    metrics: Arc<Metrics>,
}

impl Namespaces {
    /// Nothing is known.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            known: ArcSwapOption::empty(),
            watch: Health::default(),
            metrics,
        }
    }

    /// The known labels; `None` before the first list is complete, and while no map asks for
    /// labels.
    pub fn current(&self) -> Guard<Option<Arc<NamespaceLabels>>> {
        self.known.load()
    }

    /// What last interrupted the watch, until the watch reports something again; one that
    /// resumes where it was reports nothing.
    #[must_use]
    pub fn watch(&self) -> &Health {
        &self.watch
    }

    fn publish(&self, known: Option<NamespaceLabels>) {
        let count = known.as_ref().map_or(0, NamespaceLabels::len);
        self.metrics.namespaces_known(count);
        self.known.store(known.map(Arc::new));
    }

    fn watch_reports(&self) {
        if self.watch.succeeds() {
            tracing::info!("the watch on namespaces works again");
        }
    }

    fn watch_fails(&self, error: &str) {
        if self.watch.fails(error) {
            tracing::warn!(
                error,
                "cannot watch namespaces, trying again: reviews that depend on their labels get \
                 a 503; pullpass needs the right to list and watch namespaces"
            );
        }
    }
}

/// Keeps `namespaces` up to date whenever a map `asks` for labels; ends when none can any more.
pub async fn run(namespaces: Arc<Namespaces>, mut asks: watch::Receiver<bool>) {
    while asks.wait_for(|asks| *asks).await.is_ok() {
        tokio::select! {
            () = follow(&namespaces) => {}
            _ = asks.wait_for(|asks| !asks) => {}
        }
        // Labels that are no longer watched are not known.
        namespaces.publish(None);
        let _ = namespaces.watch.succeeds();
    }
}

/// Never ends.
async fn follow(namespaces: &Namespaces) {
    loop {
        match client::connect().await {
            Ok(client) => {
                // The API server sends the metadata alone.
                let all: Api<PartialObjectMeta<Namespace>> = Api::all(client);
                let events = watcher(all, watcher::Config::default());
                take_in(namespaces, events.default_backoff()).await;
            }
            Err(error) => namespaces.watch_fails(&error.to_string()),
        }
        sleep(CONNECT_PAUSE).await;
    }
}

type Seen = Result<Event<PartialObjectMeta<Namespace>>, watcher::Error>;

/// Takes in what a watch reports, until its stream ends.
async fn take_in(namespaces: &Namespaces, events: impl Stream<Item = Seen>) {
    let mut events = pin!(events);
    let mut watched = WatchedLabels::default();
    while let Some(event) = events.next().await {
        let mut changed = take(namespaces, &mut watched, event);
        // One copy for everything that has happened by now.
        while let Some(Some(event)) = events.next().now_or_never() {
            changed |= take(namespaces, &mut watched, event);
        }
        if changed {
            namespaces.publish(Some(watched.known.clone()));
        }
    }
}

fn take(namespaces: &Namespaces, watched: &mut WatchedLabels, event: Seen) -> bool {
    match event {
        Ok(event) => {
            let changed = watched.enter(event);
            if changed {
                namespaces.watch_reports();
            }
            changed
        }
        Err(error) => {
            namespaces.watch_fails(&with_causes(&error));
            false
        }
    }
}

/// What a watch has reported so far.
#[derive(Default)]
struct WatchedLabels {
    known: NamespaceLabels,
    // A list that is not complete yet; what was known before it stays until then.
    listed: NamespaceLabels,
}

impl WatchedLabels {
    /// Whether what is known has changed.
    fn enter(&mut self, event: Event<PartialObjectMeta<Namespace>>) -> bool {
        let is_listing = matches!(event, Event::Init | Event::InitApply(_));
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => enter(&mut self.listed, object),
            Event::InitDone => self.known = std::mem::take(&mut self.listed),
            Event::Apply(object) => enter(&mut self.known, object),
            Event::Delete(object) => {
                if let Some(name) = object.metadata.name {
                    self.known.remove(name.as_str());
                }
            }
        }
        !is_listing
    }
}

fn enter(namespaces: &mut NamespaceLabels, object: PartialObjectMeta<Namespace>) {
    if let Some(name) = object.metadata.name {
        let labels = object.metadata.labels.unwrap_or_default();
        namespaces.insert(name.into(), Arc::new(labels));
    }
}
