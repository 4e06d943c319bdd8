//! What windows, alarms and functions that remember become: operators, aggregates, columns with tags, routes of rows.

mod manifests;

use gwp_core::{Kind, TagId};
use gwp_plan::plan::{ALARM_COLUMNS, ROW_BUILT_IN, WINDOW_LOCALS};
use gwp_plan::{
    AggregateFunction, AlarmSeverity, BinaryOp, Calendar, Counter, Expr, Origin, Period, Plan, Route,
    StateFunction, Type, Window, WindowKind,
};
use manifests::{compiled, found, words};

const SECOND: i64 = 1_000_000_000;

fn plan(text: &str) -> Plan {
    let result = compiled(text);
    result.plan.clone().unwrap_or_else(|| panic!("{}", words(&result)))
}

fn path(plan: &Plan, tag: TagId) -> &str {
    &plan.tag(tag).expect("known").info.path
}

fn paths<'p>(plan: &'p Plan, tags: impl IntoIterator<Item = &'p TagId>) -> Vec<&'p str> {
    tags.into_iter().map(|tag| path(plan, *tag)).collect()
}

/// Routes of the only sink that belong to a flow.
fn routes<'p>(plan: &'p Plan, flow: &str) -> Vec<&'p Route> {
    plan.sinks[0].routes.iter().filter(|route| &*route.flow == flow).collect()
}

fn window<'p>(plan: &'p Plan, flow: &str) -> &'p Window {
    routes(plan, flow)[0].window.as_ref().expect("a window")
}

const HEAD: &str = r#"
gateway g { timezone = "Europe/Berlin" }
source s : simulator {
  tag power at "1" : real kW deadband 1 kW
  tag energy at "1" : udint kWh counter 0..65535
  tag lit at "1" : bool
}
template T(limit: real kW) {
  tag x at "1" : real kW
  tag e at "1" : udint Wh counter
  alarm overload when x > limit for 10 s { clear = x < limit / 2, clear_for = 1 min, severity = critical, message = "{device}: {x}" }
}
device m[1..2] : T(limit = 5 kW) on s
sink out : console { journal { full = drop_oldest } }
"#;

fn with(flows: &str) -> Plan {
    plan(&format!("{HEAD}{flows}\n"))
}

#[test]
fn locals_stand_in_the_order_of_the_plan() {
    let plan = with(
        "flow f = s -> every 1 min {\n  a = max(rate(energy))\n  b = avg(power)\n  c = a * length + b * 1 min\n}\
         -> out",
    );
    let instance = &window(&plan, "f").instances[0];
    let (operator, first) = (WINDOW_LOCALS as u32, WINDOW_LOCALS as u32 + 1);
    assert_eq!(instance.operators.len(), 1);
    let wrap = Some((0.0, 65_535.0));
    assert_eq!(instance.operators[0].function, StateFunction::Rate(Some(Counter { wrap })));
    assert_eq!(instance.aggregates.len(), 2);
    assert_eq!(instance.aggregates[0].arg, Expr::Local(operator, Type::Float));
    assert_eq!(instance.aggregates[1].function, AggregateFunction::Avg);
    assert_eq!(instance.columns[0].expr, Expr::Local(first, Type::Float));
    assert_eq!(instance.columns[1].expr, Expr::Local(first + 1, Type::Float));
    let mut locals = Vec::new();
    collect(&instance.columns[2].expr, &mut locals);
    assert_eq!(locals, [first + 2, 2, first + 3], "the columns above and the length");
}

fn collect(expr: &Expr, locals: &mut Vec<u32>) {
    match expr {
        Expr::Local(index, _) => locals.push(*index),
        Expr::Binary(_, a, b) => {
            collect(a, locals);
            collect(b, locals);
        }
        Expr::ToFloat(a) => collect(a, locals),
        _ => {}
    }
}

