//! Loading a program: files, compiler, catalog.

use crate::catalog;
use anyhow::Context;
use gwp_plan::Plan;
use gwp_syntax::{Diagnostic, SourceMap};
use std::path::{Path, PathBuf};

/// A compiled program and what there is to say about it.
pub struct Program {
    pub plan: Option<Plan>,
    pub diagnostics: Vec<Diagnostic>,
    pub sources: SourceMap,
}

/// Reads and compiles the entry files and what they `use`.
///
/// # Errors
/// An entry file cannot be read; what is wrong inside of files are diagnostics.
pub fn load(files: &[PathBuf]) -> anyhow::Result<Program> {
    let entry = files
        .iter()
        .map(|path| {
            let text = read(path).with_context(|| format!("{}", path.display()))?;
            Ok(gwp_compile::EntryFile { name: path.display().to_string(), text })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let load = |name: &str| read(Path::new(name)).map_err(|error| error.to_string());
    let project = gwp_compile::Project { entry, load: Box::new(load) };
    let compiled = gwp_compile::compile(&project, &catalog::catalog());
    Ok(Program { plan: compiled.plan, diagnostics: compiled.diagnostics, sources: compiled.sources })
}

/// A file's text; too large ones are refused before they are read.
fn read(path: &Path) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > gwp_syntax::limits::FILE_BYTES_MAX as u64 {
        return Err(std::io::Error::other(format!("{size} bytes are too many for one file")));
    }
    std::fs::read_to_string(path)
}
