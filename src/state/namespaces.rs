//! The labels of namespaces, by a watch that runs while the map in force has a
//! `namespaceSelector`.
//!
//! A review reads what is known without a lock and without a call. What is not known is
//! not there: before the first list is through nothing is, and the decision that hangs on
//! it is put off ([`pullpass_core::policy::LabelsUnknown`]). While a watch is interrupted, what was
//! known stays: the API server decides `namespaceSelector`s of webhooks by a cache of its
//! own in the same way (`plugin/webhook/predicates/namespace`). Decides nothing.

use crate::kube::cert_store;
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

/// After this the way to the API server is looked for again.
const CONNECT_PAUSE: Duration = Duration::from_secs(5);

/// What is known, for reviews; and why no more, for people.
#[derive(Debug)]
pub struct Namespaces {
    known: ArcSwapOption<NamespaceLabels>,
    trouble: ArcSwapOption<String>,
    metrics: Arc<Metrics>,
}

impl Namespaces {
    /// Nothing is known.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            known: ArcSwapOption::empty(),
            trouble: ArcSwapOption::empty(),
            metrics,
        }
    }

    /// What is known; `None` before the first list is through, and while nobody asks.
    pub fn current(&self) -> Guard<Option<Arc<NamespaceLabels>>> {
        self.known.load()
    }

    /// What last interrupted the watch, until it tells something again: a watch that goes
    /// on where it was says nothing of it.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    fn publish(&self, known: Option<NamespaceLabels>) {
        let count = known.as_ref().map_or(0, NamespaceLabels::len);
        self.metrics.namespaces_known(count);
        self.known.store(known.map(Arc::new));
    }

    fn well(&self) {
        if self.trouble.swap(None).is_some() {
            tracing::info!("the watch on namespaces works again");
        }
    }

    /// Said once, not with each try.
    fn unwell(&self, words: String) {
        if self.trouble().is_none_or(|before| *before != words) {
            tracing::warn!(
                error = words,
                "namespaces cannot be watched, trying again: what hangs on their labels is \
                 answered with 503; the right to list and watch namespaces is needed"
            );
        }
        self.trouble.store(Some(Arc::new(words)));
    }
}

/// Keeps `namespaces` up to date whenever somebody `asks` for labels, until nobody can.
pub async fn keep(namespaces: Arc<Namespaces>, mut asks: watch::Receiver<bool>) {
    while asks.wait_for(|asks| *asks).await.is_ok() {
        tokio::select! {
            () = follow(&namespaces) => {}
            _ = asks.wait_for(|asks| !asks) => {}
        }
        // What is no longer followed is not known.
        namespaces.publish(None);
        namespaces.trouble.store(None);
    }
}

/// Ends never.
async fn follow(namespaces: &Namespaces) {
    loop {
        match cert_store::connect().await {
            Ok(client) => {
                // Metadata alone is asked for, and sent.
                let all: Api<PartialObjectMeta<Namespace>> = Api::all(client);
                let events = watcher(all, watcher::Config::default());
                take_in(namespaces, events.default_backoff()).await;
            }
            Err(error) => namespaces.unwell(error.to_string()),
        }
        sleep(CONNECT_PAUSE).await;
    }
}

type Seen = Result<Event<PartialObjectMeta<Namespace>>, watcher::Error>;

/// Takes in what a watch tells, until it tells no more.
async fn take_in(namespaces: &Namespaces, events: impl Stream<Item = Seen>) {
    let mut events = pin!(events);
    let mut book = Book::default();
    while let Some(event) = events.next().await {
        let mut changed = take(namespaces, &mut book, event);
        // One copy for all that has happened by now.
        while let Some(Some(event)) = events.next().now_or_never() {
            changed |= take(namespaces, &mut book, event);
        }
        if changed {
            namespaces.publish(Some(book.known.clone()));
        }
    }
}

fn take(namespaces: &Namespaces, book: &mut Book, event: Seen) -> bool {
    match event {
        Ok(event) => {
            let changed = book.enter(event);
            if changed {
                namespaces.well();
            }
            changed
        }
        Err(error) => {
            namespaces.unwell(cert_store::chain(&error));
            false
        }
    }
}

/// What a watch has told so far.
#[derive(Default)]
struct Book {
    known: NamespaceLabels,
    // A list that is not through yet; what was known before it stays until then.
    listed: NamespaceLabels,
}

impl Book {
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
