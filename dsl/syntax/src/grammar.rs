//! The parser that pest generates from `grammar.pest`. Nothing outside this crate sees it.

use std::num::NonZeroUsize;
use std::sync::Once;

use pest::Parser as _;
use pest::error::{Error, ErrorVariant, InputLocation};
use pest::iterators::Pairs;

use crate::limits::{PARSED_BYTES_MAX, PARSER_CALLS_MAX};

#[derive(pest_derive::Parser)]
#[grammar = "grammar.pest"]
struct Grammar;

/// Where the generated parser stopped and what it would have taken there.
pub(crate) struct Stop {
    /// Byte offset in the parsed text.
    pub at: usize,
    pub expected: Vec<Rule>,
    /// A bound of the parser was reached before the text was understood.
    pub bounded: bool,
}

/// Parses `text` as `rule`. The caller has bounded its nesting.
pub(crate) fn parse(rule: Rule, text: &str) -> Result<Pairs<'_, Rule>, Stop> {
    if text.len() > PARSED_BYTES_MAX {
        return Err(Stop { at: 0, expected: Vec::new(), bounded: true });
    }
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| pest::set_call_limit(NonZeroUsize::new(PARSER_CALLS_MAX)));
    Grammar::parse(rule, text).map_err(|error| stop(&error))
}

fn stop(error: &Error<Rule>) -> Stop {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => {
            Stop { at, expected: positives.clone(), bounded: false }
        }
        ErrorVariant::CustomError { .. } => Stop { at, expected: Vec::new(), bounded: true },
    }
}
