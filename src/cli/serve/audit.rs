//! The flags of the enforcement mode and of the records of decisions. This module must not write
//! records.

use crate::audit::decision_log::Destination;
use crate::audit::events::EventSource;
use crate::cli::CliError;
use crate::kube::client;
use pullpass_core::admission::Mode;
use pullpass_core::admission::record::Recording;

#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Deny nothing: a pod that would be denied is admitted with a warning, recorded and
    /// counted
    #[arg(long)]
    observe: bool,
    /// Where a record of each decision goes, a line of JSON: stdout, or a file
    #[arg(long, value_name = "stdout|FILE")]
    decision_log: Option<Destination>,
    /// Which reviews get a record; with --decision-log
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "notable",
        requires = "decision_log"
    )]
    decision_log_reviews: Reviews,
    /// Create an Event on the controller's object for each warning about a pod that a
    /// controller made; needs the right to create events.events.k8s.io
    #[arg(long)]
    events: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Reviews {
    /// Those with something to say about an image
    Notable,
    /// All
    All,
}

impl AuditArgs {
    pub(super) fn mode(&self) -> Mode {
        if self.observe {
            tracing::warn!(
                "observing: nothing is denied; what the map denies is admitted with a warning"
            );
            return Mode::Observe;
        }
        Mode::Enforce
    }

    pub(super) fn decision_log(&self) -> Option<(Destination, Recording)> {
        let recording = match self.decision_log_reviews {
            Reviews::Notable => Recording::Notable,
            Reviews::All => Recording::All,
        };
        Some((self.decision_log.clone()?, recording))
    }

    pub(super) async fn events(&self) -> Result<Option<EventSource>, CliError> {
        if !self.events {
            return Ok(None);
        }
        let client = client::connect().await.map_err(CliError::unreachable)?;
        // In a pod the host name is the name of the pod.
        let instance = std::env::var("HOSTNAME").unwrap_or_default();
        let instance = if instance.is_empty() || instance.len() > 128 {
            "pullpass".to_owned()
        } else {
            instance
        };
        Ok(Some(EventSource { client, instance }))
    }
}
