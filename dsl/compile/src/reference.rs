//! The words of the language with a line about each: functions, aggregates, stages, words of windows and of samples,
//! attributes, types, and the settings that the language itself gives to items.
//!
//! Editors show it; tests compare it with what the checker knows and with the reference page.

use gwp_core::manifest::Setting;

use crate::settings;
use crate::units::{self, Units, quantity_name};

/// Where a word may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// In any expression.
    Function,
    /// In calcs, alarms and windows: functions that remember.
    Stateful,
    /// In the columns of a window.
    Aggregate,
    /// In settings of drivers and sinks.
    Reference,
    /// Behind `->` in a flow.
    Stage,
    /// Begins a window, behind `->`.
    Window,
    /// Behind the length of a window.
    WindowWord,
    /// A word of the sample that passes, in flows.
    SampleWord,
    /// A column that every row of a window has.
    Column,
    /// An attribute of a tag.
    Attribute,
    /// A data type.
    Type,
    /// Begins an item.
    Item,
    /// Begins a member of a source, device or template.
    Member,
}

/// One word.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub name: &'static str,
    pub group: Group,
    /// How it is written, with its arguments.
    pub form: &'static str,
    /// One line.
    pub doc: &'static str,
}

const fn word(name: &'static str, group: Group, form: &'static str, doc: &'static str) -> Word {
    Word { name, group, form, doc }
}

/// All words, group by group.
pub fn words() -> &'static [Word] {
    WORDS
}

/// The word of a name in some groups.
pub fn find(name: &str, groups: &[Group]) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.name == name && groups.contains(&word.group))
}

