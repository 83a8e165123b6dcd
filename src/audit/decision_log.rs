//! Writes decision records, one line of JSON each, through a thread of its own.
//!
//! A reader that is slow or away must not hold up a review: what does not fit into the
//! queue is dropped and counted. Decides nothing; what a record says is
//! [`pullpass_core::admission::record`].

use crate::observe::metrics::{Metrics, RecordFate};
use pullpass_core::admission::record::DecisionRecord;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How many records may wait. The largest has some 60 kB.
const WAITING: usize = 1024;
/// How long the end of the program waits for them.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Where the records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// The end of this file. It is opened anew for each record, so that whoever rotates
    /// it need only move it away.
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("write stdout, or the path of a file".to_owned()),
            "stdout" | "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Destination {
    /// Whether something can be written there at all.
    pub fn check(&self) -> io::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(path) => append_to(path).map(drop),
        }
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line)?;
                stdout.flush()
            }
            Self::File(path) => append_to(path)?.write_all(line),
        }
    }
}

/// Made for its owner alone: it names users.
fn append_to(path: &PathBuf) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)
}

enum Message {
    DecisionRecord(Box<DecisionRecord>),
    Flush(SyncSender<()>),
}

/// Where records are put to be written; clones share one thread.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    queue: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

impl DecisionLog {
    /// Begins; the thread ends with the last clone.
    #[must_use]
    pub fn start(destination: Destination, metrics: Arc<Metrics>) -> Self {
        Self::writing(move |line| destination.write(line), metrics)
    }

    /// The same with something else that takes the lines.
    pub fn writing(
        write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (queue, messages) = sync_channel(WAITING);
        let counts = Arc::clone(&metrics);
        // Without a thread the records are dropped and counted; the server goes on.
        let _ = thread::Builder::new()
            .name("decisions".to_owned())
            .spawn(move || write_all(&messages, write, &counts));
        Self { queue, metrics }
    }

    /// Puts a record into the queue, if there is room; never waits.
    pub fn put(&self, record: Box<DecisionRecord>) {
        if self
            .queue
            .try_send(Message::DecisionRecord(record))
            .is_err()
        {
            self.metrics.recorded(RecordFate::Dropped);
        }
    }

    /// Waits, not long, until all that was put is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        // Not `send`: a full queue means that nobody reads, perhaps for ever.
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_TIME);
        }
    }
}

fn write_all(
    messages: &Receiver<Message>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
    metrics: &Metrics,
) {
    let mut well = true;
    while let Ok(message) = messages.recv() {
        let record = match message {
            Message::DecisionRecord(record) => record,
            Message::Flush(done) => {
                let _ = done.send(());
                continue;
            }
        };
        let written = line(&record).and_then(|line| write(&line));
        metrics.recorded(match written {
            Ok(()) => RecordFate::Written,
            Err(_) => RecordFate::Failed,
        });
        // Once for all that fail one after the other; the metric counts them.
        match written {
            Err(error) if well => {
                tracing::error!(%error, "decision records cannot be written and are lost");
                well = false;
            }
            Ok(()) if !well => {
                tracing::info!("decision records are written again");
                well = true;
            }
            _ => {}
        }
    }
}

fn line(record: &DecisionRecord) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}