#[test]
fn rows_have_tags_of_their_own() {
    let plan = with(
        "flow hourly = m[*] -> every 1 h wait 2 min revise 7 d min_coverage 95 % by device as h { kwh : real kWh = increase(e) } -> out",
    );
    let window = window(&plan, "hourly");
    assert_eq!((&*window.name, window.wait_ns, window.min_coverage), ("h", 120 * SECOND, 0.95));
    assert_eq!(window.revise_ns, 7 * 86_400 * SECOND);
    let devices: Vec<&str> = window.instances.iter().map(|instance| &*instance.device).collect();
    assert_eq!(devices, ["m1", "m2"]);
    let second = &window.instances[1];
    assert_eq!(paths(&plan, &second.tags), ["m2.e"], "only what it reads");
    assert_eq!(
        paths(&plan, &second.built_in),
        ["m2.h.start", "m2.h.end", "m2.h.length", "m2.h.device", "m2.h.coverage", "m2.h.revision"]
    );
    let column = plan.tag(second.columns[0].tag).expect("known");
    assert_eq!((&*column.info.path, &*column.info.unit, &*column.info.row), ("m2.h.kwh", "kWh", "h"));
    assert_eq!((&*column.info.device, &*column.info.tag), ("m2", "kwh"));
    assert_eq!((column.kind, &column.origin), (Kind::Float, &Origin::Column));
    let kinds = second.built_in.map(|tag| plan.tag(tag).expect("known").kind);
    assert_eq!(kinds, [Kind::Time, Kind::Time, Kind::Float, Kind::Text, Kind::Float, Kind::Int]);
    assert_eq!(paths(&plan, &routes(&plan, "hourly")[0].tags), ["m1.e", "m2.e"]);
    assert!(plan.tags.is_sorted_by(|a, b| a.info.path < b.info.path), "columns stand among the other tags");
}

#[test]
fn tags_keep_their_meaning_when_columns_move_them() {
    let text = "flow a = s -> where value > 2 kW or good(m1.x) -> changes(deadband = 500 W) -> out";
    let without = plan(&format!("{HEAD}{}\n", text.replace("s ->", "s.power ->")));
    let with = with(&format!(
        "{}\nflow b = m[*] -> every 1 s by device {{ a = avg(x) }} -> out",
        text.replace("s ->", "s.power ->")
    ));
    let tell = |plan: &Plan| {
        let route = routes(plan, "a")[0];
        let mut read = Vec::new();
        let bands: Vec<(String, f64)> = route
            .stages
            .iter()
            .flat_map(|stage| match stage {
                gwp_plan::Stage::Changes { deadband, .. } | gwp_plan::Stage::Deadband(deadband) => {
                    deadband.iter().map(|(tag, band)| (path(plan, *tag).to_owned(), *band)).collect()
                }
                gwp_plan::Stage::Where(condition) => {
                    condition.for_each_tag(&mut |tag| read.push(path(plan, tag).to_owned()));
                    Vec::new()
                }
                gwp_plan::Stage::Sample { .. } => Vec::new(),
            })
            .collect();
        let calcs: Vec<(String, Vec<String>)> = plan
            .calcs
            .iter()
            .map(|calc| {
                let mut tags = Vec::new();
                calc.for_each_expr(&mut |expr| {
                    expr.for_each_tag(&mut |tag| tags.push(path(plan, tag).to_owned()));
                });
                (path(plan, calc.tag).to_owned(), tags)
            })
            .collect();
        let groups: Vec<Vec<String>> = plan
            .groups
            .iter()
            .map(|group| group.tags.iter().map(|tag| path(plan, *tag).to_owned()).collect())
            .collect();
        let connected = path(plan, plan.sources[0].connected).to_owned();
        (paths(plan, &route.tags).join(" "), bands, read, calcs, groups, connected)
    };
    assert_eq!(tell(&without), tell(&with));
    assert_ne!(without.tags.len(), with.tags.len());
}

