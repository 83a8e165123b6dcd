//! Diagnostics of a map: what is wrong, where, and what to write.
//!
//! `Display` shows a diagnostic on one line; [`super::render`] shows it with its source. This
//! module must not decide what is wrong.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use super::SourceFile;
use crate::yaml::Span;

/// The number of errors, and of warnings, that are kept. A map of 1 MiB can have a million.
const MOST_KEPT: usize = 10_000;

/// Whether a map with the diagnostic can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The map is refused.
    Error,
    /// The map is used.
    Warning,
}

impl Severity {
    /// The word that messages use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong with a map, and the place where it stands.
///
/// `Display` gives `file:line:column: error: message; help`, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the map can be used.
    pub severity: Severity,
    /// The name of the file, as the caller gives it.
    pub file: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 when the whole file is meant.
    pub column: usize,
    /// The path of the value, like `registries[2].match[0]`; empty for a document.
    pub path: String,
    /// What is wrong and what to write, beginning in lower case and without a full stop.
    pub message: String,
    /// What the author probably means, or what else to do.
    pub help: Option<String>,
    /// Another place that the diagnostic is about.
    pub related: Option<Box<RelatedSpan>>,
    pub(super) span: Range<usize>,
}

/// Another place that a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedSpan {
    /// The name of the file, as the caller gives it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What stands at that place.
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

    /// Adds what the author probably means, if that is known.
    pub(super) fn suggest(self, meant: Option<&str>) -> Self {
        match meant {
            Some(meant) => self.help(format!("did you mean `{meant}`?")),
            None => self,
        }
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

/// The place of a value in one of the files.
#[derive(Debug, Clone)]
pub(super) struct SourceSpan<'s> {
    pub(super) file: &'s SourceFile,
    pub(super) at: Span,
    pub(super) path: String,
}

impl<'s> SourceSpan<'s> {
    /// The whole file.
    pub(super) fn whole(file: &'s SourceFile) -> Self {
        Self {
            file,
            at: Span::default(),
            path: String::new(),
        }
    }
}

fn range(at: Span) -> Range<usize> {
    at.start..at.start + at.len
}

/// Collects the diagnostics of a map.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    found: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    pub(super) fn add(&mut self, mut diagnostic: Diagnostic) {
        let (count, name) = match diagnostic.severity {
            Severity::Error => (&mut self.errors, "errors"),
            Severity::Warning => (&mut self.warnings, "warnings"),
        };
        *count += 1;
        if *count > MOST_KEPT + 1 {
            return;
        }
        if *count > MOST_KEPT {
            diagnostic.message =
                format!("there are more than {MOST_KEPT} {name}; the others are not listed");
            diagnostic.help = None;
            diagnostic.related = None;
        }
        self.found.push(diagnostic);
    }

    pub(super) fn error(&mut self, place: &SourceSpan<'_>, message: impl Into<String>) {
        self.add(Diagnostic::new(Severity::Error, place, message));
    }

    pub(super) fn warning(&mut self, place: &SourceSpan<'_>, message: impl Into<String>) {
        self.add(Diagnostic::new(Severity::Warning, place, message));
    }

    pub(super) fn any_error(&self) -> bool {
        self.errors > 0
    }

    /// The diagnostics in the order of the files, and of the places in each file.
    pub(super) fn sorted(mut self, files: &[SourceFile]) -> Vec<Diagnostic> {
        let order: HashMap<&str, usize> = files
            .iter()
            .enumerate()
            .map(|(at, file)| (file.name.as_str(), at))
            .collect();
        self.found
            .sort_by_key(|d| (order.get(d.file.as_str()).copied(), d.line, d.column));
        self.found
    }
}
