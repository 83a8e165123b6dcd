//! What `/metrics` says, rendered so that scrapes cannot take the server's time or memory.
//!
//! With a large map the text has megabytes. It is rendered for all who wait for it at once, no
//! more often than its own cost allows, and only a few renderings may be on their way to clients
//! at a time: when those read too slowly, the slowest loses its connection. This
//! module must not count anything itself.

use super::off_the_workers;
use super::table::ConnectionTable;
use crate::observe::metrics::ExpositionFormat;
use axum::body::Bytes;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// As many renderings as may be on their way.
const MOST_ON_THE_WAY: usize = 4;

/// After a rendering there is none for so many times as long as it took, so that all of them
/// together take a tenth of a processor.
const REST: u32 = 9;

/// The pause between two looks for a client that reads too slowly.
const LOOK: Duration = Duration::from_millis(50);

/// How long a scrape waits for its turn; Prometheus itself waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The renderings of `/metrics`; clones are the same ones.
#[derive(Debug, Clone)]
pub(super) struct Scrapes {
    table: Arc<ConnectionTable>,
    renderings: Arc<Mutex<Renderings>>,
}

#[derive(Debug, Default)]
struct Renderings {
    on_the_way: Vec<Rendering>,
    /// Before this there is no other one.
    rest_until: Option<Instant>,
}

/// A rendering, which lives as long as a client reads it.
#[derive(Debug)]
struct Rendering {
    format: ExpositionFormat,
    text: Weak<String>,
    began: Instant,
}

/// The text for one client.
struct Copy(Arc<String>);

impl AsRef<[u8]> for Copy {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Scrapes {
    /// Renderings for the clients of this table.
    pub(super) fn new(table: Arc<ConnectionTable>) -> Self {
        Self {
            table,
            renderings: Arc::default(),
        }
    }

    /// The text as it is now or later; `None` if it is not this client's turn in time.
    pub(super) async fn text(
        &self,
        format: ExpositionFormat,
        render: impl FnOnce() -> String,
    ) -> Option<Bytes> {
        let asked = Instant::now();
        let text = timeout(PATIENCE, self.rendered(asked, format, render)).await;
        text.ok().map(|text| Bytes::from_owner(Copy(text)))
    }

    async fn rendered(
        &self,
        asked: Instant,
        format: ExpositionFormat,
        render: impl FnOnce() -> String,
    ) -> Arc<String> {
        let mut renderings = self.renderings.lock().await;
        // Another one rendered while this one waited.
        if let Some(text) = renderings.since(asked, format) {
            return text;
        }
        if let Some(rest) = renderings.rest_until {
            sleep(rest.saturating_duration_since(Instant::now())).await;
        }
        while renderings.count() >= MOST_ON_THE_WAY {
            self.table.displace_slowest_reader();
            sleep(LOOK).await;
        }
        let began = Instant::now();
        let text = Arc::new(off_the_workers(render));
        renderings.rest_until = Some(Instant::now() + began.elapsed() * REST);
        renderings.on_the_way.push(Rendering {
            format,
            text: Arc::downgrade(&text),
            began,
        });
        text
    }
}

impl Renderings {
    fn since(&self, asked: Instant, format: ExpositionFormat) -> Option<Arc<String>> {
        let newest = self.on_the_way.iter().rev();
        let mut fresh = newest.filter(|it| it.began >= asked && it.format == format);
        fresh.find_map(|it| it.text.upgrade())
    }

    fn count(&mut self) -> usize {
        self.on_the_way.retain(|it| it.text.strong_count() > 0);
        self.on_the_way.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::{Metrics, Port};

    fn scrapes() -> Scrapes {
        let metrics = Arc::new(Metrics::default());
        Scrapes::new(Arc::new(ConnectionTable::new(Port::Admin, 8, metrics)))
    }

    #[tokio::test]
    async fn those_who_wait_share_one_rendering_and_nobody_gets_an_old_one() {
        let scrapes = scrapes();
        let number = std::cell::Cell::new(0);
        let render = || {
            number.set(number.get() + 1);
            number.get().to_string()
        };
        let text = |format| scrapes.text(format, render);
        let held = scrapes.renderings.lock().await;
        let together = async {
            tokio::join!(
                text(ExpositionFormat::Text),
                text(ExpositionFormat::Text),
                text(ExpositionFormat::OpenMetrics)
            )
        };
        let let_go = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        let ((one, two, open), ()) = tokio::join!(together, let_go);
        assert_eq!(one.as_deref(), Some(&b"1"[..]));
        assert_eq!(two.as_deref(), Some(&b"1"[..]));
        assert_eq!(open.as_deref(), Some(&b"2"[..]));
        assert_eq!(
            text(ExpositionFormat::Text).await.as_deref(),
            Some(&b"3"[..])
        );
    }

    #[tokio::test]
    async fn no_more_than_a_few_are_on_their_way() {
        let scrapes = scrapes();
        let text = || scrapes.text(ExpositionFormat::Text, String::new);
        let mut held = Vec::new();
        for _ in 0..MOST_ON_THE_WAY {
            held.push(text().await.unwrap());
        }
        assert!(timeout(LOOK * 3, text()).await.is_err());
        held.pop();
        assert!(text().await.is_some());
    }
}
