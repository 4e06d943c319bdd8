//! Questions as editors ask them. `|` in a text is the place of the question.

use super::*;
use gwp_compile::{EntryFile, Project, compile};
use gwp_core::Manifest;
use gwp_core::manifest::{
    Need, PlaceOfData, Role, Setting, SettingKind, SinkTraits, Slots, SourceTraits, Standby,
};

static PLC: Manifest = Manifest {
    name: "plc",
    doc: "Reads a PLC.",
    exclusive: None,
    settings: &[
        Setting { name: "address", kind: SettingKind::Text, need: Need::Optional, doc: "Where it is." },
        Setting {
            name: "words",
            kind: SettingKind::Choice(&["high_first", "low_first"]),
            need: Need::Default("high_first"),
            doc: "Order of words.",
        },
        Setting {
            name: "reconnect",
            kind: SettingKind::Block(&[Setting {
                name: "first",
                kind: SettingKind::Duration { min_ms: 1, max_ms: 1_000 },
                need: Need::Default("500 ms"),
                doc: "First pause.",
            }]),
            need: Need::Optional,
            doc: "Pauses.",
        },
    ],
    role: Role::Source(SourceTraits {
        device_settings: &[Setting {
            name: "unit_id",
            kind: SettingKind::Int { min: 0, max: 255 },
            need: Need::Optional,
            doc: "Its number.",
        }],
        addresses: &[("hr 100", "a holding register")],
        polled: Slots::Always,
        device_time: false,
        buffers: false,
        writes: true,
        commands: false,
        standby: &[Standby::Warm],
    }),
};

static FILE: Manifest = Manifest {
    name: "csv",
    doc: "Writes files.",
    exclusive: None,
    settings: &[],
    role: Role::Sink(SinkTraits {
        batch_samples: 10,
        batch_bytes: 1_000,
        in_flight: 1,
        idempotent: false,
        fencing: false,
        transactional: false,
        place: PlaceOfData::Node,
    }),
};

