//! Expressions with units: right ones by their value, wrong ones by their code.

mod manifests;

use gwp_core::{Quality, Timestamp, Value};
use gwp_plan::eval::{Frame, Latest, Slots, compile};
use manifests::{compiled, words};

/// Tags with the values they have in these tests.
const TAGS: &[(&str, &str, f64)] = &[
    ("power", "real kW", 300.0),
    ("small", "real W", 500.0),
    ("energy", "real kWh", 50.0),
    ("temp", "real degC", 25.0),
    ("outside", "real degF", 50.0),
    ("flow", "real m3/h", 36.0),
    ("mass", "real t/h", 7.2),
    ("speed", "real m/min", 120.0),
    ("level", "real %", 80.0),
    ("voltage", "real V", 230.0),
    ("current", "real A", 10.0),
    ("count", "udint pcs", 96.0),
    ("word", "word", 8.0),
    ("plain", "real", 2.5),
    ("angle", "real deg", 90.0),
    ("length_", "real mm", 1500.0),
];

fn program(declared: &str, expr: &str) -> String {
    let tag = |(name, ty, _): &(&str, &str, f64)| format!("  tag {name} at \"1\" : {ty}\n");
    let tags: String = TAGS.iter().map(tag).collect();
    format!(
        "unit pcs\nunit pallet = 48 pcs\nconst limit = 250 kW\nsource s : simulator {{\n{tags}  tag lit at \"1\" : bool\n  \
         tag name at \"1\" : string\n  calc result{declared} = {expr}\n}}\n"
    )
}

/// The value of an expression, declared as `declared` (empty: not declared).
fn value(declared: &str, expr: &str) -> (Value, Quality) {
    let declared = if declared.is_empty() { String::new() } else { format!(" : {declared}") };
    let result = compiled(&program(&declared, expr));
    let plan = result.plan.as_ref().unwrap_or_else(|| panic!("{expr}\n{}", words(&result)));
    let calc = plan.calcs.first().expect("one calc");
    let mut slots = Slots::default();
    let eval = compile(&calc.expr, &mut slots);
    let mut latest = Latest::new(slots.len());
    for (tag, slot) in slots.iter() {
        let name = &*plan.tag(tag).expect("known").info.tag;
        let value = match (name, TAGS.iter().find(|(tag, ..)| *tag == name)) {
            ("lit", _) => Value::Bool(true),
            ("name", _) => Value::Text("A7".into()),
            (_, Some((_, ty, value))) if ty.starts_with("real") => Value::Float(*value),
            (_, Some((.., value))) => Value::Int(*value as i64),
            _ => panic!("{name}"),
        };
        latest.set(slot, value, Quality::GOOD, Timestamp(0));
    }
    let found = eval.value(&Frame { latest: &latest, time: Timestamp(0), sample: None });
    let kind = plan.tag(calc.tag).expect("known").kind;
    assert!(found.1.is_bad() || found.0.kind() == kind, "{expr}: {found:?} is declared as {kind:?}");
    found
}

