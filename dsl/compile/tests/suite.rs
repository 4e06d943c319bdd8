//! Annotated programs: comments say which diagnostic is expected where, and nothing else may be found.
//!
//! `//~ E202` expects E202 on its line, `//~^ E202` on the line above (`^^` two above), several codes are separated
//! by blanks. Notes (N7) are only compared in programs that expect one. Files in folders called `lib` are used by
//! others and are no programs themselves.

mod manifests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gwp_compile::{EntryFile, Project, compile};
use manifests::{catalog, words};

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/suite")
}

fn programs(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the suite is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "lib") {
            programs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "gwp") {
            found.push(path);
        }
    }
    found.sort();
}

/// (file, line, code)
type Finding = (String, usize, String);

fn expected(file: &str, text: &str) -> Vec<Finding> {
    let mut list = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some((_, annotation)) = line.split_once("//~") else { continue };
        let codes = annotation.trim_start_matches('^');
        let above = annotation.len() - codes.len();
        list.extend(codes.split_whitespace().map(|code| (file.to_owned(), number - above, code.to_owned())));
    }
    list
}

/// Compiles one program of the suite; the difference to what its comments expect, in words.
fn difference(path: &Path) -> Option<String> {
    let name = path.strip_prefix(suite()).expect("inside the suite").to_string_lossy().replace('\\', "/");
    let text = std::fs::read_to_string(path).expect("text");
    let load =
        |path: &str| std::fs::read_to_string(suite().join(path)).map_err(|error| error.kind().to_string());
    let entry = vec![EntryFile { name, text }];
    let result = compile(&Project { entry, load: Box::new(load) }, &catalog());
    let wanted: BTreeSet<Finding> =
        result.sources.files().flat_map(|(_, file)| expected(&file.name, &file.text)).collect();
    let notes = wanted.iter().any(|(_, _, code)| code.starts_with('N'));
    let found: BTreeSet<Finding> = result
        .diagnostics
        .iter()
        .filter(|found| notes || !found.code.starts_with('N'))
        .map(|found| {
            let file = result.sources.get(found.span.file).expect("a file of the project");
            (file.name.clone(), file.line_col(found.span.start).0, found.code.to_owned())
        })
        .collect();
    let wrong = wanted.iter().any(|(_, _, code)| code.starts_with('E'));
    let lines = |what: &str, set: BTreeSet<&Finding>| {
        set.iter().map(|(file, line, code)| format!("  {what} {file}:{line} {code}\n")).collect::<String>()
    };
    let difference = lines("missing", wanted.difference(&found).collect())
        + &lines("unexpected", found.difference(&wanted).collect());
    if difference.is_empty() && result.plan.is_some() != wrong {
        return None;
    }
    Some(format!("{}:\n{difference}{}\n", path.display(), words(&result)))
}

#[test]
fn every_program_gives_what_its_comments_expect() {
    let mut list = Vec::new();
    programs(&suite(), &mut list);
    assert!(list.len() >= 10, "the suite has only {} programs", list.len());
    let differences: Vec<String> = list.iter().filter_map(|path| difference(path)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_code_that_a_program_can_give_is_in_the_suite() {
    /// These need a file of many megabytes, a second program to compare with, a real driver, or parts not built yet.
    const ELSEWHERE: [&str; 7] = ["E020", "E022", "E401", "E403", "E490", "W602", "E021"];
    let mut list = Vec::new();
    programs(&suite(), &mut list);
    list.extend(
        std::fs::read_dir(suite().join("lib")).expect("lib").map(|entry| entry.expect("readable").path()),
    );
    let texts = list.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let given: BTreeSet<String> =
        texts.flat_map(|text| expected("", &text)).map(|(_, _, code)| code).collect();
    let missing: Vec<_> = gwp_syntax::codes::all()
        .map(|row| row.code)
        .filter(|code| !given.contains(*code) && !ELSEWHERE.contains(code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
