//! Formatting keeps the meaning, does nothing the second time, and does not depend on how blanks were set before.

use std::path::{Path, PathBuf};

use gwp_syntax::{FileId, FormatError, format, parse};
use proptest::prelude::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All programs below a folder.
fn programs(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            programs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "gwp") {
            found.push(path);
        }
    }
    found.sort();
}

fn formatted(text: &str) -> String {
    format(FileId(0), text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The comments and the words of a text, to see that none is lost.
fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn the_cookbook_is_formatted() {
    let mut found = Vec::new();
    programs(&root().join("pipelines"), &mut found);
    assert!(found.len() >= 3);
    for path in found {
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(formatted(&text), text, "run `gwp fmt {}`", path.display());
    }
}

#[test]
fn every_program_of_the_project_can_be_formatted() {
    let mut found = Vec::new();
    programs(&root().join("pipelines"), &mut found);
    programs(&root().join("tests/suite"), &mut found);
    programs(&root().join("dsl/syntax/tests/fixtures"), &mut found);
    let mut right = 0;
    for path in found {
        let text = std::fs::read_to_string(&path).expect("text");
        match format(FileId(0), &text) {
            Ok(once) => {
                right += 1;
                assert_eq!(letters(&once), letters(&text), "{}", path.display());
                assert_eq!(formatted(&once), once, "{}", path.display());
                let windows = text.replace('\n', "\r\n");
                assert_eq!(formatted(&windows), once.replace('\n', "\r\n"), "{}", path.display());
            }
            Err(FormatError::Syntax(found)) => {
                assert!(!found.is_empty() && found == parse(FileId(0), &text).diagnostics);
            }
            Err(FormatError::Changed) => panic!("{}: the meaning would change", path.display()),
        }
    }
    assert!(right >= 20, "{right} programs without syntax errors");
}

/// Numbers that decide what a generated program looks like.
struct Dice<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Dice<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(*self.0.next().expect("it never ends")) % end
    }

    fn one<'s>(&mut self, of: &[&'s str]) -> &'s str {
        of[self.below(of.len())]
    }

    /// Some of `items`, separated by commas.
    fn list(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> String) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| item(self)).collect::<Vec<_>>().join(" ¦, ~")
    }
}

// In what the functions below write, `¦` stands where blanks are free, ` ` where at least one must be, `~` where a new
// line may be, and `⏎` where one must be.

const NAMES: [&str; 7] = ["a", "power", "m.speed", "meter[*].x", "press.'TT-101'", "hall", "meter[01..04].y"];
const UNITS: [&str; 9] = ["", " kW", " °C", " m³/h", " %", " kg/m3/K", " sec", " N·m", " kΩ"];
const TYPES: [&str; 4] = ["real", "int", "bool", "lreal"];

fn number(dice: &mut Dice<'_>) -> String {
    let number = dice.one(&["0", "1_000", "2.5", "42"]);
    let unit = dice.one(&UNITS);
    // a blank between number and unit is free, but no tab may stand there
    if unit.is_empty() { number.to_owned() } else { format!("{number}{}", unit.replace(' ', "†")) }
}

fn expr(dice: &mut Dice<'_>, depth: usize) -> String {
    let pick = dice.below(if depth == 0 { 4 } else { 10 });
    let inner = |dice: &mut Dice<'_>| expr(dice, depth - 1);
    match pick {
        0 => dice.one(&NAMES).to_owned(),
        1 => number(dice),
        2 => dice.one(&["\"text␣{a+1}␣␣{{\"", "06:30", "2025-06-01T00:00Z", "1/min", "1e3␣kW"]).to_owned(),
        3 => "5†kW/h".to_owned(),
        4 => format!("(¦~{}¦~)", inner(dice)),
        5 => format!("-¦{}", inner(dice)),
        6 => format!("not {}", inner(dice)),
        7 => {
            let name = dice.one(&["max", "f"]);
            format!("{name}¦(¦~{}¦)", dice.list(3, inner))
        }
        8 => format!("if {} ~then ~{} ~else ~{}", inner(dice), inner(dice), inner(dice)),
        _ => {
            let sign = dice.one(&[
                "¦~+¦~",
                "¦~-¦~",
                "¦~*¦ ~",
                " ~/ ~",
                "¦~>=¦~",
                "¦~==¦~",
                " ~and ~",
                " ~otherwise ~",
            ]);
            format!("{}{sign}{}", inner(dice), inner(dice))
        }
    }
}

fn settings(dice: &mut Dice<'_>) -> String {
    let setting = |dice: &mut Dice<'_>| match dice.below(4) {
        0 => format!("k¦=¦[¦~{}¦~]", dice.list(3, |dice| expr(dice, 0))),
        1 => format!("journal¦{{¦~a¦=¦{}¦~}}", number(dice)),
        2 => format!("range¦=¦{}¦..¦{}", number(dice), number(dice)),
        _ => format!("scan¦=¦{}", expr(dice, 1)),
    };
    format!("{{¦~{}¦~}}", dice.list(3, setting))
}

