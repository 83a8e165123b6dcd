//! Certificates and keys as values: they are read from PEM, compared, and written as PEM.
//!
//! This module must not decide what to do about a certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use std::fmt;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

/// The number of certificates that are read from one text.
const MOST: usize = 32;

/// What a client trusts: the certificate of a CA, without its key.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    der: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A CA that can issue certificates: its own certificate and its key.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The certificate of the CA, which clients trust.
    pub anchor: TrustAnchor,
    /// The key that the CA signs with.
    pub key: PrivateKey,
}

/// A serving certificate with its key.
#[derive(Debug, Clone)]
pub struct Leaf {
    der: Vec<u8>,
    key: PrivateKey,
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A private key, PEM.
///
/// It does not implement `Display`, `Serialize` or `PartialEq`, and `Debug` does not show it.
/// Its memory is overwritten when it is dropped. The only access to the key is
/// [`PrivateKey::expose_pem`].
///
/// ```compile_fail
/// # fn key() -> pullpass_core::rotation::PrivateKey { unreachable!() }
/// println!("{}", key()); // no Display
/// ```
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<String>);

impl PrivateKey {
    /// Takes a PEM text. It is parsed when a certificate is compared with it.
    #[must_use]
    pub fn new(pem: Zeroizing<String>) -> Self {
        Self(pem)
    }

    fn from_bytes(pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(pem).ok()?;
        Some(Self(Zeroizing::new(text.to_owned())))
    }

    /// The key as PEM. It is for signing and for the Secret, and must never be printed.
    #[must_use]
    pub fn expose_pem(&self) -> &str {
        &self.0
    }

    fn belongs_to(&self, certificate: &X509Certificate<'_>) -> bool {
        let public = &certificate.public_key().subject_public_key.data;
        rcgen::KeyPair::from_pem(&self.0).is_ok_and(|key| key.public_key_raw() == &**public)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

impl fmt::Debug for TrustAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustAnchor({} to {})", self.not_before, self.not_after)
    }
}

impl TrustAnchor {
    /// Reads one certificate; `None` where it may not issue other certificates.
    fn from_der(der: &[u8]) -> Option<Self> {
        let certificate = parse(der)?;
        let signs = certificate
            .key_usage()
            .ok()?
            .is_none_or(|usage| usage.value.key_cert_sign());
        let (not_before, not_after) = validity(&certificate)?;
        (certificate.is_ca() && signs).then(|| Self {
            der: der.to_vec(),
            not_before,
            not_after,
        })
    }

    /// The CAs in a text. Everything else in the text is skipped.
    #[must_use]
    pub fn all_in_pem(pem: &[u8]) -> Vec<Self> {
        let mut anchors: Vec<Self> = Vec::new();
        for anchor in certificates(pem).filter_map(|der| Self::from_der(&der)) {
            if !anchors.contains(&anchor) {
                anchors.push(anchor);
            }
        }
        anchors
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        certificate_pem(&self.der)
    }

    /// The last moment at which the CA is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The first moment at which the CA is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Whether this CA has signed the leaf.
    #[must_use]
    pub fn issued(&self, leaf: &Leaf) -> bool {
        let (Some(authority), Some(leaf)) = (parse(&self.der), parse(&leaf.der)) else {
            return false;
        };
        leaf.issuer().as_raw() == authority.subject().as_raw()
            && leaf.verify_signature(Some(authority.public_key())).is_ok()
    }
}

/// The content of a `caBundle`: the certificates one after the other.
pub(super) fn bundle<'a>(anchors: impl Iterator<Item = &'a TrustAnchor>) -> String {
    anchors.map(TrustAnchor::to_pem).collect()
}

impl Authority {
    /// Reads a CA; `None` where the certificate is not a CA, or the key does not belong to it.
    #[must_use]
    pub fn from_pem(certificate: &[u8], key: PrivateKey) -> Option<Self> {
        let der = certificates(certificate).next()?;
        let anchor = TrustAnchor::from_der(&der)?;
        let belongs = key.belongs_to(&parse(&der)?);
        belongs.then_some(Self { anchor, key })
    }

    pub(super) fn from_bytes(certificate: &[u8], key: &[u8]) -> Option<Self> {
        Self::from_pem(certificate, PrivateKey::from_bytes(key)?)
    }
}

impl Leaf {
    /// Reads a serving certificate; `None` where it is not one, or the key does not belong to
    /// it.
    #[must_use]
    pub fn from_pem(certificate: &[u8], key: PrivateKey) -> Option<Self> {
        let der = certificates(certificate).next()?;
        let parsed = parse(&der)?;
        let serves = parsed
            .extended_key_usage()
            .ok()?
            .is_none_or(|usage| usage.value.server_auth || usage.value.any);
        let (not_before, not_after) = validity(&parsed)?;
        let good = serves && !parsed.is_ca() && key.belongs_to(&parsed);
        let names = names(&parsed);
        good.then_some(Self {
            der,
            key,
            names,
            not_before,
            not_after,
        })
    }

    pub(super) fn from_bytes(certificate: &[u8], key: &[u8]) -> Option<Self> {
        Self::from_pem(certificate, PrivateKey::from_bytes(key)?)
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        certificate_pem(&self.der)
    }

    /// The key of the certificate.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The DNS names and IP addresses that the certificate is for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The first moment at which the certificate is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last moment at which the certificate is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether the other leaf has the same certificate.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

/// The DNS names and IP addresses that a certificate is for.
#[must_use]
pub fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension
        .iter()
        .flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match **bytes {
                [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
                _ => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            },
            _ => None,
        })
        .collect()
}

fn certificates(pem: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    Pem::iter_from_buffer(pem)
        .take(MOST)
        .filter_map(Result::ok)
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| block.contents)
}

/// Parses a certificate. Nothing may follow it, because clients would trust the bytes that are
/// not parsed, too.
fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

fn validity(certificate: &X509Certificate<'_>) -> Option<(Timestamp, Timestamp)> {
    let validity = certificate.validity();
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((time(validity.not_before)?, time(validity.not_after)?))
}

/// Writes PEM with lines of 64 characters (RFC 7468).
fn certificate_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