#[test]
fn right_numbers() {
    for (declared, expr, expected) in [
        ("real kW", "power", 300.0),
        ("real W", "power", 300_000.0),
        ("real MW", "power + small", 0.3005),
        ("real W", "small + power", 300_500.0),
        ("real kW", "power - 100 W", 299.9),
        ("real kW", "5 kW", 5.0),
        ("real kWh", "power * 30 min", 150.0),
        ("real MWh", "energy * 2", 0.1),
        ("real kW", "energy / 30 min", 100.0),
        ("real %", "power / 400 kW", 75.0),
        ("real", "level", 0.8),
        ("real %", "level * level", 64.0),
        ("real %", "level * 2", 160.0),
        ("real K", "temp - 20 degC", 5.0),
        ("real degC", "temp + 5 K", 30.0),
        ("real degC", "5 K + temp", 30.0),
        ("real degC", "temp - 5 K", 20.0),
        ("real degF", "temp", 77.0),
        ("real kW", "3 W * 1", 0.003),
        ("real K", "temp - outside", 15.0),
        ("real K", "(temp - 20 degC) * 2", 10.0),
        ("real degC", "max(temp, 30 degC)", 30.0),
        ("real degC", "min(temp, outside)", 10.0),
        ("real kg/s", "mass", 2.0),
        ("real kg/m", "mass / speed", 1.0),
        ("real l/min", "flow", 600.0),
        ("real m3", "flow * 10 min", 6.0),
        ("real kVA", "voltage * current", 2.3),
        ("real Ohm", "voltage / current", 23.0),
        ("real V", "sqrt(voltage * voltage)", 230.0),
        ("real kW", "sqrt(power * power - 4 kW * 4 kW)", (300.0_f64 * 300.0 - 16.0).sqrt()),
        ("real m2", "power(length_, 2)", 2.25),
        ("real m", "length_", 1.5),
        ("real pallet", "count", 2.0),
        ("real pcs/min", "count / 2 min", 48.0),
        ("real", "sin(angle)", 1.0),
        ("real", "1 / plain", 0.4),
        ("real", "1/plain", 0.4),
        ("real 1/min", "1/min", 1.0),
        ("real 1/s", "120/min", 2.0),
        ("real", "plain mod 1", 0.5),
        ("real kW", "power mod 70 kW", 20.0),
        ("real kW", "-power", -300.0),
        ("real kW", "abs(100 kW - power)", 200.0),
        ("real kW", "if power > limit then limit else power", 250.0),
        ("real kW", "(power / 0) otherwise 5 kW", 5.0),
        ("real W", "limit", 250_000.0),
        ("real %", "0.5", 50.0),
        ("real s", "1 d", 86_400.0),
        ("real kB", "1 KiB", 1.024),
        ("real rpm", "50 Hz", 3_000.0),
        ("real kPa", "1 bar + 5 mbar", 100.5),
    ] {
        let (found, quality) = value(declared, expr);
        let found = found.as_f64().unwrap_or(f64::NAN);
        assert!((found - expected).abs() <= expected.abs() * 1e-9 + 1e-9, "{expr} = {found}, not {expected}");
        assert!(!quality.is_bad());
    }
}

#[test]
fn right_integers_texts_and_conditions() {
    for (declared, expr, expected) in [
        ("int", "7 + 5 * 2", Value::Int(17)),
        ("int", "7 mod 5", Value::Int(2)),
        ("int", "round(power / 7 kW)", Value::Int(43)),
        ("int", "floor(power / 7 kW)", Value::Int(42)),
        ("int", "round(energy / 20 Wh)", Value::Int(2500)),
        ("dint pcs", "count + 4 pcs", Value::Int(100)),
        ("int", "6.0", Value::Int(6)),
        ("int", "-7 mod 3", Value::Int(2)),
        ("int", "7 mod (-3)", Value::Int(-2)),
        ("", "max(3, 4)", Value::Int(4)),
        ("real degF", "5 degC", Value::Float(41.0)),
        ("real degC", "41 degF", Value::Float(5.0)),
        ("real degF", "temp - 20 K", Value::Float(41.0)),
        ("real degC", "-40 degF", Value::Float(-40.0)),
        ("bool", "power > 299 kW", Value::Bool(true)),
        ("", "power > 0.2999 MW", Value::Bool(true)),
        ("", "0.3001 MW > power", Value::Bool(true)),
        ("", "small == 0.5 kW", Value::Bool(true)),
        ("", "level > 0.79", Value::Bool(true)),
        ("", "level == 80 %", Value::Bool(true)),
        ("", "temp > 76 degF", Value::Bool(true)),
        ("", "temp - 20 degC > 9 degF - 0 degF", Value::Bool(false)),
        ("", "outside < temp", Value::Bool(true)),
        ("", "count >= 2 pallet", Value::Bool(true)),
        ("", "bit(word, 3) and not bit(word, 2)", Value::Bool(true)),
        ("", "lit == true or false", Value::Bool(true)),
        ("", "good(power) and power.quality == \"good\"", Value::Bool(true)),
        ("", "name == \"A7\"", Value::Bool(true)),
        ("", "contains(name, \"7\")", Value::Bool(true)),
        ("string", "\"{name} has {count}\"", Value::Text("A7 has 96".into())),
        ("string", "upper(\"a\") + lower(\"B\")", Value::Text("Ab".into())),
        ("int", "length(name)", Value::Int(2)),
        ("time", "2025-06-01T00:00Z + 1 h", Value::Time(Timestamp(1_748_739_600_000_000_000))),
        ("real min", "2025-06-01T01:00Z - 2025-06-01T00:00Z", Value::Float(60.0)),
        ("", "2025-06-01T01:00+01:00 == 2025-06-01T00:00:00Z", Value::Bool(true)),
    ] {
        assert_eq!(value(declared, expr).0, expected, "{expr}");
    }
}

#[test]
fn otherwise_marks_what_it_puts_in() {
    assert_eq!(value("real kW", "power / 0 otherwise 5 kW").1, Quality::SUBSTITUTED);
    assert_eq!(value("real kW", "power / 0").1, Quality::DIVISION_BY_ZERO);
}

