//! No program makes the compiler panic; what it reports has a known code and lies inside the text.

mod manifests;

use gwp_plan::Origin;
use gwp_syntax::codes;
use manifests::compiled;
use proptest::prelude::*;

const PROGRAMS: [&str; 8] = [
    include_str!("../../../tests/suite/ok.gwp"),
    include_str!("../../../tests/suite/flows/flows.gwp"),
    include_str!("../../../tests/suite/units/quantities.gwp"),
    include_str!("../../../tests/suite/units/attributes.gwp"),
    include_str!("../../../tests/suite/names/unknown.gwp"),
    include_str!("../../../tests/suite/settings/settings.gwp"),
    include_str!("../../../tests/suite/windows/windows.gwp"),
    include_str!("../../../tests/suite/alarms/alarms.gwp"),
];

/// The words of all programs: they fit together by chance more often than letters do.
fn tokens(text: &str) -> Vec<&str> {
    let mut list = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            c if word(c) => rest.len() - rest.trim_start_matches(word).len(),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        list.push(token);
        rest = after;
    }
    list
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_taken_out_put_in_and_exchanged(
        program in 0..PROGRAMS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_u8), 1..8),
    ) {
        let mut words = tokens(PROGRAMS[program]);
        for (at, other, edit) in edits {
            let (at, other) = (at.index(words.len()), other.index(words.len()));
            match edit {
                0 => { words.remove(at); }
                1 => { let word = words[other]; words.insert(at, word); }
                _ => words.swap(at, other),
            }
        }
        let text = words.concat();
        let result = compiled(&text);
        let wrong = result.diagnostics.iter().any(|found| found.code.starts_with('E'));
        prop_assert_eq!(result.plan.is_none(), wrong);
        if let Some(plan) = &result.plan {
            let computed = plan.tags.iter().filter(|tag| tag.origin == Origin::Calc).count();
            prop_assert_eq!(plan.calcs.len(), computed, "every calc and alarm is lowered, or reported");
        }
        for found in &result.diagnostics {
            prop_assert!(codes::find(found.code).is_some(), "{}", found.code);
            for span in std::iter::once(found.span).chain(found.labels.iter().map(|label| label.span)) {
                prop_assert!(result.sources.get(span.file).is_some_and(|file| file.text.get(span.range()).is_some()));
            }
        }
    }
}
