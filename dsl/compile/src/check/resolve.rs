//! What a path means in its place.

use std::sync::Arc;

use gwp_core::TagId;
use gwp_plan::{Expr, Type};
use gwp_syntax::ast::{MemberPick, Members, Name, Path};
use gwp_syntax::{Diagnostic, Span};

use super::{Place, RowColumn, Scope, habits};
use crate::alarms;
use crate::items::{ItemKind, nearest_name};
use crate::types::{Ty, Typed};
use crate::units::Unit;
use crate::world::{Device, World};

/// The meaning of a path.
pub(crate) enum Meaning {
    /// A parameter, a constant, `index`, `true` or `false`.
    Value(Typed),
    Tag(TagId),
    /// `x.quality`
    QualityOf(TagId),
    /// `x.time`
    TimeOf(TagId),
    /// A word of the sample that passes a stage.
    Word(SampleWord),
    /// A column, where only samples can be read.
    Column(Arc<str>),
    /// Reported elsewhere already.
    Silent,
    Unknown(Box<Diagnostic>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SampleWord {
    Value,
    Quality,
    Time,
    Path,
    Device,
    Tag,
    Flow,
    /// Found by itself: only families have it.
    Index,
}

const SAMPLE_WORDS: [(&str, SampleWord); 7] = [
    ("value", SampleWord::Value),
    ("quality", SampleWord::Quality),
    ("time", SampleWord::Time),
    ("path", SampleWord::Path),
    ("device", SampleWord::Device),
    ("tag", SampleWord::Tag),
    ("flow", SampleWord::Flow),
];

fn unknown(diagnostic: Diagnostic) -> Meaning {
    Meaning::Unknown(Box::new(diagnostic))
}

impl<'a> World<'a> {
    /// Finds out what a path means; reports nothing.
    pub(crate) fn resolve(&self, path: &Path, scope: &Scope<'_>) -> Meaning {
        if let Some(members) = &path.members {
            return self.of_family(path, members, scope);
        }
        let name = &path.root;
        if let Some(device) = self.by_name.get(name.text.as_str())
            && !path.rest.is_empty()
            && self.local(name, scope).is_none()
        {
            return self
                .device(*device)
                .map_or(Meaning::Silent, |device| self.member(device, name.span, &path.rest));
        }
        match self.local(name, scope).or_else(|| self.global(name, scope)) {
            Some(Meaning::Tag(tag)) => of_tag(tag, &path.rest),
            Some(meaning) => match path.rest.first() {
                Some(rest) => only_tags_have(rest),
                None => meaning,
            },
            None => self.nothing(path, scope),
        }
    }

    /// Parameters, columns and siblings.
    fn local(&self, name: &Name, scope: &Scope<'_>) -> Option<Meaning> {
        if let Some(column) = self.column(name, scope) {
            return Some(column);
        }
        let siblings = scope.device.iter().chain(scope.head.iter().flat_map(|head| &head.devices));
        let mut found = siblings.filter_map(|device| self.device(*device)).filter_map(|device| {
            if let Some((_, value)) = device.params.iter().find(|(param, _)| *param == name.text) {
                return Some(Meaning::Value(value.clone()));
            }
            match device.members.get(name.text.as_str()) {
                Some(tag) => Some(Meaning::Tag(*tag)),
                None => device.hides(&name.text).then_some(Meaning::Silent),
            }
        });
        let first = found.next()?;
        match (found.next(), scope.head.as_ref()) {
            (Some(_), Some(head)) => Some(self.which_one(name, &head.devices, scope)),
            _ => Some(first),
        }
    }

    /// A column above, or of the rows that pass; parameters of the device come first.
    fn column(&self, name: &Name, scope: &Scope<'_>) -> Option<Meaning> {
        let (columns, base) = match scope.place {
            Place::Column(window) => (window.columns, COLUMN_BASE),
            Place::Row(columns) => (columns, 0),
            _ => return None,
        };
        let device = scope.device.and_then(|device| self.device(device));
        if device.is_some_and(|device| device.params.iter().any(|(param, _)| *param == name.text)) {
            return None;
        }
        let (number, column) = (base..).zip(columns).find(|(_, column)| *column.name == name.text)?;
        if column.ty == Ty::Error {
            return Some(Meaning::Silent);
        }
        let read = Expr::Local(number, column.ty.plan_type());
        Some(Meaning::Value(Typed { expr: read, ty: column.ty.clone() }))
    }

    /// Constants, words of the sample, and the words that everybody knows.
    fn global(&self, name: &Name, scope: &Scope<'_>) -> Option<Meaning> {
        if let Some(value) = self.consts.get(name.text.as_str()) {
            return Some(if value.is_error() { Meaning::Silent } else { Meaning::Value(value.clone()) });
        }
        if name.quoted {
            return None;
        }
        if name.text == "index" {
            let number = |device: usize| self.device(device).and_then(|device| device.index);
            if let (Some(head), None, Place::Plain) = (scope.head, scope.device, scope.place) {
                if head.devices.iter().any(|device| number(*device).is_some()) {
                    return Some(Meaning::Word(SampleWord::Index));
                }
                let fault =
                    Diagnostic::new("E117", name.span, "`index` is the number of a device in its family")
                        .here("no device at the head of this flow is of a family");
                return Some(unknown(
                    fault.help("take a family such as `meter[*]`, or compare `device` with a name"),
                ));
            }
            return scope.device.and_then(number).map(|index| Meaning::Value(Typed::int(index)));
        }
        if matches!(name.text.as_str(), "true" | "false") {
            return Some(Meaning::Value(Typed::bool(name.text == "true")));
        }
        if let Some(word) = alarms::message_word(self, &name.text, scope) {
            return Some(Meaning::Value(word));
        }
        if let (Place::Address(tag), Some(device)) = (scope.place, scope.device) {
            match name.text.as_str() {
                "tag" => return Some(Meaning::Value(Typed::text(tag))),
                "device" => {
                    return self.device(device).map(|device| Meaning::Value(Typed::text(&device.name)));
                }
                _ => {}
            }
        }
        if let Place::Column(window) = scope.place {
            return window_word(&name.text, &window.device).map(Meaning::Value);
        }
        let word = SAMPLE_WORDS.iter().find(|(word, _)| *word == name.text).map(|(_, word)| *word)?;
        let known = match scope.place {
            Place::Plain | Place::Address(_) => scope.head.is_some(),
            Place::State | Place::Input(_) => word == SampleWord::Time,
            Place::Column(_) | Place::Row(_) => false,
        };
        known.then_some(Meaning::Word(word))
    }

    /// `meter[07].power`, or `meter[*].power` inside `sum_of`.
    fn of_family(&self, path: &Path, members: &Members, scope: &Scope<'_>) -> Meaning {
        let name = &path.root;
        let Some(family) = self.families.get(name.text.as_str()) else {
            return match self.items.unknown(name, &[ItemKind::Device]) {
                _ if self.by_name.contains_key(name.text.as_str()) => {
                    let fault = Diagnostic::new(
                        "E110",
                        members.span,
                        format!("`{name}` is one device, not a family"),
                    );
                    unknown(fault.help(format!("write `{name}` without brackets")).fix_here(""))
                }
                Some(fault) => unknown(fault),
                None => Meaning::Silent,
            };
        };
        let device = match &members.pick {
            MemberPick::One(digits) => {
                let number = digits.text.parse::<u64>().ok();
                match number.and_then(|number| family.devices.get(&number)) {
                    Some(device) => *device,
                    None => return unknown(not_in_family(name, digits.span, &digits.text)),
                }
            }
            MemberPick::All | MemberPick::Range(..) => match &scope.pick {
                Some(pick) if pick.family == name.text => pick.device,
                _ => {
                    let message = format!("`{name}{members}` is many devices");
                    let fault = Diagnostic::new("E105", path.span, message).here("which one?");
                    return unknown(fault.help(format!(
                        "name one of them, or join them: `sum_of({path})`, `avg_of`, `min_of`, `max_of`, `any_of`, `all_of`, `count_of`"
                    )));
                }
            },
        };
        self.device(device).map_or(Meaning::Silent, |device| self.member(device, name.span, &path.rest))
    }

    /// `member` and what follows it, of a given device.
    fn member(&self, device: &Device<'a>, root: Span, rest: &[Name]) -> Meaning {
        let Some((member, rest)) = rest.split_first() else {
            let fault =
                Diagnostic::new("E110", root, format!("`{}` is a device, not a value", device.decl.name()));
            return unknown(fault.help("name one of its tags, such as `device.tag`"));
        };
        match device.members.get(member.text.as_str()) {
            Some(tag) => of_tag(*tag, rest),
            None if device.hides(&member.text) => Meaning::Silent,
            None if member.text == alarms::ALARMS && device.events.is_some() => {
                let fault = Diagnostic::new("E110", member.span, "events are rows, not a value");
                unknown(fault.help(
                    "read the alarm itself: it is true while it stands; events flow from the head of a flow",
                ))
            }
            None => unknown(no_member(device, member)),
        }
    }

    /// The most helpful thing to say about a name that means nothing.
    fn nothing(&self, path: &Path, scope: &Scope<'_>) -> Meaning {
        let name = &path.root;
        if self.items.is_broken(&name.text) {
            return Meaning::Silent;
        }
        if let Some(named) = self.items.get(&name.text) {
            if let Some(family) = self.families.get(name.text.as_str()) {
                let first = family.devices.keys().next().copied().unwrap_or(1);
                let fault = Diagnostic::new("E105", path.span, format!("`{name}` is a family of devices"));
                return unknown(
                    fault.here("which one?").help(format!("write `{name}[{first}]` for one of them")),
                );
            }
            let fault = Diagnostic::new(
                "E110",
                name.span,
                format!("`{name}` is {}, not a value", named.kind.words()),
            );
            return unknown(fault.label(named.span, "declared here"));
        }
        if name.text == "index" && scope.device.is_some() {
            let fault = Diagnostic::new("E101", name.span, "only devices of a family have an `index`");
            return unknown(fault.help("declare the device as a family, such as `device m[1..4]`"));
        }
        if let Place::Input(window) = scope.place
            && let Some(column) = window.columns.iter().find(|column| *column.name == name.text)
        {
            return Meaning::Column(column.name.clone());
        }
        if let Place::Row(columns) = scope.place {
            return unknown(no_column(name, columns));
        }
        let elsewhere = self.devices_with(&name.text, 2);
        if let (Place::Input(window) | Place::Column(window), Some(device)) = (scope.place, scope.device)
            && window.by_device
            && let Some(device) = self.device(device).filter(|_| !elsewhere.is_empty())
        {
            return unknown(no_member(device, name));
        }
        if elsewhere.len() > 1 {
            return self.which_one(name, &[], scope);
        }
        let fault = Diagnostic::new("E101", name.span, format!("nothing is called `{name}` here"));
        if let [device] = elsewhere.as_slice() {
            let whole = format!("{}.{name}", gwp_syntax::written_name(device));
            let fault = fault.here("unknown name").help(format!("did you mean `{device}.{name}`?"));
            return unknown(fault.fix_here(whole));
        }
        let siblings = scope.device.iter().chain(scope.head.iter().flat_map(|head| &head.devices));
        let local = siblings.filter_map(|device| self.device(*device));
        let mut known: Vec<String> = local
            .flat_map(|device| {
                device.members.keys().map(|name| &**name).chain(device.params.iter().map(|(name, _)| *name))
            })
            .chain(self.consts.keys().copied())
            .map(str::to_owned)
            .collect();
        if !path.rest.is_empty() {
            known.extend(self.by_name.keys().map(|name| name.to_string()));
        }
        let fault = match habits::word(name, fault.here("unknown name")) {
            Ok(told) => return unknown(told),
            Err(fault) => fault,
        };
        unknown(match nearest_name(&name.text, known.iter().map(String::as_str)) {
            Some(near) => fault.did_you_mean(near),
            None => fault,
        })
    }

    /// A member that several devices have: those of a flow's head, else of the project.
    fn which_one(&self, name: &Name, head: &[usize], scope: &Scope<'_>) -> Meaning {
        let mut example = self.devices_with(&name.text, usize::MAX);
        if !head.is_empty() {
            let of_head = head.iter().filter_map(|device| self.device(*device));
            let having = of_head.filter(|device| device.members.contains_key(name.text.as_str()));
            example = having.map(|device| device.name.clone()).collect();
            example.sort_unstable();
        }
        let count = example.len();
        let fault = Diagnostic::new("E105", name.span, format!("`{name}` exists in {count} devices"))
            .here("which one?");
        let in_window = matches!(scope.place, Place::Input(_) | Place::Column(_)) && !head.is_empty();
        unknown(match example.first() {
            Some(device) if in_window => {
                fault.help(format!("add `by device` for a row per device, or name one: `{device}.{name}`"))
            }
            Some(device) => fault.help(format!("name one: `{device}.{name}`")),
            None => fault,
        })
    }
}

/// Locals of columns while a window is compiled, when it is not known yet how much stands before them.
pub(crate) const COLUMN_BASE: u32 = 3 << 20;

/// Columns that every row of a window has, with their types, as rows have them.
pub(crate) fn built_in_columns() -> [RowColumn; 6] {
    let column = |name: &str, ty| RowColumn { name: name.into(), ty };
    [
        column("start", Ty::Time),
        column("end", Ty::Time),
        column("length", Ty::number(true, Unit::second())),
        column("device", Ty::Text),
        column("coverage", Ty::number(true, Unit::percent())),
        column("revision", Ty::plain(false)),
    ]
}

/// A word that columns of a window know: what every row has.
fn window_word(word: &str, device: &Arc<str>) -> Option<Typed> {
    let local = |number, plan_type, ty| Typed::new(Expr::Local(number, plan_type), ty);
    Some(match word {
        "start" => local(0, Type::Time, Ty::Time),
        "end" => local(1, Type::Time, Ty::Time),
        "length" => local(2, Type::Float, Ty::number(true, Unit::second())),
        "coverage" => local(3, Type::Float, Ty::number(true, Unit::percent())),
        "revision" => local(4, Type::Int, Ty::plain(false)),
        "device" => Typed::text(device),
        _ => return None,
    })
}

/// Rows have no column of that name.
fn no_column(name: &Name, columns: &[RowColumn]) -> Diagnostic {
    let fault = Diagnostic::new("E101", name.span, format!("the rows have no column `{name}`"));
    if let Some(near) = nearest_name(&name.text, columns.iter().map(|column| &*column.name)) {
        return fault.did_you_mean(near);
    }
    let list: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    fault.help(format!("they have: {}; tags are written `device.tag`", list.join(", ")))
}

/// What may follow a tag: nothing, `.quality` or `.time`.
fn of_tag(tag: TagId, rest: &[Name]) -> Meaning {
    match rest {
        [] => Meaning::Tag(tag),
        [word] if word.text == "quality" => Meaning::QualityOf(tag),
        [word] if word.text == "time" => Meaning::TimeOf(tag),
        [word, ..] => only_tags_have(word),
    }
}

fn only_tags_have(word: &Name) -> Meaning {
    let fault = Diagnostic::new("E102", word.span, format!("there is no `.{word}` of this"));
    unknown(fault.help("a tag has `.quality` and `.time`"))
}

pub(crate) fn not_in_family(family: &Name, span: Span, number: &str) -> Diagnostic {
    Diagnostic::new("E111", span, format!("the family `{family}` has no device {number}"))
        .help("the numbers stand in brackets where the family is declared")
}

/// `press` has no tag `oil_tmp`.
pub(crate) fn no_member(device: &Device<'_>, member: &Name) -> Diagnostic {
    let message = format!("`{}` has no tag `{member}`", device.decl.name());
    let fault = Diagnostic::new("E102", member.span, message).here("unknown tag");
    let names = device.member_names();
    if let Some(near) = nearest_name(&member.text, names.iter().copied()) {
        return fault.did_you_mean(near);
    }
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let list: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match list.is_empty() {
        true => fault.help("it has no tags"),
        false => fault.help(format!("it has: {}{more}", list.join(", "))),
    }
}