const LIBRARY: &str = "\
// A meter.
template EnergyMeter(rated: real kW = 400 kW) {
  tag power at \"hr 1\" : real kW range 0..500 kW desc \"Active power\"
  // how much of what it can
  calc load = power / rated
  alarm hot when load > 90 % for 10 s { severity = high, message = \"{device}: {load}\" }
}
const limit = 5 kW
";

const PLANT: &str = "\
use \"lib.gwp\"
unit pcs
source line : plc { words = low_first, reconnect { first = 1 s } }
device meter[01..12 except 3] : EnergyMeter(rated = 500 kW) on line { unit_id = index }
device site { calc total : real kW = sum_of(meter[*].power) }
sink out : csv { journal { full = drop_oldest } }
flow fine = meter[*].power -> where value > limit -> out
flow rows = meter[*] -> every 1 h by device { peak = max(power) } -> out
";

fn analysis(plant: &str) -> Analysis {
    let catalog = Catalog::new([&PLC, &FILE]);
    let entry = vec![EntryFile { name: "plant.gwp".into(), text: plant.into() }];
    let load = |name: &str| if name == "lib.gwp" { Ok(LIBRARY.into()) } else { Err("not there".into()) };
    let compiled = compile(&Project { entry, load: Box::new(load) }, &catalog);
    Analysis::new(compiled, catalog)
}

/// The text without its mark, and the place of it.
fn marked(text: &str) -> (String, usize) {
    let at = text.find('|').expect("a mark");
    (text.replacen('|', "", 1), at)
}

/// Puts the mark behind (or, with a `|` in it, into) the first place of a piece of the plant.
fn in_plant(piece: &str) -> String {
    let plain = piece.replace('|', "");
    let marked = if piece.contains('|') { piece.to_owned() } else { format!("{piece}|") };
    assert!(PLANT.contains(&plain), "{piece}");
    PLANT.replacen(&plain, &marked, 1)
}

fn hovered(file: &str, text: &str) -> String {
    let (text, at) = marked(text);
    hover(&analysis(PLANT), file, &text, at).map_or(String::new(), |hover| hover.markdown)
}

/// What is declared where the word under the mark leads to.
fn leads_to(text: &str) -> String {
    let (text, at) = marked(text);
    let analysis = analysis(PLANT);
    definition(&analysis, "plant.gwp", &text, at).map_or(String::new(), |span| {
        let line = analysis.compiled.sources.place(span);
        format!("{line} {}", analysis.compiled.sources.text(span))
    })
}

fn offered(text: &str) -> Vec<String> {
    let (text, at) = marked(text);
    let (_, list) = completions(&analysis(PLANT), &text, at);
    list.into_iter().map(|proposal| proposal.label).collect()
}

#[track_caller]
fn offers(text: &str, wanted: &[&str], unwanted: &[&str]) {
    let found = offered(text);
    for word in wanted {
        assert!(found.iter().any(|label| label == word), "{word} is not offered for {text:?}: {found:?}");
    }
    for word in unwanted {
        assert!(!found.iter().any(|label| label == word), "{word} is offered for {text:?}: {found:?}");
    }
}

#[test]
fn the_plant_is_right() {
    let found = analysis(PLANT).compiled.diagnostics;
    let errors: Vec<_> = found.iter().filter(|found| found.code.starts_with('E')).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn hover_tells_type_unit_address_and_what_is_written_above() {
    let tag = hovered("plant.gwp", &in_plant("flow fine = meter[*].pow|er"));
    for part in [
        "tag power at \"hr 1\" : real kW",
        "real in kW",
        "Active power",
        "`meter01.power` at `hr 1`",
        "and 8 more",
    ] {
        assert!(tag.contains(part), "{part}: {tag}");
    }
    let calc = hovered("lib.gwp", &LIBRARY.replace("calc load", "calc lo|ad"));
    assert!(calc.contains("how much of what it can") && calc.contains("real"), "{calc}");
    assert!(hovered("lib.gwp", &LIBRARY.replace("alarm hot", "alarm h|ot")).contains("for 10 s"));
    assert!(hovered("lib.gwp", &LIBRARY.replace("/ rated", "/ rat|ed")).contains("rated: real kW = 400 kW"));
    assert!(hovered("lib.gwp", &LIBRARY.replace("{load}", "{lo|ad}")).contains("calc load"), "in an insert");
}

#[test]
fn hover_tells_what_items_settings_functions_and_units_are() {
    for (place, part) in [
        ("source li|ne", "Reads a PLC."),
        ("line : p|lc", "`hr 100`: a holding register"),
        ("wor|ds = ", "high_first, low_first, default high_first"),
        ("fi|rst = 1 s", "First pause."),
        ("unit|_id", "Its number."),
        ("device me|ter", "11 devices"),
        (": Energy|Meter(", "template EnergyMeter"),
        ("sum|_of", "The sum over devices."),
        ("first = 1 |s", "a time"),
        ("unit p|cs", "unit pcs"),
        ("full| = drop", "What happens when it is full."),
        ("-> whe|re", "Passes what is true"),
        ("where val|ue", "The value of the sample"),
        ("> lim|it", "const limit = 5 kW"),
        ("-> o|ut", "sink out : csv"),
        ("1 h b|y device", "One window for each device"),
        ("ma|x(power)", "The largest"),
        ("max(po|wer)", "Active power"),
        ("use| \"lib", "Another file"),
    ] {
        let found = hovered("plant.gwp", &in_plant(place));
        assert!(found.contains(part), "{place}: {found:?}");
    }
    assert_eq!(hovered("plant.gwp", "// com|ment\n"), "");
}

#[test]
fn definitions_cross_files() {
    for (place, wanted) in [
        ("meter[*].pow|er -> where", "lib.gwp:3:7 power"),
        ("Energy|Meter(rated", "lib.gwp:2:10 EnergyMeter"),
        ("on li|ne", "plant.gwp:3:8 line"),
        ("> lim|it", "lib.gwp:8:7 limit"),
        ("-> o|ut", "plant.gwp:6:6 out"),
        ("use \"li|b.gwp\"", "lib.gwp:1:1 "),
        ("fine = me|ter", "plant.gwp:4:8 meter"),
    ] {
        assert_eq!(leads_to(&in_plant(place)), wanted, "{place}");
    }
    assert_eq!(leads_to(&in_plant("wo|rds")), "", "a setting is declared nowhere");
}

#[test]
fn settings_are_offered_where_they_stand() {
    offers("source x : |", &["plc"], &["csv", "line"]);
    offers("sink x : c|", &["csv"], &["plc"]);
    offers("source x : plc { | }", &["words", "scan", "tag", "alarm"], &["unit_id", "journal"]);
    offers("source x : plc {\n  words = |\n}", &["high_first", "low_first"], &["words"]);
    offers("source x : plc {\n  words = lo|", &["low_first"], &["high_first"]);
    offers("source x : plc { address = | }", &["secret", "node", "limit"], &["tag"]);
    offers("source x : plc { reconnect { | } }", &["first"], &["words", "tag"]);
    offers("sink x : csv { journal { full = | } }", &["drop_oldest", "block"], &["first"]);
    offers("sink x : csv { dead_letter = | }", &["out"], &["line"]);
    offers("device d on line { | }", &["unit_id", "scan", "calc"], &["words"]);
    offers("source x : plc {\n  alarm a when true { | }\n}", &["severity", "message"], &["words"]);
    offers("gateway g { | }", &["timezone"], &["tag"]);
}

#[test]
fn names_are_offered_where_they_are_known() {
    offers("|", &["source", "flow", "template"], &["tag"]);
    offers("const a = meter01.|", &[], &["power"]);
    offers("device d { calc x = site.| }", &["total"], &["power"]);
    offers("device d { calc x = meter[01].| }", &["power", "load", "hot", "alarms"], &["total"]);
    offers("device d { calc x = meter[01].power.| }", &["quality", "time"], &["power"]);
    offers("device d { calc x = line.| }", &["connected"], &[]);
    offers("device d { calc x = l| }", &["limit", "line", "length"], &["site"]);
    offers("device d { calc x = rol| }", &[], &["limit"]);
    offers("device d : |", &["EnergyMeter"], &["plc", "line"]);
    offers("device d : EnergyMeter() on |", &["line"], &["site"]);
    offers(&LIBRARY.replace("power / rated", "p|"), &["power"], &["load", "value"]);
    offers(&LIBRARY.replace("{load}", "{|}"), &["load", "rated", "device"], &[]);
    offers(&LIBRARY.replace("Active", "A|"), &[], &["power"]);
}

#[test]
fn flows_are_offered_heads_stages_and_sinks() {
    offers("flow f = |", &["meter", "line", "site", "fine"], &["out", "limit"]);
    offers("flow f = meter[*], s|", &["site"], &["out"]);
    offers("flow f = meter[*].|", &["power", "alarms"], &["total"]);
    offers("flow f = *.|", &["power", "total", "alarms"], &[]);
    offers("flow f = meter[*] -> |", &["where", "changes", "every", "out", "drop"], &["meter"]);
    offers("flow f = meter[*]\n  -> |", &["where", "out"], &["meter"]);
    offers("flow f = meter[*] -> where |", &["value", "limit", "good"], &["rate", "avg"]);
    offers("flow f = meter[*] -> out, |", &["out"], &["meter"]);
    offers("flow f = meter[*] -> changes(|", &["deadband = "], &["out"]);
    offers("flow f = meter[*] -> every 1 h |", &["wait", "by"], &["out"]);
    offers("flow f = meter[*] -> every 1 |", &["h", "min", "pcs"], &["wait"]);
    offers(&in_plant("{ peak = "), &["max", "power", "coverage", "rate"], &["value"]);
    offers("flow f = meter[*] -> split {\n  |\n}", &["when", "else"], &["out"]);
}

#[test]
fn types_units_and_attributes_are_offered() {
    let tag = |rest: &str| format!("source x : plc {{\n  tag a {rest}\n  tag b at \"hr 2\" : int\n}}\n");
    offers(&tag("|"), &["at"], &["range"]);
    offers(&tag("at \"hr 1\" : |"), &["real", "bool"], &["kW", "range"]);
    offers(&tag("at \"hr 1\" : real |"), &["kW", "degC", "pcs", "range"], &["real"]);
    offers(&tag("at \"hr 1\" : real kW range 0..5 kW |"), &["deadband", "counter"], &["range"]);
    offers(&tag("at \"hr 1\" : real kW range 0..5 |"), &["kW"], &[]);
    offers(&tag("at \"|\""), &[], &["at", "real"]);
}

#[test]
fn the_outline_has_items_with_their_members() {
    let analysis = analysis(PLANT);
    let text = |name| (analysis.file(name).unwrap(), if name == "lib.gwp" { LIBRARY } else { PLANT });
    let (file, library) = text("lib.gwp");
    let symbols = outline(analysis.tree(file).unwrap(), library);
    let names: Vec<_> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
    assert_eq!(names, ["EnergyMeter", "limit"]);
    let members: Vec<_> =
        symbols[0].members.iter().map(|of| (of.name.as_str(), of.detail.as_str())).collect();
    assert_eq!(members, [("power", "real kW"), ("load", ""), ("hot", "")]);
    let (file, plant) = text("plant.gwp");
    let symbols = outline(analysis.tree(file).unwrap(), plant);
    assert!(symbols.iter().all(|symbol| symbol.span.start <= symbol.name_span.start));
    assert_eq!(symbols.len(), 7, "{symbols:?}");
}

#[test]
fn every_place_of_every_cut_text_has_an_answer() {
    let analysis = analysis(PLANT);
    for text in [
        PLANT,
        LIBRARY,
        "µ {{{ \"{\"{",
        "a.b[.c",
        "]..[*",
        "\"{a.\\",
        "{}}{,:->",
        "source x : plc { tag a at \"{\"x",
    ] {
        for (at, _) in text.char_indices() {
            let cut = &text[..at];
            for place in [at, at / 2, at + 7] {
                let _ = completions(&analysis, cut, place);
            }
            let _ = hover(&analysis, "plant.gwp", text, at);
            let _ = definition(&analysis, "plant.gwp", text, at);
        }
    }
}