#[rustfmt::skip]
const WORDS: &[Word] = &[
    word("abs", Group::Function, "abs(x)", "The amount without its sign; not of points such as degC."),
    word("sqrt", Group::Function, "sqrt(x)", "Square root; its unit must be a square, such as m2."),
    word("power", Group::Function, "power(x, 2)", "x raised to a power."),
    word("exp", Group::Function, "exp(x)", "e raised to a plain number."),
    word("ln", Group::Function, "ln(x)", "Natural logarithm of a plain number."),
    word("log10", Group::Function, "log10(x)", "Logarithm to the base of 10 of a plain number."),
    word("sin", Group::Function, "sin(x)", "Sine of an angle; a plain number is in rad."),
    word("cos", Group::Function, "cos(x)", "Cosine of an angle; a plain number is in rad."),
    word("tan", Group::Function, "tan(x)", "Tangent of an angle; a plain number is in rad."),
    word("round", Group::Function, "round(x)", "The nearest integer."),
    word("floor", Group::Function, "floor(x)", "The largest integer not above x."),
    word("ceil", Group::Function, "ceil(x)", "The smallest integer not below x."),
    word("min", Group::Function, "min(a, b)", "The smallest of several values; in a window `min(x)`: of the samples and of the value held at the start."),
    word("max", Group::Function, "max(a, b)", "The largest of several values; in a window `max(x)`: of the samples and of the value held at the start."),
    word("bit", Group::Function, "bit(word, 3)", "True if that bit is set; bit 0 is the lowest."),
    word("good", Group::Function, "good(x)", "True if the quality of x is good."),
    word("within", Group::Function, "within(\"Mon-Fri 06:00-22:00; Sat 08:00-12:00\")", "True inside of a weekly schedule, in the zone of the gateway."),
    word("json", Group::Function, "json(text, \"/a/b\")", "The value at a place of a JSON text; bad if there is none."),
    word("length", Group::Function, "length(text)", "How many characters a text has."),
    word("lower", Group::Function, "lower(text)", "The text in small letters."),
    word("upper", Group::Function, "upper(text)", "The text in capital letters."),
    word("contains", Group::Function, "contains(text, \"part\")", "True if a text holds another."),
    word("sum_of", Group::Function, "sum_of(meter[*].power)", "The sum over devices."),
    word("avg_of", Group::Function, "avg_of(meter[*].power)", "The mean over devices."),
    word("min_of", Group::Function, "min_of(meter[*].power)", "The smallest value of devices."),
    word("max_of", Group::Function, "max_of(meter[*].power)", "The largest value of devices."),
    word("any_of", Group::Function, "any_of(meter[*].power > 5 kW)", "True if it holds for one of the devices."),
    word("all_of", Group::Function, "all_of(meter[*].power > 5 kW)", "True if it holds for all devices."),
    word("count_of", Group::Function, "count_of(meter[*].power > 5 kW)", "For how many devices it holds."),
    word("rate", Group::Stateful, "rate(x)", "Change per second: kW gives kW/s, degC gives K/s."),
    word("delta", Group::Stateful, "delta(x)", "Change since the sample before, a difference: degC gives K."),
    word("previous", Group::Stateful, "previous(x)", "The value before, of any type."),
    word("integral", Group::Stateful, "integral(x)", "Over time since the start, in a window over its time: kW gives kWh. Not of points such as degC."),
    word("smooth", Group::Stateful, "smooth(x, 10 s)", "First-order low pass with that time constant."),
    word("moving_avg", Group::Stateful, "moving_avg(x, 1 min)", "Time-weighted average over the last while."),
    word("changed", Group::Stateful, "changed(x)", "True if it differs from the sample before."),
    word("stale", Group::Stateful, "stale(x, 60 s)", "True if there was nothing usable for so long."),
    word("rising", Group::Stateful, "rising(b)", "True when it becomes true (R_TRIG)."),
    word("falling", Group::Stateful, "falling(b)", "True when it becomes false (F_TRIG)."),
    word("on_delay", Group::Stateful, "on_delay(b, 5 s)", "True once it has been true for so long (TON)."),
    word("off_delay", Group::Stateful, "off_delay(b, 5 s)", "False once it has been false for so long (TOF)."),
    word("pulse", Group::Stateful, "pulse(b, 5 s)", "True for so long from each rising edge (TP)."),
    word("latch", Group::Stateful, "latch(set, reset)", "Stays true from set until reset; set wins (SR)."),
    word("count_up", Group::Stateful, "count_up(b, reset)", "Counts rising edges (CTU)."),
    word("avg", Group::Aggregate, "avg(x)", "Time-weighted average, the value held between samples."),
    word("mean", Group::Aggregate, "mean(x)", "Mean of the samples alone."),
    word("first", Group::Aggregate, "first(x)", "The first value of the window."),
    word("last", Group::Aggregate, "last(x)", "The last value of the window."),
    word("sum", Group::Aggregate, "sum(x)", "Sum of the samples."),
    word("count", Group::Aggregate, "count(x)", "How many samples were good."),
    word("stddev", Group::Aggregate, "stddev(x)", "Standard deviation of the samples, a difference."),
    word("percentile", Group::Aggregate, "percentile(x, 95)", "The value below which that share of the samples lies."),
    word("increase", Group::Aggregate, "increase(x)", "What a counter has gained, over wraps, resets and lost time. The tag must say `counter`."),
    word("time_in", Group::Aggregate, "time_in(condition)", "How long a condition held, in s."),
    word("secret", Group::Reference, "secret(\"name\")", "A value of [secrets] in node.toml."),
    word("node", Group::Reference, "node(\"name\")", "A value of [vars] in node.toml."),
    word("where", Group::Stage, "where condition", "Passes what is true; bad counts as no."),
    word("changes", Group::Stage, "changes(deadband = 0.5 kW, heartbeat = 10 min)", "Passes news, and a sample at least this often."),
    word("sample", Group::Stage, "sample(10 s)", "The first sample of each tag in each period."),
    word("rename", Group::Stage, "rename(\"{device}_{tag}\")", "Names at the sinks behind it, of `{place}`, `{device}`, `{tag}`, `{path}`, `{flow}` and `{index}`."),
    word("split", Group::Stage, "split { when c -> a; else -> b, each on its line }", "The first branch that matches takes the sample; `else` is mandatory."),
    word("drop", Group::Stage, "-> drop", "Says that samples may vanish here."),
    word("every", Group::Window, "every 1 h { columns }", "A row per stretch of the calendar."),
    word("on", Group::Window, "on condition { columns }", "A row at each rising edge, over the time since the one before."),
    word("while", Group::Window, "while condition { columns }", "A row per run of a condition: a batch, a stop, a session."),
    word("at", Group::WindowWord, "at 06:00", "Where the grid begins; default 00:00."),
    word("in", Group::WindowWord, "in \"Europe/Lisbon\"", "Time zone of the grid; default that of the gateway."),
    word("over", Group::WindowWord, "over 10 min", "Sliding: a row at each step over the last while."),
    word("by", Group::WindowWord, "by device", "One window for each device at the head."),
    word("wait", Group::WindowWord, "wait 5 min", "How long after the end to wait for samples; default 0 s."),
    word("revise", Group::WindowWord, "revise 7 d", "Later samples issue the row again, with the next revision."),
    word("min_coverage", Group::WindowWord, "min_coverage 90 %", "Share of good time below which a row is uncertain; default 80 %."),
    word("as", Group::WindowWord, "as name", "Name of the rows; default that of the flow."),
    word("value", Group::SampleWord, "value", "The value of the sample that passes."),
    word("quality", Group::SampleWord, "quality", "Its quality."),
    word("time", Group::SampleWord, "time", "Its time stamp."),
    word("tag", Group::SampleWord, "tag", "Name of its tag."),
    word("device", Group::SampleWord, "device", "Name of its device."),
    word("path", Group::SampleWord, "path", "`device.tag`."),
    word("flow", Group::SampleWord, "flow", "Name of the flow."),
    word("start", Group::Column, "start", "When the window began."),
    word("end", Group::Column, "end", "When the window ended."),
    word("length", Group::Column, "length", "How long it was."),
    word("coverage", Group::Column, "coverage", "Share of its time with good values."),
    word("revision", Group::Column, "revision", "How often the row was issued before."),
    word("device", Group::Column, "device", "The device of the row."),
    word("scan", Group::Attribute, "scan 10 s", "Its scan class, instead of that of the source."),
    word("deadband", Group::Attribute, "deadband 0.5 kW", "Smaller changes are not passed on by flows; calcs see every sample."),
    word("scale", Group::Attribute, "scale 0..27648 -> 0..150 degC", "Raw to engineering value, also as a factor: `scale 0.1`."),
    word("range", Group::Attribute, "range 0..500 kW", "Outside is uncertain(out_of_range)."),
    word("counter", Group::Attribute, "counter 0..32767", "It only rises, and wraps there."),
    word("enum", Group::Attribute, "enum { 0 = \"stopped\", 1 = \"running\" }", "Labels of its values."),
    word("writable", Group::Attribute, "writable", "It may be written by a `write`."),
    word("desc", Group::Attribute, "desc \"...\"", "A description."),
    word("bool", Group::Type, "bool", "True or false."),
    word("byte", Group::Type, "byte", "8 bits."),
    word("sint", Group::Type, "sint", "8 bit signed."),
    word("usint", Group::Type, "usint", "8 bit unsigned."),
    word("int", Group::Type, "int", "16 bit signed; calcs compute with 64."),
    word("uint", Group::Type, "uint", "16 bit unsigned."),
    word("word", Group::Type, "word", "16 bits."),
    word("dint", Group::Type, "dint", "32 bit signed."),
    word("udint", Group::Type, "udint", "32 bit unsigned."),
    word("dword", Group::Type, "dword", "32 bits."),
    word("lint", Group::Type, "lint", "64 bit signed."),
    word("ulint", Group::Type, "ulint", "64 bit unsigned."),
    word("lword", Group::Type, "lword", "64 bits."),
    word("real", Group::Type, "real", "32 bit floating point; calcs compute with 64."),
    word("lreal", Group::Type, "lreal", "64 bit floating point."),
    word("string", Group::Type, "string", "Text."),
    word("time", Group::Type, "time", "A point in time."),
    word("gwp", Group::Item, "gwp 1", "The version of the language, in the first line."),
    word("use", Group::Item, "use \"lib.gwp\"", "Another file, relative to this one; one name space for all files."),
    word("gateway", Group::Item, "gateway name { settings }", "Once per project: what both nodes of a pair must agree on."),
    word("const", Group::Item, "const limit : real kW = 5 kW", "A value with a name."),
    word("unit", Group::Item, "unit pallet = 48 pcs", "A unit of your own."),
    word("template", Group::Item, "template T(p: real kW = 400 kW) { members }", "A model of a device, with parameters."),
    word("source", Group::Item, "source n : driver { settings, tags }", "One connection. `n.connected` is built in."),
    word("device", Group::Item, "device d : T(p = 1 kW) on src { settings }", "An instance on a source, or a place for calculated tags."),
    word("sink", Group::Item, "sink n : driver { settings }", "One destination with one journal."),
    word("flow", Group::Item, "flow n = head -> stage -> sink", "The way from tags to sinks."),
    word("write", Group::Item, "write n to device.tag from src at \"address\" { allow = ... }", "The only way into a device."),
    word("moved", Group::Item, "moved old -> new", "A device, tag, source, sink, flow or write has another name now: its state and its journal stay."),
    word("test", Group::Item, "test \"name\" { at 0 s: d.x = 1, expect d.y = 2 }", "Feeds tags and says what must come out; `gwp test` plays it."),
    word("tag", Group::Member, "tag n at \"address\" : type unit attributes", "A value that is read from the device."),
    word("calc", Group::Member, "calc n : type unit = expression", "A value that is computed."),
    word("alarm", Group::Member, "alarm n when condition for 10 s { severity = high }", "A condition that a person must know of."),
];

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Gateway,
    Source,
    Device,
    Sink,
    Alarm,
    Write,
    Test,
}

