//! The flags of the self-signed certificate that is kept in the cluster.

use crate::certs::rotator::Keeper;
use crate::cli::Failure;
use crate::http::{CertificateSource, Keep};
use crate::kube::cert_store::{Cluster, Names};
use pullpass_core::rotation::RotationSettings;
use std::time::Duration;

/// Said with each flag: clap takes no requirement seriously that a flag which is there
/// rules out.
const OTHER_WAYS: [&str; 3] = ["tls_cert", "tls_key", "self_signed"];

/// With `--self-signed-secret`: who is called through what, and how long things last.
#[derive(Debug, clap::Args)]
pub(super) struct KeptArgs {
    /// The Service through which the API server calls; with --self-signed-secret
    #[arg(long, value_name = "NAME", requires = "self_signed_secret", conflicts_with_all = OTHER_WAYS)]
    webhook_service: Option<String>,
    /// Whose caBundle is written; may be repeated; with --self-signed-secret
    #[arg(
        long = "mutating-webhook-configuration",
        value_name = "NAME",
        requires = "self_signed_secret",
        conflicts_with_all = OTHER_WAYS
    )]
    mutating: Vec<String>,
    /// Whose caBundle is written; may be repeated; with --self-signed-secret
    #[arg(
        long = "validating-webhook-configuration",
        value_name = "NAME",
        requires = "self_signed_secret",
        conflicts_with_all = OTHER_WAYS
    )]
    validating: Vec<String>,
    /// A further DNS name or IP address of the server; may be repeated
    #[arg(
        long = "extra-san",
        value_name = "NAME",
        requires = "self_signed_secret",
        conflicts_with_all = OTHER_WAYS
    )]
    extra_sans: Vec<String>,
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

impl KeptArgs {
    /// The certificate in this Secret of this namespace.
    pub(super) async fn source(
        self,
        secret: String,
        namespace: Option<&str>,
    ) -> Result<CertificateSource, Failure> {
        let settings = self.settings(namespace)?;
        let names = Names {
            namespace: namespace.unwrap_or_default().to_owned(),
            secret,
            mutating: self.mutating,
            validating: self.validating,
        };
        let cluster = Cluster::new(names).await.map_err(Failure::unreachable)?;
        let keeper = Keeper { cluster, settings };
        Ok(CertificateSource::Kept(Keep::new(
            |certificate, metrics| keeper.run(certificate, metrics),
        )))
    }

    fn settings(&self, namespace: Option<&str>) -> Result<RotationSettings, Failure> {
        let Some(namespace) = namespace else {
            return Err(Failure::input(
                "--self-signed-secret needs --namespace (or POD_NAMESPACE): where the Secret and the Service are",
            ));
        };
        let Some(service) = &self.webhook_service else {
            return Err(Failure::input(
                "--self-signed-secret needs --webhook-service",
            ));
        };
        // What kube-apiserver connects to (apiserver `webhook/client.go`).
        let mut names = vec![format!("{service}.{namespace}.svc")];
        names.extend(self.extra_sans.iter().cloned());
        let settings = RotationSettings {
            authority_lifetime: self.self_signed_ca_lifetime,
            leaf_lifetime: self.self_signed_lifetime,
            settle: self.self_signed_settle_time,
            ..RotationSettings::new(names)
        };
        let problem = settings.problem();
        problem.map_or(Ok(settings), |words| Err(Failure::input(words)))
    }
}
