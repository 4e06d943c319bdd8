//! Loading a program: files, compiler, catalog.

use crate::catalog;
use anyhow::Context;
use gwp_compile::PlacedScenario;
use gwp_core::Declaration;
use gwp_core::sink::SinkDeclaration;
use gwp_plan::Plan;
use gwp_syntax::{Diagnostic, Severity, SourceMap};
use std::path::{Path, PathBuf};

/// A compiled program and what there is to say about it.
pub struct Program {
    pub plan: Option<Plan>,
    pub diagnostics: Vec<Diagnostic>,
    pub sources: SourceMap,
    pub scenarios: Vec<PlacedScenario>,
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
    Ok(checked(&gwp_compile::Project { entry, load: Box::new(load) }))
}

/// A program of one text that uses no other.
pub fn of_text(name: &str, text: &str) -> Program {
    checked(&gwp_compile::Project::single(name, text))
}

fn checked(project: &gwp_compile::Project<'_>) -> Program {
    let gwp_compile::Compiled { plan, diagnostics, sources, scenarios, .. } = compile(project);
    Program { plan, diagnostics, sources, scenarios }
}

/// Compiles a project for the components of this binary, and has each of them check its declaration.
pub fn compile(project: &gwp_compile::Project<'_>) -> gwp_compile::Compiled {
    let mut compiled = gwp_compile::compile(project, &catalog::catalog());
    // A program with errors elsewhere still has sources and sinks that can be checked.
    if let Some(whole) = compiled.plan.as_ref().or(compiled.draft.as_ref()) {
        let found = component_errors(whole, &compiled.places);
        if found.iter().any(|found| found.severity == Severity::Error)
            && let Some(plan) = compiled.plan.take()
        {
            compiled.draft = Some(plan);
        }
        compiled.diagnostics.extend(found);
        compiled.diagnostics.sort_by_key(|found| found.span);
    }
    compiled
}

/// What the drivers and sinks say about their declarations: addresses, and settings
/// that depend on each other.
fn component_errors(plan: &Plan, places: &gwp_compile::Places) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, source) in plan.sources.iter().enumerate() {
        if let (Some(driver), Some(declaration)) =
            (catalog::driver(&source.driver), plan.source_declaration(index))
        {
            found.extend(places.source_errors(plan, index, &driver.check(&declaration)));
        }
    }
    for (index, sink) in plan.sinks.iter().enumerate() {
        if let Some(driver) = catalog::sink(&sink.driver) {
            let declaration = SinkDeclaration {
                item: Declaration { name: sink.name.clone(), settings: sink.settings.clone() },
                timezone: plan.gateway.timezone.clone(),
            };
            found.extend(places.sink_errors(index, &driver.check(&declaration)));
        }
    }
    found
}

/// A file's text; too large ones are refused before they are read.
pub fn read(path: &Path) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > gwp_syntax::limits::FILE_BYTES_MAX as u64 {
        return Err(std::io::Error::other(format!("{size} bytes are too many for one file")));
    }
    std::fs::read_to_string(path)
}
