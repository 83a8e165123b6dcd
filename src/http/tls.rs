//! The serving certificate: loaded, checked, swapped while connections go on.
//!
//! A pair is read from two files, which the kubelet replaces by swapping a symbolic
//! link (`..data`) and which other tools replace one after the other. So contents
//! are compared ([`crate::state::file_watch`]), and a pair that does not fit together never
//! replaces a good one. The swap
//! is one atomic store: a handshake sees the old pair or the new one, never neither.

use crate::observe::metrics::Metrics;
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use pullpass_core::rotation::names;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate chain with its private key, checked to belong together.
#[derive(Debug, Clone)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
}

/// Why a pair is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        error: String,
    },
    /// There is no certificate, or it cannot be understood.
    #[error("the certificate file {0}")]
    Certificate(String),
    /// There is no key, or it cannot be understood.
    #[error("the key file {0}")]
    Key(String),
    /// The key is not that of the first certificate.
    #[error(
        "the key does not belong to the certificate; the file must start with the server's own certificate, followed by those that issued it"
    )]
    Mismatch,
    /// It ended already, and what it would replace has not.
    #[error("the certificate ended on {0}")]
    Ended(Timestamp),
}

impl Pair {
    /// Reads a pair from PEM: a chain, the server's own certificate first, and a
    /// private key as PKCS#8, SEC1 or PKCS#1.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let certificates = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PairError::Certificate(format!("is no PEM: {error}")))?;
        let Some(own) = certificates.first() else {
            return Err(PairError::Certificate("holds no certificate".to_owned()));
        };
        let (_, parsed) = X509Certificate::from_der(own)
            .map_err(|error| PairError::Certificate(format!("holds no X.509: {error}")))?;
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp())
            .unwrap_or(Timestamp::MAX);
        let names = names(&parsed);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            PairError::Key(format!(
                "holds no private key that is not encrypted: {error}"
            ))
        })?;
        let key = CertifiedKey::from_der(certificates, key, &provider()).map_err(refused)?;
        Ok(Self {
            key: Arc::new(key),
            not_after,
            names,
        })
    }
}

/// What `rustls` says, in words about files. Neither its words nor ours hold key bytes.
fn refused(error: rustls::Error) -> PairError {
    match error {
        rustls::Error::InconsistentKeys(_) => PairError::Mismatch,
        rustls::Error::InvalidCertificate(error) => PairError::Certificate(format!(
            "holds a certificate that cannot be used: {error:?}"
        )),
        error => PairError::Key(format!("holds a key that cannot be used: {error}")),
    }
}

/// The two files that a pair is read from.
#[derive(Debug, Clone)]
pub struct PairFiles {
    /// PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// The bytes of both files. No `Debug`: one of them is a private key.
#[derive(PartialEq, Eq)]
pub struct PairBytes {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl PairFiles {
    /// Reads both files; not checked, and perhaps one before and one after a swap.
    pub fn read(&self) -> Result<PairBytes, PairError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| PairError::Unreadable {
                path: path.display().to_string(),
                error: error.to_string(),
            })
        };
        Ok(PairBytes {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }
}

impl PairBytes {
    /// The pair, checked.
    pub fn parse(&self) -> Result<Pair, PairError> {
        Pair::from_pem(&self.certificate, &self.key)
    }
}

/// The pair in force.
#[derive(Debug)]
pub struct Certificate {
    pair: ArcSwapOption<Pair>,
    trouble: ArcSwapOption<String>,
    metrics: Arc<Metrics>,
}

impl Certificate {
    /// Serves with this pair until another is put in force.
    #[must_use]
    pub fn new(pair: Pair, metrics: Arc<Metrics>) -> Self {
        let certificate = Self::awaited(metrics);
        certificate.take(pair);
        certificate
    }

    /// Serves nothing until a pair is put in force: handshakes fail, and the replica is
    /// not ready.
    #[must_use]
    pub fn awaited(metrics: Arc<Metrics>) -> Self {
        Self {
            pair: ArcSwapOption::empty(),
            trouble: ArcSwapOption::empty(),
            metrics,
        }
    }

    /// When the certificate in force ends.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.pair.load().as_ref().map(|pair| pair.not_after)
    }

    /// Why the next certificate may not come; for people.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Says why the next certificate may not come, or that it will.
    pub fn set_trouble(&self, words: Option<String>) {
        self.trouble.store(words.map(Arc::new));
    }

    /// Puts a new pair in force, or keeps the old one and says why.
    pub fn replace(&self, new: Result<Pair, PairError>, now: Timestamp) {
        let new = new.and_then(|new| {
            let worse = new.not_after < now && self.not_after().is_some_and(|end| end >= now);
            if worse {
                Err(PairError::Ended(new.not_after))
            } else {
                Ok(new)
            }
        });
        match new {
            Ok(new) => self.take(new),
            Err(error) => {
                self.metrics.certificate.loaded(false);
                self.set_trouble(Some(format!("a newer version was refused: {error}")));
                tracing::error!(
                    error = %error,
                    "the new certificate is refused; the one before it stays in force"
                );
            }
        }
    }

    fn take(&self, pair: Pair) {
        log_taken(&pair);
        self.set_trouble(None);
        self.metrics.certificate.loaded(true);
        self.metrics.certificate_in_force(pair.not_after);
        self.pair.store(Some(Arc::new(pair)));
    }
}

fn log_taken(pair: &Pair) {
    tracing::info!(names = ?pair.names, not_after = %pair.not_after, "serving certificate in force");
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair.load().as_ref().map(|pair| Arc::clone(&pair.key))
    }
}

/// TLS as the webhook speaks it: 1.2 and 1.3, HTTP/1.1 and nothing else.
pub fn server_config(certificate: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        // The place for a verifier of client certificates.
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // The API server uses h2 to loopback URLs only (apiserver `webhook/client.go`).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Go's client resumes no session, and a resumed one would show no new certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}
