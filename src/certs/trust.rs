//! Whether a client that trusts a `caBundle` accepts the certificate that the server shows.
//!
//! Asks the verifier of `rustls`, which checks what the API server's (Go `crypto/x509`) checks:
//! the chain, the time and the name. This module must not change a certificate or a bundle.

use super::pair::Pair;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;

/// Why the client refuses the pair under this name; `None` when it does not.
#[must_use]
pub fn refusal(bundle: &[u8], pair: &Pair, name: &str, now: Timestamp) -> Option<String> {
    let trusted: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(bundle)
        .filter_map(Result::ok)
        .collect();
    let [own, issuers @ ..] = pair.key.cert.as_slice() else {
        return None;
    };
    let Ok(server_name) = ServerName::try_from(name) else {
        return Some("its server name is no host name".to_owned());
    };
    // Go accepts a certificate that is itself among the roots, and webpki none that is a CA.
    if trusted.contains(own) {
        let is_for = pair.names.iter().any(|own| own.eq_ignore_ascii_case(name));
        return (!is_for).then(|| not_for(name, pair));
    }
    let mut roots = RootCertStore::empty();
    let _ = roots.add_parsable_certificates(trusted);
    let provider = Arc::new(ring::default_provider());
    let Ok(verifier) =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
    else {
        return Some("it contains no CA".to_owned());
    };
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
    let now = UnixTime::since_unix_epoch(now);
    let error = verifier
        .verify_server_cert(own, issuers, &server_name, &[], now)
        .err()?;
    Some(match error {
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "it was issued by another CA".to_owned(),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => not_for(name, pair),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "it or its CA has expired".to_owned(),
        error => error.to_string(),
    })
}

fn not_for(name: &str, pair: &Pair) -> String {
    format!(
        "it is for {}, and the API server connects to {name}",
        pair.names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::issuer;
    use std::time::SystemTime;

    fn made(names: &[&str]) -> (Pair, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = issuer::development(&names, SystemTime::now()).unwrap();
        let pair = Pair::from_pem(made.certificate.as_bytes(), made.key.as_bytes()).unwrap();
        (pair, made.authority)
    }

    #[test]
    fn a_client_refuses_another_ca_another_name_and_what_has_expired() {
        let now = Timestamp::now();
        let name = "pullpass.pullpass.svc";
        let (pair, authority) = made(&[name]);
        let (_, other) = made(&[name]);
        let both = format!("{other}{authority}");
        assert_eq!(refusal(authority.as_bytes(), &pair, name, now), None);
        assert_eq!(refusal(both.as_bytes(), &pair, name, now), None);
        let why = |bundle: &str, name, at| refusal(bundle.as_bytes(), &pair, name, at).unwrap();
        assert_eq!(why(&other, name, now), "it was issued by another CA");
        assert_eq!(why("", name, now), "it contains no CA");
        assert_eq!(why("no PEM", name, now), "it contains no CA");
        assert_eq!(
            why(&authority, "other.pullpass.svc", now),
            "it is for pullpass.pullpass.svc, and the API server connects to other.pullpass.svc"
        );
        let later = now + Duration::from_hours(24 * 400);
        assert_eq!(why(&authority, name, later), "it or its CA has expired");
    }

    #[test]
    fn a_certificate_that_is_its_own_ca_is_trusted_as_go_does() {
        let key = rcgen::KeyPair::generate().unwrap();
        let name = "pullpass.pullpass.svc";
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap().pem();
        let pair = Pair::from_pem(own.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let now = Timestamp::now();
        assert_eq!(refusal(own.as_bytes(), &pair, name, now), None);
        assert!(refusal(own.as_bytes(), &pair, "other.svc", now).is_some());
    }
}
