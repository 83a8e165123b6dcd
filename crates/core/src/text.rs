//! Makes untrusted text safe to show. No other module does this.
//!
//! Anyone who may create a pod chooses the text of an image, up to about 100 KiB. Such a
//! text passes through this module before it stands in a message, a warning, a log line or
//! on a terminal, so that it cannot break a line, move a cursor, turn the reading direction
//! or fill a screen. The module must not know where a text comes from.

use std::fmt::{self, Display, Formatter, Write};

/// The number of characters of an image that a message shows.
///
/// The longest valid reference with a digest has about 500 characters; almost all have fewer
/// than 120.
pub const SHOWN: usize = 160;

/// Puts a text in double quotes, escapes it as [`visible`] does, and cuts it to `limit`
/// characters of the result. The limit counts escaped characters, so that a text full of
/// escapes cannot push the words after it out of a warning. The number of characters that are
/// cut off is shown.
#[must_use]
pub fn quoted(text: &str, limit: usize) -> Quoted<'_> {
    Quoted { text, limit }
}

/// The result of [`quoted`], which is written by `Display`.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a> {
    text: &'a str,
    limit: usize,
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut left = self.limit;
        let mut rest = self.text.chars();
        let mut cut = 0;
        while let Some(c) = rest.next() {
            let escape = if matches!(c, '"' | '\\') { "\\" } else { "" };
            let Some(after) = left.checked_sub(escape.len() + width(c)) else {
                cut = 1 + rest.count();
                break;
            };
            left = after;
            f.write_str(escape)?;
            write_visible(f, c)?;
        }
        if cut > 0 {
            write!(f, "…\" (+{cut} characters)")
        } else {
            f.write_char('"')
        }
    }
}

/// Escapes every character that is not visible: control characters (C0, DEL, C1), line and
/// paragraph separators, and characters that turn the reading direction or are invisible
/// ("Trojan Source", CVE-2021-42574).
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = write_visible(&mut out, c);
    }
    out
}

/// Cuts a text to `limit` characters. The last character is `…` where something is cut off.
/// The limit counts characters, as the API server does for warnings (it counts runes).
#[must_use]
pub fn cut(mut text: String, limit: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(limit) {
        let keep = text
            .char_indices()
            .nth(limit.saturating_sub(1))
            .map_or(at, |(index, _)| index);
        text.truncate(keep);
        text.push('…');
    }
    text
}

fn write_visible(out: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        _ if is_hidden(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
        _ => out.write_char(c),
    }
}

/// The number of characters that [`write_visible`] writes for one character.
fn width(c: char) -> usize {
    match c {
        '\n' | '\r' | '\t' => 2,
        // The escape is `\u{}` with hexadecimal digits.
        _ if is_hidden(c) => 5 + u32::from(c).checked_ilog(16).unwrap_or(0) as usize,
        _ => 1,
    }
}

/// Whether a character is invisible, or changes how other characters are shown: control
/// characters, and all that Unicode 16 calls `Cf` or `Default_Ignorable_Code_Point`
/// (`UnicodeData.txt`, `DerivedCoreProperties.txt`), with the separators of lines and
/// paragraphs and the blank Braille pattern.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    // Nearly all characters are ASCII, and a message is made for each review that has one.
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || matches!(c,
            '\u{ad}'                      // soft hyphen
            | '\u{34f}'                   // combining grapheme joiner
            | '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' // Arabic and Syriac signs
            | '\u{61c}'                   // Arabic letter mark
            | '\u{890}' | '\u{891}' | '\u{8e2}' // Arabic signs
            | '\u{115f}' | '\u{1160}'     // Hangul fillers
            | '\u{17b4}' | '\u{17b5}'     // Khmer inherent vowels
            | '\u{180b}'..='\u{180f}'     // Mongolian selectors and separator
            | '\u{200b}'..='\u{200f}'     // zero width, direction marks
            | '\u{2028}'..='\u{202e}'     // separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}'     // joiners, isolates
            | '\u{2800}'                  // blank Braille pattern
            | '\u{3164}' | '\u{ffa0}'     // Hangul fillers
            | '\u{fe00}'..='\u{fe0f}'     // variation selectors
            | '\u{feff}'                  // byte order mark
            | '\u{fff0}'..='\u{fffb}'     // ignorable, interlinear annotation
            | '\u{110bd}' | '\u{110cd}'   // Kaithi number signs
            | '\u{13430}'..='\u{1343f}'   // Egyptian hieroglyph controls
            | '\u{1bca0}'..='\u{1bca3}'   // shorthand controls
            | '\u{1d159}'                 // musical null notehead
            | '\u{1d173}'..='\u{1d17a}'   // musical controls
            | '\u{e0000}'..='\u{e0fff}'   // tags, more variation selectors
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line_and_the_direction_stays() {
        let hostile = "a\nb\r\u{1b}[2J\u{202e}gpj\u{2066}\u{7f}\u{9b}\"\\";
        let shown = quoted(hostile, SHOWN).to_string();
        assert_eq!(
            shown,
            r#""a\nb\r\u{1b}[2J\u{202e}gpj\u{2066}\u{7f}\u{9b}\"\\""#
        );
        assert!(shown.chars().all(|c| !c.is_control()));
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        for c in [
            '\u{ad}',
            '\u{600}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{180b}',
            '\u{180d}',
            '\u{180f}',
            '\u{200b}',
            '\u{2800}',
            '\u{fff0}',
            '\u{110bd}',
            '\u{13430}',
            '\u{1343f}',
            '\u{1bca0}',
            '\u{1bca3}',
            '\u{1d159}',
            '\u{1d173}',
            '\u{1d17a}',
            '\u{e0041}',
        ] {
            let escaped = format!("\\u{{{:x}}}", u32::from(c));
            assert_eq!(visible(&c.to_string()), escaped);
        }
        assert_eq!(visible("äпあ😀é\u{301}"), "äпあ😀é\u{301}");
    }

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(quoted("abcdef", 4).to_string(), "\"abcd…\" (+2 characters)");
        assert_eq!(quoted("abcd", 4).to_string(), "\"abcd\"");
        // The limit counts the characters that are shown.
        assert_eq!(quoted("\u{7}\u{7}", 10).to_string(), r#""\u{7}\u{7}""#);
        assert_eq!(
            quoted("\u{7}\u{7}", 9).to_string(),
            r#""\u{7}…" (+1 characters)"#
        );
        assert_eq!(
            quoted("\u{202e}\u{10}\0", 19).to_string(),
            r#""\u{202e}\u{10}\u{0}""#
        );
        assert_eq!(quoted("\"\"", 3).to_string(), "\"\\\"…\" (+1 characters)");
    }

    #[test]
    fn cutting_counts_characters_and_never_splits_one() {
        assert_eq!(cut("äöüß".to_owned(), 3), "äö…");
        assert_eq!(cut("äöü".to_owned(), 3), "äöü");
        assert_eq!(cut(String::new(), 3), "");
    }
}
