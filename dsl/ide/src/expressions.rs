//! Names that an expression can use at a place.

use crate::complete::{Completion, CompletionKind, Place, keywords, words};
use gwp_compile::reference::Group;
use gwp_syntax::ast::Item;
use gwp_syntax::written_name;

/// Parameters, siblings, constants, devices and functions, in the order in which names are looked up.
pub(crate) fn names(place: &Place<'_, '_, '_>) -> Vec<Completion> {
    let outer = place.cursor.outermost();
    let in_flow = outer.item_word() == "flow";
    let in_window = in_flow && outer.braces().any(|block| outer.before_block(block) != "split");
    let mut found = Vec::new();
    if let Some(home) = place.analysis.item_at(place.cursor) {
        found.extend(place.analysis.params(home).iter().map(|param| {
            let detail = "parameter".to_owned();
            let insert = written_name(&param.name.text);
            Completion { insert, detail, ..Completion::new(&param.name.text, CompletionKind::Value) }
        }));
        match home {
            Item::Flow(flow) if in_window => {
                found.extend(place.window_columns());
                let head = place.analysis.head(flow).into_iter();
                found.extend(
                    head.flat_map(|item| place.analysis.members(item)).map(|of| place.analysis.proposed(of)),
                );
            }
            Item::Flow(_) => {}
            _ => found.extend(place.analysis.members(home).map(|member| place.analysis.proposed(member))),
        }
    }
    if in_flow && !in_window {
        found.extend(words(&[Group::SampleWord]));
    }
    let in_alarm = outer.blocks.last().is_some_and(|block| outer.str(block.statement) == "alarm");
    if in_alarm && !outer.is_same(place.cursor) {
        let of_message = ["device", "alarm", "time"].iter();
        found.extend(of_message.map(|word| Completion::new(word, CompletionKind::Value)));
    }
    found.extend(place.items(&["const", "device", "source", "write"]));
    found.extend(words(&[Group::Function]));
    if in_window {
        found.extend(words(&[Group::Aggregate, Group::Column]));
    }
    if in_window || !in_flow {
        found.extend(words(&[Group::Stateful]));
    }
    found.extend(keywords(&["if", "then", "else", "and", "or", "not", "otherwise", "mod", "true", "false"]));
    found
}
