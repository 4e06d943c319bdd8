//! Any text as `node.toml`: the reader ends, and what it reports lies inside of the text.
//!
//! The module is compiled here by itself, because it needs next to nothing of the rest of the gateway.
#![no_main]

#[path = "../src/duration.rs"]
mod duration;
#[allow(dead_code, unused_imports)]
#[path = "../src/node.rs"]
mod node;

use gwp_syntax::{Diagnostics, SourceMap};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::default();
    let file = sources.add("node.toml", text);
    let mut report = Diagnostics::default();
    let node = node::parse(file, text, Path::new("/etc/gwp"), &mut report);
    for found in report.into_sorted() {
        for span in std::iter::once(found.span).chain(found.labels.iter().map(|label| label.span)) {
            assert_eq!(span.file, file);
            assert!(text.get(span.range()).is_some(), "{found:?}");
        }
    }
    for secret in node.secrets.values().filter(|secret| matches!(secret, node::Secret::Value(_))) {
        assert_eq!(format!("{secret:?}"), "Value(...)", "a value is never shown");
    }
});
