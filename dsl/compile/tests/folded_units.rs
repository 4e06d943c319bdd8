//! Units of what remembers and what folds: right ones by the value they make of a raw result, wrong ones by their code.
//!
//! A right row gives the raw result of the last operator or aggregate, in the unit of its argument (times or per
//! seconds), and what the declared column or calc makes of it.

mod manifests;

use gwp_core::{Timestamp, Value};
use gwp_plan::eval::{Frame, Latest, Slots, compile};
use gwp_plan::{Expr, Type};
use manifests::{compiled, words};

const TAGS: &str = "unit pcs\nsource s : simulator {
  tag power at \"1\" : real kW
  tag small at \"1\" : real W
  tag energy at \"1\" : real kWh counter
  tag pieces at \"1\" : udint pcs counter 0..65535
  tag temp at \"1\" : real degC
  tag outside at \"1\" : real degF
  tag flow at \"1\" : real m3/h
  tag mass at \"1\" : real t/h
  tag speed at \"1\" : real m/min
  tag level at \"1\" : real %
  tag current at \"1\" : real A
  tag plain at \"1\" : real
  tag number at \"1\" : int
  tag lit at \"1\" : bool
  tag name at \"1\" : string
  tag state at \"1\" : int enum { 0 = \"off\", 1 = \"on\" }
";

fn calc(declared: &str, expr: &str) -> String {
    let declared = if declared.is_empty() { String::new() } else { format!(" : {declared}") };
    format!("{TAGS}  calc result{declared} = {expr}\n}}\n")
}

fn column(declared: &str, expr: &str) -> String {
    let declared = if declared.is_empty() { String::new() } else { format!(" : {declared}") };
    format!(
        "{TAGS}}}\nsink out : console {{ journal {{ full = drop_oldest }} }}\nflow f = s -> every 1 h {{\n  \
         first_one = avg(power)\n  result{declared} = {expr}\n}} -> out\n"
    )
}

/// Seconds of the window in these tests.
const LENGTH: f64 = 3_600.0;

/// The expression with its locals replaced: the length of the window, and the raw result for all others.
fn with_raw(expr: &Expr, raw: f64) -> Expr {
    let part = |inner: &Expr| Box::new(with_raw(inner, raw));
    match expr {
        Expr::Local(2, Type::Float) => Expr::Const(Value::Float(LENGTH)),
        Expr::Local(_, Type::Float) => Expr::Const(Value::Float(raw)),
        Expr::Local(_, Type::Int) => Expr::Const(Value::Int(raw as i64)),
        Expr::Binary(op, a, b) => Expr::Binary(*op, part(a), part(b)),
        Expr::ToFloat(a) => Expr::ToFloat(part(a)),
        Expr::Neg(a) => Expr::Neg(part(a)),
        other => other.clone(),
    }
}

fn value(expr: &Expr, raw: f64) -> f64 {
    let compiled = compile(&with_raw(expr, raw), &mut Slots::default());
    let frame = Frame { latest: &Latest::new(0), time: Timestamp(0), sample: None };
    compiled.value(&frame).0.as_f64().unwrap_or(f64::NAN)
}

fn near(expr: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= expected.abs() * 1e-9 + 1e-9, "{expr} = {found}, not {expected}");
}

