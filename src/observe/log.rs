//! The log: its format, its way to stderr, and the lines of decisions.
//!
//! Lines are written in the background, because a log that nobody reads must not hold up
//! a review. Bodies, objects and credentials are never logged. What a request names is
//! untrusted: it goes through [`pullpass_core::text`] and is cut to a length.

use crate::observe::background_writer::BackgroundWriter;
use crate::observe::metrics::{CallerRefusal, HttpRoute};
use pullpass_core::admission::verdict::Statement;
use pullpass_core::admission::{Outcome, ReviewReport};
use pullpass_core::policy::{DateEvent, DateEventKind};
use pullpass_core::text::visible;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
        let words = |error: String| {
            format!(
                "{error}; write a level (error, warn, info, debug, trace) or `info,pullpass=debug`"
            )
        };
        EnvFilter::try_new(text).map_err(|error| words(error.to_string()))?;
        // A word alone is a level here. The library takes any other word for the name of a
        // module, and then logs nothing of all the rest.
        let is_level = |word: &&str| {
            word.contains(['=', '[']) || word.parse::<tracing::level_filters::LevelFilter>().is_ok()
        };
        let mut words_of = text.split(',').map(str::trim);
        match words_of.find(|word| !is_level(word)) {
            Some(word) => Err(words(format!("{word:?} is not a level"))),
            None => Ok(Self(text.to_owned())),
        }
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

/// How much a review matters: something was done or said, or nothing was. `may_log` is asked
/// only in the first case.
pub(crate) fn level_of(report: &ReviewReport<'_>, may_log: impl FnOnce() -> bool) -> Level {
    let is_quiet = report.outcome() == Outcome::Untouched && report.map_errors().is_none();
    if is_quiet || !may_log() {
        Level::DEBUG
    } else {
        Level::INFO
    }
}

/// Logs one review, at info or at debug.
pub(crate) fn review(
    level: Level,
    route: HttpRoute,
    report: &ReviewReport<'_>,
    took: Duration,
    peer: IpAddr,
) {
    // The level is part of the macro, so that a line below the level costs nothing.
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                endpoint = route.as_str(),
                outcome = report.outcome().as_str(),
                operation = report.operation.as_str(),
                namespace = visible(cut(&report.namespace)),
                name = visible(cut(&report.name)),
                uid = visible(cut(&report.uid)),
                dry_run = report.dry_run,
                secrets = report.secrets().join(","),
                said = said(report.statement()),
                map_errors = report.map_errors(),
                %peer,
                microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "reviewed"
            )
        };
    }
    if level == Level::INFO {
        line!(Level::INFO);
    } else {
        line!(Level::DEBUG);
    }
}

/// Logs a caller that got 401. The names are those of a certificate that verified.
pub(crate) fn caller_refused(refusal: CallerRefusal, peer: IpAddr, names: &str) {
    match refusal {
        CallerRefusal::NoCertificate => tracing::warn!(
            %peer,
            "a caller without a client certificate got 401; if it is an API server, configure \
             its certificate (docs/api-server-authentication.md)"
        ),
        CallerRefusal::OtherName => tracing::warn!(
            %peer,
            names = visible(cut(names)),
            "a caller whose certificate has another name got 401; if it is an API server, \
             allow one of its names with --client-name"
        ),
    }
}

/// Logs a date of an entry that has come, or is near.
pub(crate) fn date_event(event: &DateEvent<'_>) {
    // A log message is part of the macro, so that it is constant.
    macro_rules! line {
        ($message:literal) => {
            tracing::warn!(
                entry = event.entry.name,
                date = %event.date,
                location = event.entry.location,
                $message
            )
        };
    }
    match event.kind {
        DateEventKind::ExpiresSoon => line!("an entry of the registry map expires soon"),
        DateEventKind::Expired => {
            line!("an entry of the registry map has expired and no longer applies");
        }
        DateEventKind::DeniesSoon => {
            line!("an entry of the registry map will soon deny what it warns about");
        }
        DateEventKind::Denies => {
            line!("an entry of the registry map now denies what it warned about");
        }
    }
}

/// Logs a request that got no review, at debug: whoever reaches the port can cause these,
/// and a metric counts them.
pub(crate) fn request_error(route: HttpRoute, status: u16, reason: &impl fmt::Display) {
    tracing::debug!(
        endpoint = route.as_str(),
        status,
        reason = cut(&reason.to_string()),
        "not reviewed"
    );
}

/// The most of an untrusted text that is logged, in bytes.
const LONGEST: usize = 256;

/// What was answered, which has been escaped and cut where it was made.
fn said(statement: Option<&Statement>) -> &str {
    let Some(Statement { ruling, audit }) = statement else {
        return "";
    };
    let images = audit.as_ref().map(|(_, images)| images);
    ruling
        .messages()
        .first()
        .or(images)
        .map_or("", String::as_str)
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
        "panic: this is a defect of pullpass, please report it"
    );
}

/// How many lines may wait to be written.
const WAITING_LINES: usize = 4096;

/// Where lines are put to be written.
#[derive(Debug, Clone)]
struct Lines {
    writer: BackgroundWriter<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes the log; dropping this waits for the lines that are left, one
/// second at most.
#[derive(Debug)]
pub struct LogWriter(Lines);

impl LogWriter {
    fn start() -> Self {
        let lost = Arc::<AtomicU64>::default();
        let dropped = Arc::clone(&lost);
        let mut stderr = io::stderr();
        let writer = BackgroundWriter::start("log", WAITING_LINES, move |line: Vec<u8>| {
            // A failure cannot be reported where stderr does not work.
            let _ = stderr.write_all(&line);
            let dropped = dropped.swap(0, Relaxed);
            if dropped > 0 {
                let _ = writeln!(
                    stderr,
                    "{dropped} log lines were dropped: stderr is too slow"
                );
            }
        });
        Self(Lines { writer, lost })
    }

    fn lines(&self) -> Lines {
        self.0.clone()
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.0.writer.flush();
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
        if self.writer.put(line.to_vec()).is_err() {
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
    use std::sync::mpsc;

    #[test]
    fn a_word_that_is_no_level_is_an_error() {
        for fine in [
            "info",
            "WARN",
            "off",
            "info,pullpass=debug",
            "pullpass::http=trace, warn",
        ] {
            assert!(fine.parse::<LogFilter>().is_ok(), "{fine}");
        }
        for wrong in ["loud", "info,loud", "pullpass", "info,pullpass=lots"] {
            let error = wrong.parse::<LogFilter>().unwrap_err();
            assert!(error.contains("write a level"), "{error}");
        }
    }

    #[test]
    fn a_log_that_is_not_written_out_holds_nobody_up_and_is_counted() {
        let (let_go, stuck) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        let writer = BackgroundWriter::start("test", 2, move |_| {
            let _ = start.send(());
            let _ = stuck.recv();
        });
        let lines = Lines {
            writer,
            lost: Arc::default(),
        };
        assert_eq!((&lines).write(b"line\n").unwrap(), 5);
        // One line is in the writer's hand.
        started.recv().unwrap();
        for _ in 0..5 {
            assert_eq!((&lines).write(b"line\n").unwrap(), 5);
        }
        assert_eq!(lines.lost.load(Relaxed), 3);
        drop(let_go);
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
