//! The flags that say whether refusals are meant and who is told of decisions.

use crate::audit::decision_log::Destination;
use crate::audit::events::EventSource;
use crate::cli::Failure;
use crate::kube::cert_store;
use pullpass_core::admission::Mode;
use pullpass_core::admission::record::Recording;

#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// Refuse nothing: what would be refused is admitted with a warning, recorded and
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
    /// Make an Event, on the controller's object, of a warning about a pod that a
    /// controller made; needs the right to create events.events.k8s.io
    #[arg(long)]
    events: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Reviews {
    /// Those in which there was something to say about an image
    Notable,
    /// All
    All,
}

impl TraceArgs {
    pub(super) fn mode(&self) -> Mode {
        if self.observe {
            tracing::warn!(
                "observing: nothing is refused; what the map denies is admitted with a warning"
            );
            return Mode::Observe;
        }
        Mode::Enforce
    }

    pub(super) fn decisions(&self) -> Option<(Destination, Recording)> {
        let recording = match self.decision_log_reviews {
            Reviews::Notable => Recording::Notable,
            Reviews::All => Recording::All,
        };
        Some((self.decision_log.clone()?, recording))
    }

    pub(super) async fn events(&self) -> Result<Option<EventSource>, Failure> {
        if !self.events {
            return Ok(None);
        }
        let client = cert_store::connect().await.map_err(Failure::unreachable)?;
        // In a pod its name.
        let instance = std::env::var("HOSTNAME").unwrap_or_default();
        let instance = if instance.is_empty() || instance.len() > 128 {
            "pullpass".to_owned()
        } else {
            instance
        };
        Ok(Some(EventSource { client, instance }))
    }
}
