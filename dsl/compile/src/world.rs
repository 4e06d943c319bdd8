//! The project with all templates and families unfolded: devices, tags and constants by name.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use gwp_core::source::PlcType;
use gwp_core::{Settings, TagId};
use gwp_plan::plan::ALARM_COLUMNS;
use gwp_plan::{FamilyMember, Linear};
use gwp_syntax::ast;
use gwp_syntax::{Diagnostic, Span};

use crate::items::Items;
use crate::limits::{CHECKED_NODES_MAX, UNFOLDED_BYTES_MAX};
use crate::types::{Labels, Ty, Typed};
use crate::units::Units;
use crate::writes::WriteDecl;

/// Everything that names can mean, filled step by step.
pub(crate) struct World<'a> {
    pub items: Items<'a>,
    pub units: Units,
    /// IANA name, in which schedules are read.
    pub timezone: Arc<str>,
    pub consts: HashMap<&'a str, Typed>,
    pub devices: Vec<Device<'a>>,
    /// Devices and sources by name; devices made only to check a template are not here.
    pub by_name: HashMap<Arc<str>, usize>,
    pub families: HashMap<&'a str, Family>,
    /// By [`TagId`]: sorted by path, those of check-only devices last.
    pub tags: Vec<Tag<'a>>,
    pub writes: Vec<WriteDecl<'a>>,
    pub unfolded: Unfolded,
}

/// How much text and how many expressions have been unfolded so far.
#[derive(Default)]
pub(crate) struct Unfolded {
    bytes: Cell<usize>,
    nodes: Cell<usize>,
}

impl Unfolded {
    /// Counts a text; `Err` with what to report if it was one too many, with nothing if another
    /// one was before.
    pub fn text(&self, bytes: usize, span: Span) -> Result<(), Option<Diagnostic>> {
        let what = || format!("all names and texts together have more than {} MiB", UNFOLDED_BYTES_MAX >> 20);
        count(&self.bytes, bytes, UNFOLDED_BYTES_MAX, span, what)
    }

    /// Counts a node of an expression; the same.
    pub fn node(&self, span: Span) -> Result<(), Option<Diagnostic>> {
        let what = || format!("all expressions together have more than {CHECKED_NODES_MAX} parts");
        count(&self.nodes, 1, CHECKED_NODES_MAX, span, what)
    }
}

fn count(
    so_far: &Cell<usize>,
    more: usize,
    max: usize,
    span: Span,
    what: impl Fn() -> String,
) -> Result<(), Option<Diagnostic>> {
    let before = so_far.get();
    let now = before.saturating_add(more);
    so_far.set(now);
    match now > max {
        false => Ok(()),
        true => {
            let fault = || Diagnostic::new("E199", span, what()).help("split the project");
            Err((before <= max).then(fault))
        }
    }
}

/// A device, or a source as the device of its own tags.
pub(crate) struct Device<'a> {
    pub name: Arc<str>,
    pub decl: Decl<'a>,
    /// Index of its source in `items.sources`.
    pub source: Option<usize>,
    /// Number in its family.
    pub index: Option<i64>,
    pub template: Option<&'a ast::Template>,
    /// Values of the template's parameters.
    pub params: Vec<(&'a str, Typed)>,
    /// Tags, calcs and alarms; of a write its outcomes.
    pub members: HashMap<Arc<str>, TagId>,
    /// Columns of its alarm events, if it has alarms.
    pub events: Option<[TagId; ALARM_COLUMNS]>,
    /// The orders of operators to its alarms.
    pub orders: Option<TagId>,
    /// Members that could not be read or are reported.
    pub broken: HashSet<&'a str>,
    /// Its template is not known, so nothing is said of members it does not have.
    pub open: bool,
    /// Made only to check a template that no device uses.
    pub check_only: bool,
    /// Settings its driver takes, checked.
    pub settings: Settings,
    /// `scan` of the device.
    pub scan_ns: Option<i64>,
    /// `path` of the device: where it stands in the plant.
    pub place: Option<Arc<str>>,
}

