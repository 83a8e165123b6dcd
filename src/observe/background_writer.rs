//! A thread that writes what others put into a bounded queue.
//!
//! Nobody waits for a reader that is slow or away: what does not fit into the queue is
//! handed back at once, for the caller to count. `tracing-appender` does the same for bytes
//! alone: a decision record would have to be serialised on the way of a review, and its queue
//! can be flushed only by ending it. This module must not know what it writes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How long [`BackgroundWriter::flush`] waits.
const FLUSH_TIME: Duration = Duration::from_secs(1);

enum Message<T> {
    Item(T),
    Flush(SyncSender<()>),
}

/// The queue in front of the thread; clones share it.
#[derive(Debug)]
pub struct BackgroundWriter<T>(SyncSender<Message<T>>);

// Derived, it would ask that `T` can be cloned.
impl<T> Clone for BackgroundWriter<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The queue is full, or the thread could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

impl<T: Send + 'static> BackgroundWriter<T> {
    /// Starts a thread that writes one item after the other; it ends with the last clone.
    ///
    /// Where no thread can be started every item is handed back as [`QueueFull`].
    #[must_use]
    pub fn start(name: &str, capacity: usize, mut write: impl FnMut(T) + Send + 'static) -> Self {
        let (queue, messages) = sync_channel(capacity);
        let _ = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_all(&messages, &mut write));
        Self(queue)
    }

    /// Puts an item into the queue, if there is room; never waits.
    pub fn put(&self, item: T) -> Result<(), QueueFull> {
        self.0.try_send(Message::Item(item)).map_err(|_| QueueFull)
    }

    /// Waits until everything that was put before is written, one second at most.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        // Not `send`: a full queue means that nobody reads, perhaps for ever.
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_TIME);
        }
    }
}

fn write_all<T>(messages: &Receiver<Message<T>>, write: &mut impl FnMut(T)) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Item(item) => write(item),
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_writer_that_is_stuck_holds_nobody_up_and_hands_back_what_does_not_fit() {
        let (let_go, stuck) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        let (wrote, written) = mpsc::channel();
        let writer = BackgroundWriter::start("test", 2, move |item| {
            let _ = start.send(());
            let _ = stuck.recv();
            let _ = wrote.send(item);
        });
        assert_eq!(writer.put(0), Ok(()));
        // The first item is in the writer's hand, and two fit into the queue.
        started.recv().unwrap();
        let put: Vec<_> = (1..=5).map(|item| writer.put(item)).collect();
        assert_eq!(
            put,
            [
                Ok(()),
                Ok(()),
                Err(QueueFull),
                Err(QueueFull),
                Err(QueueFull)
            ]
        );
        drop(let_go);
        drop(writer);
        assert_eq!(written.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_flush_waits_for_what_was_put_before() {
        let (wrote, written) = mpsc::channel();
        let writer = BackgroundWriter::start("test", 8, move |item| {
            let _ = wrote.send(item);
        });
        for item in 0..5 {
            assert_eq!(writer.put(item), Ok(()));
        }
        writer.flush();
        assert_eq!(written.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
