//! The one name space of a project: every item by name, and the units and files around them.

use std::collections::{HashMap, HashSet};

use gwp_syntax::ast::{self, Item};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

/// What an item is, for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ItemKind {
    Gateway,
    Const,
    Template,
    Source,
    Device,
    Sink,
    Flow,
    Write,
}

impl ItemKind {
    /// With its article.
    pub(crate) fn words(self) -> &'static str {
        match self {
            ItemKind::Gateway => "the gateway",
            ItemKind::Const => "a constant",
            ItemKind::Template => "a template",
            ItemKind::Source => "a source",
            ItemKind::Device => "a device",
            ItemKind::Sink => "a sink",
            ItemKind::Flow => "a flow",
            ItemKind::Write => "a write",
        }
    }
}

/// A name with what it stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub kind: ItemKind,
    /// Place of the name in its declaration.
    pub span: Span,
}

/// All items of a project, by kind in the order of the files, and by name.
#[derive(Default)]
pub(crate) struct Items<'a> {
    pub gateway: Option<&'a ast::Gateway>,
    pub consts: Vec<&'a ast::Const>,
    pub units: Vec<&'a ast::UnitDef>,
    pub templates: HashMap<&'a str, &'a ast::Template>,
    pub sources: Vec<&'a ast::Source>,
    pub devices: Vec<&'a ast::Device>,
    pub sinks: Vec<&'a ast::Sink>,
    pub tests: Vec<&'a ast::Test>,
    pub flows: Vec<&'a ast::Flow>,
    pub writes: Vec<&'a ast::Write>,
    pub moved: Vec<&'a ast::Moved>,
    names: HashMap<&'a str, Named>,
    /// Names of items that could not be read: nothing is said of them again.
    broken: HashSet<&'a str>,
    /// Words of items that could not be read in full.
    mentioned: HashSet<&'a str>,
}

impl<'a> Items<'a> {
    /// Takes in the items of all files; reports names that are given twice.
    pub(crate) fn collect(files: &'a [ast::File], report: &mut Diagnostics) -> Items<'a> {
        let mut items = Items::default();
        let mut names = Names::default();
        for file in files {
            items.broken.extend(file.broken.iter().map(|name| name.text.as_str()));
            items.mentioned.extend(file.mentioned.iter().map(String::as_str));
            for item in &file.items {
                items.take(item, &mut names, report);
            }
        }
        items.names = names.by_name;
        items
    }

    fn take(&mut self, item: &'a Item, names: &mut Names<'a>, report: &mut Diagnostics) {
        match item {
            Item::Use(_) => {}
            Item::Gateway(gateway) => {
                if let Some(first) = self.gateway {
                    let fault = Diagnostic::new("E103", gateway.span, "a project has one `gateway`");
                    report.push(fault.label(first.span, "the first one").help("merge the two"));
                    return;
                }
                names.add(&gateway.name, ItemKind::Gateway, report);
                self.gateway = Some(gateway);
            }
            Item::Const(constant) => {
                if names.add(&constant.name, ItemKind::Const, report) {
                    self.consts.push(constant);
                }
            }
            Item::Unit(unit) => self.units.push(unit),
            Item::Template(template) => {
                if names.add(&template.name, ItemKind::Template, report) {
                    self.templates.insert(&template.name.text, template);
                }
            }
            Item::Source(source) => {
                if names.add(&source.name, ItemKind::Source, report) {
                    self.sources.push(source);
                }
            }
            Item::Device(device) => {
                if names.add(&device.name, ItemKind::Device, report) {
                    self.devices.push(device);
                }
            }
            Item::Sink(sink) => {
                if names.add(&sink.name, ItemKind::Sink, report) {
                    self.sinks.push(sink);
                }
            }
            Item::Flow(flow) => {
                if names.add(&flow.name, ItemKind::Flow, report) {
                    self.flows.push(flow);
                }
            }
            Item::Write(write) => {
                if names.add(&write.name, ItemKind::Write, report) {
                    self.writes.push(write);
                }
            }
            Item::Moved(moved) => self.moved.push(moved),
            Item::Test(test) => self.tests.push(test),
        }
    }

    /// What a name stands for.
    pub(crate) fn get(&self, name: &str) -> Option<Named> {
        self.names.get(name).copied()
    }

    /// True for the name of an item that could not be read.
    pub(crate) fn is_broken(&self, name: &str) -> bool {
        self.broken.contains(name)
    }

    /// True if an item that could not be read may use what goes by that name: it is not said to be unused.
    pub(crate) fn is_mentioned(&self, name: &str) -> bool {
        self.mentioned.contains(name)
    }

    /// Names of all items of some kinds.
    pub(crate) fn names_of(&self, kinds: &[ItemKind]) -> impl Iterator<Item = &'a str> {
        self.names.iter().filter(|(_, named)| kinds.contains(&named.kind)).map(|(name, _)| *name)
    }