/// A setting that the language itself gives.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// With its type and bounds.
    Table(&'static Setting),
    /// One with a form of its own.
    Special(Special),
}

/// A setting that is no plain value.
#[derive(Clone, Copy, Debug)]
pub struct Special {
    pub name: &'static str,
    /// Such as `key = [path, time, seq]`.
    pub form: &'static str,
    /// Words it takes.
    pub words: &'static [&'static str],
    pub doc: &'static str,
}

impl Entry {
    pub fn name(&self) -> &'static str {
        match self {
            Entry::Table(setting) => setting.name,
            Entry::Special(special) => special.name,
        }
    }

    pub fn doc(&self) -> &'static str {
        match self {
            Entry::Table(setting) => setting.doc,
            Entry::Special(special) => special.doc,
        }
    }
}

const fn special(
    name: &'static str,
    form: &'static str,
    words: &'static [&'static str],
    doc: &'static str,
) -> Special {
    Special { name, form, words, doc }
}

/// Settings that the language gives to every item of a kind, whatever its driver.
pub fn settings(owner: Owner) -> Vec<Entry> {
    let (table, specials) = match owner {
        Owner::Gateway => (settings::GATEWAY, GATEWAY),
        Owner::Source => (settings::SOURCE, SOURCE),
        Owner::Device => (&[][..], DEVICE),
        Owner::Sink => (settings::SINK, SINK),
        Owner::Alarm => (&[][..], ALARM),
        Owner::Write => (&[][..], WRITE),
        Owner::Test => (&[][..], TEST),
    };
    table.iter().map(Entry::Table).chain(specials.iter().copied().map(Entry::Special)).collect()
}

