//! The difference between two plans, over random programs and random edits of them.

mod manifests;
#[path = "../../../tests/programs/mod.rs"]
mod programs;

use gwp_plan::Plan;
use gwp_plan::diff::{Changes, Connection, Outline, Sign, Summary, same_delivery, same_source};
use manifests::{compiled, words};
use programs::{Dice, Edit, Program, edit, program};
use std::collections::BTreeMap;
use std::sync::Arc;

fn plan(program: &Program) -> Arc<Plan> {
    let text = program.text();
    let result = compiled(&text);
    Arc::new(result.plan.clone().unwrap_or_else(|| panic!("{}\n{text}", words(&result))))
}

fn plan_of(text: &str) -> Arc<Plan> {
    let result = compiled(text);
    Arc::new(result.plan.clone().unwrap_or_else(|| panic!("{}", words(&result))))
}

/// Items that count: not lines about names.
fn count(outline: &Outline) -> usize {
    outline.items.keys().filter(|name| !name.starts_with("moved/")).count()
}

/// Everything that must hold of two plans whatever they are.
fn check(old: &Arc<Plan>, new: &Arc<Plan>) -> Changes {
    let (before, after) = (Outline::of(old), Outline::of(new));
    let changes = Changes::between(old, new);
    assert_eq!(before == after, old.id() == new.id(), "an outline holds all that a plan does");
    assert_eq!(changes.is_empty(), old.id() == new.id());
    assert_eq!(before.apply(&changes).as_ref(), Ok(&after));
    assert_eq!(after.apply(&changes.inverse()).as_ref(), Ok(&before));
    if !changes.is_empty() {
        assert!(after.apply(&changes).is_err(), "what is not there cannot be changed");
    }
    let Summary { added, changed, moved, removed, replaced, unchanged } = changes.summary;
    let stays = changed + moved + replaced + unchanged;
    assert_eq!((stays + removed, stays + added), (count(&before), count(&after)));
    assert_eq!(changes.inverse().inverse().changes.len(), changes.changes.len());
    let json = serde_json::to_string(&changes).unwrap();
    assert_eq!(serde_json::from_str::<Changes>(&json).unwrap(), changes);
    connections(old, new, &changes);
    changes
}

/// What the changes say of connections is what the gateway does.
fn connections(old: &Plan, new: &Plan, changes: &Changes) {
    let of =
        |name: String| changes.changes.iter().find(|change| change.item == name && change.after.is_some());
    let told = |name: String| of(name).and_then(|change| change.effect.connection);
    let zone = old.gateway.timezone != new.gateway.timezone;
    for (j, source) in new.sources.iter().enumerate() {
        let kept = (0..old.sources.len()).any(|i| same_source(old, i, new, j));
        match told(format!("source/{}", source.name)) {
            None | Some(Connection::Kept) => assert!(kept, "{}", source.name),
            Some(_) => assert!(!kept, "{}", source.name),
        }
    }
    for (j, sink) in new.sinks.iter().enumerate() {
        let kept = (0..old.sinks.len()).any(|i| same_delivery(old, i, new, j));
        match told(format!("sink/{}", sink.name)) {
            None | Some(Connection::Kept) => assert!(kept || zone, "{}", sink.name),
            Some(_) => assert!(!kept, "{}", sink.name),
        }
    }
}

#[test]
fn one_edit_after_the_other() {
    let mut kinds: BTreeMap<Edit, usize> = BTreeMap::new();
    let mut signs: BTreeMap<Sign, usize> = BTreeMap::new();
    let mut seen = 0;
    for seed in 0..40 {
        let mut model = program(seed);
        let first = plan(&model);
        let mut before = first.clone();
        check(&before, &before);
        for step in 0..15 {
            let (next, kind) = edit(&model, seed * 1_000 + step);
            let after = plan(&next);
            let changes = check(&before, &after);
            // A scan class that no tag has is none.
            if kind != Edit::Scan {
                let texts = format!("{kind:?}\n{}\n{}", model.text(), next.text());
                assert_eq!(kind == Edit::Reorder, changes.is_empty(), "{texts}");
            }
            if let Edit::RenameSource | Edit::RenameTag | Edit::RenameCalc | Edit::RenameFamily = kind {
                assert!(changes.summary.moved > 0, "{kind:?}");
                assert_eq!((changes.summary.added, changes.summary.removed), (0, 0), "{kind:?}");
            }
            if let Edit::RenameSink | Edit::RenameFlow = kind {
                assert_eq!(changes.summary.moved, 1, "{kind:?}");
                assert_eq!((changes.summary.added, changes.summary.removed), (0, 0), "{kind:?}");
            }
            *kinds.entry(kind).or_default() += 1;
            changes.changes.iter().for_each(|change| *signs.entry(change.sign).or_default() += 1);
            (model, before) = (next, after);
            seen += 1;
        }
        check(&first, &before);
        check(&before, &first);
    }
    assert!(seen >= 500);
    let missing: Vec<_> = Edit::ALL.iter().filter(|kind| !kinds.contains_key(kind)).collect();
    assert!(missing.is_empty(), "{missing:?} never happened: {kinds:?}");
    assert_eq!(signs.len(), 6, "{signs:?}");
}

