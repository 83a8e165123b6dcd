//! Shows diagnostics as rustc shows its own, with the source and a caret.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};

use super::SourceFile;
use super::diagnostic::{Diagnostic, Severity};
use crate::text::visible;

/// The number of diagnostics that are rendered. The others are counted.
const MOST_RENDERED: usize = 100;

/// The number of bytes of a line that are shown on either side of the caret.
const MOST_CONTEXT: usize = 100;

/// Renders the first 100 diagnostics with their lines of source and a caret, as rustc shows
/// its own, and a line that counts all of them.
///
/// `files` are the files that were loaded. Their text is shown without control characters.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], files: &[SourceFile], coloured: bool) -> String {
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    render_by(&renderer, diagnostics, files, usize::MAX)
}

/// Renders like [`render`] without colours, and stops before `limit` bytes are exceeded. At
/// least one diagnostic is rendered, and the line that counts all of them is extra.
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
        && let Some(snippet) = snippet(
            &diagnostic.file,
            (diagnostic.line, &diagnostic.span),
            files,
            kind,
            label,
        )
    {
        group = group.element(snippet);
    } else if !diagnostic.file.is_empty() {
        group = group.element(annotate_snippets::Origin::path(diagnostic.file.as_str()));
    }
    if let Some(related) = &diagnostic.related
        && let Some(snippet) = snippet(
            &related.file,
            (related.line, &related.span),
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

/// The line of a place. It is cut from the file, so that the renderer does not read the
/// whole file.
fn snippet<'a>(
    file: &'a str,
    (line, span): (usize, &Range<usize>),
    files: &'a [SourceFile],
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let text = files
        .iter()
        .find(|source| source.name == file)?
        .text
        .as_str();
    // No more of the file is read than what is shown, because a line can be as long as the file.
    let first = char_boundary(text, span.start.saturating_sub(MOST_CONTEXT));
    let last = span.start.saturating_add(MOST_CONTEXT).min(text.len());
    let last = char_boundary(text, last);
    let (before, after) = (text.get(first..span.start)?, text.get(span.start..last)?);
    let start = before.rfind('\n').map_or(first, |at| first + at + 1);
    let rest = after.find(['\n', '\r']).unwrap_or(after.len());
    let end = span.start + rest;
    // The caret is shown even where nothing stands, and never after the end of the line.
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

/// Replaces each character that a terminal acts on or does not show by a stand-in with the
/// same number of bytes, so that the caret stays in its place.
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
        // The renderer replaces tabs by spaces.
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
