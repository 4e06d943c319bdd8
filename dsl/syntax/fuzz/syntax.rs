//! Any text: the parser ends, stays inside of the text with all it says of it, and reads what it prints.
#![no_main]

use gwp_syntax::ast::{Expr, Item};
use gwp_syntax::{Diagnostics, SourceMap, codes, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::default();
    let file = sources.add("fuzz.gwp", text);
    let parsed = parse(file, text);
    for found in &parsed.diagnostics {
        assert!(codes::find(found.code).is_some(), "{}", found.code);
        for span in std::iter::once(found.span).chain(found.labels.iter().map(|label| label.span)) {
            assert_eq!(span.file, file);
            assert!(text.get(span.range()).is_some(), "{found:?}");
            assert!(sources.place(span).starts_with("fuzz.gwp:"));
        }
    }
    for comment in &parsed.file.comments {
        assert!(text.get(comment.span.range()).is_some(), "{comment:?}");
    }
    for item in &parsed.file.items {
        let written = text.get(item.span().range()).expect("an item lies inside of the text");
        // (Behind it blanks may stand: those of a text that is not closed.)
        assert!(!written.is_empty() && written.trim_start() == written);
        if let Item::Const(constant) = item {
            reads_what_it_prints(&constant.value);
        }
    }
    let mut report = Diagnostics::default();
    report.extend(parsed.diagnostics);
    report.into_sorted();
});

/// What is printed of an expression is an expression that is printed the same.
fn reads_what_it_prints(expr: &Expr) {
    let printed = expr.to_string();
    let text = format!("const x = {printed}\n");
    let mut again = parse(gwp_syntax::FileId(0), &text);
    assert!(again.diagnostics.is_empty(), "{printed}: {:?}", again.diagnostics);
    match again.file.items.pop() {
        Some(Item::Const(constant)) => assert_eq!(constant.value.to_string(), printed),
        other => panic!("{printed}: {other:?}"),
    }
}
