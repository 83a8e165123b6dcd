//! A certificate chain and its private key, from PEM: read and checked to fit together.
//!
//! Tools replace the two files one after the other, and the kubelet by swapping a symbolic
//! link (`..data`), so what is read may be half old and half new: [`Pair`] is what passed
//! the check. This module must not serve it.

use jiff::Timestamp;
use pullpass_core::rotation::names;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate chain with its private key, checked to belong together.
#[derive(Debug, Clone)]
pub struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// When the certificate expires.
    pub not_after: Timestamp,
    /// The DNS names and IP addresses that the certificate is for.
    pub names: Vec<String>,
}

/// Why a pair cannot be used.
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
    /// It has expired, and the pair that it would replace has not.
    #[error("the certificate expired on {0}")]
    Expired(Timestamp),
}

impl Pair {
    /// Reads a pair from PEM: a chain, the server's own certificate first, and a
    /// private key as PKCS#8, SEC1 or PKCS#1.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let certificates = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PairError::Certificate(format!("is not PEM: {error}")))?;
        let Some(own) = certificates.first() else {
            return Err(PairError::Certificate("holds no certificate".to_owned()));
        };
        let (_, parsed) = X509Certificate::from_der(own).map_err(|error| {
            PairError::Certificate(format!("holds no X.509 certificate: {error}"))
        })?;
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp())
            .unwrap_or(Timestamp::MAX);
        let names = names(&parsed);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            PairError::Key(format!(
                "holds no private key that is not encrypted: {error}"
            ))
        })?;
        let key = CertifiedKey::from_der(certificates, key, &ring::default_provider())
            .map_err(refused)?;
        Ok(Self {
            key: Arc::new(key),
            not_after,
            names,
        })
    }
}

impl Pair {
    /// Whether a client that connects to this host accepts the name of the certificate.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let (Some(own), Ok(host)) = (self.key.cert.first(), ServerName::try_from(host)) else {
            return false;
        };
        ParsedCertificate::try_from(own).is_ok_and(|own| verify_server_name(&own, &host).is_ok())
    }
}

/// What `rustls` says, in words about files. Neither holds bytes of the key.
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
    /// Reads both files without checking them; a swap may come between the two.
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
    /// Checks what was read.
    pub fn parse(&self) -> Result<Pair, PairError> {
        Pair::from_pem(&self.certificate, &self.key)
    }
}
