//! What people write who know PLC programs, SQL or Python: the finding says how the same is written here.

mod manifests;

use gwp_syntax::Diagnostic;
use manifests::compiled;

const BEFORE: &str = "source s : simulator {
  tag p at \"1\" : real kW
  tag t at \"1\" : real K
  tag b at \"1\" : bool
  tag n at \"1\" : int
";

/// A calc of the source.
fn calc(expr: &str) -> String {
    calc_of("", expr)
}

fn calc_of(declared: &str, expr: &str) -> String {
    format!("{BEFORE}  calc x{declared} = {expr}\n}}\n{}", flow("s -> out"))
}

fn flow(rest: &str) -> String {
    format!(
        "sink out : console {{ journal {{ full = drop_oldest }} }}\nsink lake : console {{ journal {{ full = drop_oldest }} }}\nflow f = {rest}\n"
    )
}

/// A flow of the source and of a family.
fn flowing(rest: &str) -> String {
    format!(
        "{BEFORE}}}\ntemplate T() {{ tag q at \"1\" : real }}\ndevice m[1..2] : T() on s\n{}flow g = s -> lake, out\n",
        flow(rest)
    )
}

fn testing(step: &str) -> String {
    format!(
        "{BEFORE}}}\n{}flow g = s -> lake\ntest \"t\" {{\n  at 0 s: s.p = 1 kW\n  at 2 s: {step}\n}}\n",
        flow("s -> out")
    )
}

/// Code and help of the first error or warning.
fn told(program: &str) -> (String, String) {
    let result = compiled(program);
    let serious = |found: &&Diagnostic| !found.code.starts_with('N') && found.code != "W604";
    let first = result.diagnostics.iter().find(serious).unwrap_or_else(|| panic!("nothing in\n{program}"));
    (first.code.to_owned(), first.help.clone().unwrap_or_else(|| format!("no help: {first:?}")))
}

#[test]
fn habits_are_told_how_it_is_written_here() {
    let cases = [
        (calc("TON(b, 5 s)"), "E113", "`on_delay(condition, 5 s)`"),
        (calc("tof(b, 5 s)"), "E113", "`off_delay("),
        (calc("TP(b, 5 s)"), "E113", "`pulse("),
        (calc("R_TRIG(b)"), "E113", "`rising("),
        (calc("F_TRIG(b)"), "E113", "`falling("),
        (calc("CTU(b, b, 5)"), "E113", "`count_up("),
        (calc("SR(b, b)"), "E113", "`latch(set, reset)`"),
        (calc("RS(b, b)"), "E113", "`latch(set and not reset, reset)`"),
        (calc("LIMIT(0 kW, p, 5 kW)"), "E113", "`max(low, min(x, high))`"),
        (calc("SEL(b, 1, 2)"), "E113", "`if condition then b else a`"),
        (calc("MUX(n, 1, 2)"), "E113", "else if k == 1"),
        (calc("pp / 2"), "E101", "did you mean `p`?"),
        (calc("'hello'"), "E101", "`\"hello\"`"),
        (calc("TRUE"), "E101", "`true`"),
        (calc("b and p == bad"), "E101", "not good(x)"),
        (flowing("s -> where good -> out"), "E101", "`where good(value)`"),
        (flowing("m01.q -> out"), "E101", "did you mean `m1`?"),
        (flowing("s -> influx"), "E101", "the sinks are `out`, `lake`"),
        (flowing("s.p -> split {\n  when value > 1 kW -> out\n  else -> null\n}"), "E101", "`drop`"),
        (flowing("s -> rename(\"{dev}\") -> out"), "E101", "`{device}`, `{tag}`"),
        (flowing("s -> every 7 min { a = avg(p) } -> out"), "E316", "`every 6 min` and `every 8 min`"),
        (flowing("s -> every 50 min { a = avg(p) } -> out"), "E316", "`every 48 min` and `every 1 h`"),
        (flowing("s -> every 7 h { a = avg(p) } -> out"), "E316", "`every 6 h` and `every 8 h`"),
        (flowing("s -> every 13 h { a = avg(p) } -> out"), "E316", "`every 12 h` and `every 1 d`"),
        (flowing("s -> every 36 h { a = avg(p) } -> out"), "E316", "`every 1 d` and `every 2 d`"),
        (flowing("s -> every 7 s { a = avg(p) } -> out"), "E316", "`every 6 s` and `every 8 s`"),
        (flowing("s -> every 10 ms { a = avg(p) } -> out"), "E316", "`every 100 ms`"),
        (flowing("s -> every 400 d { a = avg(p) } -> out"), "E316", "`every 7 d`"),
        (calc_of(" : real K", "rate(t)"), "E206", "in K/s: `delta(x)`"),
        (calc_of(" : real kWh", "p"), "E206", "`integral(x)`"),
        (calc("16#FF"), "E018", "write `255`"),
        (calc("0xFF"), "E018", "write `255`"),
        (calc("on_delay(b, T#5s)"), "E018", "`5 s`"),
        (calc("5,3"), "E009", "point"),
        (calc("\"{p:.1f}\""), "E009", "`{round("),
        (flowing("s -> every 1 min { avg(p) } -> out"), "E009", "`avg_p = avg(p)`"),
        (flowing("s -> every 1 d at 6:00 { a = avg(p) } -> out"), "E009", "`06:00`"),
        (flowing("s -> filter good(value) -> out"), "E009", "`where condition`"),
        (flowing("SELECT p FROM s"), "E009", "`flow f = "),
        (format!("{BEFORE}}}\nSELECT p FROM s\n"), "E009", "`flow f = "),
        (format!("{BEFORE}}}\nflow h -> s -> out\n"), "E009", "`flow h = ...`"),
        (testing("expect s.p > 4 kW"), "E009", "make a calc"),
        (testing("expect s.p == 1 kW"), "E009", "write `=`"),
        (calc_of(" : real %", "n / 5 * 100"), "W607", "`n / 5`"),
        (calc("150 C"), "W606", "`degC`"),
    ];
    let mut wrong = Vec::new();
    for (program, code, words) in cases {
        let (found, help) = told(&program);
        if found != code || !help.contains(words) {
            wrong.push(format!("{program}{code} with {words}, but: {found} {help}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_sign_of_a_comment_behind_something_is_never_made_a_comment() {
    for program in ["const a = 16#FF\n", "const a = T#5s\n", "const a = 5 # five\n", "const a = x#1\n"] {
        for found in compiled(program).diagnostics {
            let edit = found.fix.as_ref().map(|fix| fix.replacement.as_str());
            assert!(edit.is_none_or(|edit| !edit.contains("//")), "{program}{found:?}");
        }
    }
}
