//! What is wrong with a map, for people: one line, or the rustc look with the
//! source and a caret.

use std::fmt::{self, Write as _};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};

use super::SourceFile;
use crate::text::visible;
use crate::yaml::Span;

/// More than these are not rendered; the rest is counted.
const MOST_RENDERED: usize = 100;

/// Of a longer line only so much is shown on either side of the caret.
const MOST_CONTEXT: usize = 100;

/// Whether a map can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The map is refused.
    Error,
    /// The map is used.
    Warning,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong with a map, and where.
///
/// `Display` gives `file:line:column: error: message; help`, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name as given.
    pub file: String,
    /// From 1; 0 when the whole file is meant.
    pub line: usize,
    /// Characters from the line's beginning, from 1; 0 when the whole file is meant.
    pub column: usize,
    /// The value meant, like `registries[2].match[0]`; empty for a document.
    pub path: String,
    /// What is wrong and what to write, in lower case and without a full stop.
    pub message: String,
    /// What was probably meant, or more on what to do.
    pub help: Option<String>,
    /// Another place that has to do with it.
    pub related: Option<Box<RelatedSpan>>,
    pub(super) span: Range<usize>,
}

/// Another place that has to do with a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedSpan {
    /// The file's name as given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What stands there.
    pub label: &'static str,
    pub(super) span: Range<usize>,
}

impl Diagnostic {
    pub(super) fn new(
        severity: Severity,
        place: &SourceSpan<'_>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            file: place.file.name.clone(),
            line: place.at.line,
            column: place.at.column,
            path: place.path.clone(),
            message: message.into(),
            help: None,
            related: None,
            span: range(place.at),
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn related(mut self, place: &SourceSpan<'_>, label: &'static str) -> Self {
        self.related = Some(Box::new(RelatedSpan {
            file: place.file.name.clone(),
            line: place.at.line,
            label,
            span: range(place.at),
        }));
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}: {}", self.severity.as_str(), self.message)?;
        if let Some(related) = &self.related {
            write!(
                f,
                " ({} at {}:{})",
                related.label, related.file, related.line
            )?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// A place in one of the files, by the value that stands there.
#[derive(Debug, Clone)]
pub(super) struct SourceSpan<'s> {
    pub(super) file: &'s SourceFile,
    pub(super) at: Span,
    pub(super) path: String,
}

fn range(at: Span) -> Range<usize> {
    at.start..at.start + at.len
}

/// The diagnostics with their lines of source and a caret, as rustc shows its own,
/// and a line that counts them. The first 100, if there are more.
///
/// `files` are those that were loaded. Text from them is shown without control
/// characters.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], files: &[SourceFile], coloured: bool) -> String {
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    render_by(&renderer, diagnostics, files, usize::MAX)
}

/// The same where only so many bytes are welcome: as many whole diagnostics as they
/// hold, but one at least, and the line that counts them all.
#[must_use]
pub fn render_within(limit: usize, diagnostics: &[Diagnostic], files: &[SourceFile]) -> String {
    render_by(&Renderer::plain(), diagnostics, files, limit)
}

fn render_by(
    renderer: &Renderer,
    diagnostics: &[Diagnostic],
    files: &[SourceFile],
    limit: usize,
) -> String {
    let renderer = renderer.clone().decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    let mut rest = diagnostics.len();
    for diagnostic in diagnostics.iter().take(MOST_RENDERED) {
        let one = renderer.render(&[group(diagnostic, files)]);
        if !text.is_empty() && text.len() + one.len() > limit {
            break;
        }
        text.push_str(&one);
        text.push_str("\n\n");
        rest -= 1;
    }
    if rest > 0 {
        _ = writeln!(text, "and {rest} more");
    }
    text.push_str(&count(diagnostics));
    text.push('\n');
    text
}

fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity: Severity| {
        diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    };
    let words = [
        (Severity::Error, of(Severity::Error)),
        (Severity::Warning, of(Severity::Warning)),
    ];
    let words: Vec<String> = words
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {}{plural}", severity.as_str())
        })
        .collect();
    if words.is_empty() {
        return "no problems".to_owned();
    }
    words.join(", ")
}

fn group<'a>(diagnostic: &'a Diagnostic, files: &'a [SourceFile]) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let mut group = Group::with_title(title);
    let kind = AnnotationKind::Primary;
    let label = Some(diagnostic.path.as_str()).filter(|path| !path.is_empty());
    if diagnostic.line > 0
        && let Some(snippet) = snippet(&diagnostic.file, &diagnostic.span, files, kind, label)
    {
        group = group.element(snippet);
    } else if !diagnostic.file.is_empty() {
        group = group.element(annotate_snippets::Origin::path(diagnostic.file.as_str()));
    }
    if let Some(related) = &diagnostic.related
        && let Some(snippet) = snippet(
            &related.file,
            &related.span,
            files,
            AnnotationKind::Context,
            Some(related.label),
        )
    {
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// The line of a place, cut from its file so that no more than it is looked at.
fn snippet<'a>(
    file: &'a str,
    span: &Range<usize>,
    files: &'a [SourceFile],
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let text = files
        .iter()
        .find(|source| source.name == file)?
        .text
        .as_str();
    let (before, after) = (text.get(..span.start)?, text.get(span.start..)?);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let start = char_boundary(text, start.max(span.start.saturating_sub(MOST_CONTEXT)));
    let rest = after.find(['\n', '\r']).unwrap_or(after.len());
    let end = span.start + rest;
    let end = char_boundary(text, end.min(span.start.saturating_add(MOST_CONTEXT)));
    // A caret where nothing stands, and never past the line's end.
    let from = span.start - start;
    let to = span.end.clamp(span.start, end) - start;
    let annotation = kind.span(from..to).label(label);
    Some(
        Snippet::source(harmless(text.get(start..end)?))
            .line_start(line)
            .path(file)
            .annotation(annotation),
    )
}

/// The source with a stand-in of the same length in bytes for each sign that a
/// terminal may act on or not show, so that the caret stays where it is.
fn harmless(line: &str) -> String {
    let stand_in = |letter: char| match letter.len_utf8() {
        1 => "?",
        2 => "·",
        3 => "\u{fffd}",
        _ => "\u{fffd}?",
    };
    let mut harmless = String::with_capacity(line.len());
    let mut one = [0; 4];
    for letter in line.chars() {
        let same = letter.encode_utf8(&mut one);
        // The renderer makes spaces of tabs.
        if letter == '\t' || visible(same) == *same {
            harmless.push(letter);
        } else {
            harmless.push_str(stand_in(letter));
        }
    }
    harmless
}

fn char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