    /// `nothing is called ...`, or what the name is instead.
    pub(crate) fn unknown(&self, name: &ast::Name, wanted: &[ItemKind]) -> Option<Diagnostic> {
        if self.is_broken(&name.text) {
            return None;
        }
        if let Some(named) = self.get(&name.text) {
            let what = format!("`{}` is {}", name.text, named.kind.words());
            let words: Vec<_> = wanted.iter().map(|kind| kind.words()).collect();
            let fault = Diagnostic::new("E110", name.span, format!("{what}, not {}", words.join(" or ")));
            return Some(fault.label(named.span, "declared here"));
        }
        let fault = Diagnostic::new("E101", name.span, format!("nothing is called `{}` here", name.text));
        Some(match nearest_name(&name.text, self.names_of(wanted)) {
            Some(near) => {
                let place = self.get(near).map(|named| named.span);
                let fault = fault.did_you_mean(near);
                place
                    .into_iter()
                    .fold(fault, |fault, span| fault.label(span, format!("`{near}` is declared here")))
            }
            None => fault,
        })
    }
}

/// The nearest of the names that are known at a place. These are few, so that a short one may be a letter away, if
/// only one is.
pub(crate) fn nearest_name<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let candidates: Vec<&str> = candidates.collect();
    nearest(word, candidates.iter().copied()).or_else(|| {
        let first = |name: &str| name.chars().next().map(|first| first.to_ascii_lowercase());
        let is_short = |name: &str| name.chars().count() <= 2;
        let alike = |name: &&&str| is_short(name) && first(name) == first(word);
        let mut short = candidates.iter().filter(alike).filter(|_| is_short(word));
        let only = short.next()?;
        short.all(|other| other == only).then_some(*only)
    })
}

/// The nearest candidate, whatever order they come in.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let mut sorted: Vec<_> = candidates.collect();
    sorted.sort_unstable();
    gwp_syntax::nearest(word, sorted)
}

/// Names of one space, each once, also when capital letters are ignored.
#[derive(Default)]
pub(crate) struct Names<'a> {
    by_name: HashMap<&'a str, Named>,
    /// Templates apart: a device is told from its template by where it stands (`device meter : Meter()`).
    by_lower: HashMap<(String, bool), (&'a str, Span)>,
}

impl<'a> Names<'a> {
    /// False if the name is taken; that is then reported.
    pub(crate) fn add(&mut self, name: &'a ast::Name, kind: ItemKind, report: &mut Diagnostics) -> bool {
        if let Some(first) = self.by_name.get(name.text.as_str()) {
            let fault = Diagnostic::new("E103", name.span, format!("`{}` is declared twice", name.text));
            report.push(
                fault
                    .here("the second time")
                    .label(first.span, "the first time")
                    .help("all files of a project share one name space; choose another name"),
            );
            return false;
        }
        let lower = (name.text.to_lowercase(), kind == ItemKind::Template);
        if let Some((other, span)) = self.by_lower.get(&lower) {
            let message = format!("`{}` and `{other}` differ in capital letters only", name.text);
            let fault = Diagnostic::new("E106", name.span, message);
            report.push(fault.label(*span, "the other one").help("choose names that cannot be mistaken"));
        }
        self.by_lower.insert(lower, (&name.text, name.span));
        self.by_name.insert(&name.text, Named { kind, span: name.span });
        true
    }
}
