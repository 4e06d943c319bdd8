//! A configuration: the files of a program, who put it in force, when and why.

use crate::commands::program;
use gwp_compile::{Compiled, EntryFile, Project, file_of_use, normal_path};
use gwp_engine::Removed;
use gwp_syntax::ast::Item;
use gwp_syntax::{SourceMap, parse};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the form of a stored configuration.
const VERSION: u8 = 1;

/// A file of a program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct File {
    pub name: String,
    pub text: String,
}

/// A configuration. Its id is the BLAKE3 hash of its JSON text, first 16 bytes as hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bundle {
    pub version: u8,
    /// The one before.
    pub parent: Option<String>,
    pub author: String,
    /// When it was made, RFC 3339.
    pub time: String,
    pub message: String,
    pub plan: String,
    pub files: Vec<File>,
    /// Sinks of earlier configurations that may not have ended yet.
    pub leaving: Vec<Leaves>,
}

/// A sink that left the plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leaves {
    pub sink: String,
    /// A plan that has it; the store keeps it.
    pub plan: String,
    pub how: Removed,
}

impl Bundle {
    pub fn new(
        parent: Option<String>,
        author: &str,
        message: &str,
        plan: String,
        files: Vec<File>,
    ) -> Bundle {
        let time = gwp_console::console::utc().to_string();
        let (author, message) = (author.to_owned(), message.to_owned());
        Bundle { version: VERSION, parent, author, time, message, plan, files, leaving: Vec::new() }
    }

    /// Its text and the id that follows from it.
    pub fn stored(&self) -> (String, String) {
        // Plain data with texts as keys cannot fail.
        let text = serde_json::to_string_pretty(self).expect("a configuration can always be encoded");
        (id_of(&text), text)
    }

    /// Reads what [`Bundle::stored`] gave.
    ///
    /// # Errors
    /// A sentence for people: it is damaged, or of a later version.
    pub fn read(id: &str, text: &str) -> Result<Bundle, String> {
        if id_of(text) != id {
            return Err(format!("configuration {id} is damaged: its content is not what its name says"));
        }
        let bundle: Bundle =
            serde_json::from_str(text).map_err(|error| format!("configuration {id}: {error}"))?;
        match bundle.version {
            VERSION => Ok(bundle),
            found => Err(format!("configuration {id} has form {found}, this program knows {VERSION}")),
        }
    }

    /// True if these files say the same, whatever they are called.
    pub fn has_files(&self, files: &[File]) -> bool {
        let texts = |files: &[File]| {
            let mut texts: Vec<String> = files.iter().map(|file| file.text.clone()).collect();
            texts.sort();
            texts
        };
        texts(&self.files) == texts(files)
    }
}

fn id_of(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// A hash over names and texts.
pub fn fingerprint(files: &[File]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in files.iter().flat_map(|file| [&file.name, &file.text]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// All files of a compiled program.
pub fn files_of(sources: &SourceMap) -> Vec<File> {
    let file =
        |file: &gwp_syntax::SourceFile| File { name: file.name.to_string(), text: file.text.to_string() };
    sources.files().map(|(_, source)| file(source)).collect()
}

/// Compiles a program from its files alone: those that no other uses are read first.
pub fn compile(files: &[File]) -> Compiled {
    let texts: BTreeMap<String, &str> =
        files.iter().map(|file| (normal_path(&file.name), file.text.as_str())).collect();
    let used = used(files);
    let entry = |file: &&File| !used.contains(&normal_path(&file.name));
    let mut entries: Vec<&File> = files.iter().filter(entry).collect();
    if entries.is_empty() {
        // They use each other in a ring, which the compiler says better.
        entries = files.iter().collect();
    }
    let entry = |file: &File| EntryFile { name: file.name.clone(), text: file.text.clone() };
    let load = |name: &str| {
        let text = texts.get(name).map(|text| (*text).to_owned());
        text.ok_or_else(|| "it is not among the files that were sent".to_owned())
    };
    program::compile(&Project { entry: entries.into_iter().map(entry).collect(), load: Box::new(load) })
}

/// Whether a text may have a `use` line. To find none is far quicker than to parse it.
pub fn may_use(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("use"))
}

/// Names of the files that others use.
fn used(files: &[File]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for file in files.iter().filter(|file| may_use(&file.text)) {
        let id = SourceMap::default().add(file.name.clone(), String::new());
        for item in &parse(id, &file.text).file.items {
            if let Item::Use(line) = item
                && let Some(path) = line.path.literal()
            {
                used.insert(file_of_use(&normal_path(&file.name), &path));
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    fn file(name: &str, text: &str) -> File {
        File { name: name.into(), text: text.into() }
    }

    const SOURCE: &str = "source s : simulator { scan = 1 s\n  tag a at \"constant 1\" : real\n}\n";
    const SINK: &str = "use \"parts/source.gwp\"\nsink o : console { }\nflow f = s -> o\n";

    #[test]
    fn a_program_compiles_from_its_files_in_any_order() {
        let files = [file("parts/source.gwp", SOURCE), file("plant.gwp", SINK)];
        let compiled = compile(&files);
        assert!(compiled.plan.is_some(), "{:?}", compiled.diagnostics);
        let names: Vec<&str> = compiled.sources.names().collect();
        assert_eq!(names, ["plant.gwp", "parts/source.gwp"]);
        let lacking = compile(&files[1..]);
        assert!(lacking.plan.is_none());
        let said = report::json(&lacking.diagnostics, &lacking.sources).to_string();
        assert!(said.contains("not among the files"), "{said}");
    }

    #[test]
    fn what_is_stored_names_itself_and_damage_is_told() {
        let bundle = Bundle::new(None, "anna", "first", "p".into(), vec![file("a.gwp", SOURCE)]);
        let (id, text) = bundle.stored();
        assert_eq!(Bundle::read(&id, &text), Ok(bundle.clone()));
        assert!(Bundle::read(&id, &text.replace("anna", "eve")).unwrap_err().contains("damaged"));
        let later = Bundle { version: 9, ..bundle };
        let (id, text) = later.stored();
        assert!(Bundle::read(&id, &text).unwrap_err().contains("form 9"));
    }

    #[test]
    fn the_fingerprint_tells_names_and_texts_apart() {
        let of = |name, text| fingerprint(&[file(name, text)]);
        assert_eq!(of("a", "bc"), of("a", "bc"));
        assert_ne!(of("a", "bc"), of("ab", "c"));
    }
}
