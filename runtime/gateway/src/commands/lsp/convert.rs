//! From findings and proposals to the types of the protocol.

use super::uri::uri_of;
use gen_lsp_types::{
    Code, CompletionItem, CompletionItemKind, CompletionItemTextEdit, Diagnostic,
    DiagnosticRelatedInformation, DiagnosticSeverity, DocumentSymbol, Documentation, Location, MarkupContent,
    MarkupKind, Message, Position, Range, SymbolKind, TextEdit, Uri,
};
use gwp_ide::{Analysis, Completion, CompletionKind, Encoding, Lines, Symbol};
use gwp_syntax::{FileId, Fix, Severity, Span};
use std::collections::HashMap;

/// Turns spans of one analysis into ranges; lines of each file are counted once.
pub struct Places<'a> {
    pub analysis: &'a Analysis,
    pub encoding: Encoding,
    lines: HashMap<FileId, Lines>,
    /// Names of open files, with the URIs that the editor has for them.
    uris: &'a HashMap<String, String>,
}

impl<'a> Places<'a> {
    pub fn new(analysis: &'a Analysis, encoding: Encoding, uris: &'a HashMap<String, String>) -> Places<'a> {
        Places { analysis, encoding, lines: HashMap::new(), uris }
    }

    /// The range of a span, in its file.
    pub fn range(&mut self, span: Span) -> Range {
        let Some(file) = self.analysis.compiled.sources.get(span.file) else { return Range::default() };
        let lines = self.lines.entry(span.file).or_insert_with(|| Lines::new(&file.text));
        range(lines, &file.text, span.range(), self.encoding)
    }

    /// The URI of a file of the analysis.
    pub fn uri(&self, file: FileId) -> Uri {
        let name = self.analysis.compiled.sources.get(file).map_or("", |file| file.name.as_str());
        Uri(self.uris.get(name).cloned().unwrap_or_else(|| uri_of(name)))
    }

    pub fn location(&mut self, span: Span) -> Location {
        Location { uri: self.uri(span.file), range: self.range(span) }
    }

    /// A finding with its further places; what mends it follows the message.
    pub fn diagnostic(&mut self, found: &gwp_syntax::Diagnostic) -> Diagnostic {
        let seen = found.labels.iter().find(|label| label.span == found.span);
        let mut message = found.message.clone();
        for more in [seen.map(|label| label.text.as_str()), found.help.as_deref()].into_iter().flatten() {
            message.push('\n');
            message.push_str(more);
        }
        let others = found.labels.iter().filter(|label| label.span != found.span);
        let related: Vec<_> = others
            .map(|label| DiagnosticRelatedInformation {
                location: self.location(label.span),
                message: label.text.clone(),
            })
            .collect();
        Diagnostic {
            range: self.range(found.span),
            severity: Some(match found.severity {
                Severity::Error => DiagnosticSeverity::Error,
                Severity::Warning => DiagnosticSeverity::Warning,
                Severity::Note => DiagnosticSeverity::Hint,
            }),
            code: Some(Code::String(found.code.to_owned())),
            source: Some("gwp".to_owned()),
            message: Message::String(message),
            related_information: (!related.is_empty()).then_some(related),
            code_description: None,
            tags: None,
            data: None,
        }
    }

    /// What an edit does, in words.
    pub fn fix_title(&self, fix: &Fix) -> String {
        let old = self.analysis.compiled.sources.text(fix.span);
        match (old.is_empty(), fix.replacement.as_str()) {
            (true, new) => format!("Insert `{}`", new.trim()),
            (false, "") => format!("Remove `{old}`"),
            (false, "\n") => "Start a new line".to_owned(),
            (false, new) => format!("Replace `{old}` with `{}`", new.trim()),
        }
    }

    pub fn symbol(&mut self, symbol: &Symbol) -> DocumentSymbol {
        let children: Vec<_> = symbol.members.iter().map(|member| self.symbol(member)).collect();
        #[allow(deprecated)]
        DocumentSymbol {
            name: if symbol.name.is_empty() { "?".to_owned() } else { symbol.name.clone() },
            detail: (!symbol.detail.is_empty()).then(|| symbol.detail.clone()),
            kind: symbol_kind(symbol.kind),
            tags: None,
            deprecated: None,
            range: self.range(symbol.span),
            selection_range: self.range(symbol.name_span),
            children: (!children.is_empty()).then_some(children),
        }
    }
}