#[test]
fn programs_that_have_nothing_to_do_with_each_other() {
    let mut dice = Dice::new(7);
    for _ in 0..30 {
        let (a, b) = (dice.below(1_000) as u64, dice.below(1_000) as u64);
        check(&plan(&program(a)), &plan(&program(b)));
    }
}

const PROGRAM: &str = r#"
gateway plant { timezone = "UTC" }
source press : simulator {
  scan = 500 ms, seed = 1
  tag flow at "1" : real m3/h
  tag hot at "2" : bool
  tag made at "3" : udint counter
  calc total = integral(flow)
  calc level = moving_avg(flow, 1 min) + delta(flow)
  alarm high when flow > 3 m3/h for 5 s { severity = high }
}
source line : modbus_tcp { address = "10.0.0.1:502" }
template Counter() {
  tag power at "40001" : real kW scale 0.1
  calc energy = integral(power)
}
device meter[01..40] : Counter() on line { unit_id = index }
sink erp : csv { path = "a", journal { keep = 7 d } }
sink lake : sqlite { path = "b", journal { keep = 14 d } }
sink pi : csv { path = "c" }
flow live = press -> where good(value) -> changes(heartbeat = 10 s) -> erp
flow hourly = press -> every 1 h by device { peak = max(flow) } -> erp
flow meters = meter[*] -> lake, pi
"#;

/// Sign, item, details and effect of everything that is shown, a line each; then hints and notes.
fn shown(edits: &[(&str, &str)]) -> String {
    let mut text = PROGRAM.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let changes = check(&plan_of(PROGRAM), &plan_of(&text));
    let mut out = String::new();
    for change in changes.changes.iter().filter(|change| change.sign != Sign::Follows) {
        let from = change.from.as_ref().map_or_else(String::new, |from| format!("{from} -> "));
        let details: Vec<String> = change.details.iter().map(ToString::to_string).collect();
        let (sign, item, effect) = (change.sign.symbol(), &change.item, change.effect.words.join("; "));
        out += &format!("{sign} {from}{item} | {} | {effect}\n", details.join(", "));
    }
    changes.hints.iter().for_each(|hint| out += &format!("{}: {}\n", hint.add, hint.why));
    changes.notes.iter().for_each(|note| out += &format!("{note}\n"));
    out
}

/// What one edit of the program shows.
fn says(edits: &[(&str, &str)], expected: &str) {
    let shown = shown(edits);
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&shown), lines(expected.trim()), "\n{shown}");
}

#[test]
fn sources_and_tags() {
    says(
        &[("scan = 500 ms", "scan = 250 ms"), ("  tag hot at \"2\" : bool\n", "")],
        r#"
        ~ flow/live | 1 tag removed | state kept
        ~ source/press | scan 500 ms -> 250 ms, 1 tag removed, scan class of 2 tags changed | reconnects, about 300 ms without samples
        ~ tag/press.flow | scan 500 ms -> 250 ms | `press` reconnects; state kept
        - tag/press.hot |  | no more samples
        ~ tag/press.made | scan 500 ms -> 250 ms | `press` reconnects; state kept
        "#,
    );
}

#[test]
fn scale_range_and_deadband_leave_the_connection_alone() {
    says(
        &[
            ("\"1\" : real m3/h", "\"1\" : real m3/h scale 0.5 range 0..5 m3/h desc \"feed\""),
            ("udint counter", "udint counter 0..99"),
        ],
        r#"
        ~ tag/press.flow | scale none -> 0.5, range none -> 0..5, description none -> "feed" | from its next sample on; state kept
        ~ tag/press.made | counter counter -> 0..99 | from its next sample on; state kept
        "#,
    );
}
#[test]
fn calcs_and_alarms() {
    says(
        &[("integral(flow)", "integral(flow) * 2"), ("moving_avg(flow, 1 min)", "moving_avg(flow, 2 min)")],
        "
        ~ calc/press.level | functions moving_avg(1 min), delta -> moving_avg(2 min), delta | functions that have changed begin anew, the others keep their state
        ~ calc/press.total | expression changed | state kept, counts from the next sample on
        ",
    );
    says(
        &[("> 3 m3/h for 5 s { severity = high }", "> 4 m3/h for 6 s { severity = low }")],
        "~ alarm/press.high | when flow > 3 m3/h for 5 s -> flow > 4 m3/h for 6 s, severity high -> low | the alarm stays as it is; a delay that runs counts from its beginning",
    );
}