#[test]
fn right_functions_that_remember() {
    for (declared, expr, raw, expected) in [
        ("real kW/s", "rate(power)", 2.0, 2.0),
        ("real W/s", "rate(power)", 2.0, 2_000.0),
        ("real MW/min", "rate(power)", 1.0, 0.06),
        ("real K/min", "rate(temp)", 1.0, 60.0),
        ("real K/s", "rate(outside)", 9.0, 5.0),
        ("real kW", "rate(energy)", 1.0, 3_600.0),
        ("real pcs/min", "rate(pieces)", 1.0, 60.0),
        ("real 1/min", "rate(plain)", 1.0, 60.0),
        ("real 1/h", "rate(level)", 1.0, 36.0),
        ("real m/s2", "rate(speed)", 60.0, 1.0),
        ("real W", "delta(power)", 1.5, 1_500.0),
        ("real K", "delta(temp)", 3.0, 3.0),
        ("real K", "delta(outside)", 9.0, 5.0),
        ("dint pcs", "delta(pieces)", 7.0, 7.0),
        ("int", "delta(number)", 7.0, 7.0),
        ("real degF", "previous(temp)", 25.0, 77.0),
        ("real MW", "previous(power)", 500.0, 0.5),
        ("real kWh", "integral(power)", 1.0, 1.0 / 3_600.0),
        ("real kWh", "integral(small)", 3_600_000.0, 1.0),
        ("real J", "integral(small)", 5.0, 5.0),
        ("real m3", "integral(flow)", 3_600.0, 1.0),
        ("real l", "integral(flow)", 3_600.0, 1_000.0),
        ("real kg", "integral(mass)", 3_600.0, 1_000.0),
        ("real Ah", "integral(current)", 3_600.0, 1.0),
        ("real m", "integral(speed)", 60.0, 1.0),
        ("real min", "integral(plain)", 60.0, 1.0),
        ("real kWh", "integral(power) + 1 kWh", 3_600.0, 2.0),
        ("real degC", "smooth(temp, 10 s)", 25.0, 25.0),
        ("real degF", "smooth(temp, 10 s)", 25.0, 77.0),
        ("real W", "moving_avg(power, 1 min)", 2.0, 2_000.0),
        ("real K", "moving_avg(temp, 1 min) - 20 degC", 25.0, 5.0),
        ("int", "count_up(lit, not lit)", 3.0, 3.0),
    ] {
        let result = compiled(&calc(declared, expr));
        let plan = result.plan.as_ref().unwrap_or_else(|| panic!("{expr}\n{}", words(&result)));
        near(expr, value(&plan.calcs[0].expr, raw), expected);
    }
}

#[test]
fn right_aggregates() {
    for (declared, expr, raw, expected) in [
        ("real W", "avg(power)", 2.0, 2_000.0),
        ("real degF", "avg(temp)", 25.0, 77.0),
        ("real degC", "mean(temp)", 25.0, 25.0),
        ("real degC", "max(outside)", 50.0, 10.0),
        ("real K", "max(temp) - 20 degC", 25.0, 5.0),
        ("real K", "stddev(temp)", 2.0, 2.0),
        ("real K", "stddev(outside)", 9.0, 5.0),
        ("real degC", "percentile(temp, 95)", 25.0, 25.0),
        ("real MW", "sum(power)", 500.0, 0.5),
        ("int", "sum(number)", 12.0, 12.0),
        ("int", "count(name)", 12.0, 12.0),
        ("real MWh", "increase(energy)", 500.0, 0.5),
        ("real pcs", "increase(pieces)", 12.0, 12.0),
        ("real kWh", "integral(power)", 3_600.0, 1.0),
        ("real m3", "integral(flow)", 3_600.0, 1.0),
        ("real t", "integral(mass)", 3_600.0, 1.0),
        ("real min", "time_in(lit)", 90.0, 1.5),
        ("real %", "time_in(lit) / length", 900.0, 25.0),
        ("real kW", "increase(energy) / length", 5.0, 5.0),
        ("real pcs/h", "increase(pieces) / length", 12.0, 12.0),
        ("real kW", "avg(moving_avg(power, 1 min))", 3.0, 3.0),
        ("real K/min", "max(rate(temp))", 1.0, 60.0),
        ("real MW", "first_one + last(small)", 1.0, 0.001_001),
        ("real %", "avg(level) * 2", 10.0, 20.0),
    ] {
        let result = compiled(&column(declared, expr));
        let plan = result.plan.as_ref().unwrap_or_else(|| panic!("{expr}\n{}", words(&result)));
        let window = plan.sinks[0].routes[0].window.as_ref().expect("a window");
        near(expr, value(&window.instances[0].columns[1].expr, raw), expected);
    }
}

fn gives(text: &str, code: &str, expr: &str) {
    let result = compiled(text);
    let found: Vec<_> = result.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(found, [code], "{expr}\n{}", words(&result));
}

