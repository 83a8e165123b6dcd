//! Whether the API server calls this replica as it should: the webhook configurations are
//! watched, and what is wrong with them is logged, counted and shown.
//!
//! It runs in the background. It must not write, be on the way of a review, or judge the
//! objects, which [`pullpass_core::registration`] does.

use crate::certs::served::ServedCertificate;
use crate::certs::trust;
use crate::kube::changes::Pause;
use crate::kube::client::KubeError;
use crate::kube::webhook_objects::{ConfigurationName, WebhookObjects};
use crate::observe::health::Health;
use crate::observe::metrics::{Metrics, WatchedObject};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use kube::api::DynamicObject;
use pullpass_core::registration::{
    Expectation, ObservedConfiguration, RegisteredWebhook, RegistrationFinding, judge,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often the objects are read without a hint: a watch can be stuck for minutes.
const READ_INTERVAL: Duration = Duration::from_secs(30);
/// How often what is still wrong is logged again.
const REMINDER: Duration = Duration::from_hours(1);

/// The webhook configurations that are expected to exist.
#[derive(Debug)]
pub struct RegistrationSource {
    /// Their names.
    pub configurations: Vec<ConfigurationName>,
    /// What each of them registers, in the same order; `None` where only the object says it.
    pub webhooks: Vec<Option<RegisteredWebhook>>,
    /// Namespace and name of the Service that the API server connects to.
    pub service: Option<(String, String)>,
}

/// What is wrong with one webhook configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationProblem {
    /// Kind and name of the object.
    pub object: String,
    /// What it registers.
    pub webhook: RegisteredWebhook,
    /// What is wrong.
    pub finding: RegistrationFinding,
}

/// What the last reading has shown.
#[derive(Debug, Default)]
pub struct Registration {
    state: ArcSwap<RegistrationState>,
    reading: Health,
}

/// What is known about the webhook configurations.
#[derive(Debug, Default)]
pub struct RegistrationState {
    /// How many are watched.
    pub watched: usize,
    /// Whether they have been read.
    pub is_known: bool,
    /// Everything that is wrong.
    pub problems: Vec<ConfigurationProblem>,
}

impl Registration {
    /// What was read last.
    #[must_use]
    pub fn state(&self) -> Arc<RegistrationState> {
        self.state.load_full()
    }

    /// Why they cannot be read; `None` while they can.
    #[must_use]
    pub fn reading(&self) -> &Health {
        &self.reading
    }
}

impl RegistrationState {
    /// Whether pods that the map denies are admitted, because pullpass is not asked about them.
    #[must_use]
    pub fn enforces_nothing(&self) -> bool {
        self.problems.iter().any(|problem| {
            problem.webhook == RegisteredWebhook::Validate && problem.finding.stops_calls
        })
    }
}

/// Watches the objects and keeps `registration` up to date.
pub struct RegistrationWatch {
    source: RegistrationSource,
    certificate: Arc<ServedCertificate>,
    registration: Arc<Registration>,
    metrics: Arc<Metrics>,
    // What was logged, and when.
    told: Vec<ConfigurationProblem>,
    told_at: Timestamp,
}