const GATEWAY: &[Special] = &[special(
    "failback",
    "failback = after(10 min)",
    &["manual", "after", "window"],
    "When the preferred node takes over again: `manual`, `after(10 min)` or `window(\"Sun 02:00-04:00\")`.",
)];

const SOURCE: &[Special] = &[special(
    "on_disconnect",
    "on_disconnect = hold(4 h)",
    &["mark_bad", "hold"],
    "What happens to the tags when the connection is lost; `hold` when the device buffers.",
)];

const DEVICE: &[Special] = &[
    special("scan", "scan = 10 s", &[], "Period in which its tags are read, instead of that of the source."),
    special(
        "path",
        "path = \"site/energy\"",
        &[],
        "Its place in the plant, which goes before the names of its tags at destinations.",
    ),
];

const SINK: &[Special] = &[
    special(
        "key",
        "key = [path, time, seq]",
        &["path", "time", "seq", "flow", "device", "start"],
        "What makes a sample the same sample.",
    ),
    special("dead_letter", "dead_letter = sink", &[], "The sink that takes what this destination refuses."),
];

const ALARM: &[Special] = &[
    special("clear", "clear = temp < 65 degC", &[], "What ends the alarm; default the end of its condition."),
    special("clear_for", "clear_for = 5 s", &[], "How long that must hold."),
    special(
        "severity",
        "severity = high",
        &["low", "medium", "high", "critical"],
        "How much it matters; default medium.",
    ),
    special(
        "message",
        "message = \"{device}: oil at {temp}\"",
        &[],
        "Text, filled in when the alarm is raised; knows {device}, {alarm} and {time}.",
    ),
];

