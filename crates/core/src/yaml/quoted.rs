//! Quoted scalars that continue on lines which are not indented deeper than their key.
//!
//! YAML 1.2 and the YAML library forbid them; libyaml, and so kubectl, accepts them.
//! Manifests contain them (`config: '{`, some lines of JSON, `}'`). White space at the
//! beginning of such a line has no meaning, so this module indents the lines before the
//! library reads them. It must not change anything else.

use granit_parser::{ErrorKind, ScanError, Scanner, StrInput};
use std::borrow::Cow;
use std::ops::Range;

/// The text with the continuation lines of its quoted scalars indented as YAML 1.2
/// wants them. Lines stay, and so do columns on every line on which something begins.
pub(crate) fn indented(text: &str) -> Cow<'_, str> {
    let mut fixed = String::new();
    let mut copied = 0;
    // A short line far to the right, or very many lines, could make gigabytes of spaces.
    let most = text.len().saturating_mul(MOST_GROWTH).saturating_add(4096);
    // Each scan goes on behind the scalar that the one before stumbled over, so the
    // text is scanned once.
    let mut from = 0;
    while let Some(scalar) = text.get(from..).and_then(first_outdented) {
        let (start, end) = (from + scalar.start, from + scalar.end);
        let line = text.get(..start).and_then(|before| before.rfind('\n'));
        let column = text
            .get(line.map_or(0, |at| at + 1)..start)
            .map_or(0, |before| before.chars().count());
        fixed.push_str(text.get(copied..start).unwrap_or_default());
        let scalar = text.get(start..end).unwrap_or_default();
        let added = scalar.matches('\n').count().saturating_mul(column);
        if fixed.len().saturating_add(added) > most {
            return Cow::Borrowed(text);
        }
        indent(scalar, column, &mut fixed);
        copied = end;
        let Some(rest) = text.get(end..).and_then(|rest| rest.find('\n')) else {
            break;
        };
        from = end + rest + 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    fixed.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(fixed)
}

/// How many times as long as the text the indented text may become. What would become
/// longer is left to the library, which refuses it.
const MOST_GROWTH: usize = 4;

/// Writes a quoted scalar with all its lines but the first indented by so many spaces.
fn indent(scalar: &str, column: usize, to: &mut String) {
    for (number, line) in scalar.split_inclusive('\n').enumerate() {
        let content = line.trim_start_matches([' ', '\t']);
        if number == 0 || content.trim_end_matches(['\r', '\n']).is_empty() {
            to.push_str(line);
        } else {
            to.extend(std::iter::repeat_n(' ', column));
            to.push_str(content);
        }
    }
}

/// Where the first quoted scalar stands, quotes included, that the library refuses for
/// its indentation; none where it stops for another reason or not at all.
fn first_outdented(text: &str) -> Option<Range<usize>> {
    let options = granit_parser::options! { emit_comments: false };
    let mut seen = 0;
    let mut refused: Option<ScanError> = None;
    for token in Scanner::with_options(StrInput::new(text), options) {
        match token {
            Ok(token) => seen = token.into_parts().0.end.byte_offset()?.max(seen),
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused?;
    if !matches!(
        refused.kind(),
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::TabInIndentation
    ) {
        return None;
    }
    let stopped = refused.marker().byte_offset()?;
    let start = seen + skip_to_quote(text.get(seen..)?)?;
    let end = start + closing_quote(text.get(start..)?)?;
    (start < stopped && stopped < end).then_some(start..end)
}

/// Bytes before a quote, where only white space, comments, indicators, an anchor and a
/// tag stand before it.
fn skip_to_quote(text: &str) -> Option<usize> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let length = match rest.as_bytes().first()? {
            b'\'' | b'"' => return Some(text.len() - rest.len()),
            b'#' => rest.find('\n')?,
            b'&' | b'!' => rest.find(char::is_whitespace)?,
            // The library's tokens end before these.
            b':' | b'-' | b'?' | b',' | b'[' | b'{' => 1,
            _ => return None,
        };
        rest = rest.get(length..)?;
    }
}

/// Bytes of the quoted scalar with which a text begins, quotes included.
fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = *bytes.first()?;
    let mut at = 1;
    loop {
        let byte = *bytes.get(at)?;
        at += match byte {
            b'\\' if quote == b'"' => 2,
            b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => 2,
            _ if byte == quote => return Some(at + 1),
            _ => 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_short_line_far_to_the_right_makes_no_gigabytes() {
        let column = 20_000;
        let text = format!("a:{}'q{}'\n", " ".repeat(column), "\nx".repeat(column));
        assert!(indented(&text).len() <= text.len() * MOST_GROWTH + 4096);
    }

    #[test]
    fn only_white_space_before_continuation_lines_is_changed() {
        for (text, expected) in [
            ("a: 'b\nc'\n", "a: 'b\n   c'\n"),
            ("a: \"{\n\"\nb: 'c\nd'\n", "a: \"{\n\"\nb: 'c\n   d'\n"),
            (
                "- x:\n    y: &z !t '{\n\tq\n\n}' # 'e\n",
                "- x:\n    y: &z !t '{\n             q\n\n             }' # 'e\n",
            ),
            ("ä: 'ö\r\nü'\r\n", "ä: 'ö\r\n   ü'\r\n"),
            ("a: 'it''s\ntis'\n", "a: 'it''s\n   tis'\n"),
            ("a: \"b\\\"\nc\"\n", "a: \"b\\\"\n   c\"\n"),
        ] {
            assert_eq!(indented(text), expected, "{text:?}");
        }
        for text in [
            "a: b\n",
            "a: 'b\n  c'\n",
            "a: 'b\n",
            "a: [\n",
            "",
            "a: |\n  'b\nc: d'\n",
        ] {
            assert!(matches!(indented(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    /// A file of many such texts is read once, not once for each of them.
    #[test]
    fn many_of_them_cost_no_more_than_their_length() {
        let one = "a:\n  b: 'c\nd'\n";
        let time = |count: usize| {
            let text = one.repeat(count);
            let begun = Instant::now();
            assert_eq!(indented(&text).len(), text.len() + 5 * count);
            begun.elapsed()
        };
        let few = time(2_000).max(std::time::Duration::from_millis(5));
        assert!(time(20_000) < few * 40, "{few:?}");
    }
}
