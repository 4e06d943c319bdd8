//! The reference programs are read without a word of complaint, with LF and with CRLF.

use std::path::Path;

use gwp_syntax::{SourceMap, parse};

fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the fixtures are there")
        .map(|entry| {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("text"))
        })
        .collect();
    files.sort();
    assert_eq!(files.len(), 6);
    files
}

#[test]
fn every_reference_program_parses() {
    for (name, text) in fixtures() {
        for text in [text.replace("\r\n", "\n"), text.replace('\n', "\r\n")] {
            let mut sources = SourceMap::default();
            let file = sources.add(&name, &text);
            let parsed = parse(file, &text);
            let found: Vec<_> = parsed
                .diagnostics
                .iter()
                .map(|d| format!("{} {} {}", sources.place(d.span), d.code, d.message))
                .collect();
            assert!(found.is_empty(), "{found:#?}");
            let items =
                text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())).count();
            assert_eq!(parsed.file.items.len(), items, "{name}");
            assert!(parsed.file.broken.is_empty());
        }
    }
}
