//! Words of other languages where a name means nothing: PLC programs, Python, SQL. Each is told what it is called here.

use gwp_syntax::Diagnostic;
use gwp_syntax::ast::Name;

/// Function blocks of IEC 61131-3 and of other languages; where the arguments are the same, the name to write.
const FUNCTIONS: &[(&str, Option<&str>, &str)] = &[
    ("TON", Some("on_delay"), "write `on_delay(condition, 5 s)`"),
    ("TOF", Some("off_delay"), "write `off_delay(condition, 5 s)`"),
    ("TP", Some("pulse"), "write `pulse(condition, 5 s)`"),
    ("R_TRIG", Some("rising"), "write `rising(condition)`"),
    ("F_TRIG", Some("falling"), "write `falling(condition)`"),
    ("CTU", None, "write `count_up(condition, reset)`, and compare its result with the limit"),
    ("CTD", None, "write `count_up(condition, reset)`, and subtract its result"),
    ("SR", Some("latch"), "write `latch(set, reset)`: set wins"),
    ("RS", None, "write `latch(set and not reset, reset)`: reset wins"),
    ("LIMIT", None, "write `max(low, min(x, high))`"),
    ("CLAMP", None, "write `max(low, min(x, high))`"),
    ("SEL", None, "write `if condition then b else a`"),
    ("IIF", None, "write `if condition then a else b`"),
    ("IF", None, "write `if condition then a else b`"),
    ("MUX", None, "write `if k == 0 then a else if k == 1 then b else c`"),
    ("EXPT", Some("power"), "write `power(x, 2)`"),
    ("POW", Some("power"), "write `power(x, 2)`"),
    ("LOG", None, "write `ln(x)` or `log10(x)`"),
    ("LEN", Some("length"), "write `length(text)`"),
    ("TRUNC", None, "write `floor(x)`, or `ceil(x)` for negative numbers"),
    ("CONCAT", None, "write a text with inserts: `\"{a} and {b}\"`"),
];

/// What a function of another language is called here: the name to write, if it takes the same, and the help.
pub(super) fn function(name: &str) -> Option<(Option<&'static str>, &'static str)> {
    let found = FUNCTIONS.iter().find(|(foreign, ..)| foreign.eq_ignore_ascii_case(name));
    found.map(|(_, same, help)| (*same, *help))
}

/// Says more of a bare name that means nothing, if it is one that people write.
pub(super) fn word(name: &Name, fault: Diagnostic) -> Result<Diagnostic, Diagnostic> {
    let text = name.text.as_str();
    if name.quoted {
        let help = format!("single quotes are for names; a text has double ones: `\"{text}\"`");
        let fault = fault.help(help);
        return Ok(if text.contains(['"', '{', '}', '\\']) {
            fault
        } else {
            fault.fix_here(format!("\"{text}\""))
        });
    }
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "true" | "false" => Ok(fault.help(format!("write `{lower}`")).fix_here(lower)),
        "good" => Ok(fault.help("write `good(x)`; in a stage `where good(value)`")),
        "bad" | "uncertain" => Ok(fault.help(format!("write `x.quality == \"{lower}\"`, or `not good(x)`"))),
        _ => Err(fault),
    }
}