#[test]
fn wrong_expressions() {
    for (declared, expr, code) in [
        ("", "power > 400", "E202"),
        ("", "400 < power", "E202"),
        ("", "power > 400 A", "E202"),
        ("", "power + energy", "E202"),
        ("", "power - 1", "E202"),
        ("", "power + level", "E202"),
        ("", "flow > mass", "E202"),
        ("", "count > 5", "E202"),
        ("", "count + 1 h", "E202"),
        ("", "power mod 5", "E202"),
        ("", "min(power, voltage)", "E202"),
        ("", "if lit then power else 0", "E202"),
        ("", "power otherwise 0", "E202"),
        ("", "sin(power)", "E202"),
        ("", "exp(1 kW)", "E202"),
        ("", "power(power, plain)", "E202"),
        ("", "sqrt(sqrt(sqrt(power)))", "E202"),
        ("", "speed > 5 m", "E202"),
        ("", "angle > 1", "E202"),
        ("", "temp * 2", "E204"),
        ("", "2 * temp", "E204"),
        ("", "temp / outside", "E204"),
        ("", "temp + outside", "E204"),
        ("", "-temp", "E204"),
        ("", "abs(temp)", "E204"),
        ("", "5 K - temp", "E204"),
        ("", "temp > 5 K", "E204"),
        ("real K", "temp", "E204"),
        ("real degC", "temp - outside", "E204"),
        ("real kWh", "power", "E206"),
        ("real", "power", "E206"),
        ("real kW", "5", "E206"),
        ("real m3", "flow", "E206"),
        ("real %", "temp - 20 degC", "E206"),
        ("real K", "5 kW", "E206"),
        ("int", "plain", "E207"),
        ("int", "power / 7 kW", "E207"),
        ("bool", "power", "E207"),
        ("string", "power", "E207"),
        ("real", "lit", "E207"),
        ("time", "5 s", "E207"),
        ("", "name + 5", "E203"),
        ("", "name > 5", "E203"),
        ("", "lit + 1", "E203"),
        ("", "lit == 1", "E203"),
        ("", "lit > false", "E203"),
        ("", "bit(plain, 1)", "E203"),
        ("", "abs(name)", "E203"),
        ("", "length(5)", "E203"),
        ("", "not power", "E205"),
        ("", "lit and power", "E205"),
        ("", "if name then 1 else 2", "E205"),
        ("", "5 Kw", "E201"),
        ("", "5 kW/x", "E201"),
        ("", "5 zork", "E201"),
        ("real Kw", "power", "E201"),
        ("", "power.quality > 1", "E203"),
        ("", "2025-06-01T00:00Z * 2", "E204"),
    ] {
        let declared = if declared.is_empty() { String::new() } else { format!(" : {declared}") };
        let result = compiled(&program(&declared, expr));
        let found: Vec<_> = result.diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(found, [code], "{expr}\n{}", words(&result));
    }
}

#[test]
fn one_mistake_is_reported_once_whatever_is_built_on_it() {
    let text = "source s : simulator {\n  tag a at \"1\" : real Kw\n  calc b = a + 1\n  calc c = if b > 2 then b else a\n  \
                calc d : real kW = c * nothing\n  calc e = d otherwise c\n}\n";
    let result = compiled(text);
    assert_eq!(manifests::found(&result), [(2, "E201"), (5, "E101")]);
}

#[test]
fn an_aggregate_outside_of_a_window_is_told_what_does_the_same() {
    let help = |expression: &str| {
        let text = format!(
            "template T() {{\n  tag p at \"1\" : real kW\n}}\nsource s : simulator {{\n  tag x at \"1\" : real\n}}\n\
             device m[1..2] : T() on s\ndevice d {{\n  calc c = {expression}\n}}\n"
        );
        let result = manifests::compiled(&text);
        let found = result.diagnostics.iter().find(|found| found.code == "E303");
        found.and_then(|found| found.help.clone()).unwrap_or_else(|| manifests::words(&result))
    };
    assert_eq!(help("avg(s.x)"), "use `moving_avg(x, 1 min)` or `-> every 1 min { }`");
    assert_eq!(help("sum(s.x)"), "fold the samples of a window: `-> every 1 min { }`");
    assert_eq!(help("sum(m[*].p)"), "over devices write `sum_of( )` or `count_of( )`");
    assert_eq!(help("mean(m[*].p)"), "over devices write `avg_of( )`");
}
