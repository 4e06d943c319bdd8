//! Random programs, and random edits of them, for tests of what a change of the program does.
//!
//! Every program compiles without errors, with the real components as with those of the compiler's tests. All
//! follows from a seed. Names are never used twice, so that `moved` lines always stay right.
#![allow(dead_code, unused_imports)]

mod edits;

pub use edits::{Edit, edit};

use std::fmt::Write as _;

/// Random numbers from a seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `count`, which must not be 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A program as a value; [`Program::text`] writes it.
#[derive(Clone, Debug)]
pub struct Program {
    pub zone: &'static str,
    pub sources: Vec<Source>,
    pub family: Option<Family>,
    pub sinks: Vec<Sink>,
    pub flows: Vec<Flow>,
    pub moved: Vec<Moved>,
    names: usize,
}

#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub scan_ms: usize,
    pub seed: usize,
    pub tags: Vec<Tag>,
    pub calcs: Vec<Calc>,
    pub alarms: Vec<Alarm>,
}

#[derive(Clone, Debug)]
pub struct Tag {
    pub name: String,
    pub constant: usize,
    pub scale: Option<usize>,
    pub range: Option<usize>,
    pub deadband: Option<usize>,
    pub scan_ms: Option<usize>,
    pub desc: Option<usize>,
}

/// `function` of a tag of the same source.
#[derive(Clone, Debug)]
pub struct Calc {
    pub name: String,
    pub tag: String,
    pub function: &'static str,
    pub add: usize,
}

#[derive(Clone, Debug)]
pub struct Alarm {
    pub name: String,
    pub tag: String,
    pub limit: usize,
    pub for_s: usize,
    pub severity: &'static str,
}

/// Devices with a template of their own.
#[derive(Clone, Debug)]
pub struct Family {
    pub name: String,
    pub source: String,
    pub devices: usize,
    pub factor: usize,
}

#[derive(Clone, Debug)]
pub struct Sink {
    pub name: String,
    /// None: a console.
    pub file: Option<usize>,
    pub keep_d: usize,
    pub retry_s: usize,
}

#[derive(Clone, Debug)]
pub struct Flow {
    pub name: String,
    /// Names of sources, and of the family.
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub way: Way,
}

