//! Logs: their format, where they go, and the one line of a decision.
//!
//! Lines go to stderr through a thread of their own: a log that nobody reads must
//! not hold up a review. Never logged: bodies, objects, credentials. What a request
//! names is data: it goes through [`pullpass_core::text`] and is cut to a length.

use crate::observe::metrics::HttpRoute;
use pullpass_core::admission::verdict::Statement;
use pullpass_core::admission::{Outcome, ReviewReport};
use pullpass_core::policy::{DateEvent, DateEventKind};
use pullpass_core::text::visible;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged: a level, or directives such as `info,pullpass=debug`.
#[derive(Debug, Clone)]
pub struct LogFilter(String);

impl std::str::FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = |error| {
            format!(
                "{error}; write a level (error, warn, info, debug, trace) or `info,pullpass=debug`"
            )
        };
        EnvFilter::try_new(text).map_err(words)?;
        Ok(Self(text.to_owned()))
    }
}

/// Starts logging, and turns panics into log lines. What is logged after the returned
/// value is dropped may be lost.
pub fn start(format: LogFormat, filter: &LogFilter) -> LogWriter {
    let writer = LogWriter::start();
    let colours = format == LogFormat::Text && io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&filter.0))
        .with_writer(writer.lines())
        .with_ansi(colours)
        .with_target(false);
    // An error means that a log was started before, which then goes on.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(log_panic));
    writer
}

/// Logs one review: at info when something was done or a registry map was reviewed,
/// else at debug.
pub(crate) fn review(route: HttpRoute, report: &ReviewReport<'_>, took: Duration) {
    // The level is part of the macro, so that a line that nobody wants costs nothing.
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                endpoint = route.as_str(),
                outcome = report.outcome.as_str(),
                operation = report.operation.as_str(),
                namespace = visible(cut(&report.namespace)),
                name = visible(cut(&report.name)),
                uid = visible(cut(&report.uid)),
                dry_run = report.dry_run,
                secrets = report.secrets.join(","),
                said = said(&report.statement),
                map_errors = report.map_errors,
                microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "reviewed"
            )
        };
    }
    if report.outcome == Outcome::Untouched && report.map_errors.is_none() {
        line!(Level::DEBUG);
    } else {
        line!(Level::INFO);
    }
}

/// Logs a date of the map that has come, or is near.
pub(crate) fn date_event(event: &DateEvent<'_>) {
    let words = match event.kind {
        DateEventKind::ExpiresSoon => "an entry of the registry map expires soon",
        DateEventKind::Expired => "an entry of the registry map has expired: it is as if absent",
        DateEventKind::DeniesSoon => "an entry of the registry map soon denies what it warns about",
        DateEventKind::Denies => {
            "an entry of the registry map denies from now on what it warned about"
        }
    };
    tracing::warn!(
        entry = event.entry.name,
        date = %event.date,
        location = event.entry.location,
        "{words}"
    );
}

/// A request that got no review. Whoever reaches the port can cause these, so they
/// are counted and not logged unless asked for.
pub(crate) fn fault(route: HttpRoute, status: u16, reason: &impl fmt::Display) {
    tracing::debug!(
        endpoint = route.as_str(),
        status,
        reason = cut(&reason.to_string()),
        "not reviewed"
    );
}

/// The most of an untrusted text that is logged, in bytes.
const LONGEST: usize = 256;

/// What was answered, which is escaped and cut where it was made.
fn said(statement: &Statement) -> &str {
    match (
        &statement.denial,
        statement.warnings.first(),
        &statement.audit,
    ) {
        (Some(denial), _, _) => denial,
        (None, Some(warning), _) => warning,
        (None, None, Some((_, images))) => images,
        (None, None, None) => "",
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    // A message that was formatted may hold a part of a request.
    let message = panic.payload().downcast_ref::<&'static str>();
    let message = message
        .copied()
        .unwrap_or("(message withheld: it may quote a request)");
    tracing::error!(
        place,
        message,
        "panic: a fault of pullpass, please report it"
    );
}

/// How many lines may wait to be written.
const WAITING_LINES: usize = 4096;
/// How long the end of the program waits for them.
const FLUSH_TIME: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Where lines are put to be written.
#[derive(Debug, Clone)]
struct Lines {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes the log; dropping this waits, not long, for what is left.
#[derive(Debug)]
pub struct LogWriter(Lines);

impl LogWriter {
    fn start() -> Self {
        let (queue, messages) = sync_channel(WAITING_LINES);
        let lines = Lines {
            queue,
            lost: Arc::default(),
        };
        let lost = Arc::clone(&lines.lost);
        // Without a thread the lines are lost and counted; the server goes on.
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&messages, &lost));
        Self(lines)
    }

    fn lines(&self) -> Lines {
        self.0.clone()
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let (done, wait) = sync_channel(1);
        // Not `send`: a full queue means that stderr is stuck, perhaps for ever.
        if self.0.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_TIME);
        }
    }
}

fn write_lines(messages: &Receiver<Message>, lost: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(message) = messages.recv() {
        // There is nowhere to complain to when stderr does not take it.
        let _ = match message {
            Message::Line(line) => stderr.write_all(&line),
            Message::Flush(done) => done.send(()).or(Ok(())),
        };
        let lost = lost.swap(0, Relaxed);
        if lost > 0 {
            let _ = writeln!(stderr, "{lost} log lines were dropped: stderr is too slow");
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    /// Gets one whole line: the format layer writes each event at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_not_written_out_holds_nobody_up_and_is_counted() {
        let (queue, messages) = sync_channel(2);
        let lines = Lines {
            queue,
            lost: Arc::default(),
        };
        for _ in 0..5 {
            assert_eq!((&lines).write(b"line\n").unwrap(), 5);
        }
        assert_eq!(lines.lost.load(Relaxed), 3);
        drop(messages);
        assert_eq!((&lines).write(b"line\n").unwrap(), 5);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = "é".repeat(LONGEST);
        assert_eq!(cut(&text).len(), LONGEST);
        assert_eq!(cut(&text[..2]), "é");
        let text = format!("x{text}");
        assert_eq!(cut(&text).len(), LONGEST - 1);
    }
}