#[test]
fn windows_and_stages() {
    let anew = "the window begins anew; its open row is dropped, the next one covers the time from the switch on only";
    says(
        &[("peak = max(flow) }", "peak = max(flow), least = min(flow) }")],
        &format!("! flow/hourly | column `least` added | {anew}"),
    );
    says(
        &[("every 1 h", "every 30 min")],
        &format!("! flow/hourly | window every 1 h in UTC -> every 30 min in UTC | {anew}"),
    );
    says(
        &[("\"UTC\"", "\"Europe/Berlin\"")],
        &format!(
            "! flow/hourly | window every 1 h in UTC -> every 1 h in Europe/Berlin | {anew}
            ~ gateway | timezone \"UTC\" -> \"Europe/Berlin\" | all sinks reconnect with their journals"
        ),
    );
    says(
        &[("every 1 h", "every 1 h revise 1 d")],
        "~ flow/hourly | revise 0 s -> 1 d | state kept; the row that is open is finished in the new way",
    );
    says(
        &[("where good(value) -> ", "")],
        "~ flow/live | `where good(value)` removed | stages begin anew: the next sample of each tag passes",
    );
    says(
        &[(
            "good(value) -> changes(heartbeat = 10 s) -> erp",
            "good(value) -> changes(heartbeat = 10 s) -> erp, lake",
        )],
        "~ flow/live | output `lake` added | state kept; begins at `lake`
        not computed for `lake` so far, so it begins anew there: `press.high`, `press.level`, `press.total`",
    );
}

#[test]
fn sinks_and_their_journals() {
    let renamed = ("sink pi : csv", "sink pi2 : csv");
    says(
        &[renamed, ("lake, pi", "lake, pi2")],
        "
        ~ flow/meters | output `pi2` added, output `pi` removed | begins at `pi2`
        - sink/pi |  | drains up to 7 d
        + sink/pi2 |  | begins with what comes and is computed from the switch on
        moved pi -> pi2: sink/pi and sink/pi2 deliver to the same place with the driver csv; to keep its journal
        ",
    );
    says(
        &[renamed, ("lake, pi", "lake, pi2"), ("flow live", "moved pi -> pi2\nflow live")],
        "> sink/pi -> sink/pi2 |  | reconnects; journal kept, what waits goes to the new place in order",
    );
    says(
        &[("path = \"a\"", "path = \"x\""), ("keep = 14 d", "keep = 15 d")],
        "
        ~ sink/erp | path \"a\" -> \"x\" | reconnects; journal kept, what waits goes to the new place in order
        ~ sink/lake | journal.keep 14 d -> 15 d | journal kept, no reconnect
        ",
    );
}

#[test]
fn names_that_change() {
    says(
        &[("press", "press1"), ("sink erp", "moved press -> press1\nsink erp")],
        "
        > alarm/press.high -> alarm/press1.high | message changed | the alarm stays as it is
        > calc/press.level -> calc/press1.level |  | state follows the name
        > calc/press.total -> calc/press1.total |  | state follows the name
        > source/press -> source/press1 |  | reconnects, about 300 ms without samples
        > tag/press.flow -> tag/press1.flow |  | state follows the name
        > tag/press.hot -> tag/press1.hot |  | state follows the name
        > tag/press.made -> tag/press1.made |  | state follows the name
        ",
    );
    let without_line = shown(&[("meter[", "energy[")]);
    let hint = "moved meter -> energy: the families meter and energy have the same addresses; to keep what was computed of it";
    assert_eq!(without_line.lines().last(), Some(hint));
    let with_line = shown(&[("meter[", "energy["), ("sink erp", "moved meter -> energy\nsink erp")]);
    let moved = with_line.lines().filter(|line| line.starts_with("> ")).count();
    assert_eq!(moved, 80, "{with_line}");
    assert!(
        with_line.contains("~ source/line | names changed | reconnects, about 300 ms without samples"),
        "{with_line}"
    );
}
