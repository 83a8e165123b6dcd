//! The CAs that issue the certificates of callers, replaced while connections go on.
//!
//! `rustls` verifies; this module only says by which CAs, and reads names out of a certificate
//! that has passed. The swap is one atomic store, and a file that cannot be used never replaces
//! one that can. This module must not decide which names may call or what a caller without a
//! certificate gets, which [`crate::http::caller`] does.

use crate::observe::health::Health;
use crate::observe::metrics::Metrics;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Why a file of CAs cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCaError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        error: String,
    },
    /// It is not one or more certificates of CAs.
    #[error("cannot use {path} as the CAs of callers: it {problem}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The file that the CAs are read from: PEM, one or more certificates.
#[derive(Debug, Clone)]
pub struct ClientCaFile(pub PathBuf);

/// Verifies by these CAs.
#[derive(Debug)]
struct Authorities {
    verifier: Arc<dyn ClientCertVerifier>,
    count: usize,
    /// When the last of them expires.
    not_after: Timestamp,
}

impl ClientCaFile {
    /// Reads the file without checking it.
    pub fn read(&self) -> Result<Vec<u8>, ClientCaError> {
        fs::read(&self.0).map_err(|error| ClientCaError::Unreadable {
            path: self.0.display().to_string(),
            error: error.to_string(),
        })
    }

    fn parse(&self, pem: &[u8]) -> Result<Authorities, ClientCaError> {
        authorities(pem).map_err(|problem| ClientCaError::Content {
            path: self.0.display().to_string(),
            problem,
        })
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn authorities(pem: &[u8]) -> Result<Authorities, String> {
    let mut roots = RootCertStore::empty();
    let mut not_after = Timestamp::MIN;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        let number = roots.len() + 1;
        let unusable = |why: &str| format!("holds a certificate (number {number}) that {why}");
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|_| unusable("is not an X.509 certificate"))?;
        if !parsed.is_ca() {
            return Err(unusable(
                "is not of a CA; write the certificates of the CAs that issue those of the callers",
            ));
        }
        let end = Timestamp::from_second(parsed.validity().not_after.timestamp());
        not_after = not_after.max(end.unwrap_or(Timestamp::MAX));
        roots
            .add(certificate.clone())
            .map_err(|error| unusable(&format!("cannot be used: {error}")))?;
    }
    let count = roots.len();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        // A caller without a certificate gets an answer that says so, see `http::caller`.
        .allow_unauthenticated()
        .build()
        .map_err(|_| "holds no certificate".to_owned())?;
    Ok(Authorities {
        verifier,
        count,
        not_after,
    })
}

/// The CAs in force.
#[derive(Debug)]
pub struct ClientCa {
    file: ClientCaFile,
    authorities: ArcSwap<Authorities>,
    renewal: Health,
    metrics: Arc<Metrics>,
}

impl ClientCa {
    /// Verifies by the CAs of this content of the file, until others are put in force.
    pub fn new(
        file: ClientCaFile,
        pem: Result<&[u8], ClientCaError>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ClientCaError> {
        let authorities = file.parse(pem?)?;
        let this = Self {
            authorities: ArcSwap::from_pointee(authorities),
            file,
            renewal: Health::default(),
            metrics,
        };
        this.in_force();
        Ok(this)
    }

    /// Puts the CAs of a new content in force, or keeps those before it and logs why.
    pub fn replace(&self, pem: Result<&[u8], ClientCaError>) {
        match pem.and_then(|pem| self.file.parse(pem)) {
            Ok(new) => {
                self.authorities.store(Arc::new(new));
                self.in_force();
            }
            Err(error) => {
                self.metrics.callers.ca.loaded(false);
                // Logged each time: a file is refused once for each of its changes.
                let _ = self
                    .renewal
                    .fails(&format!("a newer version was refused: {error}"));
                tracing::error!(
                    %error,
                    "the new CAs of callers are refused; those before them stay in force"
                );
            }
        }
    }

    fn in_force(&self) {
        let authorities = self.authorities.load();
        tracing::info!(
            file = %self.file.path().display(),
            cas = authorities.count,
            not_after = %authorities.not_after,
            "CAs of callers in force"
        );
        let _ = self.renewal.succeeds();
        self.metrics.callers.ca.loaded(true);
        self.metrics.callers.ca_expires(authorities.not_after);
    }

    /// When the last of the CAs expires.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.authorities.load().not_after
    }

    /// Whether the newest version of the file is in force, and why it may not be.
    #[must_use]
    pub fn renewal(&self) -> &Health {
        &self.renewal
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.authorities.load().verifier)
    }
}

/// All that is decided here is decided by [`WebPkiClientVerifier`].
impl ClientCertVerifier for ClientCa {
    fn client_auth_mandatory(&self) -> bool {
        self.verifier().client_auth_mandatory()
    }

    /// None: strangers need not know whom pullpass trusts, and Go's client sends its certificate
    /// without a hint too.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verifier()
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}

/// The names of a verified certificate: its common name, by which Kubernetes knows clients
/// (`pkg/authentication/request/x509`), and the DNS names, URIs and email addresses of its
/// subject alternative names. An IP address is no name of a caller.
#[must_use]
pub fn caller_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let mut common = parsed
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok());
    let mut names = Vec::new();
    // Several are ambiguous, and then none counts.
    if let (Some(name), None) = (common.next(), common.next()) {
        names.push(name.to_owned());
    }
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|n| &n.value.general_names);
    names.extend(alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
            Some((*name).to_owned())
        }
        _ => None,
    }));
    names
}
