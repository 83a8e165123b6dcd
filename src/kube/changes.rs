//! Waiting until an object in the cluster may have changed: by a watch, and from time to time
//! in case the watch has missed something.
//!
//! A watch says only that there is something to read. What an object is comes from reading
//! it, so that a watch that is interrupted, resumed or late cannot bring an older version. This
//! module must not pass on what a watch says about an object.

use super::client::with_causes;
use futures_util::stream::{BoxStream, select_all};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use kube::runtime::{WatchStreamExt as _, watcher};
use std::fmt;
use std::time::Duration;
use tokio::time::sleep;

/// The pause after an error, which doubles with each further error up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Watches on some objects.
pub struct Changes(BoxStream<'static, ()>);

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}

impl Changes {
    /// Joins the hints of some watches.
    pub(super) fn of(streams: Vec<BoxStream<'static, ()>>) -> Self {
        // Without a watch there are no hints, and no end of them either.
        let never = futures_util::stream::pending().boxed();
        Self(select_all(streams.into_iter().chain([never])).boxed())
    }

    /// Waits for a change, or this long.
    pub async fn wait(&mut self, longest: Duration) {
        tokio::select! {
            Some(()) = self.0.next() => {
                // One reading answers for everything that has changed by now.
                while let Some(Some(())) = self.0.next().now_or_never() {}
            }
            () = sleep(longest) => {}
        }
    }
}

/// The hints of one watch. Leaves out errors: the watch begins again by itself with growing
/// pauses, and the caller reads from time to time anyway.
pub(super) fn hints<T: Send + 'static>(
    events: impl Stream<Item = Result<T, watcher::Error>> + Send + 'static,
) -> BoxStream<'static, ()> {
    let hints = events
        .default_backoff()
        .filter_map(async |event| match event {
            Ok(_) => Some(()),
            Err(error) => {
                tracing::debug!(error = with_causes(&error), "a watch was interrupted");
                None
            }
        });
    hints.boxed()
}

/// A watch on the one object of this name.
pub(super) fn by_name(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}

/// How long to wait after errors on end.
#[derive(Debug)]
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pause {
    /// The pause after this error; the next one is longer.
    #[must_use]
    pub fn after_error(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// Something succeeded.
    pub fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }
}
