//! What a program becomes: canonical, sorted, complete.

mod manifests;

use std::sync::Arc;

use gwp_core::manifest::{Place, SettingError, SettingValue, Standby};
use gwp_core::{Kind, TagId};
use gwp_plan::{BadPolicy, FullPolicy, KeyPart, OnDisconnect, Origin, Plan, Stage};
use manifests::{compiled, found, words};

fn plan(text: &str) -> Plan {
    let result = compiled(text);
    result.plan.clone().unwrap_or_else(|| panic!("{}", words(&result)))
}

fn path(plan: &Plan, tag: TagId) -> &str {
    &plan.tag(tag).expect("known").info.path
}

const PROGRAM: &str = r#"
gateway g { timezone = "Europe/Berlin" }
const limit = 5 kW
template T(k: int) {
  tag p at "a{k}" : int kW scale 0.1 deadband 0.5 kW range 0..50 kW
  tag s at "s{k}" : int enum { 1 = "on", 0 = "off" } scan 5 s desc "State of {k}"
  calc high = p > limit
}
source src : modbus_tcp { address = "h:502", scan = 500 ms, late = 2 s, on_disconnect = mark_bad }
device m[1..3 except 2] : T(k = index * 10) on src { unit_id = index }
device site { calc b : real kW = a * 2
  calc a : real kW = sum_of(m[*].p) }
sink out : csv { path = "x/{date}.csv", bad = skip, key = [path, time], journal { capacity = 2 GB, full = block } }
flow f priority high = m[*], site -> where good(value) -> out
"#;

#[test]
fn everything_arrives_in_the_plan() {
    let plan = plan(PROGRAM);
    let paths: Vec<&str> = plan.tags.iter().map(|tag| &*tag.info.path).collect();
    assert_eq!(
        paths,
        ["m1.high", "m1.p", "m1.s", "m3.high", "m3.p", "m3.s", "site.a", "site.b", "src.connected"]
    );
    let tag = |at: usize| &plan.tags[at];
    assert_eq!(
        tag(4).origin,
        Origin::Point { address: "a30".into(), plc_type: gwp_core::source::PlcType::Int }
    );
    assert_eq!((tag(1).kind, tag(2).kind, tag(0).kind), (Kind::Float, Kind::Int, Kind::Bool));
    assert_eq!((tag(1).deadband, tag(1).range, &*tag(1).info.unit), (Some(0.5), Some((0.0, 50.0)), "kW"));
    assert_eq!(tag(1).scale.map(|scale| (scale.gain, scale.offset)), Some((0.1, 0.0)));
    assert_eq!(&*tag(5).info.desc, "State of 30");
    assert_eq!(tag(2).info.labels[..], [(0, Arc::from("off")), (1, Arc::from("on"))]);
    assert_eq!(tag(8).origin, Origin::Connected { source: 0 });
    let calcs: Vec<&str> = plan.calcs.iter().map(|calc| path(&plan, calc.tag)).collect();
    assert_eq!(calcs, ["m1.high", "m3.high", "site.a", "site.b"], "a calc stands after what it reads");
}