#[derive(Clone, Debug)]
pub enum Way {
    Samples { heartbeat_s: Option<usize>, above: Option<usize> },
    Rows { minutes: usize, revise: bool, columns: Vec<(&'static str, String)> },
}

/// `moved old -> new`.
#[derive(Clone, Debug)]
pub struct Moved {
    pub old: String,
    pub new: String,
}

const FUNCTIONS: [&str; 7] = [
    "abs(x)",
    "integral(x) / 1 s",
    "moving_avg(x, 30 s)",
    "moving_avg(x, 1 min)",
    "smooth(x, 10 s)",
    "delta(x)",
    "integral(moving_avg(x, 1 min)) / 1 s",
];
const AGGREGATES: [&str; 5] = ["avg", "min", "max", "sum", "stddev"];
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/New_York"];
const SCANS_MS: [usize; 4] = [250, 500, 1_000, 5_000];
const MINUTES: [usize; 4] = [1, 5, 10, 60];
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// A program from a seed.
pub fn program(seed: u64) -> Program {
    let mut dice = Dice::new(seed);
    let mut program = Program {
        zone: dice.one_of(&ZONES),
        sources: Vec::new(),
        family: None,
        sinks: Vec::new(),
        flows: Vec::new(),
        moved: Vec::new(),
        names: 0,
    };
    for _ in 0..1 + dice.below(3) {
        program.add_source(&mut dice);
    }
    if dice.chance(60) {
        program.add_family(&mut dice);
    }
    for _ in 0..1 + dice.below(3) {
        program.add_sink(&mut dice);
    }
    for _ in 0..1 + dice.below(4) {
        program.add_flow(&mut dice);
    }
    program
}

impl Program {
    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        // Names that do not come in the order in which they are made.
        format!("{what}{}_{}", self.names * 7 % 10, self.names)
    }

    fn tag(&mut self, dice: &mut Dice) -> Tag {
        Tag {
            name: self.name("t"),
            constant: dice.below(50),
            scale: dice.chance(30).then(|| 2 + dice.below(5)),
            range: dice.chance(20).then(|| 100 + dice.below(5)),
            deadband: dice.chance(20).then(|| 1 + dice.below(5)),
            scan_ms: dice.chance(20).then(|| dice.one_of(&SCANS_MS)),
            desc: dice.chance(20).then(|| dice.below(100)),
        }
    }

    fn calc(&mut self, dice: &mut Dice, tag: String) -> Calc {
        Calc { name: self.name("c"), tag, function: dice.one_of(&FUNCTIONS), add: dice.below(10) }
    }

    fn alarm(&mut self, dice: &mut Dice, tag: String) -> Alarm {
        let (limit, for_s) = (dice.below(100), 1 + dice.below(60));
        Alarm { name: self.name("a"), tag, limit, for_s, severity: dice.one_of(&SEVERITIES) }
    }

    fn add_source(&mut self, dice: &mut Dice) {
        let tags: Vec<Tag> = (0..1 + dice.below(4)).map(|_| self.tag(dice)).collect();
        let calcs = (0..dice.below(3)).map(|_| {
            let tag = tags[dice.below(tags.len())].name.clone();
            self.calc(dice, tag)
        });
        let calcs = calcs.collect();
        let alarms = (0..dice.below(3)).map(|_| {
            let tag = tags[dice.below(tags.len())].name.clone();
            self.alarm(dice, tag)
        });
        let alarms = alarms.collect();
        let name = self.name("s");
        let (scan_ms, seed) = (dice.one_of(&SCANS_MS), dice.below(100));
        self.sources.push(Source { name, scan_ms, seed, tags, calcs, alarms });
    }

    fn add_family(&mut self, dice: &mut Dice) {
        let source = self.sources[dice.below(self.sources.len())].name.clone();
        let name = format!("{}_m", self.name("f"));
        self.family = Some(Family { name, source, devices: 1 + dice.below(4), factor: 1 + dice.below(9) });
    }

    fn add_sink(&mut self, dice: &mut Dice) {
        let name = self.name("k");
        let file = dice.chance(50).then_some(self.names);
        self.sinks.push(Sink { name, file, keep_d: 1 + dice.below(9), retry_s: 1 + dice.below(9) });
    }

    fn heads(&self) -> Vec<String> {
        let sources = self.sources.iter().map(|source| source.name.clone());
        sources.chain(self.family.iter().map(|family| family.name.clone())).collect()
    }

    fn add_flow(&mut self, dice: &mut Dice) {
        let heads = self.heads();
        let head = heads[dice.below(heads.len())].clone();
        let to = self.sinks[dice.below(self.sinks.len())].name.clone();
        let way = match dice.chance(50) {
            true => Way::Samples {
                heartbeat_s: dice.chance(50).then(|| 1 + dice.below(100)),
                above: dice.chance(50).then(|| dice.below(30)),
            },
            false => Way::Rows {
                minutes: dice.one_of(&MINUTES),
                revise: dice.chance(30),
                columns: (0..1 + dice.below(3)).map(|_| (dice.one_of(&AGGREGATES), self.name("w"))).collect(),
            },
        };
        let name = self.name("l");
        self.flows.push(Flow { name, from: vec![head], to: vec![to], way });
    }

    /// The program as it is written.
    pub fn text(&self) -> String {
        let mut out = format!("gateway plant {{ timezone = \"{}\" }}\n", self.zone);
        self.sources.iter().for_each(|source| source.write(&mut out));
        if let Some(family) = &self.family {
            let Family { name, source, devices, factor } = family;
            let _ = writeln!(
                out,
                "template T() {{\n  tag p at \"constant 3\" : real\n  calc e = integral(p) * {factor}\n  alarm high when p > 5\n}}\n\
                 device {name}[1..{devices}] : T() on {source}"
            );
        }
        for Sink { name, file, keep_d, retry_s } in &self.sinks {
            let (driver, path) = match file {
                Some(file) => ("csv", format!("path = \"out{file}.csv\", ")),
                None => ("console", String::new()),
            };
            let _ = writeln!(
                out,
                "sink {name} : {driver} {{ {path}bad = null, journal {{ keep = {keep_d} d }}, retry {{ first = {retry_s} s }} }}"
            );
        }
        self.flows.iter().for_each(|flow| self.write_flow(&mut out, flow));
        for Moved { old, new } in &self.moved {
            let _ = writeln!(out, "moved {old} -> {new}");
        }
        out
    }

    fn write_flow(&self, out: &mut String, flow: &Flow) {
        let heads: Vec<String> = flow
            .from
            .iter()
            .map(|head| match self.family.as_ref().is_some_and(|family| family.name == *head) {
                true => format!("{head}[*]"),
                false => head.clone(),
            })
            .collect();
        let _ = write!(out, "flow {} = {}", flow.name, heads.join(", "));
        match &flow.way {
            Way::Samples { heartbeat_s, above } => {
                if let Some(above) = above {
                    let _ = write!(out, " -> where good(value) or {above} > 3");
                }
                if let Some(heartbeat) = heartbeat_s {
                    let _ = write!(out, " -> changes(heartbeat = {heartbeat} s)");
                }
            }
            Way::Rows { minutes, revise, columns } => {
                let revise = if *revise { " revise 1 h" } else { "" };
                let argument = self.argument(&flow.from[0]);
                let column = |(aggregate, name): &(&str, String)| format!("{name} = {aggregate}({argument})");
                let columns: Vec<String> = columns.iter().map(column).collect();
                let _ = write!(out, " -> every {minutes} min{revise} by device {{ {} }}", columns.join(", "));
            }
        }
        let _ = writeln!(out, " -> {}", flow.to.join(", "));
    }

    /// A tag that every device of a head has.
    fn argument(&self, head: &str) -> &str {
        let source = self.sources.iter().find(|source| source.name == *head);
        source.map_or("p", |source| &source.tags[0].name)
    }
}

impl Source {
    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "source {} : simulator {{", self.name);
        let _ = writeln!(out, "  scan = {} ms, seed = {}", self.scan_ms, self.seed);
        for tag in &self.tags {
            let _ = write!(out, "  tag {} at \"constant {}\" : real", tag.name, tag.constant);
            let mut attribute = |word: &str, value: Option<String>| {
                if let Some(value) = value {
                    let _ = write!(out, " {word} {value}");
                }
            };
            attribute("scan", tag.scan_ms.map(|ms| format!("{ms} ms")));
            attribute("scale", tag.scale.map(|scale| scale.to_string()));
            attribute("range", tag.range.map(|high| format!("0..{high}")));
            attribute("deadband", tag.deadband.map(|band| band.to_string()));
            attribute("desc", tag.desc.map(|number| format!("\"no {number}\"")));
            out.push('\n');
        }
        for Calc { name, tag, function, add } in &self.calcs {
            let text = function.replace("(x", &format!("({tag}"));
            let _ = writeln!(out, "  calc {name} = {text} + {add} * {tag}");
        }
        for Alarm { name, tag, limit, for_s, severity } in &self.alarms {
            let _ = writeln!(
                out,
                "  alarm {name} when {tag} > {limit} for {for_s} s {{ severity = {severity} }}"
            );
        }
        out.push_str("}\n");
    }
}
