//! What editors ask about a program, as pure functions of texts and places: hover texts, completions, definitions and
//! the outline.
//!
//! It knows no editor protocol, opens no file and holds no state: an [`Analysis`] is what one run of the compiler found,
//! and questions that come while a text is being typed are answered from its tokens, because it can rarely be parsed then.

mod complete;
mod cursor;
mod entries;
mod expressions;
mod flows;
mod hover;
mod names;
mod outline;
mod position;
mod settings;
mod target;
#[cfg(test)]
mod tests;

use gwp_compile::{Catalog, Compiled};
use gwp_syntax::ast::{File, Item};
use gwp_syntax::{FileId, Span};
use std::collections::HashMap;

pub use complete::{Completion, CompletionKind, completions};
pub use entries::{entries, used_files};
pub use hover::{Hover, hover};
pub use outline::{Symbol, SymbolKind, outline};
pub use position::{Encoding, Lines};

/// What one run of the compiler found in a project.
#[derive(Debug)]
pub struct Analysis {
    pub compiled: Compiled,
    catalog: Catalog,
    /// Named items: number of the file, and of the item in it.
    items: HashMap<String, (usize, usize)>,
    /// Tags of the plan, or of its draft, by path.
    tags: HashMap<String, usize>,
}

impl Analysis {
    /// Takes a compiled project in; the catalog must be the one that it was compiled with.
    pub fn new(compiled: Compiled, catalog: Catalog) -> Analysis {
        let mut items = HashMap::new();
        for (number, file) in compiled.files.iter().enumerate() {
            for (at, item) in file.items.iter().enumerate() {
                if let Some(name) = names::name_of(item) {
                    items.entry(name.text.clone()).or_insert((number, at));
                }
            }
        }
        let plan = compiled.plan.as_ref().or(compiled.draft.as_ref());
        let tags = plan.iter().flat_map(|plan| plan.tags.iter().enumerate());
        let tags = tags.map(|(number, tag)| (tag.info.path.to_string(), number)).collect();
        Analysis { compiled, catalog, items, tags }
    }

    /// The file of a name, as the compiler was given it.
    pub fn file(&self, name: &str) -> Option<FileId> {
        let name = gwp_compile::normal_path(name);
        self.compiled.sources.files().find(|(_, file)| file.name == name).map(|(id, _)| id)
    }

    /// The tree of a file.
    pub fn tree(&self, file: FileId) -> Option<&File> {
        self.compiled.files.get(file.0 as usize)
    }

    /// The item of a name, whichever file it is in.
    pub(crate) fn item(&self, name: &str) -> Option<&Item> {
        let (file, at) = self.items.get(name)?;
        self.compiled.files.get(*file)?.items.get(*at)
    }

    /// All items of all files.
    pub(crate) fn all_items(&self) -> impl Iterator<Item = &Item> {
        self.compiled.files.iter().flat_map(|file| &file.items)
    }
}

/// Where what stands at a byte offset of a text is declared; `name` is the text's file. The text may be newer than
/// the analysis.
pub fn definition(analysis: &Analysis, name: &str, text: &str, offset: usize) -> Option<Span> {
    let (target, _) = target::target(analysis, name, text, offset)?;
    target.declared()
}
