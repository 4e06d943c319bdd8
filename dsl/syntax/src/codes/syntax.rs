//! E0: how a program is written.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E001",
        title: "`:=` is not used here",
        explanation: "Structured Text assigns with `:=`; in a pipeline nothing is assigned at run time. `=` gives a \
                      name its value once and for all, `==` compares.",
        wrong: "const limit := 5",
        right: "const limit = 5",
    },
    Code {
        code: "E002",
        title: "`;` is not used here",
        explanation: "A new line ends a statement, and a comma separates entries on one line. A semicolon has no \
                      meaning; leave it out.",
        wrong: "const limit = 5;",
        right: "const limit = 5",
    },
    Code {
        code: "E003",
        title: "`#` is not used here",
        explanation: "Comments start with `//` and go to the end of the line, in every place where blanks may stand.",
        wrong: "const limit = 5  # kilowatts",
        right: "const limit = 5  // kilowatts",
    },
    Code {
        code: "E004",
        title: "`=` gives a name its value, `==` compares",
        explanation: "A single `=` stands once in a statement, after the name that gets a value. Within a condition \
                      write `==` for equal and `!=` for not equal.",
        wrong: "device d {\n  alarm a when state = 3\n}",
        right: "device d {\n  alarm a when state == 3\n}",
    },
    Code {
        code: "E005",
        title: "this is not a PLC type",
        explanation: "Types are those of IEC 61131-3, in small letters: bool, byte, sint, usint, int, uint, word, \
                      dint, udint, dword, lint, ulint, lword, real, lreal, string and time. `int` has 16 bits and \
                      `dint` 32, `real` is a 32 bit and `lreal` a 64 bit floating point number. The type says how \
                      many registers are read, so a wrong one reads wrong values.",
        wrong: "source s : simulator {\n  tag x at \"1\" : i32\n}",
        right: "source s : simulator {\n  tag x at \"1\" : dint\n}",
    },
    Code {
        code: "E006",
        title: "the address needs double quotes",
        explanation: "An address is text that only its driver understands, such as `\"40101\"`, `\"DB1.DBW0\"` or \
                      `\"ns=2;s=Line1.Speed\"`. It always stands in double quotes.",
        wrong: "source s : s7 {\n  tag x at DB1.DBW0 : int\n}",
        right: "source s : s7 {\n  tag x at \"DB1.DBW0\" : int\n}",
    },
    Code {
        code: "E007",
        title: "a reserved word is used as a name",
        explanation: "Words that join the parts of a statement, such as `range`, `on` or `where`, cannot be names. In \
                      single quotes any text can be a name, wherever it is used.",
        wrong: "source s : simulator {\n  tag range at \"1\" : real\n}",
        right: "source s : simulator {\n  tag 'range' at \"1\" : real\n}",
    },
    Code {
        code: "E008",
        title: "a block is not closed",
        explanation: "An item's word at the very left of a line starts the next item, but a brace of the item before \
                      it is still open. Close it; the rest of the file was read as if it had been.",
        wrong: "source a : simulator {\n  scan = 1 s\nsource b : simulator {\n}",
        right: "source a : simulator {\n  scan = 1 s\n}\nsource b : simulator {\n}",
    },
    Code {
        code: "E009",
        title: "something else was expected here",
        explanation: "The statement is understood up to this place. The message says what could stand here. If the \
                      place looks right, look at the end of the line above: a statement ends with its line unless it \
                      ends with an operator, a comma or an open bracket.",
        wrong: "source demo simulator {\n}",
        right: "source demo : simulator {\n}",
    },
    Code {
        code: "E010",
        title: "a comma or a new line is missing",
        explanation: "Entries of a block, values of a list and arguments of a function are separated by commas. In a \
                      block a new line does the same. The branches of a `split` are separated by new lines only, \
                      because a comma there stands between sinks: `when c -> a, b`.",
        wrong: "source s : s7 {\n  rack = 0 slot = 1\n}",
        right: "source s : s7 {\n  rack = 0, slot = 1\n}",
    },
    Code {
        code: "E011",
        title: "text or a quoted name is not closed",
        explanation: "Text in double quotes and names in single quotes end on the line on which they begin. Inside \
                      text write `\\\"` for a double quote, `\\n` for a new line and `{{` for a brace that is no insert.",
        wrong: "source s : simulator {\n  tag x at \"sine 0..1 : real\n}",
        right: "source s : simulator {\n  tag x at \"sine 0..1\" : real\n}",
    },
    Code {
        code: "E012",
        title: "`{` stands on a line of its own",
        explanation: "A new line ends a statement, so the brace of a block belongs on the line of its item.",
        wrong: "source s : simulator\n{\n  scan = 1 s\n}",
        right: "source s : simulator {\n  scan = 1 s\n}",
    },
    Code {
        code: "E013",
        title: "a sign of another language",
        explanation: "Operators are `+ - * / mod`, `== != < <= > >=`, `and or not` and `otherwise`. `%` is the unit \
                      percent. Quotes are the straight ones of the keyboard, not those of a word processor.",
        wrong: "device d {\n  calc a : bool = b && c\n}",
        right: "device d {\n  calc a : bool = b and c\n}",
    },
    Code {
        code: "E014",
        title: "a name has letters outside of a to z",
        explanation: "A plain name has the letters a to z and A to Z, digits and `_`, and does not start with a digit. \
                      Any other name is written in single quotes, such as `'Öltemp'` or `'TT-101'`.",
        wrong: "source s : simulator {\n  tag Öltemp at \"1\" : real\n}",
        right: "source s : simulator {\n  tag 'Öltemp' at \"1\" : real\n}",
    },
    Code {
        code: "E015",
        title: "brackets do not match",
        explanation: "Every `(`, `[` and `{` needs its partner, and they close in the reverse order of opening.",
        wrong: "const a = (1 + 2))",
        right: "const a = (1 + 2)",
    },
    Code {
        code: "E016",
        title: "the version line is out of place or unknown",
        explanation: "`gwp 1` may stand as the first line of a file and names the version of the language. Without it \
                      version 1 is meant. A version that this program does not know needs a newer gwp.",
        wrong: "gwp 2\nconst a = 1",
        right: "gwp 1\nconst a = 1",
    },
    Code {
        code: "E017",
        title: "text needs double quotes",
        explanation: "File names, addresses on the network and descriptions are text and stand in double quotes. \
                      Without them `//` would begin a comment and `-` would be an operator.",
        wrong: "use lib.gwp",
        right: "use \"lib.gwp\"",
    },
    Code {
        code: "E018",
        title: "a number or time in the notation of another language",
        explanation: "Numbers are decimal, with a point: `255`, `1.5`, `2e6`. There are no hexadecimal or binary ones and no \
                      types in front of a value (`16#FF`, `0xFF`, `REAL#1.5`). A time is a number with a unit: `5 s`, `500 ms`, \
                      `2 min`; a point in time is written `2025-06-01T06:00Z`.",
        wrong: "const mask = 16#FF",
        right: "const mask = 255",
    },
    Code {
        code: "E020",
        title: "a file or a statement is too large",
        explanation: "A file may have 16 MiB, all files together 64 MiB, and one flow, tag, setting or step of a \
                      test 2 MiB. Split the project into several files, and name them in the entry file \
                      with `use`; or describe devices that are alike by one template and a family.",
        wrong: "",
        right: "",
    },
    Code {
        code: "E021",
        title: "nested too deep",
        explanation: "Brackets, inserts in text and `if`s may be nested 64 levels deep within one item. Give a part of \
                      the expression a name with a calc of its own.",
        wrong: "const a = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))",
        right: "const a = ((((1))))",
    },
    Code {
        code: "E022",
        title: "an expression is too large",
        explanation: "One expression may have 512 values and operators. Name parts of it with calcs of their own; over \
                      devices that are alike use `sum_of`, `avg_of` and their relatives.",
        wrong: "",
        right: "",
    },
];