/// Bytes as a range of the protocol.
pub fn range(lines: &Lines, text: &str, bytes: std::ops::Range<usize>, encoding: Encoding) -> Range {
    let position = |offset| {
        let (line, character) = lines.position(text, offset, encoding);
        Position { line, character }
    };
    Range { start: position(bytes.start), end: position(bytes.end) }
}

fn symbol_kind(kind: gwp_ide::SymbolKind) -> SymbolKind {
    use gwp_ide::SymbolKind as Ours;
    match kind {
        Ours::Gateway => SymbolKind::Namespace,
        Ours::Const => SymbolKind::Constant,
        Ours::Unit => SymbolKind::TypeParameter,
        Ours::Template => SymbolKind::Class,
        Ours::Source | Ours::Sink => SymbolKind::Interface,
        Ours::Device => SymbolKind::Object,
        Ours::Flow => SymbolKind::Function,
        Ours::Write | Ours::Test => SymbolKind::Method,
        Ours::Tag => SymbolKind::Field,
        Ours::Calc => SymbolKind::Property,
        Ours::Alarm => SymbolKind::Event,
    }
}

/// A proposal that replaces a range; proposals keep the order in which they are given.
pub fn completion(proposal: Completion, range: Range, order: usize) -> CompletionItem {
    let kind = match proposal.kind {
        CompletionKind::Item => CompletionItemKind::Variable,
        CompletionKind::Member => CompletionItemKind::Field,
        CompletionKind::Setting => CompletionItemKind::Property,
        CompletionKind::Value => CompletionItemKind::EnumMember,
        CompletionKind::Function => CompletionItemKind::Function,
        CompletionKind::Keyword => CompletionItemKind::Keyword,
        CompletionKind::Type => CompletionItemKind::Class,
        CompletionKind::Unit => CompletionItemKind::Unit,
        CompletionKind::Driver => CompletionItemKind::Module,
    };
    let quoted = proposal.insert.starts_with('\'');
    CompletionItem {
        kind: Some(kind),
        detail: (!proposal.detail.is_empty()).then_some(proposal.detail),
        documentation: (!proposal.doc.is_empty())
            .then(|| Documentation::MarkupContent(markdown(proposal.doc))),
        sort_text: Some(format!("{order:05}")),
        filter_text: quoted.then(|| proposal.insert.clone()),
        text_edit: Some(CompletionItemTextEdit::TextEdit(TextEdit { range, new_text: proposal.insert })),
        label: proposal.label,
        ..CompletionItem::default()
    }
}

pub fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

/// The one edit that makes `new` of `old`: what is equal at both ends stays.
pub fn edit(old: &str, new: &str, encoding: Encoding) -> Option<TextEdit> {
    if old == new {
        return None;
    }
    let same = old.char_indices().zip(new.chars()).find(|((_, a), b)| a != b);
    let start = same.map_or(old.len().min(new.len()), |((at, _), _)| at);
    let (mut old_end, mut new_end) = (old.len(), new.len());
    let ends = old.chars().rev().zip(new.chars().rev());
    for (a, _) in ends.take_while(|(a, b)| a == b) {
        let width = a.len_utf8();
        if old_end - width < start || new_end - width < start {
            break;
        }
        old_end -= width;
        new_end -= width;
    }
    let range = range(&Lines::new(old), old, start..old_end, encoding);
    Some(TextEdit { range, new_text: new.get(start..new_end).unwrap_or("").to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::documents::offsets;
    use super::*;

    #[test]
    fn an_edit_changes_only_what_differs() {
        for (old, new) in [
            ("unit  µ\n", "unit µ\n"),
            ("", "a"),
            ("aa", "a"),
            ("a", "aa"),
            ("abc", "xbc"),
            ("line\nµµ\n", "line\nµ\nµ\n"),
        ] {
            let edit = edit(old, new, Encoding::Utf16).unwrap();
            let mut text = old.to_owned();
            text.replace_range(offsets(&Lines::new(old), old, edit.range, Encoding::Utf16), &edit.new_text);
            assert_eq!(text, new);
        }
        assert_eq!(edit("a", "a", Encoding::Utf16), None);
        assert_eq!(edit("unit  µ\n", "unit µ\n", Encoding::Utf16).unwrap().new_text, "");
    }
}
