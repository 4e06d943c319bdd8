//! The look, rule by rule.

use super::{FormatError, format};
use crate::FileId;

fn once(text: &str) -> String {
    format(FileId(0), text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn look(text: &str, expected: &str) {
    let formatted = once(text);
    assert_eq!(formatted, expected);
    assert_eq!(once(&formatted), formatted, "formatting twice is formatting once");
}

#[test]
fn blanks_stand_where_the_house_has_them() {
    look(
        "const a=-5+b*(c-1)/2kW/ y  or not(x)\nconst b = f ( a ,k=1 , - 2)otherwise meter [ 1 ] . x\n"
            .replace(" [ 1 ] . x", "[1].x")
            .as_str(),
        "const a = -5 + b * (c - 1) / 2 kW / y or not (x)\nconst b = f(a, k = 1, -2) otherwise meter[1].x\n",
    );
    look(
        "template T( ct:int,rated :real kW=400kW ){}\ndevice m [ 01 .. 41 except 13 ]:T(ct=1)on s{x=1}",
        "template T(ct: int, rated: real kW = 400 kW) {}\ndevice m[01..41 except 13] : T(ct = 1) on s { x = 1 }\n",
    );
    look(
        "source s:d{k=[a ,b],journal{a=5%},l=1..-2}",
        "source s : d { k = [a, b], journal { a = 5 % }, l = 1..-2 }\n",
    );
}

#[test]
fn stars_and_minus_signs_are_what_the_grammar_says() {
    look(
        "flow a=*.alarms,b.t_* except c.* -> where x*-2>y - 1->s",
        "flow a = *.alarms, b.t_* except c.* -> where x * -2 > y - 1 -> s\n",
    );
    look(
        "source s : d {\n tag t : int scale -5 .. - 3 enum {\n -1=\"a\"\n -2 =\"b\"\n }\n}",
        "source s : d {\n  tag t : int scale -5..-3 enum {\n    -1 = \"a\"\n    -2 = \"b\"\n  }\n}\n",
    );
}

#[test]
fn a_division_stays_a_division_and_a_unit_a_unit() {
    look(
        "const a = 5m³/h+1/min+1/f(min)+1 /min+ b/c+5 kW /h",
        "const a = 5 m3/h + 1/min + 1 / f(min) + 1 / min + b / c + 5 kW / h\n",
    );
    look(
        "unit day2 = 5 sec\nconst back : real 1/sec = 06:00 + 2025-06-01T00:00+02:00 - 3",
        "unit day2 = 5 s\nconst back : real 1/s = 06:00 + 2025-06-01T00:00+02:00 - 3\n",
    );
}

#[test]
fn columns_of_consecutive_lines_are_aligned() {
    look(
        "source s : d {\n tag a at \"1\" : real kW deadband 1 kW\n tag long at \"20\" : int scale 2 counter // c\n\
         // own\n  tag b:bool\n}\nsink x:console{}\nsink file : csv{path = \"a\"}\n",
        "source s : d {\n  tag a    at \"1\"  : real kW  deadband 1 kW\n  tag long at \"20\" : int      scale 2  counter  // c\n  \
         // own\n  tag b : bool\n}\nsink x    : console {}\nsink file : csv { path = \"a\" }\n",
    );
    look(
        "device d {\ncalc a : bool=x\ncalc long : real kg/m=y\ncalc c=z\n\ncalc other = 1\n}",
        "device d {\n  calc a    : bool      = x\n  calc long : real kg/m = y\n  calc c    = z\n\n  calc other = 1\n}\n",
    );
}

#[test]
fn comments_of_consecutive_lines_are_aligned() {
    look(
        "source s : d { // first\n scan=1 s // a  \nlate = 10 s   //b\n\n time = device //c\n // end\n}// last",
        "source s : d {  // first\n  scan = 1 s    // a\n  late = 10 s   //b\n\n  time = device  //c\n  // end\n}  // last\n",
    );
}

#[test]
fn flows_go_on_indented() {
    look(
        "flow a priority high = x,\ny\n// why\n-> where p and\nq\n -> every 1 h {\nk=max(p)\nlong : real kW = min(p)\n}\n-> split {\n\
         when a->b\nwhen aa ->\nc,\nd\nelse-> drop\n}\nflow b = a -> s",
        "flow a priority high = x,\n  y\n  // why\n  -> where p and\n  q\n  -> every 1 h {\n    k    = max(p)\n    \
         long : real kW = min(p)\n  }\n  -> split {\n    when a  -> b\n    when aa ->\n      c,\n      d\n    else -> drop\n  }\n\
         flow b = a -> s\n",
    );
}

#[test]
fn steps_of_tests_are_aligned_behind_their_times() {
    look(
        "test \"t\" {\nstart=2025-06-01T00:00Z\nat 0s:a.b=1,\nc = 2\nat 10 min :expect d{x=1}\nat 5 s to 10 s every 1 s: a = 3\n}",
        "test \"t\" {\n  start = 2025-06-01T00:00Z\n  at 0 s: a.b = 1,\n    c = 2\n  at 10 min: expect d { x = 1 }\n  \
         at 5 s to 10 s every 1 s: a = 3\n}\n",
    );
}

#[test]
fn blank_lines_line_endings_and_marks() {
    look("\n\n// a\n\n\n\nunit pcs\n\n\n", "// a\n\nunit pcs\n");
    look("\u{feff}unit a  \r\n\n\nunit b", "\u{feff}unit a\r\n\r\nunit b\r\n");
    look("source s : d {\n\n  a = 1\n\n}", "source s : d {\n  a = 1\n}\n");
    look("", "");
    look("\n \n", "");
}

#[test]
fn texts_and_names_in_quotes_are_left_alone() {
    look("use \"a  b.gwp\"\nconst x = \"{ 5°C+a }  //\"", "use \"a  b.gwp\"\nconst x = \"{ 5°C+a }  //\"\n");
    look("device 'a  b' { calc 'x y'=1 }", "device 'a  b' { calc 'x y' = 1 }\n");
}

#[test]
fn a_file_with_syntax_errors_is_not_formatted() {
    let Err(FormatError::Syntax(found)) = format(FileId(0), "source s : d {\n a := 1;\n") else {
        panic!("it has errors")
    };
    assert!(found.len() > 1, "all of them: {found:?}");
}
