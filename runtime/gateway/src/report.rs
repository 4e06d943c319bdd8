//! Findings for people and for machines.

use crate::status_line::grouped;
use ariadne::{Color, Config, IndexType, Label, Report, ReportKind};
use gwp_syntax::{Diagnostic, Severity, SourceMap, Span};
use std::io::IsTerminal;

/// Longer lines are named but not drawn.
const DRAWN_BYTES_MAX: usize = 2_000;

/// The note that a journal drops its oldest samples when it is full.
const DROPS_OLDEST: &str = "N701";

/// Prints findings to standard error with their lines of text, and a summary line.
pub fn print(diagnostics: &[Diagnostic], sources: &SourceMap) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut cache = Cache::new(sources);
    for diagnostic in diagnostics.iter().filter(|found| found.code != DROPS_OLDEST) {
        eprint!("{}", drawn(diagnostic, &mut cache, colour));
    }
    eprint!("{}", journals_that_drop(diagnostics, sources));
    let count = |severity| diagnostics.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors + warnings > 0 {
        let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
        eprintln!("{errors}, {warnings}. `gwp explain CODE` tells more about a code.");
    }
}

/// One line for all sinks that say nothing of a full journal: most programs are content with the default.
fn journals_that_drop(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let of_code = diagnostics.iter().filter(|found| found.code == DROPS_OLDEST);
    let names: Vec<String> = of_code.map(|found| format!("`{}`", sources.text(found.span))).collect();
    if names.is_empty() {
        return String::new();
    }
    let (sinks, verb) = if names.len() == 1 { ("sink", "drops its") } else { ("sinks", "drop their") };
    format!(
        "[{DROPS_OLDEST}] note: when a journal is full, the {sinks} {} {verb} oldest samples; `journal {{ full = drop_oldest }}` says so, `gwp explain {DROPS_OLDEST}` tells more\n",
        names.join(", ")
    )
}

/// `1 error`, `2 errors`, `12 431 samples`.
pub fn counted(number: usize, word: &str) -> String {
    format!("{} {word}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
}

/// Prints errors and warnings; notes are what `gwp check` is for.
pub fn print_problems(diagnostics: &[Diagnostic], sources: &SourceMap) {
    let problems: Vec<Diagnostic> =
        diagnostics.iter().filter(|found| found.severity != Severity::Note).cloned().collect();
    print(&problems, sources);
}

/// One finding as text.
fn drawn(diagnostic: &Diagnostic, cache: &mut Cache<'_>, colour: bool) -> String {
    let kind = match diagnostic.severity {
        Severity::Error => ReportKind::Custom("error", Color::Red),
        Severity::Warning => ReportKind::Custom("warning", Color::Yellow),
        Severity::Note => ReportKind::Custom("note", Color::Cyan),
    };
    let spans = std::iter::once(diagnostic.span).chain(diagnostic.labels.iter().map(|label| label.span));
    if spans.into_iter().any(|span| line_is_long(span, cache.sources)) {
        return told(diagnostic, cache.sources);
    }
    let place = |span: Span| (span.file, span.range());
    let mut report = Report::build(kind, place(diagnostic.span))
        .with_config(Config::default().with_color(colour).with_index_type(IndexType::Byte))
        .with_code(diagnostic.code)
        .with_message(&diagnostic.message);
    for (index, label) in diagnostic.labels.iter().enumerate() {
        let hue = if index == 0 { Color::Red } else { Color::Blue };
        report = report.with_label(Label::new(place(label.span)).with_message(&label.text).with_color(hue));
    }
    if !diagnostic.labels.iter().any(|label| label.span == diagnostic.span) {
        report =
            report.with_label(Label::new(place(diagnostic.span)).with_message("here").with_color(Color::Red));
    }
    if let Some(help) = &diagnostic.help {
        report = report.with_help(help);
    }
    let mut out = Vec::new();
    match report.finish().write(&mut *cache, &mut out) {
        Ok(()) if colour => String::from_utf8_lossy(&out).into_owned(),
        // The heading of a custom kind keeps its colour whatever the configuration says.
        Ok(()) => without_colour(&String::from_utf8_lossy(&out)),
        Err(_) => told(diagnostic, cache.sources),
    }
}

/// The finding and its place without a drawing.
fn told(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let (severity, place) = (diagnostic.severity.word(), sources.place(diagnostic.span));
    let help = diagnostic.help.as_ref().map(|help| format!("    Help: {help}\n")).unwrap_or_default();
    format!("[{}] {severity}: {}\n    {place}\n{help}", diagnostic.code, diagnostic.message)
}

/// True where a drawing would fill pages, and take as long.
fn line_is_long(span: Span, sources: &SourceMap) -> bool {
    let text = sources.get(span.file).map_or("", |file| &file.text);
    let start = (span.start as usize).min(text.len());
    let bytes = text.as_bytes();
    let before = bytes[..start].iter().rev().take(DRAWN_BYTES_MAX).take_while(|byte| **byte != b'\n');
    let after = bytes[start..].iter().take(DRAWN_BYTES_MAX).take_while(|byte| **byte != b'\n');
    before.count() + after.count() >= DRAWN_BYTES_MAX
}

/// Takes out escape sequences of colour (`ESC [ ... m`).
fn without_colour(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// Gives ariadne the texts of a [`SourceMap`], each cut into lines once.
struct Cache<'a> {
    sources: &'a SourceMap,
    read: std::collections::HashMap<gwp_syntax::FileId, ariadne::Source<String>>,
}

impl Cache<'_> {
    fn new(sources: &SourceMap) -> Cache<'_> {
        Cache { sources, read: Default::default() }
    }
}

