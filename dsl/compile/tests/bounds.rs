//! No short program unfolds into what does not fit a node: each bound has its diagnostic.

mod manifests;

use gwp_compile::{Catalog, Project, compile};
use manifests::{compiled, words};
use std::fmt::Write as _;

/// A template with members, families of it, and what else is to stand in the program.
fn program(members: &str, families: usize, devices: usize, rest: &str) -> String {
    let mut text =
        format!("source s : simulator {{ }}\ntemplate T() {{\n{members}}}\nsink o : console {{ }}\n");
    for family in 0..families {
        let _ = writeln!(text, "device m{family}x[1..{devices}] : T() on s");
    }
    text + rest
}

/// The program is refused because of a bound, with at most a few words.
fn refused(text: &str, code: &str, part: &str) {
    let result = compiled(text);
    assert!(result.plan.is_none(), "{part}");
    let fits = |found: &gwp_syntax::Diagnostic| found.code == code && found.message.contains(part);
    assert!(result.diagnostics.iter().any(fits), "{part}: {}", words(&result));
    assert!(result.diagnostics.len() <= gwp_syntax::limits::DIAGNOSTICS_MAX);
}

#[test]
fn families_of_large_templates_end_at_the_number_of_tags() {
    let members: String = (0..100).map(|n| format!("  tag a{n} at \"1\" : int\n")).collect();
    refused(&program(&members, 3, 9_999, "flow f = *.a1 -> o\n"), "E199", "1000000 tags");
    refused(&program("  tag a at \"1\" : int\n", 1, 4_000_000_000, ""), "E199", "10000 devices");
}

#[test]
fn names_and_texts_are_counted_as_often_as_they_are_unfolded() {
    let long = "x".repeat(30_000);
    let described = format!("  tag a at \"1\" : int desc \"{long}\"\n");
    refused(&program(&described, 1, 9_999, "flow f = *.a -> o\n"), "E199", "128 MiB");
    assert!(compiled(&program(&described, 1, 100, "flow f = *.a -> o\n")).plan.is_some());
    let said = format!("  tag a at \"1\" : int\n  alarm b when a > 1 {{ message = \"{long}\" }}\n");
    refused(&program(&said, 1, 9_999, "flow f = *.alarms -> o\n"), "E199", "128 MiB");
    let named =
        format!("source s : simulator {{ }}\ntemplate T() {{ }}\ndevice {long}[1..9999] : T() on s\n");
    refused(&named, "E199", "128 MiB");
}

#[test]
fn labels_heads_and_steps_of_tests_have_bounds() {
    let labels: String = (0..1_001).map(|n| format!("{n} = \"x{n}\", ")).collect();
    let labelled = format!("  tag a at \"1\" : int enum {{ {} }}\n", labels.trim_end_matches(", "));
    refused(&program(&labelled, 1, 2, "flow f = *.a -> o\n"), "E199", "1000 labels");

    let heads = format!("flow f = {} -> o\n", ["*.a*"; 4_000].join(", "));
    refused(&program("  tag a at \"1\" : int\n", 1, 9_999, &heads), "E199", "all flows together");

    let mut tests = "flow f = *.a -> o\n".to_owned();
    for test in 0..11 {
        let _ = writeln!(
            tests,
            "test \"{test}\" {{\n  at 0 s to 99 s every 1 ms: m0x1.a = 1\n  at 1 s: expect m0x1.a = 1\n}}"
        );
    }
    refused(&program("  tag a at \"1\" : int\n", 1, 1, &tests), "E803", "1000000 steps");
}

#[test]
fn all_files_together_have_a_bound() {
    let entry: String = (0..9).map(|n| format!("use \"{n}.gwp\"\n")).collect();
    let blank = " ".repeat(8 << 20);
    let project = Project { load: Box::new(|_| Ok(blank.clone())), ..Project::single("p.gwp", entry) };
    let result = compile(&project, &Catalog::new([]));
    let codes: Vec<_> = result.diagnostics.iter().map(|found| found.code).collect();
    assert!(codes.contains(&"E020"), "{codes:?}");
}
