//! The borders between the documents of a manifest, found as kubectl finds them, so that a
//! document that cannot be read does not affect the others.
//!
//! This module must not parse a document.

use super::ManifestSpan;
use crate::yaml::Span;
use serde_json::value::RawValue;
use std::cell::OnceCell;

/// A part of a file that is read by itself: a document, in nearly all cases.
#[derive(Debug)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    /// Lines of the file before it.
    lines: usize,
    /// Characters before it on its first line.
    columns: usize,
    pub(super) form: Form,
    /// Whether kubectl has read nothing yet as YAML where it begins.
    is_first: bool,
    /// Whether a line begins with a placeholder, once somebody asked.
    pub(super) has_placeholders: OnceCell<bool>,
}

/// What a piece is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Yaml,
    Json,
    /// A line that begins like a document separator and holds more than a comment.
    Separator,
}

impl Piece<'_> {
    /// The same piece with another text, of which the lines are the same.
    pub(super) fn with_text<'t>(&self, text: &'t str) -> Piece<'t> {
        Piece {
            text,
            lines: self.lines,
            columns: self.columns,
            form: self.form,
            is_first: self.is_first,
            has_placeholders: OnceCell::new(),
        }
    }

    /// What the piece holds where kubectl does not read its separator as YAML does.
    ///
    /// It takes a comment without a space before it, and a mark of the byte order that
    /// begins a document, as in files that were written one behind the other.
    pub(super) fn unlike_separator(&self) -> Option<Piece<'_>> {
        let (separator, text) = self.text.split_once('\n')?;
        let rest = separator.strip_prefix("---")?;
        let mark = text.strip_prefix('\u{feff}').filter(|_| !self.is_first);
        (is_tight(rest) || mark.is_some()).then(|| Piece {
            lines: self.lines + 1,
            columns: 0,
            ..self.with_text(mark.unwrap_or(text))
        })
    }

    /// A place of the piece as a place of the file.
    pub(super) fn place(&self, at: Span) -> ManifestSpan {
        let line = at.line.max(1);
        let before = if line == 1 { self.columns } else { 0 };
        let column = before + at.column.max(1);
        let written = self.text.get(at.start..at.start.saturating_add(at.len));
        let end_column = written
            .filter(|written| !written.is_empty() && !written.contains(['\n', '\r']))
            .map(|written| column + written.chars().count());
        ManifestSpan {
            line: self.lines + line,
            column,
            end_column,
        }
    }
}

/// The pieces of a file, in order; one at least.
///
/// As kubectl does (apimachinery, `YAMLOrJSONDecoder`), a file that begins with `{` is
/// read as JSON values as far as they go, and the rest of it as YAML.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut file = File {
        text,
        cut: Cut::default(),
        first_yaml: 0,
        pieces: Vec::new(),
    };
    if text.trim_start().starts_with('{') {
        file.json();
    }
    file.yaml();
    file.pieces
}

/// A file while it is cut.
struct File<'t> {
    text: &'t str,
    /// Up to where it is cut.
    cut: Cut,
    /// Where its YAML begins, in bytes.
    first_yaml: usize,
    pieces: Vec<Piece<'t>>,
}

/// A place between two characters.
#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    /// Bytes before it.
    at: usize,
    /// Lines before its own.
    lines: usize,
    /// Characters before it on its line.
    columns: usize,
}

impl File<'_> {
    fn json(&mut self) {
        // kubectl passes over all white space of Unicode here (`hasJSONPrefix`), and JSON knows
        // four characters of it.
        let text = self.text.trim_start();
        let before = self.text.len() - text.len();
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        while let Some(Ok(value)) = values.next() {
            let end = before + values.byte_offset();
            let Some(start) = end.checked_sub(value.get().len()) else {
                return;
            };
            self.advance(start);
            self.take(end, Form::Json);
        }
    }

    /// YAML is cut before each line that begins with `---`, which ends a document
    /// whatever stands around it (YAML 1.2, 9.1.2; apimachinery, `YAMLReader`).
    /// Directives and comments stay with what follows.
    fn yaml(&mut self) {
        self.skip_behind_json();
        let rest = self.text.get(self.cut.at..).unwrap_or_default();
        if rest.trim().is_empty() && !self.pieces.is_empty() {
            return;
        }
        self.first_yaml = self.cut.at;
        let mut end = self.cut.at;
        let mut has_content = false;
        let mut has_marker = false;
        for line in rest.split_inclusive('\n') {
            match marker(line) {
                // Before it kubectl has a document, or it takes the line for one.
                Some(Marker::Tight) if end > self.first_yaml => {
                    if end > self.cut.at {
                        self.take(end, Form::Yaml);
                    }
                    (has_content, has_marker) = (false, true);
                }
                Some(Marker::Tight | Marker::Invalid) => {
                    if has_content || has_marker {
                        self.take(end, Form::Yaml);
                    }
                    self.advance(end);
                    self.take(end + line.len(), Form::Separator);
                    (has_content, has_marker) = (false, false);
                }
                Some(Marker::Separator) => {
                    if has_content || has_marker {
                        self.take(end, Form::Yaml);
                    }
                    (has_content, has_marker) = (false, true);
                }
                None => {
                    let first = line.trim_start().as_bytes().first();
                    has_content |= !matches!(first, None | Some(b'#')) && !line.starts_with('%');
                }
            }
            end += line.len();
        }
        if has_content || has_marker || end > self.cut.at || self.pieces.is_empty() {
            self.take(end, Form::Yaml);
        }
    }

    /// Passes over what kubectl does between JSON and YAML: white space up to the end of
    /// a line.
    fn skip_behind_json(&mut self) {
        let rest = self.text.get(self.cut.at..).unwrap_or_default();
        if self.pieces.is_empty() {
            return;
        }
        let space = rest.len() - rest.trim_start().len();
        let line = rest.get(..space).and_then(|space| space.find('\n'));
        self.advance(self.cut.at + line.map_or(space, |line| line + 1));
    }

    /// Goes to a place.
    fn advance(&mut self, to: usize) {
        let between = self.text.get(self.cut.at..to).unwrap_or_default();
        self.cut.lines += between.matches('\n').count();
        self.cut.columns = match between.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => self.cut.columns + between.chars().count(),
        };
        self.cut.at = to;
    }

    /// Makes a piece of what is up to a place.
    fn take(&mut self, to: usize, form: Form) {
        let Cut { at, lines, columns } = self.cut;
        if let Some(text) = self.text.get(at..to) {
            self.pieces.push(Piece {
                text,
                lines,
                columns,
                form,
                is_first: at == self.first_yaml,
                has_placeholders: OnceCell::new(),
            });
        }
        self.advance(to);
    }
}

/// A line that begins with `---`.
enum Marker {
    Separator,
    /// One that YAML does not take as kubectl does.
    Tight,
    /// None, though it looks like one.
    Invalid,
}

/// Whether YAML does not see as much of a separator's line in what is behind its `---` as
/// kubectl: it wants a space before a comment, and ends a line at a carriage return.
fn is_tight(behind: &str) -> bool {
    behind.starts_with('#') || behind.trim_end().contains('\r')
}

fn marker(line: &str) -> Option<Marker> {
    let behind = line.strip_prefix("---")?;
    let rest = behind.trim();
    Some(
        if is_tight(behind) && (rest.is_empty() || rest.starts_with('#')) {
            Marker::Tight
        } else if rest.is_empty() || rest.starts_with('#') {
            Marker::Separator
        } else {
            Marker::Invalid
        },
    )
}