impl ariadne::Cache<gwp_syntax::FileId> for &mut Cache<'_> {
    type Storage = String;

    fn fetch(&mut self, id: &gwp_syntax::FileId) -> Result<&ariadne::Source<String>, impl std::fmt::Debug> {
        let sources = self.sources;
        let text = || sources.get(*id).map(|file| file.text.to_string()).unwrap_or_default();
        Ok::<_, String>(self.read.entry(*id).or_insert_with(|| ariadne::Source::from(text())))
    }

    fn display<'a>(&self, id: &'a gwp_syntax::FileId) -> Option<impl std::fmt::Display + 'a> {
        Some(self.sources.get(*id).map(|file| file.name.to_string()).unwrap_or_default())
    }
}

/// Findings as JSON: an array of objects with code, severity, message, place, labels, help and the edit that
/// mends it.
pub fn json(diagnostics: &[Diagnostic], sources: &SourceMap) -> serde_json::Value {
    let place = |span: Span| {
        let file = sources.get(span.file);
        let (line, column) = file.map_or((0, 0), |file| file.line_col(span.start));
        let (end_line, end_column) = file.map_or((0, 0), |file| file.line_col(span.end));
        serde_json::json!({
            "file": file.map(|file| file.name.to_string()),
            "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            "start": span.start, "end": span.end,
        })
    };
    diagnostics
        .iter()
        .map(|found| {
            let labels: Vec<_> = found
                .labels
                .iter()
                .map(|label| serde_json::json!({ "place": place(label.span), "text": label.text }))
                .collect();
            serde_json::json!({
                "code": found.code,
                "severity": found.severity.word(),
                "message": found.message,
                "place": place(found.span),
                "labels": labels,
                "help": found.help,
                "fix": found.fix.as_ref().map(|fix| {
                    serde_json::json!({ "place": place(fix.span), "replacement": fix.replacement })
                }),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_that_drop_their_oldest_are_one_line() {
        let text = "source a : simulator { tag x at \"constant 5\" : int }\nsink s : console {}\nsink 't 2' : console {}\n\
                    flow f = a -> s, 't 2'\n";
        let program = crate::commands::program::of_text("a.gwp", text);
        let told = journals_that_drop(&program.diagnostics, &program.sources);
        assert!(told.contains("the sinks `s`, `'t 2'` drop their oldest samples"), "{told}");
        assert_eq!(told.lines().count(), 1);
        assert_eq!(journals_that_drop(&[], &program.sources), "");
    }
}
