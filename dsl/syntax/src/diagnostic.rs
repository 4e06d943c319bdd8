//! What is told to the author of a text: a code, what is wrong in plant words, where, and the edit that mends it.
//!
//! Nothing here draws: the command line, the console and an editor each show the same structure in their own way.

use std::collections::HashSet;

use crate::limits::DIAGNOSTICS_MAX;
use crate::span::Span;
use crate::words::written_name;

/// How much a diagnostic weighs. Only an error keeps a project from becoming a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
    Note,
}

impl Severity {
    /// The word used in print and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A second place that belongs to a diagnostic, with what is to be seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// An edit of one place that mends a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced; empty where something is only put in.
    pub span: Span,
    pub replacement: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code of the table in [`crate::codes`], such as `E202`.
    pub code: &'static str,
    pub severity: Severity,
    /// What is wrong, in plant words, without a full stop.
    pub message: String,
    /// The place it is about; its file is `span.file`.
    pub span: Span,
    /// More places; the first may repeat `span` to say what is to be seen there.
    pub labels: Vec<Label>,
    /// How to mend it, in words.
    pub help: Option<String>,
    /// The same as an edit, where it is one edit and it is clear that it is meant.
    pub fix: Option<Box<Fix>>,
}

impl Diagnostic {
    /// A finding whose severity follows from its code: `E` error, `W` warning, `N` note.
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        let severity = match code.as_bytes().first() {
            Some(b'W') => Severity::Warning,
            Some(b'N') => Severity::Note,
            _ => Severity::Error,
        };
        Diagnostic {
            code,
            severity,
            message: message.into(),
            span,
            labels: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Points at a further place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what is to be seen at the main place.
    #[must_use]
    pub fn here(self, text: impl Into<String>) -> Self {
        let span = self.span;
        self.label(span, text)
    }

    /// Says how to mend it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Gives the edit that does what the help says.
    #[must_use]
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Box::new(Fix { span, replacement: replacement.into() }));
        self
    }

    /// Replaces what stands at the main place.
    #[must_use]
    pub fn fix_here(self, replacement: impl Into<String>) -> Self {
        let span = self.span;
        self.fix(span, replacement)
    }

    /// The name at the main place is probably `near`, misspelt.
    #[must_use]
    pub fn did_you_mean(self, near: &str) -> Self {
        self.help(format!("did you mean `{near}`?")).fix_here(written_name(near))
    }
}

/// The findings of one run, bounded by [`DIAGNOSTICS_MAX`].
///
/// One code is reported once at one place: a mistake in a template is one mistake, however many devices are made of it.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    seen: HashSet<(&'static str, Span)>,
    errors: usize,
    dropped: usize,
}

impl Diagnostics {
    /// Keeps a finding, or only counts it when the bound is reached.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.seen.insert((diagnostic.code, diagnostic.span)) {
            return;
        }
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        if self.list.len() < DIAGNOSTICS_MAX {
            self.list.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// True once there is an error, kept or only counted.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are, kept or only counted.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many findings were counted but not kept.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The findings in order of file and place.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
        self.list
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, found: T) {
        found.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}
