//! Writes decision records, one line of JSON each, in the background.
//!
//! A reader that is slow or away must not hold up a review: a record that does not fit into
//! the queue is dropped and counted. Decides nothing: what a record says is
//! [`pullpass_core::admission::record`]'s.

use crate::observe::background_writer::BackgroundWriter;
use crate::observe::health::Health;
use crate::observe::metrics::{Metrics, RecordFate};
use pullpass_core::admission::record::DecisionRecord;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// How many records may wait. The largest has some 60 kB.
const WAITING: usize = 1024;

/// Where the records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// stdout.
    Stdout,
    /// The end of this file. It is opened for each record, so that rotating it takes no
    /// more than moving it away.
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
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Destination {
    /// Fails where nothing can be written; creates the file.
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

/// Opens the file; only its owner may read it, because records name users.
fn append_to(path: &PathBuf) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)
}

/// Where records are put to be written; clones share one thread.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    writer: BackgroundWriter<Box<DecisionRecord>>,
    metrics: Arc<Metrics>,
}

impl DecisionLog {
    /// Starts the thread, which ends with the last clone.
    #[must_use]
    pub fn start(destination: Destination, metrics: Arc<Metrics>) -> Self {
        Self::with_writer(move |line| destination.write(line), metrics)
    }

    /// The same, but `write` takes the lines.
    pub fn with_writer(
        mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
        metrics: Arc<Metrics>,
    ) -> Self {
        let counts = Arc::clone(&metrics);
        let health = Health::default();
        let writer =
            BackgroundWriter::start("decisions", WAITING, move |record: Box<DecisionRecord>| {
                let written = line(&record).and_then(|line| write(&line));
                counts.recorded(match written {
                    Ok(()) => RecordFate::Written,
                    Err(_) => RecordFate::Failed,
                });
                match written {
                    Ok(()) if health.succeeds() => {
                        tracing::info!("decision records are written again");
                    }
                    Err(error) if health.fails(&error.to_string()) => {
                        tracing::error!(%error, "decision records cannot be written and are lost");
                    }
                    _ => {}
                }
            });
        Self { writer, metrics }
    }

    /// Puts a record into the queue, if there is room; never waits.
    pub fn put(&self, record: Box<DecisionRecord>) {
        if self.writer.put(record).is_err() {
            self.metrics.recorded(RecordFate::Dropped);
        }
    }

    /// Waits until everything that was put before is written, one second at most.
    pub fn flush(&self) {
        self.writer.flush();
    }
}

fn line(record: &DecisionRecord) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}