fn member(dice: &mut Dice<'_>) -> String {
    let name = dice.one(&["t", "temperature", "'a␣b'"]);
    let kind = format!("{}{}", dice.one(&TYPES), dice.one(&UNITS));
    match dice.below(4) {
        0 => format!("calc {name}¦:¦{kind}¦=¦{}", expr(dice, 3)),
        1 => format!("calc {name}¦=¦{}", expr(dice, 3)),
        2 => format!("alarm {name} when {} for 5†s¦{}", expr(dice, 2), settings(dice)),
        _ => {
            let place = dice.one(&["", " at \"30001\"", " at \"sine␣{n}\""]);
            let attrs = [
                "",
                " scale 0¦..¦9 ¦->¦ 0¦..¦150†°C",
                " counter",
                " enum¦{¦~0¦=¦\"off\"¦,¦-1¦=¦\"on\"¦}",
                " deadband -¦1",
            ];
            format!("tag {name}{place}¦:¦{kind}{}{}", dice.one(&attrs), dice.one(&attrs))
        }
    }
}

fn stage(dice: &mut Dice<'_>) -> String {
    match dice.below(4) {
        0 => format!("where {}", expr(dice, 2)),
        1 => "changes¦(¦heartbeat¦=¦5†min¦)".to_owned(),
        2 => {
            let column = |dice: &mut Dice<'_>| match dice.below(2) {
                0 => format!("k¦=¦~{}", expr(dice, 2)),
                _ => format!("peak¦:¦real kW¦=¦{}", expr(dice, 2)),
            };
            format!("every 1†h wait 2†min by device¦{{¦~{}¦~}}", dice.list(4, column))
        }
        _ => format!("split¦{{¦~when {} ->¦~x⏎else¦~->¦y ,~z¦~}}", expr(dice, 1)),
    }
}

fn item(dice: &mut Dice<'_>) -> String {
    match dice.below(7) {
        0 => format!("const {}¦=¦~{}", dice.one(&["c", "limit"]), expr(dice, 4)),
        1 => format!("sink {}¦:¦csv¦{}", dice.one(&["s", "archive"]), settings(dice)),
        2 => format!("device m[¦01¦..¦41 except 13¦]¦:¦T¦(¦ct¦=¦8¦) on bus¦{}", settings(dice)),
        3 => format!("template T¦(¦~n¦:¦int¦,¦~p¦:¦real kW¦=¦4†kW¦)¦{{¦~{}¦~}}", member(dice)),
        4 => {
            let count = dice.below(5);
            let members: String = (0..count).map(|_| format!("{}⏎", member(dice))).collect();
            format!("source s¦:¦d¦{{¦~scan¦=¦1†s⏎{members}}}")
        }
        5 => {
            let count = 1 + dice.below(3);
            let stages: String = (0..count).map(|_| format!("¦~->¦{}", stage(dice))).collect();
            let head = dice.one(&["m[*].x¦,¦~a.b_* except *.alarms", "a", "*.alarms"]);
            format!("flow {} priority high¦=¦~{head} {stages} ~->¦~out", dice.one(&["f", "flows_far"]))
        }
        _ => format!(
            "test \"t\"¦{{⏎start¦=¦2025-06-01T00:00Z⏎at 0†s¦:¦a.b¦=¦{}¦,¦~expect c¦=¦1⏎at 10†min¦:¦expect d¦{{¦x¦=¦1¦}}⏎}}",
            number(dice)
        ),
    }
}

/// The text with its free places filled: blanks by `blanks`, new lines and comments by `lines`.
fn spaced(pattern: &str, blanks: &mut Dice<'_>, lines: &mut Dice<'_>) -> String {
    let mut out = String::new();
    for sign in pattern.chars() {
        match sign {
            '¦' => out.push_str(blanks.one(&["", "", " ", "   ", "\t"])),
            '␣' => out.push(' '),
            '†' => out.push_str(blanks.one(&["", " ", "   "])),
            ' ' => out.push_str(blanks.one(&[" ", "  ", "\t"])),
            '~' if lines.below(4) > 0 => {}
            '~' | '⏎' => {
                out.push_str(blanks.one(&["", " ", "  "]));
                out.push_str(lines.one(&[
                    "\n",
                    "\n",
                    "\n",
                    " // why \n",
                    " //x\n",
                    "\n\n\n",
                    "\n// own line\n",
                ]));
                out.push_str(blanks.one(&["", " ", "      "]));
            }
            other => out.push(other),
        }
    }
    out
}

/// The pattern of a program.
fn program(dice: &mut Dice<'_>, count: usize) -> String {
    (0..count).map(|_| format!("{}⏎", item(dice))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_programs(
        words in prop::collection::vec(any::<u8>(), 1..200),
        lines in prop::collection::vec(any::<u8>(), 1..50),
        blanks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 2),
        count in 1_usize..6,
    ) {
        let dice = |bytes| Dice(<[u8]>::iter(bytes).cycle());
        let pattern = program(&mut dice(&words), count);
        let [one, other] = [0, 1].map(|at| spaced(&pattern, &mut dice(&blanks[at]), &mut dice(&lines)));
        match format(FileId(0), &one) {
            Ok(once) => {
                prop_assert_eq!(&formatted(&once), &once, "twice is once");
                prop_assert_eq!(parse(FileId(0), &once).file.comments.len(), parse(FileId(0), &one).file.comments.len());
                prop_assert!(once.lines().all(|line| line.trim_end() == line && !line.contains('\t') || line.contains('"')));
                prop_assert!(!once.contains("\n\n\n") && once.ends_with('\n') && !once.ends_with("\n\n"));
                prop_assert_eq!(formatted(&other), once, "blanks do not matter");
            }
            Err(error) => prop_assert!(false, "{error}: {error:?}\n{one}"),
        }
    }
}
