//! Who sends a request, and who is answered.
//!
//! [`Caller`] is the one type for a caller's identity, and [`CallerPolicy::admit`] the one place
//! that decides who is answered, before a byte of a body is read. Today an identity comes from
//! the client certificate of the connection. A token that an API server sends with each request
//! (KEP-6060) would be another variant of [`Identity`], made from the request's header where
//! [`CallerPolicy::admit`] is called. This module must not read a body, and knows nothing of
//! images.

use crate::audit::Origin;
use crate::certs::client_ca::{ClientCa, caller_names};
use crate::observe::metrics::CallerRefusal;
use axum::http::Extensions;
use pullpass_core::text::visible;
use rustls_pki_types::CertificateDer;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Who sent a request: an extension of each request of a connection.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The address at the other end of the connection, which may be that of a proxy or a node.
    pub peer: IpAddr,
    /// Who it has shown to be.
    pub identity: Identity,
}

/// Who a caller has shown to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// The holder of a client certificate that one of the CAs has issued, with these names.
    Certificate(Arc<[String]>),
}

impl Caller {
    /// The caller at the other end of a connection; the certificates are those that passed in
    /// the TLS handshake, the caller's own first.
    #[must_use]
    pub fn new(peer: IpAddr, certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let own = certificates.and_then(<[_]>::first);
        Self {
            peer: peer.to_canonical(),
            identity: own.map_or(Identity::Anonymous, |own| {
                Identity::Certificate(caller_names(own).into())
            }),
        }
    }

    /// The caller of a request; nobody where there is no connection, as in tests.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        let known = extensions.get().cloned();
        known.unwrap_or(Self {
            peer: Ipv6Addr::UNSPECIFIED.into(),
            identity: Identity::Anonymous,
        })
    }
}

/// Who is answered.
#[derive(Debug, Clone, Default)]
pub enum CallerPolicy {
    /// Everybody who reaches the port.
    #[default]
    Anybody,
    /// Holders of a client certificate with one of these names.
    Certificates {
        /// The CAs that issue them.
        ca: Arc<ClientCa>,
        /// The names, compared letter by letter.
        names: Arc<[String]>,
    },
}

impl CallerPolicy {
    /// Where the effects of a caller's review come from; an error if it is not answered.
    pub fn admit(&self, caller: &Caller) -> Result<Origin, CallerRefusal> {
        let origin = |is_verified| Origin {
            peer: caller.peer,
            is_verified,
        };
        match (self, &caller.identity) {
            (Self::Anybody, _) => Ok(origin(false)),
            (Self::Certificates { .. }, Identity::Anonymous) => Err(CallerRefusal::NoCertificate),
            (Self::Certificates { names, .. }, Identity::Certificate(own)) => {
                let is_allowed = own.iter().any(|name| names.contains(name));
                is_allowed
                    .then(|| origin(true))
                    .ok_or(CallerRefusal::OtherName)
            }
        }
    }

    /// Logs who is answered, once at the start.
    pub fn announce(&self) {
        match self {
            Self::Anybody => tracing::info!(
                "callers are not authenticated: everybody who reaches the webhook port is answered"
            ),
            Self::Certificates { names, .. } => tracing::info!(
                names = names.join(","),
                "callers are authenticated: those without a client certificate of such a name get 401"
            ),
        }
    }
}

/// In words, for `/readyz?verbose`.
impl fmt::Display for CallerPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Certificates { ca, names } = self else {
            return f.write_str("not authenticated; everybody who reaches the port is answered");
        };
        let mut words = String::new();
        for name in names.iter() {
            let comma = if words.is_empty() { "" } else { ", " };
            let _ = write!(words, "{comma}{}", visible(name));
        }
        write!(f, "authenticated by client certificate ({words})")?;
        write!(f, "; the last CA expires {:.0}", ca.not_after())?;
        match ca.renewal().problem() {
            Some(problem) => write!(f, "; {}", visible(&problem)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_peer_are_written_one_way() {
        let mapped = Caller::new("::ffff:10.0.0.7".parse().unwrap(), None);
        assert_eq!(mapped.peer, "10.0.0.7".parse::<IpAddr>().unwrap());
        assert_eq!(mapped.identity, Identity::Anonymous);
    }

    #[test]
    fn everybody_is_answered_by_default_and_is_known_by_the_address() {
        let caller = Caller::new("10.0.0.7".parse().unwrap(), None);
        let origin = CallerPolicy::default().admit(&caller).unwrap();
        assert!(!origin.is_verified && origin.peer == caller.peer);
    }
}
