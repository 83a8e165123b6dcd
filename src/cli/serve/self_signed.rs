//! The flags of the self-signed certificate that the replicas rotate. This module must not make
//! certificates.

use super::watched::WatchArgs;
use crate::certs::rotator::Rotation;
use crate::cli::CliError;
use crate::kube::cert_store::{CertStore, ObjectNames};
use crate::serve::CertificateSource;
use pullpass_core::rotation::RotationSettings;
use std::time::Duration;

/// The flags beside `--self-signed-secret`: names, and how long things last.
#[derive(Debug, clap::Args)]
pub(super) struct SelfSignedArgs {
    #[command(flatten)]
    names: NameArgs,
    /// How long a CA lasts; the next one takes over in its last third
    #[arg(long, value_name = "TIME", default_value = "8760h", value_parser = super::duration)]
    self_signed_ca_lifetime: Duration,
    /// How long a certificate lasts, a third of the CA's time at most; it is renewed
    /// when a third of it is left
    #[arg(long, value_name = "TIME", default_value = "720h", value_parser = super::duration)]
    self_signed_lifetime: Duration,
    /// How long after the caBundle was written every API server knows it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::duration)]
    self_signed_settle_time: Duration,
}

/// The flags that mean nothing without `--self-signed-secret`.
#[derive(Debug, clap::Args)]
#[group(
    id = "self_signed_names",
    requires = "self_signed_secret",
    // Said here too: clap drops `requires` of a flag that another one rules out.
    conflicts_with_all = ["tls_cert", "tls_key", "self_signed"]
)]
struct NameArgs {
    /// A further DNS name or IP address of the server; may be repeated; with
    /// --self-signed-secret
    #[arg(long = "extra-san", value_name = "NAME")]
    extra_sans: Vec<String>,
}

impl SelfSignedArgs {
    /// The certificate in this Secret of this namespace.
    pub(super) async fn source(
        self,
        secret: String,
        namespace: Option<&str>,
        watched: &WatchArgs,
    ) -> Result<CertificateSource, CliError> {
        let settings = self.settings(namespace, watched)?;
        let names = ObjectNames {
            namespace: namespace.unwrap_or_default().to_owned(),
            secret,
            configurations: watched.configurations(),
        };
        let store = CertStore::new(names).await.map_err(CliError::unreachable)?;
        let rotation = Rotation { store, settings };
        Ok(CertificateSource::Rotated(Box::new(rotation)))
    }

    fn settings(
        &self,
        namespace: Option<&str>,
        watched: &WatchArgs,
    ) -> Result<RotationSettings, CliError> {
        let Some(namespace) = namespace else {
            return Err(CliError::input(
                "--self-signed-secret needs the namespace of the Secret and the Service; name it by --namespace or POD_NAMESPACE",
            ));
        };
        let Some(service) = &watched.webhook_service else {
            return Err(CliError::input(
                "--self-signed-secret needs the Service of the webhook; name it by --webhook-service",
            ));
        };
        // What kube-apiserver connects to (apiserver `webhook/client.go`).
        let mut names = vec![format!("{service}.{namespace}.svc")];
        names.extend(self.names.extra_sans.iter().cloned());
        let settings = RotationSettings {
            authority_lifetime: self.self_signed_ca_lifetime,
            leaf_lifetime: self.self_signed_lifetime,
            settle: self.self_signed_settle_time,
            ..RotationSettings::new(names)
        };
        let problem = settings.problem();
        problem.map_or(Ok(settings), |words| Err(CliError::input(words)))
    }
}
