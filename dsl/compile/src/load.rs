//! Reads the files of a project: the entry files, and those they name with `use`.

use std::collections::HashMap;

use gwp_syntax::ast::{self, Item};
use gwp_syntax::limits::{FILES_MAX, PROJECT_BYTES_MAX};
use gwp_syntax::{Diagnostic, Diagnostics, FileId, SourceMap, parse};

/// A file given by name and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryFile {
    /// Name for messages; `use` paths are relative to its folder.
    pub name: String,
    pub text: String,
}

/// What to compile.
pub struct Project<'l> {
    pub entry: Vec<EntryFile>,
    /// Gives the text of a file that `use` names, as a path relative to the entry file's folder joined to the name of
    /// the file that uses it; the error is a sentence for people. The compiler itself opens no file.
    #[allow(clippy::type_complexity)]
    pub load: Box<dyn Fn(&str) -> Result<String, String> + 'l>,
}

impl<'l> Project<'l> {
    /// A project of one file that uses no other.
    pub fn single(name: impl Into<String>, text: impl Into<String>) -> Project<'l> {
        let none = |path: &str| Err(format!("there is no file {path} here"));
        Project { entry: vec![EntryFile { name: name.into(), text: text.into() }], load: Box::new(none) }
    }
}

/// Parses all files; everything wrong with their text goes to the report.
pub(crate) fn load(
    project: &Project<'_>,
    sources: &mut SourceMap,
    report: &mut Diagnostics,
) -> Vec<ast::File> {
    let mut loader = Loader { project, sources, report, files: Vec::new(), known: HashMap::new(), bytes: 0 };
    for entry in &project.entry {
        let name = normal_path(&entry.name);
        if !loader.known.contains_key(&name) {
            loader.file(name, entry.text.clone());
        }
    }
    loader.files
}

struct Loader<'a, 'l> {
    project: &'a Project<'l>,
    sources: &'a mut SourceMap,
    report: &'a mut Diagnostics,
    files: Vec<ast::File>,
    /// Files read, or being read, by name.
    known: HashMap<String, FileId>,
    /// Of all texts.
    bytes: usize,
}

/// A file whose `use` lines are being followed.
struct Open {
    name: String,
    uses: std::vec::IntoIter<ast::Use>,
}

impl Loader<'_, '_> {
    /// Reads a file and all it uses, depth first, without recursion.
    fn file(&mut self, name: String, text: String) {
        let mut stack = vec![self.open(name, text)];
        while let Some(top) = stack.last_mut() {
            let Some(next) = top.uses.next() else {
                stack.pop();
                continue;
            };
            let from = top.name.clone();
            let chain: Vec<String> = stack.iter().map(|open| open.name.clone()).collect();
            if let Some((name, text)) = self.resolve(&from, &next, &chain) {
                stack.push(self.open(name, text));
            }
        }
    }

    fn open(&mut self, name: String, text: String) -> Open {
        let file = self.sources.add(name.clone(), text.clone());
        self.known.insert(name.clone(), file);
        let parsed = parse(file, &text);
        self.report.extend(parsed.diagnostics);
        let uses: Vec<_> = parsed
            .file
            .items
            .iter()
            .filter_map(|item| if let Item::Use(used) = item { Some(used.clone()) } else { None })
            .collect();
        self.files.push(parsed.file);
        Open { name, uses: uses.into_iter() }
    }

    /// Name and text of a used file, or a report why it is not read.
    fn resolve(&mut self, from: &str, used: &ast::Use, chain: &[String]) -> Option<(String, String)> {
        let span = used.path.span;
        let Some(path) = used.path.literal().filter(|path| !path.is_empty()) else {
            let fault = Diagnostic::new("E107", span, "the name of a file cannot have inserts");
            self.report.push(fault.help("write the name out"));
            return None;
        };
        let name = file_of_use(from, &path);
        if chain.contains(&name) {
            let round: Vec<_> =
                chain.iter().skip_while(|other| **other != name).map(String::as_str).collect();
            let fault = Diagnostic::new("E108", span, format!("`{name}` uses itself"));
            let way = format!("{} -> {name}", round.join(" -> "));
            self.report.push(
                fault.here(way).help("all files share one name space: remove this line").fix(used.span, ""),
            );
            return None;
        }
        if self.known.contains_key(&name) {
            let fault = Diagnostic::new("E109", span, format!("`{name}` is used twice"));
            self.report.push(
                fault.help("one `use` is enough for the whole project: remove this line").fix(used.span, ""),
            );
            return None;
        }
        if self.known.len() >= FILES_MAX {
            let fault = Diagnostic::new("E199", span, format!("the project has more than {FILES_MAX} files"));
            self.report.push(fault);
            return None;
        }
        match (self.project.load)(&name) {
            Ok(text) => {
                self.bytes = self.bytes.saturating_add(text.len());
                if self.bytes > PROJECT_BYTES_MAX {
                    let message =
                        format!("all files together have more than {} MiB", PROJECT_BYTES_MAX >> 20);
                    self.report.push(Diagnostic::new("E020", span, message));
                    return None;
                }
                Some((name, text))
            }
            Err(why) => {
                let fault = Diagnostic::new("E107", span, format!("the file `{name}` cannot be read"));
                self.report.push(fault.here(why).help("paths are relative to the file that uses them"));
                None
            }
        }
    }
}

/// The name of the file that `use "path"` in the file `from` means.
pub fn file_of_use(from: &str, path: &str) -> String {
    match from.rsplit_once('/') {
        Some((folder, _)) if !path.starts_with('/') => normal_path(&format!("{folder}/{path}")),
        _ => normal_path(path),
    }
}

/// A path without `.` and `a/..`, with `/` between its parts.
pub fn normal_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let path = path.replace('\\', "/");
    for part in path.split('/') {
        match part {
            "." => {}
            "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| !last.is_empty() && *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        let found = ["a/./b", "a//b", "a/c/../b", "./a/b", "../a/b", "/a/b", "a\\b"].map(normal_path);
        assert_eq!(found, ["a/b", "a/b", "a/b", "a/b", "../a/b", "/a/b", "a/b"]);
    }
}
