//! The texts that are open in the editor, kept by its changes.

use gen_lsp_types::{Range, TextDocumentContentChangeEvent};
use gwp_ide::{Encoding, Lines};
use gwp_syntax::limits::FILE_BYTES_MAX;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most open files.
const OPEN_MAX: usize = 500;

/// Most bytes of all of them.
const OPEN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// An open file.
pub struct Document {
    /// As the editor writes it.
    pub uri: String,
    pub version: i32,
    /// Empty when the text is over a bound.
    pub text: Arc<str>,
    pub lines: Lines,
    /// Why the text is not looked at.
    pub refused: Option<String>,
}

/// All open files by name.
#[derive(Default)]
pub struct Documents {
    open: BTreeMap<String, Document>,
}

impl Documents {
    pub fn get(&self, name: &str) -> Option<&Document> {
        self.open.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Document)> {
        self.open.iter()
    }

    /// Takes a file in. False if there are too many: it is then not looked at.
    pub fn open(&mut self, name: String, uri: String, version: i32, text: String) -> bool {
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&name) {
            return false;
        }
        self.open.remove(&name);
        let document = self.document(uri, version, text);
        self.open.insert(name, document);
        true
    }

    pub fn close(&mut self, name: &str) {
        self.open.remove(name);
    }

    /// Applies the changes of one version in their order.
    pub fn change(
        &mut self,
        name: &str,
        version: i32,
        changes: Vec<TextDocumentContentChangeEvent>,
        encoding: Encoding,
    ) {
        let Some(document) = self.open.remove(name) else { return };
        let mut text = document.text.to_string();
        let mut lines = document.lines;
        let mut refused = document.refused;
        for change in changes {
            match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                    text = whole.text;
                    refused = None;
                }
                // what is changed is not there any more
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(_) if refused.is_some() => {}
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                    let range = offsets(&lines, &text, part.range, encoding);
                    text.replace_range(range, &part.text);
                }
            }
            lines = Lines::new(&text);
        }
        let mut changed = self.document(document.uri, version, text);
        changed.refused = changed.refused.or(refused);
        self.open.insert(name.to_owned(), changed);
    }

    fn document(&self, uri: String, version: i32, text: String) -> Document {
        let others: usize = self.open.values().map(|document| document.text.len()).sum();
        let refused = if text.len() > FILE_BYTES_MAX {
            Some(format!("{} bytes are too many for one file", text.len()))
        } else if others + text.len() > OPEN_BYTES_MAX {
            Some("the open files are too large together; close some".to_owned())
        } else {
            None
        };
        let text = if refused.is_some() { String::new() } else { text };
        Document { uri, version, lines: Lines::new(&text), text: text.into(), refused }
    }
}

/// A range of the editor in bytes.
pub fn offsets(lines: &Lines, text: &str, range: Range, encoding: Encoding) -> std::ops::Range<usize> {
    let start = lines.offset(text, range.start.line, range.start.character, encoding);
    let end = lines.offset(text, range.end.line, range.end.character, encoding);
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(text: &str, changes: serde_json::Value) -> Documents {
        let mut documents = Documents::default();
        assert!(documents.open("a".into(), "file:///a".into(), 1, text.into()));
        documents.change("a", 2, serde_json::from_value(changes).unwrap(), Encoding::Utf16);
        documents
    }

    #[test]
    fn changes_apply_one_after_the_other() {
        let at = |line: u32, from: u32, to: u32| json!({"start": {"line": line, "character": from}, "end": {"line": line, "character": to}});
        let documents = changed(
            "🏭 = 1\nb = 2\n",
            json!([{"range": at(0, 5, 6), "text": "10\nx"}, {"range": at(1, 0, 1), "text": "y"}, {"range": at(9, 0, 0), "text": "end"}]),
        );
        let document = documents.get("a").unwrap();
        assert_eq!((&*document.text, document.version), ("🏭 = 10\ny\nb = 2\nend", 2));
        assert_eq!(&*changed("a", json!([{"text": "whole"}])).get("a").unwrap().text, "whole");
    }

    #[test]
    fn texts_over_a_bound_are_not_kept_until_they_are_small_again() {
        let large = "x".repeat(FILE_BYTES_MAX + 1);
        let mut documents = changed("a", json!([{ "text": large }]));
        assert!(documents.get("a").unwrap().refused.is_some() && documents.get("a").unwrap().text.is_empty());
        let part = json!([{"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}, "text": ""}]);
        documents.change("a", 3, serde_json::from_value(part).unwrap(), Encoding::Utf16);
        assert!(documents.get("a").unwrap().refused.is_some(), "a part of an unknown text");
        documents.change("a", 4, serde_json::from_value(json!([{"text": "b"}])).unwrap(), Encoding::Utf16);
        assert!(documents.get("a").unwrap().refused.is_none());
    }

    #[test]
    fn too_many_files_are_refused() {
        let mut documents = Documents::default();
        for number in 0..OPEN_MAX {
            assert!(documents.open(number.to_string(), String::new(), 1, String::new()));
        }
        assert!(!documents.open("one more".into(), String::new(), 1, String::new()));
        assert!(documents.open("0".into(), String::new(), 2, String::new()), "one that is open already");
    }
}
