//! TLS as the webhook speaks it. This module must not choose the certificate, which
//! [`crate::certs::served`] holds, or judge those of callers, which [`crate::certs::client_ca`]
//! does.

use super::caller::CallerPolicy;
use crate::certs::client_ca::ClientCa;
use crate::certs::served::ServedCertificate;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use std::sync::Arc;

/// TLS 1.2 and 1.3, for HTTP/1.1 and nothing else.
pub(super) fn server_config(
    certificate: Arc<ServedCertificate>,
    callers: &CallerPolicy,
) -> Result<ServerConfig, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let config = match callers {
        CallerPolicy::Anybody => config.with_no_client_auth(),
        CallerPolicy::Certificates { ca, .. } => {
            config.with_client_cert_verifier(Arc::<ClientCa>::clone(ca))
        }
    };
    let mut config = config.with_cert_resolver(certificate);
    // The API server uses h2 to loopback URLs only (apiserver `webhook/client.go`).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Go's client resumes no session, and a resumed one would show no new certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
