//! What can stand in a flow: what it takes, stages, windows, sinks.

use crate::complete::{Completion, CompletionKind, Place, keywords, words};
use crate::expressions;
use gwp_compile::reference::Group;

/// Proposals inside of a flow.
pub(crate) fn flow(place: &Place<'_, '_, '_>) -> Vec<Completion> {
    let cursor = place.cursor;
    let entry = cursor.entry();
    let in_braces = cursor.braces().next().is_some();
    let in_split = cursor.braces().next_back().is_some_and(|block| cursor.before_block(block) == "split");
    if in_braces && !in_split {
        return column(place, entry);
    }
    if in_split && cursor.before == entry {
        return keywords(&["when", "else"]);
    }
    let written = entry..cursor.before;
    let arrow = written.clone().rev().find(|at| cursor.str(*at) == "->");
    match (arrow, place.previous()) {
        (_, "->") => stages(place),
        (Some(arrow), _) => behind_arrow(place, arrow),
        (None, _) if in_split => expressions::names(place),
        (None, "=" | "," | "except") => place.items(&["device", "source", "flow", "write"]),
        (None, "priority") => values(&["low", "normal", "high"]),
        (None, "standby") => values(&["hot", "warm", "cold"]),
        (None, _) if !cursor.has(written, "=") => keywords(&["priority", "standby"]),
        (None, _) => keywords(&["except"]),
    }
}

fn values(list: &[&str]) -> Vec<Completion> {
    list.iter().map(|word| Completion::new(word, CompletionKind::Value)).collect()
}

fn stages(place: &Place<'_, '_, '_>) -> Vec<Completion> {
    let stages = words(&[Group::Stage, Group::Window]).into_iter().map(|stage| {
        let insert = match stage.label.as_str() {
            "changes" | "sample" | "rename" => format!("{}()", stage.label),
            _ => stage.insert.clone(),
        };
        Completion { insert, ..stage }
    });
    place.items(&["sink"]).into_iter().chain(stages).collect()
}

/// In a stage, or in the list of sinks.
fn behind_arrow(place: &Place<'_, '_, '_>, arrow: usize) -> Vec<Completion> {
    let cursor = place.cursor;
    let called = cursor.blocks.last().filter(|block| block.open > arrow);
    if let Some(block) = called {
        return match (cursor.before_block(block), place.previous()) {
            ("changes", "(" | ",") => values(&["deadband = ", "heartbeat = "]),
            _ => expressions::names(place),
        };
    }
    match (cursor.str(arrow + 1), place.previous()) {
        ("where", _) => expressions::names(place),
        ("on" | "while", "on" | "while") => expressions::names(place),
        ("every" | "on" | "while", "by") => values(&["device"]),
        (
            "every" | "on" | "while",
            "wait" | "revise" | "over" | "in" | "as" | "every" | "min_coverage" | "at",
        ) => Vec::new(),
        ("every", _) => words(&[Group::WindowWord]),
        ("on" | "while", _) => {
            words(&[Group::WindowWord]).into_iter().chain(expressions::names(place)).collect()
        }
        (_, ",") => place.items(&["sink"]),
        _ => Vec::new(),
    }
}

/// `name : type = expression` of a window.
fn column(place: &Place<'_, '_, '_>, entry: usize) -> Vec<Completion> {
    let cursor = place.cursor;
    if cursor.before == entry {
        return Vec::new();
    }
    if cursor.has(entry..cursor.before, "=") {
        return expressions::names(place);
    }
    match place.previous() {
        ":" => words(&[Group::Type]),
        _ => place.units(),
    }
}
