//! The certificate rotator: reads the state in the cluster, asks
//! [`rotation`](pullpass_core::rotation) for the next step, takes it, and hands the leaf to
//! the server.
//!
//! It runs in the background and must not hold up a review: whatever happens here, the server goes
//! on with the leaf that it has. It must not decide about certificates; only the pace, the pauses
//! after errors and the log messages are its own.

use super::issuer::{CertificateMaker, MakeError};
use super::pair::Pair;
use super::served::{ForeignSecret, ServedCertificate};
use crate::clock::wait_until;
use crate::kube::cert_store::{CertStore, Snapshot};
use crate::kube::changes::Pause;
use crate::kube::client::KubeError;
use crate::observe::metrics::{Metrics, RotatorAction};
use jiff::Timestamp;
use pullpass_core::rotation::{Adoption, PlannedChange, ReplicaState, RotationSettings};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the objects are read without a hint, in case a watch has missed something.
const READ_INTERVAL: Duration = Duration::from_mins(1);
/// Writes without a pause; each further one waits a second. A client that reverts what we
/// write must not cause a flood of writes.
const WRITES: u32 = 10;
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum RotatorError {
    #[error(transparent)]
    Kube(#[from] KubeError),
    #[error(transparent)]
    Make(#[from] MakeError),
}

/// What is rotated, and when.
#[derive(Debug)]
pub struct Rotation {
    /// Where the replicas share their certificates.
    pub store: CertStore,
    /// How long things last.
    pub settings: RotationSettings,
}

/// Keeps the self-signed certificate valid, together with the other replicas.
pub struct CertificateRotator {
    rotation: Rotation,
    memory: ReplicaState,
    pace: Pace,
    // What others were last found to have written into the Secret.
    foreign: Vec<&'static str>,
    certificate: Arc<ServedCertificate>,
    metrics: Arc<Metrics>,
}

/// When the next step is due.
enum NextStep {
    Now,
    In(Duration),
}

impl CertificateRotator {
    /// Serves the newest leaf as `certificate`.
    #[must_use]
    pub fn new(
        rotation: Rotation,
        certificate: Arc<ServedCertificate>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            rotation,
            memory: ReplicaState::default(),
            pace: Pace::new(),
            foreign: Vec::new(),
            certificate,
            metrics,
        }
    }

    /// Rotates for as long as the process lives.
    pub async fn run(mut self) {
        let mut changes = self.rotation.store.changes();
        let mut pause = Pause::default();
        loop {
            let wait = match self.step().await {
                Ok(NextStep::Now) => continue,
                Ok(NextStep::In(wait)) => {
                    pause.reset();
                    self.succeeds();
                    wait.min(READ_INTERVAL)
                }
                Err(error) => {
                    self.fails(&error);
                    pause.after_error()
                }
            };
            changes.wait(wait).await;
        }
    }

    async fn step(&mut self) -> Result<NextStep, RotatorError> {
        let snapshot = self.rotation.store.read().await?;
        let now = Timestamp::now();
        let plan = self
            .memory
            .plan(&snapshot.observed, now, &self.rotation.settings);
        self.metrics.authority_in_force(plan.authority_expires);
        self.note(&plan.foreign, now);
        // The server gets its leaf first: the requests below may fail.
        let mut done = plan.adopt.is_some();
        if let Some(adoption) = plan.adopt {
            self.adopt(adoption, now);
        }
        let mut failure = None;
        if let Some(bundle) = plan.publish {
            self.pace.wait().await;
            let result = self.rotation.store.publish(&snapshot, &bundle).await;
            done |= self.count(
                RotatorAction::Publish,
                result.map_err(Into::into),
                &mut failure,
            );
        }
        if let Some(recipe) = plan.write {
            self.pace.wait().await;
            let result = self.write(&snapshot, recipe).await;
            done |= self.count(RotatorAction::Write, result, &mut failure);
        }
        match failure {
            Some(error) => Err(error),
            None if done => Ok(NextStep::Now),
            None => Ok(NextStep::In(
                plan.wake.map_or(READ_INTERVAL, |at| wait_until(now, at)),
            )),
        }
    }

    /// Logs what somebody else has written into the Secret, once for each change of it.
    fn note(&mut self, foreign: &[&'static str], now: Timestamp) {
        if self.foreign == foreign {
            return;
        }
        self.foreign = foreign.to_vec();
        if foreign.is_empty() {
            return;
        }
        let problem = foreign.join(", ");
        self.metrics.secret_changed();
        tracing::warn!(
            secret = self.rotation.store.secret_name(),
            problem,
            "somebody else has written the Secret of the certificates; pullpass repairs what it \
             cannot use, and goes on with the certificate that it serves: find out who writes it"
        );
        self.certificate
            .secret_changes(ForeignSecret { at: now, problem });
    }

    async fn write(&self, snapshot: &Snapshot, recipe: PlannedChange) -> Result<(), RotatorError> {
        let reason = recipe.reason;
        let change = recipe.make(&mut CertificateMaker)?;
        self.rotation.store.write(snapshot, &change).await?;
        tracing::info!(%reason, "wrote the Secret of the certificates");
        Ok(())
    }

    fn adopt(&mut self, adoption: Adoption, now: Timestamp) {
        let leaf = &adoption.leaf;
        let pem = leaf.to_pem();
        let key = leaf.key().expose_pem();
        let pair = Pair::from_pem(pem.as_bytes(), key.as_bytes());
        self.metrics
            .rotator_acted(RotatorAction::Adopt, pair.is_ok());
        self.certificate.replace(pair, now);
        self.memory.adopted(adoption);
    }

    /// Whether the next step is due at once; puts the error into `failure`.
    fn count(
        &self,
        action: RotatorAction,
        result: Result<(), RotatorError>,
        failure: &mut Option<RotatorError>,
    ) -> bool {
        match result {
            Ok(()) => {
                if matches!(action, RotatorAction::Publish) {
                    tracing::info!("wrote the caBundle of the webhooks");
                }
                self.metrics.rotator_acted(action, true);
                true
            }
            // Another replica was faster, which is just as good.
            Err(RotatorError::Kube(KubeError::Conflict(what))) => {
                tracing::debug!(
                    what,
                    "the object has changed since it was read, reading it again"
                );
                true
            }
            Err(error) => {
                self.metrics.rotator_acted(action, false);
                *failure = Some(error);
                false
            }
        }
    }

    fn succeeds(&self) {
        self.metrics.rotator_works(true);
        if self.certificate.renewal().succeeds() {
            tracing::info!("the certificate rotator works again");
        }
    }

    fn fails(&self, error: &RotatorError) {
        let error = error.to_string();
        self.metrics.rotator_works(false);
        if self.certificate.renewal().fails(&error) {
            tracing::warn!(
                error,
                "the certificate rotator cannot do its work, trying again"
            );
        }
    }
}

/// Limits how fast the rotator writes.
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    fn new() -> Self {
        Self {
            left: WRITES,
            since: Instant::now(),
        }
    }

    /// Waits when there were too many writes lately.
    async fn wait(&mut self) {
        let earned = self.since.elapsed().as_secs() / WRITE_PAUSE.as_secs().max(1);
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(WRITES);
            self.since = Instant::now();
        }
        if self.left == 0 {
            sleep(WRITE_PAUSE).await;
        } else {
            self.left -= 1;
        }
    }
}
