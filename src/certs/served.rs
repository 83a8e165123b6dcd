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

/// The pair in force, and whether the next one will come.
#[derive(Debug)]
pub struct ServedCertificate {
    pair: ArcSwapOption<Pair>,
    renewal: Health,
    metrics: Arc<Metrics>,
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
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair.load().as_ref().map(|pair| Arc::clone(&pair.key))
    }
}
