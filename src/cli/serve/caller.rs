//! The flags that say who is answered. This module must not check a caller.

use crate::certs::client_ca::ClientCaFile;
use crate::serve::ClientAuthentication;
use clap::builder::NonEmptyStringValueParser;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct CallerArgs {
    /// Answer only callers with a client certificate that these CAs (PEM) have issued and that
    /// has a name of --client-name; all others get 401. Read again when it changes
    #[arg(long, value_name = "FILE", requires = "client_name")]
    client_ca: Option<PathBuf>,
    /// A name that may call: the common name of the certificate, or a DNS name, URI or email
    /// address of it; may be repeated; with --client-ca
    #[arg(
        long,
        value_name = "NAME",
        requires = "client_ca",
        value_parser = NonEmptyStringValueParser::new()
    )]
    client_name: Vec<String>,
}

impl CallerArgs {
    pub(super) fn authentication(self) -> Option<ClientAuthentication> {
        Some(ClientAuthentication {
            ca: ClientCaFile(self.client_ca?),
            names: self.client_name,
        })
    }
}
