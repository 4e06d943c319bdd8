//! Layouts, on changes as a node gives them.

use super::*;
use gwp_plan::diff::Changes;
use serde_json::{Value, json};

fn change(sign: &str, item: &str, details: Value, effect: Value) -> Value {
    let nothing = json!({ "connection": null, "gap_ms": null, "state": null, "journal": null, "words": [] });
    let mut all = nothing.as_object().cloned().unwrap_or_default();
    all.extend(effect.as_object().cloned().unwrap_or_default());
    json!({
        "sign": sign, "item": item, "from": null, "details": details, "effect": all,
        "before": "00112233445566778899aabbccddeeff", "after": null
    })
}

fn value(what: &str, old: &str, new: &str) -> Value {
    json!([{ "how": "value", "what": what, "old": old, "new": new }])
}

fn changes(changes: Vec<Value>) -> Changes {
    let text = json!({
        "summary": { "added": 0, "changed": 2, "moved": 1, "removed": 1, "replaced": 0, "unchanged": 1812 },
        "changes": changes, "hints": [], "notes": []
    });
    serde_json::from_value(text).unwrap()
}

fn sample() -> Changes {
    let words = |words: &str| json!({ "words": [words] });
    let mut pi = change(
        ">",
        "sink/pi2",
        json!([]),
        json!({ "journal": "kept", "words": ["reconnects", "journal kept"] }),
    );
    pi["from"] = json!("sink/pi");
    let mut all = changes(vec![
        change("~", "flow/hourly", json!([{ "how": "added", "what": "column `oee`" }]), words("state kept")),
        pi,
        change("-", "sink/lake", json!([]), json!({ "journal": "drains", "words": ["drains up to 14 d"] })),
        change("~", "source/press", value("scan", "500 ms", "250 ms"), words("no reconnect")),
        change("=", "flow/live", json!([]), json!({})),
    ]);
    all.hints.push(gwp_plan::diff::Hint {
        add: "moved a -> b".into(),
        why: "a and b are alike; to keep it".into(),
    });
    all.notes.push("rows of `x_y` *".into());
    all
}

fn waiting() -> Waiting {
    [("pi".to_owned(), 214), ("lake".to_owned(), 12_431)].into()
}

#[test]
fn columns_stand_under_each_other() {
    let expected = "\
~ flow/hourly                  column `oee` added            state kept
~ source/press                 scan 500 ms -> 250 ms         no reconnect
> sink/pi -> sink/pi2 (moved)                                reconnects, journal kept: 214 samples
- sink/lake                    journal holds 12 431 samples  drains up to 14 d
hint: a and b are alike; to keep it add `moved a -> b`
note: rows of `x_y` *
0 added, 2 changed in place, 1 moved, 1 removed, 0 replaced, 1 812 unchanged
";
    assert_eq!(text(&sample(), &waiting()), expected);
}

#[test]
fn a_table_for_a_merge_request() {
    let expected = "\
| | Item | Change | Effect |
|---|---|---|---|
| `~` | flow/hourly | column `oee` added | state kept |
| `~` | source/press | scan 500 ms -\\> 250 ms | no reconnect |
| `>` | sink/pi -\\> sink/pi2 (moved) |  | reconnects, journal kept: 214 samples |
| `-` | sink/lake | journal holds 12 431 samples | drains up to 14 d |

- hint: a and b are alike; to keep it add `moved a -> b`
- note: rows of `x_y` \\*

0 added, 2 changed in place, 1 moved, 1 removed, 0 replaced, 1 812 unchanged
";
    assert_eq!(markdown(&sample(), &waiting()), expected);
}

#[test]
fn devices_that_change_alike_share_a_line() {
    let of = |number: usize| {
        let new = if number == 7 { "0.3" } else { "0.2" };
        change("~", &format!("tag/meter{number:02}.power"), value("scale", "0.1", new), json!({}))
    };
    let moved = |number: usize| {
        let mut one = change(">", &format!("calc/b{number}.e"), json!([]), json!({}));
        one["from"] = json!(format!("calc/a{number}.e"));
        one
    };
    let all: Vec<Value> =
        (1..=40).filter(|number| *number != 13).map(of).chain((9..=10).map(moved)).collect();
    let expected = "\
~ tag/meter[01..06, 08..12, 14..40].power  scale 0.1 -> 0.2
~ tag/meter07.power                 scale 0.1 -> 0.3
> calc/a[9..10].e -> calc/b[9..10].e (moved)
0 added, 2 changed in place, 1 moved, 1 removed, 0 replaced, 1 812 unchanged
";
    let shown = text(&changes(all), &Waiting::new());
    assert_eq!(squeezed(&shown), squeezed(expected));
}

/// Without what only aligns.
fn squeezed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_very_long_list_is_counted() {
    let of = |number: usize| change("+", &format!("tag/d.t{number:04}_"), json!([]), json!({}));
    let shown = text(&changes((0..1_404).map(of).collect()), &Waiting::new());
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), LINES_MAX + 2);
    assert_eq!(lines[LINES_MAX], "... and 1 204 more");
    let table = markdown(&changes((0..1_404).map(of).collect()), &Waiting::new());
    assert!(table.contains("\n| | ... and 1 204 more | | |\n"));
}

#[test]
fn nothing_changes() {
    let none = Changes::default();
    let expected = "0 added, 0 changed in place, 0 moved, 0 removed, 0 replaced, 0 unchanged\n";
    assert_eq!(text(&none, &Waiting::new()), expected);
    assert_eq!(markdown(&none, &Waiting::new()), expected);
}
