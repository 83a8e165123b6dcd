//! The certificate that the server shows, replaced while connections go on.
//!
//! The swap is one atomic store: a handshake sees the old pair or the new one, never a mix.
//! A pair that cannot be used never replaces one that can. This module must not
//! decide who brings the next pair: it comes from files, or from the [rotator](super::rotator).

use super::pair::{Pair, PairError};
use crate::observe::health::Health;
use crate::observe::metrics::Metrics;
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use tokio::sync::watch;

/// The pair in force, and whether the next one will come.
#[derive(Debug)]
pub struct ServedCertificate {
    pair: ArcSwapOption<Pair>,
    renewal: Health,
    // Notified of each pair that is put in force.
    replaced: watch::Sender<()>,
    // What others were last found to have written into the Secret.
    foreign_secret: ArcSwapOption<ForeignSecret>,
    metrics: Arc<Metrics>,
}

/// What others have written into the Secret of the certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignSecret {
    /// When it was found.
    pub at: Timestamp,
    /// What was wrong; safe to show.
    pub problem: String,
}

impl ServedCertificate {
    /// Serves this pair until another is put in force.
    #[must_use]
    pub fn new(pair: Pair, metrics: Arc<Metrics>) -> Self {
        let certificate = Self::awaited(metrics);
        certificate.put_in_force(pair);
        certificate
    }

    /// Serves nothing until a pair is put in force: handshakes fail, and the replica is
    /// not ready.
    #[must_use]
    pub fn awaited(metrics: Arc<Metrics>) -> Self {
        Self {
            pair: ArcSwapOption::empty(),
            renewal: Health::default(),
            replaced: watch::Sender::new(()),
            foreign_secret: ArcSwapOption::empty(),
            metrics,
        }
    }

    /// When the certificate in force expires; `None` while there is none.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.pair.load().as_ref().map(|pair| pair.not_after)
    }

    /// Whether the next certificate will come, and why it may not.
    #[must_use]
    pub fn renewal(&self) -> &Health {
        &self.renewal
    }

    /// The pair in force.
    #[must_use]
    pub fn pair(&self) -> Option<Arc<Pair>> {
        self.pair.load_full()
    }

    /// Notifies of each pair that is put in force from now on.
    #[must_use]
    pub fn replaced(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// What others were last found to have written into the Secret.
    #[must_use]
    pub fn foreign_secret(&self) -> Option<Arc<ForeignSecret>> {
        self.foreign_secret.load_full()
    }

    /// Takes down what others have written into the Secret.
    pub(super) fn secret_changes(&self, foreign: ForeignSecret) {
        self.foreign_secret.store(Some(Arc::new(foreign)));
    }

    /// Puts a new pair in force, or keeps the old one and logs why.
    pub fn replace(&self, new: Result<Pair, PairError>, now: Timestamp) {
        let new = new.and_then(|new| {
            let is_worse = new.not_after < now && self.not_after().is_some_and(|end| end >= now);
            if is_worse {
                Err(PairError::Expired(new.not_after))
            } else {
                Ok(new)
            }
        });
        match new {
            Ok(new) => self.put_in_force(new),
            Err(error) => {
                self.metrics.certificate.loaded(false);
                // Logged each time: a pair is refused once for each change of the files.
                let _ = self
                    .renewal
                    .fails(&format!("a newer version was refused: {error}"));
                tracing::error!(
                    %error,
                    "the new certificate is refused; the one before it stays in force"
                );
            }
        }
    }

    fn put_in_force(&self, pair: Pair) {
        tracing::info!(
            names = ?pair.names,
            not_after = %pair.not_after,
            "serving certificate in force"
        );
        let _ = self.renewal.succeeds();
        self.metrics.certificate.loaded(true);
        self.metrics.certificate_in_force(pair.not_after);
        self.pair.store(Some(Arc::new(pair)));
        self.replaced.send_replace(());
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair.load().as_ref().map(|pair| Arc::clone(&pair.key))
    }
}
