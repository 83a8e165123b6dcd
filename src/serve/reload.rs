//! The files of the certificate and of the CAs of callers, which are read again while the server
//! runs. This module must not judge what it reads.

use crate::certs::client_ca::{ClientCa, ClientCaError, ClientCaFile};
use crate::certs::pair::{PairBytes, PairError, PairFiles};
use crate::certs::served::ServedCertificate;
use crate::observe::metrics::Metrics;
use crate::state::file_watch::FileWatch;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Loads the certificate, and returns it with what looks for a new one and takes it.
pub(super) fn certificate(
    files: PairFiles,
    metrics: Arc<Metrics>,
) -> Result<(Arc<ServedCertificate>, impl FnMut() + Send + 'static), PairError> {
    let mut watch = FileWatch::new(move || files.read());
    let parse = |read: &Result<PairBytes, PairError>| {
        read.as_ref()
            .map_err(Clone::clone)
            .and_then(PairBytes::parse)
    };
    let pair = parse(watch.content())?;
    let certificate = Arc::new(ServedCertificate::new(pair, metrics));
    let served = Arc::clone(&certificate);
    let reload = move || {
        if let Some(new) = watch.changed() {
            served.replace(parse(new), Timestamp::now());
        }
    };
    Ok((certificate, reload))
}

/// Loads the CAs of callers, and returns them with what looks for new ones and takes them.
pub(super) fn client_ca(
    file: ClientCaFile,
    metrics: Arc<Metrics>,
) -> Result<(Arc<ClientCa>, impl FnMut() + Send + 'static), ClientCaError> {
    let reading = file.clone();
    let mut watch = FileWatch::new(move || reading.read());
    let ca = Arc::new(ClientCa::new(file, content(watch.content()), metrics)?);
    let served = Arc::clone(&ca);
    let reload = move || {
        if let Some(new) = watch.changed() {
            served.replace(content(new));
        }
    };
    Ok((ca, reload))
}

fn content(read: &Result<Vec<u8>, ClientCaError>) -> Result<&[u8], ClientCaError> {
    read.as_deref().map_err(Clone::clone)
}

/// Calls `reload` again and again; ends only when it panics.
pub(super) async fn poll(interval: Duration, mut reload: impl FnMut() + Send + 'static) {
    loop {
        sleep(interval).await;
        // A disk can take long enough to hold up reviews.
        let step = tokio::task::spawn_blocking(move || {
            reload();
            reload
        });
        match step.await {
            Ok(again) => reload = again,
            Err(error) => {
                tracing::error!(%error, "files are not read again any more; restart pullpass");
                return;
            }
        }
    }
}
