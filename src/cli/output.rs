//! How commands print: everything for stdout and stderr goes through this module. It must not
//! know what the commands print.
//!
//! A reader that goes away (`pullpass explain - | head`) ends the command, but is not an error:
//! see [`CliError::ReaderGone`]. Texts from outside must have gone through
//! [`pullpass_core::text`] before; in JSON they stand whole, with escapes for characters that
//! cannot be seen.

use super::{CliError, Status};
use pullpass_core::text::is_hidden;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::fmt;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, StdoutLock, Write};

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object a line
    Json,
}

/// stdout, buffered, because some commands print hundreds of thousands of lines.
pub struct Printer {
    out: BufWriter<StdoutLock<'static>>,
}

impl Default for Printer {
    fn default() -> Self {
        Self {
            out: BufWriter::new(io::stdout().lock()),
        }
    }
}

impl Printer {
    /// Prints a line.
    pub fn line(&mut self, line: impl fmt::Display) -> Result<(), CliError> {
        writeln!(self.out, "{line}").or_else(write_error)
    }

    /// Prints a value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let mut json = serde_json::Serializer::with_formatter(&mut self.out, PlainToSee);
        value
            .serialize(&mut json)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .or_else(write_error)
    }

    /// Writes what is left in the buffer.
    pub fn finish(mut self, status: Status) -> Result<Status, CliError> {
        self.out.flush().or_else(write_error)?;
        Ok(status)
    }
}

/// Compact JSON that is safe to show on a terminal: characters that cannot be seen, or that
/// change how others are seen, are written as `\u…`, which means the same to a program.
struct PlainToSee;

impl Formatter for PlainToSee {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (plain, from) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from.strip_prefix(hidden).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes bytes to stdout as they are.
pub fn write(bytes: &[u8]) -> Result<Status, CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .or_else(write_error)?;
    Ok(Status::Ok)
}

/// Whether stdout shows colours, by the same rule as [`coloured`].
#[must_use]
pub fn stdout_coloured() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Whether stderr shows colours: it is a terminal, and `NO_COLOR` is not set.
#[must_use]
pub fn coloured() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Prints a line to stderr.
pub fn say(words: &(impl fmt::Display + ?Sized)) {
    // A failure cannot be reported where stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Shows how far a command has come, in one line of stderr that the next one overwrites; only
/// on a terminal. Empty words remove the line.
pub fn progress(words: &str) {
    let mut err = io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r\u{1b}[K{words}");
        let _ = err.flush();
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `or_else` asks for"
)]
fn write_error(error: io::Error) -> Result<(), CliError> {
    Err(if error.kind() == ErrorKind::BrokenPipe {
        CliError::ReaderGone
    } else {
        CliError::unreachable(format_args!("cannot write to stdout: {error}"))
    })
}

/// `1 entry`, `2 entries`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
