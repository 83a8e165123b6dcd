//! Where one document of a manifest ends and the next begins, so that one that cannot
//! be read does not take the others with it.

use super::Place;
use crate::yaml::Span;
use serde_json::value::RawValue;

/// A part of a file that is read by itself: a document, in nearly all cases.
#[derive(Debug)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    /// Lines of the file before it.
    lines: usize,
    /// Characters before it on its first line.
    columns: usize,
}

impl Piece<'_> {
    /// A place of the piece as a place of the file.
    pub(super) fn place(&self, at: Span) -> Place {
        let line = at.line.max(1);
        let before = if line == 1 { self.columns } else { 0 };
        let column = before + at.column.max(1);
        let written = self.text.get(at.start..at.start.saturating_add(at.len));
        let end_column = written
            .filter(|written| !written.is_empty() && !written.contains(['\n', '\r']))
            .map(|written| column + written.chars().count());
        Place {
            line: self.lines + line,
            column,
            end_column,
        }
    }
}

/// The pieces of a file, in order; one at least.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    if text.trim_start().starts_with('{')
        && let Some(values) = json(text)
    {
        return values;
    }
    yaml(text)
}

/// JSON values one after the other, as `kubectl` reads a file that begins with `{`.
fn json(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let (mut seen, mut lines, mut columns) = (0, 0, 0);
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    while let Some(value) = values.next() {
        let value = value.ok()?.get();
        let start = values.byte_offset().checked_sub(value.len())?;
        let between = text.get(seen..start)?;
        seen = start;
        lines += between.matches('\n').count();
        columns = match between.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => columns + between.chars().count(),
        };
        pieces.push(Piece {
            text: value,
            lines,
            columns,
        });
    }
    Some(pieces)
}

/// YAML is cut before each line that begins with `---`, which ends a document whatever
/// stands around it (YAML 1.2, 9.1.2). Directives and comments stay with what follows.
fn yaml(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut first_line) = (0, 0);
    let mut offset = 0;
    let mut has_content = false;
    let mut has_marker = false;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) {
            if has_content || has_marker {
                pieces.push((start, offset, first_line));
                (start, first_line) = (offset, number);
            }
            has_marker = true;
            has_content = false;
        } else if !matches!(line.trim_start().as_bytes().first(), None | Some(b'#'))
            && !line.starts_with('%')
        {
            has_content = true;
        }
        offset += line.len();
    }
    pieces.push((start, text.len(), first_line));
    pieces
        .into_iter()
        .filter_map(|(start, end, lines)| {
            Some(Piece {
                text: text.get(start..end)?,
                lines,
                columns: 0,
            })
        })
        .collect()
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}