/// Where a device is declared.
#[derive(Clone, Copy)]
pub(crate) enum Decl<'a> {
    Source(&'a ast::Source),
    Device(&'a ast::Device),
    Template(&'a ast::Template),
    /// Its tags are the outcomes of a write.
    Write(&'a ast::Write),
}

impl<'a> Decl<'a> {
    /// The name as declared; that of the family for one of its devices.
    pub(crate) fn name(&self) -> &'a ast::Name {
        match self {
            Decl::Source(source) => &source.name,
            Decl::Device(device) => &device.name,
            Decl::Template(template) => &template.name,
            Decl::Write(write) => &write.name,
        }
    }
}

impl<'a> Device<'a> {
    /// The bodies whose members it has.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &'a ast::Body> + use<'a> {
        let own = match self.decl {
            Decl::Source(source) => Some(&source.body),
            Decl::Device(device) => Some(&device.body),
            Decl::Template(_) | Decl::Write(_) => None,
        };
        self.template.map(|template| &template.body).into_iter().chain(own)
    }

    /// Where it stands in a family.
    pub(crate) fn family(&self) -> Option<FamilyMember> {
        match self.decl {
            Decl::Device(device) if device.family.is_some() => {
                Some(FamilyMember { family: device.name.text.as_str().into(), index: self.index? })
            }
            _ => None,
        }
    }

    /// True for a member that was reported, or may exist in a template that is not known.
    pub(crate) fn hides(&self, member: &str) -> bool {
        self.open || self.broken.contains(member)
    }

    /// Names of its tags and calcs, sorted.
    pub(crate) fn member_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.members.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }
}

/// The devices of a family by number.
#[derive(Default)]
pub(crate) struct Family {
    pub devices: BTreeMap<u64, usize>,
}

/// A tag of one device.
pub(crate) struct Tag<'a> {
    pub device: usize,
    pub name: Arc<str>,
    pub path: Arc<str>,
    pub decl: TagDecl<'a>,
    pub ty: Ty,
    /// Attributes, checked.
    pub attrs: Attributes,
    /// Filled in address and type at the device; `None` for calcs and built-in tags.
    pub point: Option<(Arc<str>, PlcType)>,
}

/// Where a tag is declared.
#[derive(Clone, Copy)]
pub(crate) enum TagDecl<'a> {
    Tag(&'a ast::Tag),
    Calc(&'a ast::Calc),
    Alarm(&'a ast::Alarm),
    /// That column of the alarm events of a device, whose first alarm this is.
    Event(usize, &'a ast::Alarm),
    /// Orders of operators to the alarms of a device, whose first alarm this is.
    Orders(&'a ast::Alarm),
    /// `connected` of a source.
    Connected(&'a ast::Source),
    /// The commands of a write for one target.
    Command(&'a ast::Write),
    /// What became of them.
    Outcome(&'a ast::Write),
}

impl TagDecl<'_> {
    /// Place of the name.
    pub(crate) fn span(&self) -> Span {
        match self {
            TagDecl::Tag(tag) => tag.name.span,
            TagDecl::Calc(calc) => calc.name.span,
            TagDecl::Alarm(alarm) | TagDecl::Event(_, alarm) | TagDecl::Orders(alarm) => alarm.name.span,
            TagDecl::Connected(source) => source.name.span,
            TagDecl::Command(write) | TagDecl::Outcome(write) => write.name.span,
        }
    }
}

/// Attributes of a tag in its unit.
#[derive(Clone, Default, Debug)]
pub(crate) struct Attributes {
    pub scan_ns: Option<i64>,
    pub deadband: Option<f64>,
    pub scale: Option<Linear>,
    pub range: Option<(f64, f64)>,
    pub counter: Option<Option<(f64, f64)>>,
    pub labels: Labels,
    pub writable: bool,
    pub desc: Arc<str>,
}

impl<'a> World<'a> {
    /// Nothing but items.
    pub(crate) fn new(items: Items<'a>) -> World<'a> {
        World {
            items,
            units: Units::default(),
            timezone: "UTC".into(),
            consts: HashMap::new(),
            devices: Vec::new(),
            by_name: HashMap::new(),
            families: HashMap::new(),
            tags: Vec::new(),
            writes: Vec::new(),
            unfolded: Unfolded::default(),
        }
    }

    pub(crate) fn device(&self, index: usize) -> Option<&Device<'a>> {
        self.devices.get(index)
    }

    pub(crate) fn tag(&self, tag: TagId) -> Option<&Tag<'a>> {
        self.tags.get(tag.index())
    }

    /// How many tags are real, not made only to check a template; they have the first ids.
    pub(crate) fn real_tags(&self) -> usize {
        self.tags.partition_point(|tag| self.device(tag.device).is_some_and(|device| !device.check_only))
    }

    /// Devices that have a member of that name, in order of their names, at most `most` of them.
    pub(crate) fn devices_with(&self, member: &str, most: usize) -> Vec<Arc<str>> {
        let mut found: Vec<_> = self
            .devices
            .iter()
            .filter(|device| !device.check_only && device.members.contains_key(member))
            .map(|device| device.name.clone())
            .collect();
        found.sort_unstable();
        found.truncate(most);
        found
    }
}
