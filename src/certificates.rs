//! Makes certificates for development: an authority and a server's certificate.
//!
//! The authority's key is used once and thrown away, so nobody can issue another
//! certificate that its clients would trust. Writes nothing; not for production,
//! where a certificate must be renewed.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The names that a development certificate is always for: this machine, and the
/// Service of the chart's default names.
pub const DEVELOPMENT_NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "pullpass.pullpass.svc"];

/// Long enough to forget, short enough not to outlive its use by much.
const VALIDITY: Duration = Duration::from_hours(365 * 24);
/// Clocks differ between machines.
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

/// Without the key.
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
    let mut authority = CertificateParams::new([])?;
    authority.distinguished_name = common_name("pullpass development CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut authority, now);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let mut own = CertificateParams::new(names)?;
    own.distinguished_name = common_name("pullpass");
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    set_validity(&mut own, now);
    let own = own.signed_by(&key, &authority)?;
    Ok(DevelopmentCertificates {
        authority: authority.pem(),
        certificate: own.pem(),
        key: key.serialize_pem(),
    })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn set_validity(params: &mut CertificateParams, now: SystemTime) {
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + VALIDITY).into();
}