#[test]
fn windows_follow_the_calendar() {
    let every = |words: &str| {
        let plan = with(&format!("flow f = s -> every {words} {{ a = avg(power) }} -> out"));
        match window(&plan, "f").kind.clone() {
            WindowKind::Every { calendar, over_ns } => (calendar, over_ns),
            other => panic!("{other:?}"),
        }
    };
    let calendar = |period, at_min| Calendar { period, at_min, timezone: "Europe/Berlin".into() };
    assert_eq!(every("10 s"), (calendar(Period::Time(10 * SECOND), 0), None));
    assert_eq!(every("8 h at 06:00"), (calendar(Period::Time(8 * 3_600 * SECOND), 360), None));
    assert_eq!(every("8 h at 14:00"), every("8 h at 06:00"), "the same grid is the same plan");
    assert_eq!(every("1 h at 06:15"), every("1 h at 00:15"));
    assert_eq!(
        every("24 h at 06:00"),
        (calendar(Period::Days(1), 360), None),
        "a day may have 23 or 25 hours"
    );
    assert_eq!(every("7 d"), (calendar(Period::Days(7), 0), None));
    assert_eq!(every("3 months"), (calendar(Period::Months(3), 0), None));
    assert_eq!(every("10 s over 5 min").1, Some(300 * SECOND));
    assert_eq!(every("10 s over 10 s").1, None);
    assert_eq!(&*every("1 h in \"America/New_York\"").0.timezone, "America/New_York");
}

#[test]
fn rows_of_one_device_carry_its_name_and_those_of_several_that_of_the_flow() {
    let device = |flows: &str| window(&with(flows), "f").instances[0].device.to_string();
    assert_eq!(device("flow f = s -> every 1 h { a = avg(power) } -> out"), "s");
    assert_eq!(device("flow f = m[*] -> every 1 h { a = avg(sum_of(m[*].x)) } -> out"), "f");
}

#[test]
fn conditions_of_windows_may_remember() {
    let plan = with("flow f = s -> while on_delay(lit, 10 s) and not (power > 5 kW) { a = length } -> out");
    let instance = &window(&plan, "f").instances[0];
    assert_eq!(instance.operators[0].function, StateFunction::OnDelay { delay_ns: 10 * SECOND });
    let Some(Expr::Binary(BinaryOp::And, left, _)) = &instance.condition else { panic!("{instance:?}") };
    assert_eq!(**left, Expr::Local(WINDOW_LOCALS as u32, Type::Bool));
    assert_eq!(paths(&plan, &instance.tags), ["s.lit", "s.power"]);
    assert_eq!(window(&plan, "f").kind, WindowKind::While);
}

#[test]
fn conditions_on_rows_read_columns() {
    let plan = with(
        "flow f = m[*] -> every 1 h by device { peak = max(x) } -> changes() -> sample(10 s) -> where length > 1 min \
         -> rename(\"{device}_{index}_{tag}\") -> split {\n  when peak > 5000 W and device != \"m2\" -> out\n  else -> drop\n}",
    );
    let route = routes(&plan, "f")[0];
    assert!(route.stages.is_empty(), "stages on samples let rows pass: {:?}", route.stages);
    let read: Vec<Vec<u32>> = route
        .row_conditions
        .iter()
        .map(|condition| {
            let mut locals = Vec::new();
            collect(condition, &mut locals);
            locals
        })
        .collect();
    assert_eq!(read, [vec![2], vec![ROW_BUILT_IN as u32, 3]]);
    let names: Vec<&str> = route.names.values().map(|name| &**name).collect();
    assert_eq!(names.len(), 2 * (ROW_BUILT_IN + 1));
    assert!(names.contains(&"m2_2_peak") && names.contains(&"m1_1_start"), "{names:?}");
}