#[test]
fn wrong_functions_that_remember() {
    for (declared, expr, code) in [
        ("real kW", "rate(power)", "E206"),
        ("real kWh", "rate(power)", "E206"),
        ("real degC/s", "rate(power)", "E206"),
        ("real degC", "delta(temp)", "E204"),
        ("real K", "previous(temp)", "E204"),
        ("real K", "smooth(temp, 10 s)", "E204"),
        ("", "integral(temp)", "E204"),
        ("", "integral(outside)", "E204"),
        ("real kW", "integral(power)", "E206"),
        ("real kg", "integral(power)", "E206"),
        ("int", "rate(number)", "E206"),
        ("int", "integral(plain) / 1 s", "E207"),
        ("", "rate(lit)", "E203"),
        ("", "rate(name)", "E203"),
        ("", "delta(state)", "E203"),
        ("", "integral(lit)", "E203"),
        ("", "smooth(name, 10 s)", "E203"),
        ("", "smooth(power, 10)", "E206"),
        ("", "smooth(power, 10 kW)", "E206"),
        ("", "moving_avg(power, plain)", "E210"),
        ("", "moving_avg(power, 0 s)", "E407"),
        ("", "on_delay(lit, 5 kW)", "E206"),
        ("", "on_delay(power, 5 s)", "E205"),
        ("", "pulse(state, 5 s)", "E205"),
        ("", "rising(power)", "E205"),
        ("", "latch(lit, 5 kW)", "E205"),
        ("", "count_up(lit, plain)", "E205"),
        ("bool", "count_up(lit, lit)", "E207"),
        ("", "stale(power, 5)", "E206"),
        ("", "changed(power) + 1", "E203"),
        ("", "rate(power) > 5", "E202"),
        ("", "rate(power) > 5 kW", "E202"),
        ("", "delta(temp) > 20 degC", "E204"),
        ("", "integral(power) + power", "E202"),
        ("", "smooth(temp, 1 s) * 2", "E204"),
        ("", "rate(rate(temp)) + 1 K", "E202"),
        ("", "avg(power)", "E303"),
        ("", "previous(power, 2)", "E112"),
    ] {
        gives(&calc(declared, expr), code, expr);
    }
}

#[test]
fn wrong_aggregates() {
    for (declared, expr, code) in [
        ("real kWh", "avg(power)", "E206"),
        ("real kW", "integral(power)", "E206"),
        ("real kW", "increase(energy)", "E206"),
        ("real kW", "increase(energy) / 5", "E206"),
        ("real K", "avg(temp)", "E204"),
        ("real degC", "stddev(temp)", "E204"),
        ("real degC", "max(temp) - min(temp)", "E204"),
        ("", "sum(temp)", "E204"),
        ("", "integral(temp)", "E204"),
        ("", "avg(temp) + avg(outside)", "E204"),
        ("", "avg(temp) * 2", "E204"),
        ("", "increase(power)", "E315"),
        ("", "increase(number)", "E315"),
        ("", "increase(temp)", "E204"),
        ("", "increase(name)", "E203"),
        ("", "avg(name)", "E203"),
        ("", "avg(lit)", "E203"),
        ("", "max(state)", "E203"),
        ("", "sum(state)", "E203"),
        ("", "time_in(power)", "E205"),
        ("", "time_in(name)", "E205"),
        ("real %", "time_in(lit)", "E206"),
        ("", "time_in(lit) / length > 5 s", "E202"),
        ("", "percentile(power, 5 kW)", "E208"),
        ("", "percentile(power, -1)", "E208"),
        ("", "percentile(power)", "E112"),
        ("", "avg(power) > 5", "E202"),
        ("", "avg(power) + avg(level)", "E202"),
        ("", "first_one + length", "E202"),
        ("", "start + end", "E204"),
        ("", "coverage > 5 s", "E202"),
        ("", "last(state) == \"of\"", "E212"),
        ("", "first(name) + 1", "E203"),
        ("", "avg(avg(power))", "E313"),
        ("", "max(first_one)", "E313"),
        ("", "rate(first_one)", "E313"),
        ("int", "avg(number)", "E207"),
        ("string", "count(name)", "E207"),
        ("", "min(power, level)", "E202"),
        ("", "sum(powr)", "E101"),
        ("", "count(value)", "E101"),
    ] {
        gives(&column(declared, expr), code, expr);
    }
}

#[test]
fn a_mistake_in_a_window_or_alarm_is_reported_once_whatever_is_built_on_it() {
    let text = format!(
        "{TAGS}  calc a = rate(powr)\n  calc b = a + 1 kW\n  alarm c when b > 5\n  alarm d when c\n}}\n\
         sink out : console {{ journal {{ full = drop_oldest }} }}\n\
         flow f = s -> every 1 h {{ x = avg(b), y = x * 2, z = avg(nothing), q = z + x }} -> where q > 5 and y > 1 -> out\n\
         flow g = f -> out\n"
    );
    let result = compiled(&text);
    let found: Vec<_> = result.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(found, ["E101", "E101"], "{}", words(&result));
}