#[test]
fn poll_groups_are_classes_of_devices() {
    let plan = plan(PROGRAM);
    let groups: Vec<_> = plan
        .groups
        .iter()
        .map(|group| {
            let tags: Vec<&str> = group.tags.iter().map(|tag| path(&plan, *tag)).collect();
            (&*group.device, group.period_ns / 1_000_000, group.phase_ns / 1_000_000, tags)
        })
        .collect();
    assert_eq!(
        groups,
        [
            ("m1", 500, 0, vec!["m1.p"]),
            ("m1", 5_000, 250, vec!["m1.s"]),
            ("m3", 500, 0, vec!["m3.p"]),
            ("m3", 5_000, 250, vec!["m3.s"]),
        ]
    );
    assert_eq!(plan.groups[3].device_settings.int("unit_id"), Some(3));
    let many = |n: usize| (0..n).map(|i| format!("  tag t{i:05} at \"1\" : real\n")).collect::<String>();
    let large = self::plan(&format!("source s : simulator {{\n{}}}", many(2_500)));
    assert_eq!(large.groups.iter().map(|group| group.tags.len()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    let pushed = self::plan("source s : reporter {\n  tag a at \"1\" : real scan 1 s\n}");
    assert_eq!((pushed.groups[0].period_ns, pushed.sources[0].standby), (0, Standby::Transfer));
}

#[test]
fn settings_have_their_defaults_and_references_stay_open() {
    let plan = plan(PROGRAM);
    let source = &plan.sources[0];
    assert_eq!((source.late_ns, source.on_disconnect), (2_000_000_000, OnDisconnect::MarkBad));
    let held = self::plan("source r : reporter { on_disconnect = hold(4 h) }");
    assert_eq!(held.sources[0].on_disconnect, OnDisconnect::Hold(14_400_000_000_000));
    assert_eq!(source.standby, Standby::Warm);
    assert_eq!(source.settings.text("words"), Some("high_first"));
    assert_eq!(source.settings.duration_ns("timeout"), Some(1_000_000_000));
    assert_eq!(source.settings.float("ratio"), Some(0.5));
    assert!(source.settings.get("reconnect").is_none(), "an optional block that is not written is absent");
    let sink = &plan.sinks[0];
    assert_eq!(
        (sink.bad, sink.journal.full, sink.journal.capacity_bytes),
        (BadPolicy::Skip, FullPolicy::Block, 2_000_000_000)
    );
    assert_eq!(sink.key, [KeyPart::Path, KeyPart::Time]);
    assert_eq!(sink.settings.text("path"), Some("x/{date}.csv"), "words for the component stay");
    assert_eq!(sink.settings.bytes("size"), Some(100_000));
    assert_eq!(plan.gateway.settings.duration_ns("takeover"), Some(2_000_000_000));
    assert_eq!(plan.gateway.settings.text("failback"), Some("manual"));
    let open = self::plan(
        "source s : modbus_tcp { address = node(\"plc\"), unit_id = node(\"unit\") }\n\
         sink c : csv { path = secret(\"p\"), password = secret(\"w\") }",
    );
    assert_eq!(open.sources[0].settings.get("unit_id"), Some(&SettingValue::NodeRef("unit".into())));
    assert_eq!(open.sinks[0].settings.get("password"), Some(&SettingValue::SecretRef("w".into())));
}

#[test]
fn routes_follow_every_way_to_a_sink() {
    let text = r#"
source s : simulator {
  tag a at "1" : real kW deadband 1 kW
  tag b at "1" : real kW
}
sink x : console { }
sink y : console { }
flow clean = s except s.b -> sample(5 s)
flow f = clean, s.b -> changes(deadband = 500 W) -> rename("n_{tag}") -> split {
  when value > 5 kW -> x, y
  else -> y
}
"#;
    let plan = plan(text);
    assert_eq!(plan.sinks[0].routes.len(), 2, "the stream and the tag, first branch");
    assert_eq!(plan.sinks[1].routes.len(), 4);
    let ways: Vec<_> =
        plan.sinks[0].routes.iter().map(|route| (&*route.flow, path(&plan, route.tags[0]))).collect();
    assert_eq!(ways, [("f", "s.b"), ("f", "s.a")]);
    let stream = &plan.sinks[0].routes[1];
    let kinds: Vec<_> = stream
        .stages
        .iter()
        .map(|stage| match stage {
            Stage::Deadband(bands) => format!("deadband {:?}", bands.values().collect::<Vec<_>>()),
            Stage::Sample { period_ns } => format!("sample {period_ns}"),
            Stage::Changes { deadband, .. } => format!("changes {:?}", deadband.values().collect::<Vec<_>>()),
            Stage::Where(_) => "where".to_owned(),
        })
        .collect();
    assert_eq!(kinds, ["deadband [1.0]", "sample 5000000000", "changes [0.5]", "where"]);
    assert_eq!(stream.names.values().map(|name| &**name).collect::<Vec<_>>(), ["n_a"]);
    let summary: Vec<_> =
        plan.flows.iter().map(|flow| (&*flow.name, flow.outputs.len(), flow.inputs.len())).collect();
    assert_eq!(summary, [("clean", 1, 1), ("f", 2, 2)]);
    assert_eq!(&*plan.flows[1].stages[2], "split { when value > 5 kW -> x, y; else -> y }");
}

#[test]
fn a_branch_takes_what_none_before_it_took_bad_conditions_included() {
    use gwp_core::{Batch, Column, Fact, GroupId, Position, Qualities, Quality, Record, Timestamp, Value};
    let text = "source s : simulator {\n  tag a at \"1\" : real kW\n}\nsink x : console { }\nsink y : console { }\n\
                flow f = s -> split {\n  when value > 5 kW -> x\n  else -> y\n}\n";
    let plan = Arc::new(plan(text));
    let tag = plan.tag_ids()["s.a"];
    let count = |sink: usize, value: Value, quality: Quality| {
        let mut lane = gwp_plan::Lane::new(plan.clone(), sink);
        let mut column = Column::new();
        column.push(value);
        let mut batch = Batch::uniform(GroupId(0), [tag].into(), Timestamp(1), column);
        batch.qualities = Qualities::Same(quality);
        let slot = gwp_core::record::SlotMark { number: 1, skipped: 0 };
        let record =
            Record { position: Position::default(), fact: Fact::Samples { slot, batch: Arc::new(batch) } };
        let mut out = Vec::new();
        lane.step(&record, &mut out);
        out.len()
    };
    let both = |value: f64, quality| [0, 1].map(|sink| count(sink, Value::Float(value), quality));
    assert_eq!(both(6.0, Quality::GOOD), [1, 0]);
    assert_eq!(both(5.0, Quality::GOOD), [0, 1]);
    assert_eq!(both(6.0, Quality::COMM_LOST), [0, 1]);
}

#[test]
fn the_same_meaning_gives_the_same_plan() {
    let id = |text: &str| plan(text).id();
    let original = id(PROGRAM);
    let commented = PROGRAM.replace('\n', " // comment\n\n");
    let mut items: Vec<&str> = PROGRAM.split_inclusive("}\n").collect();
    items.reverse();
    let other_spelling = PROGRAM.replace("5 kW\ntemplate", "5000W\ntemplate").replace("500 ms", "0.5 s");
    assert_eq!(id(&commented), original);
    assert_eq!(id(&PROGRAM.replace("  ", "      ")), original);
    assert_eq!(id(&other_spelling), original);
    let moved = {
        let (head, tail) = PROGRAM.split_once("source src").expect("there");
        let gateway_last = head.replace("gateway g { timezone = \"Europe/Berlin\" }\n", "");
        format!("source src{tail}{gateway_last}gateway g {{ timezone = \"Europe/Berlin\" }}\n")
    };
    assert_eq!(id(&moved), original);
    assert_ne!(id(&PROGRAM.replace("index * 10", "index * 11")), original);
    assert_ne!(id(&PROGRAM.replace("bad = skip", "bad = send")), original);
    let bytes = plan(PROGRAM).to_bytes();
    assert_eq!(Plan::from_bytes(&bytes).expect("readable").id(), original);
}

#[test]
fn what_a_driver_says_is_shown_where_it_was_written() {
    let result = compiled(PROGRAM);
    let plan = result.plan.as_ref().expect("a plan");
    let declaration = plan.source_declaration(0).expect("declared");
    assert_eq!(&*declaration.groups[0].points[0].address, "a10");
    let error = |place, code| SettingError { place, code, message: "m".into(), help: "h".into() };
    let errors = [
        error(Place::Address { group: 0, point: 0 }, Some("E401")),
        error(Place::Address { group: 2, point: 0 }, Some("E401")),
        error(Place::Type { group: 0, point: 0 }, None),
        error(Place::Setting("address"), None),
        error(Place::DeviceSetting { group: 0, name: "unit_id" }, None),
        error(Place::Item, None),
        error(Place::Address { group: 99, point: 99 }, Some("E999")),
    ];
    let shown: Vec<_> = result
        .places
        .source_errors(plan, 0, &errors)
        .iter()
        .map(|found| (found.code, result.sources.text(found.span).to_owned()))
        .collect();
    let expected = [
        ("E401", "\"a{k}\""),
        ("E402", "int kW"),
        ("E402", "src"),
        ("E402", "address = \"h:502\""),
        ("E402", "unit_id = index"),
    ];
    assert_eq!(shown, expected.map(|(code, text)| (code, text.to_owned())));
    let sink = result.places.sink_errors(0, &[error(Place::Setting("path"), None)]);
    assert_eq!(result.sources.text(sink[0].span), "path = \"x/{date}.csv\"");
}

#[test]
fn templates_are_checked_even_if_no_device_uses_them() {
    let unused = compiled(
        "template T(a: real kW, b: string = \"x\") {\n  tag t at \"{b}\" : real kW\n  calc c = t + a\n  calc d = t + 5\n}\n",
    );
    assert_eq!(found(&unused), [(4, "E202")]);
    let plan = plan("template T(a: real kW) {\n  tag t at \"1\" : real kW\n  calc c = t + a\n}\n");
    assert!(plan.tags.is_empty() && plan.calcs.is_empty(), "it makes nothing");
}

#[test]
fn long_chains_and_wide_expressions_do_not_overflow() {
    let chain: String = (1..20_000).map(|n| format!("  calc c{n:05} = c{:05} + 1\n", n - 1)).collect();
    let result = compiled(&format!("device d {{\n  calc c00000 = 1\n{chain}}}\n"));
    assert_eq!(result.plan.expect("a plan").calcs.len(), 20_000);
    let wide = |n: usize| {
        format!("source s : simulator {{\n  tag a at \"1\" : real\n  calc w = a{}\n}}\n", " + a".repeat(n))
    };
    let plan = plan(&wide(250));
    assert_eq!(Plan::from_bytes(&plan.to_bytes()).expect("readable"), plan);
    assert_eq!(found(&compiled(&wide(300))), [(3, "E022")]);
    let nots = format!("device d {{\n  calc w = {}true\n}}\n", "not ".repeat(500));
    assert!(compiled(&nots).plan.is_some());
    let uses: String = (0..500).map(|n| format!("const k{n} = k{} + 1\n", n + 1)).collect();
    assert!(compiled(&format!("{uses}const k500 = 1\n")).plan.is_some());
}

#[test]
fn what_unfolds_is_bounded() {
    let stream = |n: usize| {
        let flows: String =
            (1..n).map(|n| format!("flow f{n} = f{}, f{} -> where good(value)\n", n - 1, n - 1)).collect();
        format!(
            "source s : simulator {{\n  tag a at \"1\" : real\n}}\nsink o : console {{ }}\nflow f0 = s, s -> where good(value)\n{flows}flow out = f{} -> o\n",
            n - 1
        )
    };
    assert!(compiled(&stream(50)).plan.is_some(), "a stream taken twice is taken once");
    let doubling = |n: usize| {
        let flows: String = (1..n)
            .map(|n| {
                format!(
                    "flow a{n} = a{}, b{} -> where good(value)\nflow b{n} = a{}, b{} -> sample(1 s)\n",
                    n - 1,
                    n - 1,
                    n - 1,
                    n - 1
                )
            })
            .collect();
        format!(
            "source s : simulator {{\n  tag a at \"1\" : real\n}}\nsink o : console {{ }}\nflow a0 = s -> where good(value)\nflow b0 = s -> sample(1 s)\n{flows}flow out = a{}, b{} -> o\n",
            n - 1,
            n - 1
        )
    };
    assert!(compiled(&doubling(6)).plan.is_some());
    let result = compiled(&doubling(40));
    assert!(result.diagnostics.iter().any(|found| found.code == "E199"), "{}", words(&result));
    let sums: String = (0..2_000).map(|n| format!("  calc s{n} = sum_of(m[*].a)\n")).collect();
    let text = format!(
        "source s : simulator {{ }}\ntemplate T() {{\n  tag a at \"1\" : real\n}}\ndevice m[1..9000] : T() on s\ndevice d {{\n{sums}}}\n"
    );
    let result = compiled(&text);
    assert!(result.diagnostics.iter().any(|found| found.code == "E199"), "{}", result.diagnostics.len());
}

#[test]
fn drivers_can_check_what_is_right_in_a_program_with_errors() {
    let text = "source a : modbus_tcp { address = \"h\"\n  tag x at \"bad one\" : real Kw\n  tag z at \"{nothing}\" : real\n}\n\
                source b : modbus_tcp {\n  tag y at \"1\" : real\n}\nsink s : csv { path = \"p\" }\nsink t : csv { pth = \"p\" }\n\
                flow f = a, b -> s, t\n";
    let result = compiled(text);
    assert_eq!(
        found(&result),
        [(2, "E201"), (3, "E101"), (5, "E406"), (8, "N701"), (9, "N701"), (9, "E402")]
    );
    assert!(result.plan.is_none());
    let draft = result.draft.as_ref().expect("a draft");
    let names: Vec<_> = draft
        .sources
        .iter()
        .map(|source| &*source.name)
        .chain(draft.sinks.iter().map(|s| &*s.name))
        .collect();
    assert_eq!(names, ["a", "b", "s", "t"]);
    let unresolved =
        |settings: &gwp_core::Settings| settings.is_unresolved("address") || settings.is_unresolved("path");
    let of_sources = draft.sources.iter().map(|source| unresolved(&source.settings));
    let known = of_sources.chain(draft.sinks.iter().map(|sink| unresolved(&sink.settings)));
    assert_eq!(
        known.collect::<Vec<_>>(),
        [false, true, false, true],
        "settings in error read as not known yet"
    );
    let declaration = draft.source_declaration(0).expect("declared");
    assert_eq!(declaration.groups[0].points.len(), 1, "the tag without an address is left out");
    let wrong = SettingError {
        place: Place::Address { group: 0, point: 0 },
        code: Some("E401"),
        message: "no address".into(),
        help: String::new(),
    };
    let shown = result.places.source_errors(draft, 0, &[wrong]);
    assert_eq!(result.sources.text(shown[0].span), "\"bad one\"");
}

#[test]
fn values_of_a_node_are_read_as_settings() {
    use gwp_core::manifest::{Need, Setting, SettingKind};
    let read = |kind: SettingKind, text: &str| {
        gwp_compile::setting_from_text(&Setting { name: "x", kind, need: Need::Optional, doc: "" }, text)
    };
    let number = || SettingKind::Int { min: 0, max: 247 };
    assert_eq!(read(number(), "17"), Ok(SettingValue::Int(17)));
    assert_eq!(read(SettingKind::Text, "5 }"), Ok(SettingValue::Text("5 }".into())));
    assert_eq!(read(SettingKind::Bool, "true"), Ok(SettingValue::Bool(true)));
    assert_eq!(read(SettingKind::Choice(&["even", "odd"]), "odd"), Ok(SettingValue::Text("odd".into())));
    let time = || SettingKind::Duration { min_ms: 10, max_ms: 60_000 };
    assert_eq!(read(time(), "250 ms"), Ok(SettingValue::Duration(250_000_000)));
    assert_eq!(read(number(), "300").unwrap_err(), "`300` does not do: `x` goes from 0 to 247");
    for (kind, text) in [
        (number(), ""),
        (number(), "17 }"),
        (number(), "1, y = 2"),
        (number(), "1\n}\nsink b : c {"),
        (number(), "node(\"y\")"),
        (number(), "seventeen"),
        (time(), "5"),
        (SettingKind::Choice(&["even", "odd"]), "none"),
        (SettingKind::TextList, "17"),
    ] {
        assert!(read(kind, text).is_err(), "{text}");
    }
}

#[test]
fn unsigned_integers_of_64_bits_keep_their_kind() {
    let plan = plan(
        "source s : simulator {\n  tag a at \"1\" : ulint\n  tag b at \"1\" : lword scale 0.1\n  calc c = a + 1\n}\n",
    );
    let kinds: Vec<_> = plan.tags.iter().map(|tag| tag.kind).collect();
    assert_eq!(kinds, [Kind::UInt, Kind::Float, Kind::Int, Kind::Bool]);
}

#[test]
fn a_place_goes_before_names_at_destinations_only() {
    let text = r#"
template T(hall: int) { tag p at "a" : real kW
  alarm high when p > 5 kW }
source src : modbus_tcp { address = "h:502" }
device m[1..2] : T(hall = index * 10) on src { unit_id = index, path = "site/hall {hall}" }
device free : T(hall = 1) on src { unit_id = 9 }
device sums { path = "site"
  calc all = sum_of(m[*].p) }
sink out : csv { path = "x.csv", bad = null }
flow raw = m[*].p, free.p, sums -> out
flow named = m[*].p -> rename("{place}/{device}/{tag}") -> out
flow rows = m[*].p -> every 1 h by device { mean = avg(p) } -> out
flow events = m1.alarms -> out
"#;
    let with = plan(text);
    let names = |flow: &str| -> Vec<String> {
        let routes = with.sinks[0].routes.iter().filter(|route| &*route.flow == flow);
        routes.flat_map(|route| route.names.values().map(ToString::to_string)).collect()
    };
    assert_eq!(names("raw"), ["site/hall 10/m1.p", "site/hall 20/m2.p", "site/sums.all"]);
    assert_eq!(names("named"), ["site/hall 10/m1/p", "site/hall 20/m2/p"]);
    assert!(names("rows").contains(&"site/hall 20/m2.rows.mean".into()), "{:?}", names("rows"));
    assert!(names("events").contains(&"site/hall 10/m1.alarms.event".into()), "{:?}", names("events"));

    let mut without = plan(
        &text
            .replace(", path = \"site/hall {hall}\"", "")
            .replace("path = \"site\"", "")
            .replace("flow named = m[*].p -> rename(\"{place}/{device}/{tag}\") -> out\n", ""),
    );
    let mut same = with.clone();
    same.sinks[0].routes.retain(|route| &*route.flow != "named");
    for plan in [&mut same, &mut without] {
        plan.sinks[0].routes.iter_mut().for_each(|route| route.names.clear());
    }
    assert_eq!(same.tags, without.tags);
    assert_eq!(same.sinks, without.sinks);
    assert_eq!(same.groups.len(), without.groups.len());
}