impl RegistrationWatch {
    /// Judges the objects by the certificate that is served.
    #[must_use]
    pub fn new(
        source: RegistrationSource,
        certificate: Arc<ServedCertificate>,
        registration: Arc<Registration>,
        metrics: Arc<Metrics>,
    ) -> Self {
        registration.state.store(Arc::new(RegistrationState {
            watched: source.webhooks.len(),
            ..RegistrationState::default()
        }));
        Self {
            source,
            certificate,
            registration,
            metrics,
            told: Vec::new(),
            told_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// Watches for as long as the process lives.
    pub async fn run(mut self) {
        let mut pause = Pause::default();
        // What is wrong with the way to the API server must not keep the server from starting.
        let objects = loop {
            match WebhookObjects::new(self.source.configurations.clone()).await {
                Ok(objects) => break objects,
                Err(error) => self.fails(&error),
            }
            sleep(pause.after_error()).await;
        };
        let mut changes = objects.changes();
        let mut replaced = self.certificate.replaced();
        loop {
            let wait = match self.step(&objects).await {
                Ok(()) => {
                    pause.reset();
                    READ_INTERVAL
                }
                Err(error) => {
                    self.fails(&error);
                    pause.after_error()
                }
            };
            tokio::select! {
                () = changes.wait(wait) => {}
                Ok(()) = replaced.changed() => {}
            }
        }
    }

    async fn step(&mut self, objects: &WebhookObjects) -> Result<(), KubeError> {
        let now = Timestamp::now();
        let read = objects.read().await?;
        let mut problems = Vec::new();
        for ((name, object), webhook) in read.iter().zip(&self.source.webhooks) {
            let observed = object.as_ref().map(observed);
            let webhook = webhook
                .or_else(|| RegisteredWebhook::of(observed.as_ref()?))
                .unwrap_or(RegisteredWebhook::Validate);
            let findings = self.findings(webhook, observed.as_ref(), now);
            problems.extend(findings.into_iter().map(|finding| ConfigurationProblem {
                object: format!("{} {}", webhook.kind(), name.name),
                webhook,
                finding,
            }));
        }
        self.succeeds();
        self.publish(problems, now);
        Ok(())
    }

    fn findings(
        &self,
        webhook: RegisteredWebhook,
        observed: Option<&ObservedConfiguration<'_>>,
        now: Timestamp,
    ) -> Vec<RegistrationFinding> {
        let pair = self.certificate.pair();
        let service = self.source.service.as_ref();
        let expected = Expectation {
            service: service.map(|(namespace, name)| (namespace.as_str(), name.as_str())),
            server_names: pair.as_ref().map_or(&[], |pair| pair.names.as_slice()),
            refusal: &|bundle, name| trust::refusal(bundle, pair.as_deref()?, name, now),
        };
        judge(webhook, observed, &expected)
    }

    fn publish(&mut self, problems: Vec<ConfigurationProblem>, now: Timestamp) {
        for webhook in RegisteredWebhook::ALL {
            let of_it = problems.iter().filter(|problem| problem.webhook == webhook);
            self.metrics.registration_problems(webhook, of_it.count());
        }
        let is_due = now.duration_since(self.told_at).unsigned_abs() >= REMINDER;
        for problem in &problems {
            if is_due || !self.told.contains(problem) {
                warn(problem);
            }
        }
        if problems.is_empty() && !self.told.is_empty() {
            tracing::info!("the webhook configurations are as they should be again");
        }
        if is_due || problems != self.told {
            self.told_at = now;
        }
        self.told.clone_from(&problems);
        self.registration.state.store(Arc::new(RegistrationState {
            watched: self.source.webhooks.len(),
            is_known: true,
            problems,
        }));
    }

    fn succeeds(&self) {
        self.metrics.watch_works(WatchedObject::Webhooks, true);
        if self.registration.reading.succeeds() {
            tracing::info!("the webhook configurations can be read again");
        }
    }

    fn fails(&self, error: &KubeError) {
        let error = error.to_string();
        self.metrics.watch_works(WatchedObject::Webhooks, false);
        if self.registration.reading.fails(&error) {
            tracing::warn!(
                error,
                "cannot read the webhook configurations, trying again: pullpass does not notice \
                 when somebody changes or deletes them; it needs the right to get, list and watch \
                 them by name"
            );
        }
    }
}

fn observed(object: &DynamicObject) -> ObservedConfiguration<'_> {
    ObservedConfiguration {
        annotations: object.metadata.annotations.as_ref(),
        webhooks: object.data.get("webhooks"),
    }
}

fn warn(problem: &ConfigurationProblem) {
    let ConfigurationProblem {
        object, finding, ..
    } = problem;
    tracing::warn!(
        object,
        problem = finding.problem,
        meanwhile = finding.meanwhile,
        remedy = finding.remedy,
        "the API server does not call pullpass as it should"
    );
}
