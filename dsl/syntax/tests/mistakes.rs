//! Each usual mistake gives its own diagnostic at its own place, and all mistakes of a file are found in one run.

use gwp_syntax::{FileId, SourceMap, parse};

/// `line:column code message / help` for every diagnostic of a text.
fn check(text: &str) -> Vec<String> {
    let mut sources = SourceMap::default();
    let file = sources.add("a", text);
    let parsed = parse(file, text);
    let line = |d: &gwp_syntax::Diagnostic| {
        let place = sources.place(d.span);
        let seen = d.labels.first().map_or("", |label| label.text.as_str());
        let help = d.help.as_deref().unwrap_or("");
        let line = format!("{} {} {} | {seen} | {help}", place.trim_start_matches("a:"), d.code, d.message);
        line.trim_end().to_owned()
    };
    parsed.diagnostics.iter().map(line).collect()
}

fn codes(text: &str) -> Vec<String> {
    check(text).iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_bad_line_of_one_source_is_reported() {
    let text = r#"source a : simulator {
  tag x at DB1.DBW0 : int
  tag y at "s" : i32 kW
  tag range at "s" : real
  tag ok at "s" : real kW dedband 0.5 kW
  tga z at "s" : real
  tag z2 at "s" real
  calc c : bool = a = 5
  calc d = a +
  calc e = if a > 1 then 2
  calc f = (a + b
  calc g = min(a b)
  rack = 0 slot = 1
  alarm i when a > 5 for 10 s { clear = a < 3 severity = high }
  calc j = 5 % 3
  calc l = !a
  tag fine at "s" : real
}
"#;
    insta::assert_snapshot!(check(text).join("\n"), @r###"
    2:12 E006 the address needs double quotes | address | write `at "DB1.DBW0"`
    3:18 E005 `i32` is not a PLC type | type of `y` | use `dint` (32 bit signed; int is 16 bit)
    4:7 E007 `range` is a reserved word | used as a name | write `'range'` in single quotes, or choose another name
    5:27 E009 `dedband` is not an attribute of a tag |  | did you mean `deadband`?
    6:3 E009 `tga` is not a word of the language |  | did you mean `tag`?
    7:17 E009 `real` does not fit here | expected `:` |
    8:21 E004 `=` gives a name its value | comparison expected here | to compare, write `==`
    9:15 E009 the statement ends too early | expected a value |
    10:27 E009 the statement ends too early | expected `else`, a unit or an operator | every `if` has an `else`: say what the value is otherwise
    11:12 E015 this `(` is not closed | opened here | add `)`
    12:18 E010 a comma is missing | before this | write `, b`, or start a new line
    13:12 E010 a comma is missing | before this | write `, slot`, or start a new line
    14:47 E010 a comma is missing | before this | write `, severity`, or start a new line
    15:14 E013 `%` is not an operator here | this sign | `%` is the unit percent; write `mod` for the remainder of a division
    16:12 E013 `!` is not an operator here | this sign | write `not`
    "###);
    let parsed = parse(gwp_syntax::FileId::default(), text);
    let gwp_syntax::ast::Item::Source(source) = &parsed.file.items[0] else { panic!("a source") };
    assert_eq!(source.body.members.iter().map(|m| m.name().text.as_str()).collect::<Vec<_>>(), ["fine"]);
    let broken: Vec<_> = source.body.broken.iter().map(|name| name.text.as_str()).collect();
    assert_eq!(
        broken,
        ["x", "y", "range", "ok", "tga", "z2", "c", "d", "e", "f", "g", "rack", "i", "j", "l"]
    );
}

#[test]
fn every_bad_item_of_a_file_is_reported() {
    let text = r#"sorce demo : simulator {
  scan = 1 s
}
tag x at "a" : real
sink s : console
flow f = demo > s
flow g = demo -> where x = 3 -> s
flow = demo -> s
flow h = in -> s
device meter[1..4 : T on x
use lib.gwp
const x == 5
const z = 5 kW * (3
unit 5
moved a b
gateway g { takeover 2 s, failback = manual }
sink t : csv { path = https://foo }
const ok = 1
"#;
    insta::assert_snapshot!(check(text).join("\n"), @r###"
    1:1 E009 `sorce` is not a word of the language |  | did you mean `source`?
    4:1 E009 `tag` must stand inside a source, device or template |  | put it between the braces of its device
    5:17 E009 the statement ends too early | expected `{` |
    6:15 E009 `>` does not fit here | expected `->`, `except` or the end of the statement | write `->`
    7:26 E004 `=` gives a name its value | comparison expected here | to compare, write `==`
    8:6 E009 `=` does not fit here | expected a name |
    9:10 E007 `in` is a reserved word | used as a name | write `'in'` in single quotes, or choose another name
    10:13 E015 this `[` is not closed | opened here | add `]`
    11:5 E017 text needs double quotes |  | write `"lib.gwp"`
    12:9 E009 `==` does not fit here | expected `:` or `=` |
    13:18 E015 this `(` is not closed | opened here | add `)`
    14:6 E009 `5` does not fit here | expected a unit |
    15:9 E009 `b` does not fit here | expected `->` |
    16:22 E009 `2` does not fit here | expected `=` or `{` |
    17:23 E017 text needs double quotes |  | write `"https://foo"`
    "###);
}

#[test]
fn foreign_signs_cost_one_error_each_and_the_rest_is_read() {
    let text =
        "source a : simulator {\n  scan := 1 s; // c\n  # tag (\n  tag x at \"s\" : real;\n}\nconst y := 2\n";
    assert_eq!(codes(text), ["2:8 E001", "2:14 E002", "3:3 E003", "4:22 E002", "6:9 E001"]);
    let parsed = parse(gwp_syntax::FileId::default(), text);
    assert_eq!(parsed.file.items.len(), 2);
    assert!(parsed.file.broken.is_empty());
}

#[test]
fn a_forgotten_brace_does_not_hide_what_follows() {
    let text = "source a : simulator {\n  journal { keep = 3 d\nsource b : simulator {\n  tag x at \"1\" : i16\n}\nconst c = = 1\n";
    assert_eq!(codes(text), ["1:22 E008", "4:18 E005", "6:11 E009"]);
    assert_eq!(codes("sink a : csv {\n  path = \"x\"\n"), ["1:14 E008"]);
    assert_eq!(codes("const a = 1 }\nconst b = [\nconst c = 1"), ["1:13 E015", "2:11 E015"]);
}

#[test]
fn steps_of_a_test_are_reported_one_by_one() {
    let text = "test \"t\" {\n  at 5 s: x = 3, expect y == 4\n  at 6 s expect y = 4\n  at 7 s: x = 1\n}\n";
    assert_eq!(codes(text), ["2:27 E009", "3:10 E009"]);
}

#[test]
fn nesting_and_size_are_bounded() {
    let deep = |n: usize, a: &str, b: &str| format!("const x = {}1{}\n", a.repeat(n), b.repeat(n));
    assert_eq!(codes(&deep(60, "(", ")")), [""; 0]);
    assert_eq!(codes(&deep(100_000, "(", ")")), ["1:75 E021"]);
    assert_eq!(codes(&deep(60, "if 1 then 2 else ", "")), [""; 0]);
    assert_eq!(codes(&deep(50_000, "if 1 then 2 else ", "")).len(), 1);
    assert_eq!(codes(&deep(30, "\"{", "}\"")), [""; 0]);
    assert_eq!(codes(&deep(50_000, "\"{", "}\"")), ["1:11 E021"]);
    assert_eq!(codes(&deep(50_000, "sink s { ", "}")).len(), 1);
    assert_eq!(codes(&deep(50_000, "- ", "")), ["1:11 E022"]);
    assert_eq!(codes(&deep(50_000, "not ", "")), ["1:11 E022"]);
    assert_eq!(codes(&deep(50_000, "1 + ", "")), ["1:11 E022"]);
    assert_eq!(codes(&format!("// {}", "x".repeat(17 << 20))), ["1:1 E020"]);
}

/// Each of these once took minutes or gigabytes at the size that a file may have.
#[test]
fn floods_of_signs_are_answered_by_a_bounded_number_of_faults() {
    for flood in ["(", ")", ";", ":=", "''", "{", "[", "#\n", "x\n", "if "] {
        let found = parse(FileId::default(), &flood.repeat(200_000)).diagnostics;
        assert!((1..=11_001).contains(&found.len()), "{flood}: {}", found.len());
    }
    // Texts on one line: its end is looked for once, not at each of them.
    for flood in ["\"\"", "'a'", "\"{1}\""] {
        let text = format!("const x = {}", flood.repeat(300_000));
        assert!(!parse(FileId::default(), &text).diagnostics.is_empty(), "{flood}");
    }
    let long = |names: usize| format!("flow f = {}b -> c\n", "a,".repeat(names));
    assert_eq!(codes(&long(10_000)), [""; 0]);
    assert_eq!(codes(&long(2 << 20)), ["1:1 E020"]);
}

#[test]
fn an_item_of_many_lines_is_read_entry_by_entry_with_the_same_result() {
    let line =
        |n: usize| format!("  tag t{n} at \"a\" : real kW  scale 0..1 -> 2..3  deadband 1 kW // note\n");
    let text = format!("source a : simulator {{\n{}}}\n", (0..3000).map(line).collect::<String>());
    assert!(text.len() > 200_000);
    let parsed = parse(gwp_syntax::FileId::default(), &text);
    assert_eq!(parsed.diagnostics, []);
    let gwp_syntax::ast::Item::Source(source) = &parsed.file.items[0] else { panic!("a source") };
    assert_eq!(source.body.members.len(), 3000);
    assert_eq!(parsed.file.comments.len(), 3000);
}

#[test]
fn branches_of_a_split_stand_on_lines_of_their_own() {
    let one = |branches: &str| check(&format!("flow f = s -> split {{{branches}}}\n")).join("\n");
    let all = [
        " when a > 1 -> b else -> c ",
        " when a > 1 -> b, else -> c ",
        "\n  when a > 1 -> b,\n  else -> c\n",
        " when a > 1 -> b when a > 0 -> c\n else -> d",
        "\n  when a > 1 ->\n  else -> c\n",
        "\n  when a > 1 -> split { when b -> c else -> drop }\n  else -> c\n",
        "\n  when else > 1 -> b\n  else -> c\n",
    ];
    insta::assert_snapshot!(all.map(one).join("\n"), @r"
    1:39 E010 each branch of a `split` stands on its own line | the next branch | start a new line before `else`
    1:40 E010 each branch of a `split` stands on its own line | the next branch | write a new line instead of the comma before `else`
    3:3 E010 each branch of a `split` stands on its own line | the next branch | remove the comma before `else`
    1:39 E010 each branch of a `split` stands on its own line | the next branch | start a new line before `when`
    3:3 E009 `else` does not fit here | expected a stage or a sink |
    2:37 E010 each branch of a `split` stands on its own line | the next branch | start a new line before `else`
    2:8 E009 `else` does not fit here | expected a value |
    ");
}

#[test]
fn words_in_a_wrong_place_are_told_their_right_one() {
    let text = "flow a = s -> deadband(1 kW) -> b\nflow c = s -> scale(2) -> b\ntemplate M(unit) { }\n";
    insta::assert_snapshot!(check(text).join("\n"), @r"
    1:15 E009 `deadband` is not a stage |  | write `changes(deadband = ...)`
    2:15 E009 `scale` is not a stage |  | stages are `where`, `changes`, `sample`, `rename` and `split`
    3:16 E009 `)` does not fit here | expected `:` | a parameter has a type: `unit: int`, `unit: real kW`
    ");
}

#[test]
fn habits_from_other_languages_are_answered_with_the_edit() {
    let source = |line: &str| format!("source s : simulator {{\n  {line}\n}}\n");
    for (text, edit) in [
        (source("tag x at 'constant 5' : real"), "write `at \"constant 5\"`"),
        (source("tag real x at \"1\""), "the type stands behind the address: `tag x at \"...\" : real`"),
        (source("tag x : real kW at \"1\""), "the address stands before the type: `tag x at \"...\" : ...`"),
        (source("tag x at \"1\" : real [kW]"), "a unit stands without brackets: `real kW`"),
        (source("address: \"10.0.0.1:502\""), "write `address = ...`"),
        (
            source("address = 10.0.0.1:502"),
            "a text such as an address needs double quotes: `\"10.0.0.1:502\"`",
        ),
        ("source s simulator {\n}\n".to_owned(), "write `source s : simulator`"),
        ("source s : simulator = {\n}\n".to_owned(), "leave the `=` out: `{` follows"),
        ("/* plant */\n".to_owned(), "comments begin with `//`, on each line"),
        ("flow f : s -> out\n".to_owned(), "write `flow f = ...`"),
        ("flow f = s => out\n".to_owned(), "write `->`"),
        ("flow f = s | out\n".to_owned(), "write `->`: stages and sinks follow one another"),
        ("flow f = s -> where x > 5,5 kW -> out\n".to_owned(), "numbers have a point: `5.5`"),
        (source("calc a = x > 5 AND y"), "words are written in small letters: `and`"),
        (source("calc a = x > 5 ? 1 : 0"), "write `if condition then a else b`"),
        (source("calc a = if x then 1"), "every `if` has an `else`: say what the value is otherwise"),
        (source("calc a = if x then 1 elsif y then 2 else 3"), "write `else if`"),
        (source("alarm hot if x > 5"), "write `when`"),
    ] {
        let found = check(&text);
        assert!(found.iter().any(|line| line.ends_with(&format!("| {edit}"))), "{text}{found:#?}");
    }
}
