//! The signature table: which words of the kubelet, of containerd, CRI-O and Docker, and of
//! registries mean which cause.
//!
//! The first row whose words all stand in a text names the cause; the most specific rows come
//! first. The texts come from the Kubernetes code
//! (`pkg/kubelet/images`), the Go library, and from failures that people have reported
//! (`tests/fixtures/doctor`). The comparison ignores case, blanks, quotes and backslashes, so
//! that wrapped, escaped and boxed text is read like the original. All words are looked for in
//! one pass, so the time grows with the text alone. This module must not look at hosts or images.

use super::cause::Cause;
use aho_corasick::AhoCorasick;
use std::collections::HashMap;
use std::sync::LazyLock;

mod table;

use table::{FAILED, FOREIGN, PULL, TABLE};

/// What the table says about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) cause: Cause,
    pub(super) also: &'static [Cause],
    /// Where the words stand in the original text, in bytes.
    pub(super) at: (usize, usize),
}

/// A text without what the comparison ignores, and where each byte of it comes from.
#[derive(Debug, Default)]
pub(super) struct Squeezed {
    bytes: Vec<u8>,
    origin: Vec<usize>,
}

impl Squeezed {
    pub(super) fn new(text: &str) -> Self {
        let mut squeezed = Self::default();
        for (at, c) in text.char_indices() {
            if is_ignored(c) {
                continue;
            }
            let mut buffer = [0; 4];
            for byte in c.to_ascii_lowercase().encode_utf8(&mut buffer).bytes() {
                squeezed.bytes.push(byte);
                squeezed.origin.push(at);
            }
        }
        squeezed
    }

    fn origin(&self, at: usize) -> usize {
        self.origin.get(at).copied().unwrap_or_default()
    }
}

/// Blanks, quotes, what escapes them, and what tables and Markdown put around texts.
fn is_ignored(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '\\' | '`' | '*' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}'
        )
        || matches!(c, '|' | '\u{2502}' | '\u{2503}' | '\u{2551}')
}

/// The table and the lists, with all their words in one automaton.
struct Words {
    automaton: AhoCorasick,
    count: usize,
    rows: Vec<NumberedRow>,
    foreign: Vec<usize>,
    pull: Vec<usize>,
    failed: Vec<usize>,
}

/// A row, with the numbers of its words in the automaton.
struct NumberedRow {
    cause: Cause,
    also: &'static [Cause],
    words: Vec<usize>,
}

static WORDS: LazyLock<Option<Words>> = LazyLock::new(|| {
    let mut numbers = HashMap::new();
    let mut list: Vec<Vec<u8>> = Vec::new();
    let mut numbered = |words: &[&str]| -> Vec<usize> {
        let number = |word: &&str| {
            let squeezed = Squeezed::new(word).bytes;
            *numbers.entry(squeezed.clone()).or_insert_with(|| {
                list.push(squeezed);
                list.len() - 1
            })
        };
        words.iter().map(number).collect()
    };
    let rows = TABLE.iter().map(|row| NumberedRow {
        cause: row.cause,
        also: row.also,
        words: numbered(row.words),
    });
    let rows = rows.collect();
    let (foreign, pull, failed) = (numbered(FOREIGN), numbered(PULL), numbered(FAILED));
    // The words are constants: a test fails if they make no automaton.
    let automaton = AhoCorasick::new(&list).ok()?;
    Some(Words {
        automaton,
        count: list.len(),
        rows,
        foreign,
        pull,
        failed,
    })
});

/// The words that stand in a text, each with its first place.
pub(super) struct FoundWords<'t> {
    text: &'t Squeezed,
    spans: Vec<Option<(usize, usize)>>,
}

impl<'t> FoundWords<'t> {
    pub(super) fn new(text: &'t Squeezed) -> Self {
        let mut spans = Vec::new();
        if let Some(words) = WORDS.as_ref() {
            spans = vec![None; words.count];
            for found in words.automaton.find_overlapping_iter(&text.bytes) {
                if let Some(span) = spans.get_mut(found.pattern().as_usize()) {
                    span.get_or_insert((found.start(), found.end()));
                }
            }
        }
        Self { text, spans }
    }

    fn any(&self, numbers: &[usize]) -> bool {
        let found = |number: &usize| self.spans.get(*number).is_some_and(Option::is_some);
        numbers.iter().any(found)
    }

    /// Whether the text speaks of something else than images.
    pub(super) fn is_foreign(&self) -> bool {
        let words = WORDS.as_ref();
        words.is_some_and(|words| self.any(&words.foreign) && !self.any(&words.pull))
    }

    /// Whether the text says that a pull fails.
    pub(super) fn says_failure(&self) -> bool {
        WORDS.as_ref().is_some_and(|words| self.any(&words.failed))
    }

    /// The first row that fits.
    pub(super) fn find(&self) -> Option<Hit> {
        for row in &WORDS.as_ref()?.rows {
            if let Some(at) = self.whole_span(&row.words) {
                return Some(self.hit(row.cause, row.also, at));
            }
        }
        self.ends_in_eof()
    }

    /// Where the words of a row stand, from the first to the last; none if one is missing.
    fn whole_span(&self, numbers: &[usize]) -> Option<(usize, usize)> {
        let mut whole: Option<(usize, usize)> = None;
        for number in numbers {
            let (start, end) = self.spans.get(*number).copied().flatten()?;
            let (from, to) = whole.unwrap_or((start, end));
            whole = Some((from.min(start), to.max(end)));
        }
        whole
    }

    /// `: EOF`, which Go says when a server closes a connection without a word.
    fn ends_in_eof(&self) -> Option<Hit> {
        let bytes = &self.text.bytes;
        let at = bytes.windows(4).position(|four| four == b":eof")?;
        // It ends there in the original, where blanks and quotes still stand.
        let is_whole = bytes.get(at + 4).is_none_or(|next| {
            let gap = self.text.origin(at + 4) > self.text.origin(at + 3) + 1;
            gap || !next.is_ascii_alphanumeric()
        });
        is_whole.then(|| self.hit(Cause::CorruptTransfer, &[Cause::Unreachable], (at, at + 4)))
    }

    fn hit(&self, cause: Cause, also: &'static [Cause], (from, to): (usize, usize)) -> Hit {
        let at = (
            self.text.origin(from),
            self.text.origin(to.saturating_sub(1)) + 1,
        );
        Hit { cause, also, at }
    }
}
