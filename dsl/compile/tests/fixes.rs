//! The edits that diagnostics offer do what they promise: applied to the annotated programs, each makes its own
//! finding go away and spoils nothing else.

mod manifests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gwp_compile::{Compiled, EntryFile, Project, compile};
use gwp_syntax::Diagnostic;
use manifests::catalog;

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/suite")
}

fn programs(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the suite is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            programs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "gwp") {
            found.push(path);
        }
    }
    found.sort();
}

/// Compiles a program of the suite, with other texts for some of its files.
fn compiled(name: &str, changed: &BTreeMap<String, String>) -> Compiled {
    let read = |name: &str| match changed.get(name) {
        Some(text) => Ok(text.clone()),
        None => std::fs::read_to_string(suite().join(name)).map_err(|error| error.kind().to_string()),
    };
    let entry = vec![EntryFile { name: name.to_owned(), text: read(name).expect("text") }];
    compile(&Project { entry, load: Box::new(read) }, &catalog())
}

/// How many findings say the same, and how many errors of syntax there are.
fn counted(found: &[Diagnostic], like: &Diagnostic) -> (usize, usize) {
    let same = |other: &&Diagnostic| (other.code, &other.message) == (like.code, &like.message);
    let syntax = |other: &&Diagnostic| other.code.starts_with("E0");
    (found.iter().filter(same).count(), found.iter().filter(syntax).count())
}

/// What is wrong with one edit, in words.
fn fault(name: &str, before: &Compiled, finding: &Diagnostic) -> Option<String> {
    let fix = finding.fix.as_ref()?;
    let file = before.sources.get(fix.span.file).expect("a file of the project");
    let mut text = file.text.clone();
    text.replace_range(fix.span.range(), &fix.replacement);
    let after = compiled(name, &[(file.name.clone(), text)].into());
    let (same, syntax) = counted(&before.diagnostics, finding);
    let (left, broken) = counted(&after.diagnostics, finding);
    let place = before.sources.place(finding.span);
    let what = format!("{place} {} {:?}: {:?}", finding.code, finding.help, fix.replacement);
    if left + 1 > same {
        return Some(format!("{what}: it is still there"));
    }
    (broken > syntax).then(|| format!("{what}: {broken} errors of syntax instead of {syntax}"))
}

#[test]
fn every_offered_edit_removes_its_finding() {
    let mut list = Vec::new();
    programs(&suite(), &mut list);
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for path in list {
        let name = path.strip_prefix(suite()).expect("inside the suite").to_string_lossy().replace('\\', "/");
        let before = compiled(&name, &BTreeMap::new());
        for finding in before.diagnostics.iter().filter(|finding| finding.fix.is_some()) {
            *tried.entry(finding.code).or_default() += 1;
            faults.extend(fault(&name, &before, finding));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let codes = [
        "E001", "E002", "E003", "E004", "E005", "E006", "E007", "E009", "E010", "E013", "E014", "E017",
        "E018", "E101", "E102", "E108", "E109", "E110", "E112", "E113", "E201", "E202", "E206", "E208",
        "E212", "E306", "E311", "E402", "E404", "E407", "E408", "W606", "W607",
    ];
    let missing: Vec<_> = codes.into_iter().filter(|code| !tried.contains_key(code)).collect();
    assert!(missing.is_empty(), "no edit is offered for {missing:?}; tried: {tried:?}");
}
