//! Keeps the self-signed certificate: looks at the cluster, asks
//! [`rotation`](pullpass_core::rotation) what is to be done, does it, and hands the leaf to
//! the server.
//!
//! Never on the way of a review: the server goes on with the leaf that it has,
//! whatever happens here. Decides nothing; the words, the pace and the patience are
//! its own.

use crate::certs::issuer::CertificateMaker;
use crate::http::tls::{Certificate, Pair};
use crate::kube::cert_store::{Cluster, ClusterError, Sight};
use crate::observe::metrics::{KeeperAction, Metrics};
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use pullpass_core::rotation::{Adoption, PlannedChange, ReplicaState, RotationSettings};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The cluster is looked at this often, in case a watch has missed something.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// After an error the next try comes this much later, then later and later.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Writes in a row; more come one a second. Somebody who takes back what we write
/// must not make us a flood.
const WRITES: u32 = 10;
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// The keeper, before it begins.
#[derive(Debug)]
pub struct Keeper {
    /// Where everything is.
    pub cluster: Cluster,
    /// How long things last.
    pub settings: RotationSettings,
}

impl Keeper {
    /// Keeps `certificate` up to date, for as long as the process lives.
    pub async fn run(self, certificate: Arc<Certificate>, metrics: Arc<Metrics>) {
        let mut changes = self.cluster.changes();
        let mut keeping = Keeping {
            cluster: self.cluster,
            settings: self.settings,
            memory: ReplicaState::default(),
            pace: Pace::new(),
            certificate,
            metrics,
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match keeping.step().await {
                Ok(Next::Now) => continue,
                Ok(Next::In(wait)) => {
                    pause = FIRST_PAUSE;
                    keeping.well();
                    wait.min(LOOK_AGAIN)
                }
                Err(error) => {
                    keeping.unwell(&error);
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            tokio::select! {
                Some(()) = changes.next() => {
                    // One look answers for all that has changed by now.
                    while let Some(Some(())) = changes.next().now_or_never() {}
                }
                () = sleep(wait) => {}
            }
        }
    }
}

struct Keeping {
    cluster: Cluster,
    settings: RotationSettings,
    memory: ReplicaState,
    pace: Pace,
    certificate: Arc<Certificate>,
    metrics: Arc<Metrics>,
}

/// When to look again.
enum Next {
    Now,
    In(Duration),
}

impl Keeping {
    async fn step(&mut self) -> Result<Next, ClusterError> {
        let sight = self.cluster.look().await?;
        let now = Timestamp::now();
        let plan = self.memory.plan(&sight.observed, now, &self.settings);
        self.metrics.authority_in_force(plan.authority_expires);
        // What is served does not wait for what may fail.
        let mut done = plan.adopt.is_some();
        if let Some(adoption) = plan.adopt {
            self.adopt(adoption, now);
        }
        let mut failure = None;
        if let Some(bundle) = plan.publish {
            self.pace.keep().await;
            let result = self.cluster.publish(&sight, &bundle).await;
            done |= self.count(KeeperAction::Publish, result, &mut failure);
        }
        if let Some(recipe) = plan.write {
            self.pace.keep().await;
            let result = self.write(&sight, recipe).await;
            done |= self.count(KeeperAction::Write, result, &mut failure);
        }
        match failure {
            Some(error) => Err(error),
            None if done => Ok(Next::Now),
            None => Ok(Next::In(plan.wake.map_or(LOOK_AGAIN, |at| until(now, at)))),
        }
    }

    async fn write(&self, sight: &Sight, recipe: PlannedChange) -> Result<(), ClusterError> {
        let reason = recipe.reason;
        let made = recipe.make(&mut CertificateMaker);
        let change = made.map_err(|error| ClusterError::Refused {
            what: "the Secret".to_owned(),
            message: error.to_string(),
        })?;
        self.cluster.write(sight, &change).await?;
        tracing::info!(%reason, "wrote the certificates' Secret");
        Ok(())
    }

    fn adopt(&mut self, adoption: Adoption, now: Timestamp) {
        let leaf = &adoption.leaf;
        let pem = leaf.to_pem();
        let key = leaf.key().expose_pem();
        let pair = Pair::from_pem(pem.as_bytes(), key.as_bytes());
        self.metrics.kept(KeeperAction::Adopt, pair.is_ok());
        self.certificate.replace(pair, now);
        self.memory.adopted(adoption);
    }

    /// Whether to look again at once; what has failed is kept.
    fn count(
        &self,
        action: KeeperAction,
        result: Result<(), ClusterError>,
        failure: &mut Option<ClusterError>,
    ) -> bool {
        match result {
            Ok(()) => {
                if matches!(action, KeeperAction::Publish) {
                    tracing::info!("wrote the caBundle of the webhooks");
                }
                self.metrics.kept(action, true);
                true
            }
            // Another replica was faster, which is as good.
            Err(ClusterError::Conflict(what)) => {
                tracing::debug!(what, "changed in the meantime, looking again");
                true
            }
            Err(error) => {
                self.metrics.kept(action, false);
                *failure = Some(error);
                false
            }
        }
    }

    fn well(&self) {
        if self.certificate.trouble().is_some() {
            tracing::info!("keeping the certificate works again");
        }
        self.metrics.keeping(true);
        self.certificate.set_trouble(None);
    }

    /// Said once, not with each try.
    fn unwell(&self, error: &ClusterError) {
        let words = error.to_string();
        self.metrics.keeping(false);
        if self
            .certificate
            .trouble()
            .is_none_or(|before| *before != words)
        {
            tracing::warn!(error = words, "cannot keep the certificate, trying again");
        }
        self.certificate.set_trouble(Some(words));
    }
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    // A little later, so that the moment is over.
    let wait = at.duration_since(now) + jiff::SignedDuration::from_millis(20);
    Duration::try_from(wait).unwrap_or_default()
}

/// How fast we write.
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

    /// Waits when there was too much lately.
    async fn keep(&mut self) {
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