#[test]
fn a_named_stream_of_rows_flows_on() {
    let plan = with(
        "flow a = m[*].x -> where value > 1 kW -> every 1 h by device { peak = max(x) }\n\
         flow b = a -> where peak > 5 kW -> out\nflow c = a -> out",
    );
    let (b, c) = (routes(&plan, "b")[0], routes(&plan, "c")[0]);
    assert_eq!(b.window, c.window, "one window, used twice");
    assert_eq!((b.row_conditions.len(), c.row_conditions.len()), (1, 0));
    assert_eq!(&*b.window.as_ref().expect("a window").name, "a");
    let summary = plan.flows.iter().find(|flow| &*flow.name == "a").expect("there");
    assert_eq!(&*summary.stages[1], "every 1 h by device { peak = max(x) }");
}

#[test]
fn tags_that_came_the_same_way_share_a_window() {
    let plan = with(
        "flow clean = s.power\nflow f = clean, s.energy -> every 1 h { a = avg(power), b = increase(energy) } -> out",
    );
    let route = routes(&plan, "f");
    assert_eq!(route.len(), 1);
    assert_eq!(paths(&plan, &route[0].tags), ["s.energy", "s.power"]);
    assert!(route[0].stages.is_empty(), "a window folds what was read, not what a deadband let pass");
}

#[test]
fn an_alarm_is_a_condition_a_tag_and_its_columns() {
    let plan = with("flow f = m[*], *.alarms -> out");
    let calc = plan.calcs.iter().find(|calc| path(&plan, calc.tag) == "m2.overload").expect("there");
    let alarm = calc.alarm.as_ref().expect("an alarm");
    assert_eq!((alarm.on_delay_ns, alarm.off_delay_ns), (10 * SECOND, 60 * SECOND));
    assert_eq!(alarm.severity, AlarmSeverity::Critical);
    assert!(matches!(&alarm.clear, Some(Expr::Binary(BinaryOp::Lt, ..))));
    assert_eq!(
        paths(&plan, &alarm.columns),
        ["alarm", "event", "severity", "message", "state", "operator"]
            .map(|name| format!("m2.alarms.{name}"))
    );
    let Expr::Call(_, parts) = &alarm.message else { panic!("{:?}", alarm.message) };
    assert_eq!(parts[0], Expr::Const(gwp_core::Value::Text("m2".into())));
    let severity = plan.tag(alarm.columns[2]).expect("known");
    assert_eq!(
        (severity.kind, &severity.origin, &*severity.info.row),
        (Kind::Int, &Origin::Column, "alarms")
    );
    let labels: Vec<(i64, &str)> = severity.info.labels.iter().map(|(raw, label)| (*raw, &**label)).collect();
    assert_eq!(labels, [(1, "low"), (2, "medium"), (3, "high"), (4, "critical")]);
    let tag = plan.tag(calc.tag).expect("known");
    assert_eq!((tag.kind, &tag.origin), (Kind::Bool, &Origin::Calc));
    assert_eq!(&*tag.info.desc, "alarm when x > limit for 10 s");
    let [samples, events] = routes(&plan, "f")[..] else { panic!("samples and events go separate ways") };
    assert_eq!(
        paths(&plan, &samples.tags),
        ["m1.e", "m1.overload", "m1.x", "m2.e", "m2.overload", "m2.x"],
        "a device includes its alarms, not their events"
    );
    assert_eq!(events.tags.len(), 2 * ALARM_COLUMNS);
    let plain = self::plan("source s : simulator {\n  tag a at \"1\" : bool\n  alarm hot when a\n}\n");
    let alarm = plain.calcs[0].alarm.clone().expect("an alarm");
    assert_eq!(alarm.message, Expr::Const(gwp_core::Value::Text("s: hot".into())));
    assert_eq!((alarm.severity, alarm.clear), (AlarmSeverity::Medium, None));
}

