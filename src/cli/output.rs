//! The one door to standard output and standard error.
//!
//! A reader that goes away (`pullpass explain - | head`) is no error: the rest is
//! not wanted. Texts from outside must have gone through [`pullpass_core::text`] before; in JSON
//! they stand whole, with escapes for what is not plain to see.

use super::{Failure, Status};
use pullpass_core::text::is_hidden;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::fmt;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object a line
    Json,
}

/// Standard output, buffered: hundreds of thousands of lines go through it.
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
    pub fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{line}").or_else(gone)
    }

    /// Prints a value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut json = serde_json::Serializer::with_formatter(&mut self.out, PlainToSee);
        value
            .serialize(&mut json)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .or_else(gone)
    }

    /// Makes sure that all of it is out.
    pub fn finish(mut self, status: Status) -> Result<Status, Failure> {
        self.out.flush().or_else(gone)?;
        Ok(status)
    }
}

/// Compact JSON that does nothing to a terminal: characters that cannot be seen, or that
/// change how others are seen, are written as `\u…`, which says the same to a program.
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

/// Writes bytes that are made already.
pub fn write(bytes: &[u8]) -> Result<Status, Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .or_else(gone)?;
    Ok(Status::Fine)
}

/// Whether standard output shows colours, by the same rule.
#[must_use]
pub fn stdout_coloured() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Whether standard error shows colours: a terminal, and nobody said `NO_COLOR`.
#[must_use]
pub fn coloured() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Says something to the person at the terminal.
pub fn say(words: &(impl fmt::Display + ?Sized)) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{words}");
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `or_else` asks for"
)]
fn gone(error: io::Error) -> Result<(), Failure> {
    if error.kind() == ErrorKind::BrokenPipe {
        // Ending here and now is what every filter does.
        Err(Failure {
            status: Status::Fine,
            message: String::new(),
        })
    } else {
        Err(Failure::unreachable(format_args!(
            "standard output cannot be written: {error}"
        )))
    }
}
