//! Makes keys and certificates: for development, and those that
//! [`rotation`](pullpass_core::rotation) orders.
//!
//! For development the key of the CA is used once and dropped, so that nobody can issue
//! another certificate that its clients would trust. This module must not write
//! files or decide: the caller says what is made, for whom and for how long.

use pullpass_core::rotation::{
    Authority, Leaf, LeafRequest, MakeCertificates, PrivateKey, Validity,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::fmt;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// The names that a development certificate is always for: this machine, and the
/// Service of the chart's default names.
pub const DEVELOPMENT_NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "pullpass.pullpass.svc"];

/// How long a development certificate is valid.
const VALIDITY: Duration = Duration::from_hours(365 * 24);
/// How far the clocks of two machines may differ.
const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// An authority and a certificate that it has issued, as PEM.
pub struct DevelopmentCertificates {
    /// What clients are to trust.
    pub authority: String,
    /// The server's own certificate.
    pub certificate: String,
    /// Its private key, PKCS#8.
    pub key: String,
}

/// Leaves out the key.
impl fmt::Debug for DevelopmentCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevelopmentCertificates")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate for {names}: {error}")]
pub struct CertificateError {
    names: String,
    error: rcgen::Error,
}

/// Makes an authority and a certificate for these DNS names and IP addresses, valid
/// for a year from `now`, with P-256 keys.
pub fn development(
    names: &[String],
    now: SystemTime,
) -> Result<DevelopmentCertificates, CertificateError> {
    issue(names, now).map_err(|error| CertificateError {
        names: names.join(", "),
        error,
    })
}

fn issue(names: &[String], now: SystemTime) -> Result<DevelopmentCertificates, rcgen::Error> {
    let validity = (now - CLOCK_SKEW, now + VALIDITY);
    let authority = authority_params("pullpass development CA", validity)?;
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let own = leaf_params(names, validity)?.signed_by(&key, &authority)?;
    Ok(DevelopmentCertificates {
        authority: authority.pem(),
        certificate: own.pem(),
        key: key.serialize_pem(),
    })
}

/// Makes what [`rotation`](pullpass_core::rotation) orders, with P-256 keys.
#[derive(Debug, Default)]
pub struct CertificateMaker;

/// Why a CA or a leaf could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The names or the issuing CA cannot be used.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The result is not what was ordered.
    #[error(
        "the CA in the Secret cannot issue a usable certificate; empty the Secret's data, so that pullpass makes a new CA"
    )]
    Unusable,
}

impl MakeCertificates for CertificateMaker {
    type Error = MakeError;

    fn authority(&mut self, validity: Validity) -> Result<Authority, MakeError> {
        // Each CA has a name of its own, so that clients do not confuse two of them.
        let name = format!("pullpass CA {:.0}", validity.not_before);
        let params = authority_params(&name, times(validity))?;
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = private_key(authority.key());
        Authority::from_pem(authority.pem().as_bytes(), key).ok_or(MakeError::Unusable)
    }

    fn leaf(&mut self, issuer: &Authority, order: &LeafRequest) -> Result<Leaf, MakeError> {
        let issuer_key = KeyPair::from_pem(issuer.key.expose_pem())?;
        let signer = Issuer::from_ca_cert_pem(&issuer.anchor.to_pem(), issuer_key)?;
        let key = KeyPair::generate()?;
        let params = leaf_params(&order.names, times(order.validity))?;
        let certificate = params.signed_by(&key, &signer)?;
        let leaf = Leaf::from_pem(certificate.pem().as_bytes(), private_key(&key));
        let leaf = leaf.filter(|leaf| issuer.anchor.issued(leaf));
        leaf.ok_or(MakeError::Unusable)
    }
}

fn private_key(key: &KeyPair) -> PrivateKey {
    PrivateKey::new(Zeroizing::new(key.serialize_pem()))
}

fn times(validity: Validity) -> (SystemTime, SystemTime) {
    (validity.not_before.into(), validity.not_after.into())
}

fn authority_params(
    name: &str,
    validity: (SystemTime, SystemTime),
) -> Result<CertificateParams, rcgen::Error> {
    let mut authority = CertificateParams::new([])?;
    authority.distinguished_name = common_name(name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut authority, validity);
    Ok(authority)
}

fn leaf_params(
    names: &[String],
    validity: (SystemTime, SystemTime),
) -> Result<CertificateParams, rcgen::Error> {
    let mut own = CertificateParams::new(names)?;
    own.distinguished_name = common_name("pullpass");
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    set_validity(&mut own, validity);
    Ok(own)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn set_validity(params: &mut CertificateParams, (from, to): (SystemTime, SystemTime)) {
    params.not_before = from.into();
    params.not_after = to.into();
}