#[test]
fn operators_stand_in_the_order_of_evaluation() {
    let plan = plan(
        "source s : simulator {\n  tag a at \"1\" : real kW\n  tag b at \"1\" : bool\n  \
         calc c = smooth(rate(a), 10 s) + delta(rate(a))\n  calc d = latch(rising(b), on_delay(not b, 5 s))\n}\n",
    );
    let functions = |at: usize| -> Vec<&StateFunction> {
        plan.calcs[at].operators.iter().map(|operator| &operator.function).collect()
    };
    let c = functions(0);
    assert!(matches!(
        c[..],
        [
            StateFunction::Rate(None),
            StateFunction::Smooth { tau_ns: 10_000_000_000 },
            StateFunction::Rate(None),
            StateFunction::Delta(None)
        ]
    ));
    assert_eq!(plan.calcs[0].operators[1].args, [Expr::Local(0, Type::Float)]);
    assert_eq!(plan.calcs[0].operators[3].args, [Expr::Local(2, Type::Float)]);
    let d = functions(1);
    assert!(matches!(d[..], [StateFunction::Rising, StateFunction::OnDelay { .. }, StateFunction::Latch]));
    assert_eq!(plan.calcs[1].operators[2].args, [Expr::Local(0, Type::Bool), Expr::Local(1, Type::Bool)]);
    assert_eq!(plan.calcs[1].expr, Expr::Local(2, Type::Bool));
}

#[test]
fn a_loop_over_the_previous_value_reads_it_directly() {
    let plan = plan(
        "source s : simulator {\n  tag a at \"1\" : real kW\n  calc x : real kW = (previous(y) otherwise 0 kW) + a\n  \
         calc y : real kW = x / 2\n  calc z = previous(y)\n}\n",
    );
    let order = paths(&plan, plan.calcs.iter().map(|calc| &calc.tag));
    assert_eq!(order, ["s.x", "s.y", "s.z"]);
    assert!(plan.calcs[0].operators.is_empty(), "y is computed later: what it has now is its previous value");
    let y = plan.calcs[1].tag;
    let mut reads = Vec::new();
    plan.calcs[0].expr.for_each_tag(&mut |tag| reads.push(tag));
    assert!(reads.contains(&y));
    assert_eq!(plan.calcs[2].operators[0].function, StateFunction::Previous, "y is computed before");
}

#[test]
fn the_same_meaning_gives_the_same_plan() {
    let text = "flow a = m[*] -> every 1 h by device { peak = max(x) } -> out\nflow b = *.alarms -> where severity >= \"high\" -> out\n";
    let (first, second) = text.split_once('\n').expect("two lines");
    let other = format!("{second}// moved\n{first}\n");
    assert_eq!(with(text).id(), with(&other).id());
    assert_ne!(with(text).id(), with(&text.replace("max", "min")).id());
    let bytes = with(text).to_bytes();
    assert_eq!(Plan::from_bytes(&bytes).expect("readable"), with(text));
}

#[test]
fn every_bound_has_its_diagnostic() {
    let columns: String = (0..201).map(|n| format!("  c{n} = avg(power)\n")).collect();
    let text = format!("{HEAD}flow f = s -> every 1 h {{\n{columns}}} -> out\n");
    assert_eq!(found(&compiled(&text)), [(216, "E199")]);
    let many = |columns: usize| {
        let columns: String = (0..columns).map(|n| format!("  c{n} = avg(x)\n")).collect();
        format!(
            "source s : simulator {{ }}\ntemplate T() {{\n  tag x at \"1\" : real\n}}\ndevice m[1..10000] : T() on s\n\
             sink out : console {{ journal {{ full = drop_oldest }} }}\nflow f = m[*] -> every 1 h by device {{\n{columns}}} -> out\n"
        )
    };
    assert_eq!(found(&compiled(&many(110))), [(7, "E199")], "1,160,000 columns");
    let operators = "source s : simulator { }\ntemplate T() {\n  tag x at \"1\" : real\n}\ndevice m[1..9000] : T() on s\n\
                     device d {\n";
    let calcs: String = (0..25).map(|n| format!("  calc c{n:02} = sum_of(rate(m[*].x))\n")).collect();
    let result = compiled(&format!("{operators}{calcs}}}\n"));
    let codes: Vec<&str> = found(&result).into_iter().map(|(_, code)| code).collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == "E199"), "{}", words(&result));
}
