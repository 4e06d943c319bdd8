//! No text makes the parser panic, hang or overflow; whatever it reports lies inside the text. And whatever it
//! reads can be formatted.

use gwp_syntax::{FileId, FormatError, format, parse};
use proptest::prelude::*;

const PROGRAMS: [&str; 6] = [
    include_str!("fixtures/boiler.gwp"),
    include_str!("fixtures/erp.gwp"),
    include_str!("fixtures/hello.gwp"),
    include_str!("fixtures/meters.gwp"),
    include_str!("fixtures/plant.gwp"),
    include_str!("fixtures/substation.gwp"),
];

/// Pieces that begin or end something.
const PIECES: [&str; 28] = [
    "{", "}", "(", ")", "[", "]", "\"", "'", "//", "\n", "=", ":=", ";", "#", "->", ",", "..", "if ",
    "source a", "tag ", "\r", "µ", "°C", "%", "1e999", "not ", "-", "\u{feff}",
];

fn check(text: &str) {
    let parsed = parse(FileId(3), text);
    for found in &parsed.diagnostics {
        let spans = std::iter::once(found.span).chain(found.labels.iter().map(|label| label.span));
        for span in spans {
            assert!(text.get(span.range()).is_some(), "{found:?}");
            assert_eq!(span.file, FileId(3));
        }
        assert!(gwp_syntax::codes::find(found.code).is_some(), "{}", found.code);
    }
    for item in &parsed.file.items {
        let written = text.get(item.span().range()).expect("an item lies inside the text");
        assert_eq!(written.trim(), written);
    }
    match format(FileId(3), text) {
        Ok(once) => assert_eq!(format(FileId(3), &once).expect("formatted before"), once, "{text:?}"),
        Err(FormatError::Syntax(found)) => assert_eq!(found, parsed.diagnostics),
        Err(FormatError::Changed) => panic!("formatting changes {text:?}"),
    }
}

#[test]
fn an_item_that_ends_in_an_open_text() {
    check("source a : b {\n  c = \"d {e ");
    check("source a : b {\n  c = \"d ");
    check(&format!("source a : b {{\n  c = \"{} ", "{(".repeat(100)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_mixture_of_pieces(picks in prop::collection::vec(0..PIECES.len(), 0..60)) {
        check(&picks.iter().map(|pick| PIECES[*pick]).collect::<String>());
    }

    #[test]
    fn programs_with_pieces_cut_out_and_put_in(
        program in 0..PROGRAMS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..20, 0..PIECES.len()), 1..6),
    ) {
        let mut text: Vec<char> = PROGRAMS[program].chars().collect();
        for (place, cut, piece) in edits {
            let at = place.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, PIECES[piece].chars());
        }
        check(&text.into_iter().collect::<String>());
    }
}