const WRITE: &[Special] = &[
    special(
        "allow",
        "allow = 0..50 kW",
        &[],
        "What may be written, inside the `range` of the tag; for texts and enums a list. Required.",
    ),
    special("limit", "limit = 1 per 5 s", &[], "How many commands are let through in which time."),
    special("expire", "expire = 10 s", &[], "Older commands are refused; default 10 s."),
    special("verify", "verify = 2 s", &[], "How long to wait until the tag reads back what was written."),
];

const TEST: &[Special] =
    &[special("start", "start = 2025-06-01T00:00Z", &[], "Time at which the test begins.")];

/// Names of the built-in units, without prefixes, in the order of suggestions.
pub fn units() -> impl Iterator<Item = &'static str> {
    units::common()
}

/// What a built-in unit such as `kW` or `m3/h` measures, and how large it is.
pub fn unit_doc(written: &str) -> Option<String> {
    let unit = Units::default().find(written)?;
    let quantity = if unit.is_none() { "a share" } else { quantity_name(&unit.dim) };
    Some(match (unit.point, unit.factor == 1.0) {
        (true, _) => format!("{quantity}, a point on a scale; differences are in K"),
        (false, true) => format!("{quantity}, in SI units"),
        (false, false) => format!("{quantity}, {} in SI units", unit.factor),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_syntax::WordClass;
    use std::collections::BTreeSet;

    fn names(group: Group) -> BTreeSet<&'static str> {
        let found: Vec<_> = WORDS.iter().filter(|word| word.group == group).map(|word| word.name).collect();
        let set: BTreeSet<_> = found.iter().copied().collect();
        assert_eq!(set.len(), found.len(), "a word of {group:?} stands there twice");
        set
    }

    fn keywords(class: WordClass) -> BTreeSet<&'static str> {
        gwp_syntax::keywords().into_iter().filter(|word| word.1 == class).map(|word| word.0).collect()
    }

    #[test]
    fn the_words_are_those_of_the_checker_and_of_the_grammar() {
        let set = |words: &[&'static str]| words.iter().copied().collect::<BTreeSet<_>>();
        let (functions, stateful, aggregates) = crate::check::functions();
        assert_eq!(names(Group::Function), set(functions));
        assert_eq!(names(Group::Stateful), set(stateful));
        assert_eq!(names(Group::Aggregate), set(aggregates));
        assert_eq!(names(Group::Attribute), keywords(WordClass::Attribute));
        assert_eq!(names(Group::Type), keywords(WordClass::Type));
        assert_eq!(names(Group::Member), keywords(WordClass::Member));
        assert_eq!(names(Group::Item), keywords(WordClass::Item));
        assert_eq!(names(Group::Column).len(), crate::check::resolve::built_in_columns().len());
    }

    #[test]
    fn the_reference_page_names_every_word_and_setting() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let page = std::fs::read_to_string(path).expect("the reference page");
        let said: BTreeSet<&str> = page.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for word in WORDS {
            assert!(said.contains(word.name), "{} is not in the reference", word.name);
            assert!(word.form.contains(word.name) && word.doc.ends_with('.'), "{word:?}");
        }
        for owner in [Owner::Source, Owner::Sink, Owner::Alarm, Owner::Write, Owner::Test] {
            for entry in settings(owner) {
                assert!(said.contains(entry.name()), "{} is not in the reference", entry.name());
            }
        }
    }

    #[test]
    fn every_named_unit_is_known() {
        assert!(units().count() > 50);
        for unit in units() {
            assert!(unit_doc(unit).is_some(), "{unit}");
        }
        assert!(unit_doc("kW").is_some_and(|doc| doc.contains("1000")));
        assert!(unit_doc("degC").is_some_and(|doc| doc.contains("scale")));
        assert_eq!(unit_doc("furlongs"), None);
    }
}
