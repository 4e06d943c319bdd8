//! Writes: every target of a `write` gets a tag for its commands and one for their outcomes.
//!
//! A write is like a device whose tags are the outcomes: `set_limit.meter01` is what became of the newest command for
//! `meter01`. The command itself is the tag `set_limit.meter01.command`, fed by the source the write names; in a test
//! `set_limit.meter01 = 900 kW` is a command that arrives.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use gwp_core::TagId;
use gwp_core::source::PlcType;
use gwp_plan::alarm::order::ALARM_ACTIONS;
use gwp_plan::write::LIMIT_COUNT_MAX;
use gwp_plan::{Allow, Limit, Write};
use gwp_syntax::ast::{self, SettingValue};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use crate::alarms::ALARMS;
use crate::catalog::Catalog;
use crate::check::{Checker, Place, Scope};
use crate::expand;
use crate::flows::Selected;
use crate::items::ItemKind;
use crate::settings::Fields;
use crate::types::{Number, Ty};
use crate::units::Unit;
use crate::world::{Decl, Device, Tag, TagDecl, World};

/// Words of the settings.
const SETTINGS: [&str; 4] = ["allow", "limit", "expire", "verify"];

/// `expire` of a write that names none, nanoseconds.
const EXPIRE_NS: i64 = 10_000_000_000;

/// A write and its targets.
pub(crate) struct WriteDecl<'a> {
    pub item: &'a ast::Write,
    pub targets: Vec<Target>,
}

/// One target by its place, which stays when tags are numbered anew.
pub(crate) struct Target {
    device: usize,
    member: Arc<str>,
}

/// Finds the targets of all writes and makes the devices and tags of their outcomes. Tags must be numbered.
pub(crate) fn expand<'a>(world: &mut World<'a>, report: &mut Diagnostics) -> Vec<Tag<'a>> {
    let mut tags = Vec::new();
    for item in world.items.writes.clone() {
        let source = source(world, item, report);
        let targets = targets(world, item, report);
        let own = world.devices.len();
        let device = Device { source, ..expand::empty(&item.name.text, Decl::Write(item)) };
        world.by_name.insert(device.name.clone(), own);
        for target in &targets {
            let Some(home) = world.device(target.device).map(|device| device.name.clone()) else { continue };
            let command = format!("{home}.command");
            tags.push(expand::new_tag(own, &device, &home, TagDecl::Outcome(item)));
            tags.push(expand::new_tag(own, &device, &command, TagDecl::Command(item)));
        }
        // Why it has none is reported.
        let open = targets.is_empty();
        world.devices.push(Device { open, ..device });
        world.writes.push(WriteDecl { item, targets });
    }
    tags
}

/// The source of the commands.
fn source(world: &World<'_>, item: &ast::Write, report: &mut Diagnostics) -> Option<usize> {
    let name = &item.from.root;
    let found = world.items.sources.iter().position(|source| source.name.text == name.text);
    if item.from.members.is_some() || !item.from.rest.is_empty() {
        let fault = Diagnostic::new("E110", item.from.span, format!("`{}` is not a source", item.from));
        report
            .push(fault.help("commands come from a source: `write w to device.tag from source at \"...\"`"));
        return None;
    }
    if found.is_none() {
        report.extend(world.items.unknown(name, &[ItemKind::Source]));
    }
    found
}

/// The tags to write, one of each device.
fn targets(world: &World<'_>, item: &ast::Write, report: &mut Diagnostics) -> Vec<Target> {
    let tags = match world.select(&item.to) {
        Ok(Selected::Tags(tags)) => tags,
        Ok(Selected::Stream(flow)) => {
            let fault = Diagnostic::new("E110", item.to.span, format!("`{flow}` is a flow, not a tag"));
            report.push(fault.help("name the tags to write, such as `meter[*].limit`"));
            return Vec::new();
        }
        Ok(Selected::Silent) => return Vec::new(),
        Err(fault) => {
            report.push(*fault);
            return Vec::new();
        }
    };
    let mut devices = HashSet::new();
    let mut targets = Vec::new();
    for tag in tags.into_iter().filter_map(|tag| world.tag(tag)) {
        if let TagDecl::Event(column, _) = tag.decl {
            // `press.alarms` as a target means the orders to these alarms, not the columns of their events.
            if column == 0 {
                targets.push(Target { device: tag.device, member: ALARMS.into() });
            }
            continue;
        }
        if !devices.insert(tag.device) {
            let name = world.device(tag.device).map_or("", |device| &device.name);
            let message = format!("`{}` would set more than one tag of `{name}`", item.name);
            report.push(Diagnostic::new("E103", item.to.span, message).help("write an item for each tag"));
            return Vec::new();
        }
        targets.push(Target { device: tag.device, member: tag.name.clone() });
    }
    targets
}

/// Checks all writes and gives them to the plan; tags of commands and outcomes get their types.
pub(crate) fn writes(world: &mut World<'_>, catalog: &Catalog, report: &mut Diagnostics) -> Vec<Write> {
    let mut found = Vec::new();
    let mut written: HashMap<TagId, Span> = HashMap::new();
    for at in 0..world.writes.len() {
        let Some(decl) = world.writes.get(at) else { break };
        let item = decl.item;
        commands_possible(world, item, catalog, report);
        let mut points = Vec::new();
        for target in &decl.targets {
            let Some(tags) = TargetTags::of(world, item, target) else { continue };
            // Several ways to the alarms of a device do not get in each other's way.
            let orders = *target.member == *ALARMS;
            if let Some(first) = written.insert(tags.target, item.name.span).filter(|_| !orders) {
                let message = format!("`{}` writes a tag that another write sets, too", item.name);
                let fault = Diagnostic::new("W605", item.name.span, message);
                report.push(
                    fault.label(first, "the other one").help("let one write set it: the last command wins"),
                );
            }
            let (write, point) = one(world, item, &tags, catalog, report);
            found.extend(write);
            points.push((tags, point));
        }
        for (tags, point) in points {
            tags.type_tags(world, point);
        }
    }
    found.sort_by_key(|write| write.command);
    found
}

/// The source must be able to give commands, and needs to know where they come from.
fn commands_possible(world: &World<'_>, item: &ast::Write, catalog: &Catalog, report: &mut Diagnostics) {
    let source = world.items.sources.iter().find(|source| source.name.text == item.from.root.text);
    let Some(source) = source else { return };
    let Some(traits) = catalog.source(&source.driver.text).and_then(|driver| driver.source()) else { return };
    if !traits.commands {
        let message = format!("`{}` gives no commands", source.name);
        let fault = Diagnostic::new("E503", item.from.span, message);
        let fault = fault.label(source.driver.span, "this driver reads values only");
        report.push(fault.help("take commands from a source that receives messages, such as `mqtt`"));
    } else if item.at.is_none() {
        let fault = Diagnostic::new("E411", item.name.span, format!("`{}` has no address", item.name));
        report.push(fault.help("say where its commands come from: `from source at \"site/{device}/set\"`"));
    }
}

/// The tags of one target.
struct TargetTags {
    target: TagId,
    device: usize,
    command: TagId,
    outcome: TagId,
}

impl TargetTags {
    fn of(world: &World<'_>, item: &ast::Write, target: &Target) -> Option<TargetTags> {
        let device = world.device(target.device)?;
        let of_alarms = device.orders.filter(|_| *target.member == *ALARMS);
        let tag = of_alarms.or_else(|| device.members.get(&*target.member).copied())?;
        let home = &device.name;
        let find = |path: String| {
            let found = world.tags.binary_search_by(|tag| {
                let check_only = world.device(tag.device).is_some_and(|device| device.check_only);
                (check_only, &*tag.path).cmp(&(false, &path))
            });
            found.ok().and_then(|index| u32::try_from(index).ok()).map(TagId)
        };
        Some(TargetTags {
            target: tag,
            device: target.device,
            command: find(format!("{}.{home}.command", item.name.text))?,
            outcome: find(format!("{}.{home}", item.name.text))?,
        })
    }

    /// Commands have the type of the target, outcomes are texts.
    fn type_tags(self, world: &mut World<'_>, point: Option<(Arc<str>, PlcType)>) {
        let target = world.tag(self.target).map(|target| (target.ty.clone(), target.attrs.labels.clone()));
        if let (Some((ty, labels)), Some(command)) = (target, world.tags.get_mut(self.command.index())) {
            (command.ty, command.attrs.labels, command.point) = (ty, labels, point);
        }
        if let Some(outcome) = world.tags.get_mut(self.outcome.index()) {
            outcome.ty = Ty::Text;
        }
    }
}

/// One target: its write, and the address and type of its commands.
fn one(
    world: &World<'_>,
    item: &ast::Write,
    tags: &TargetTags,
    catalog: &Catalog,
    report: &mut Diagnostics,
) -> (Option<Write>, Option<(Arc<str>, PlcType)>) {
    let Some(target) = world.tag(tags.target) else { return (None, None) };
    let possible = is_writable(world, item, target, catalog, report);
    let mut checker = Checker::new(world, report);
    let scope = Scope { device: Some(tags.device), ..Scope::constant() };
    let settings = checker.write_settings(item, target, &scope);
    let address = item.at.as_ref().and_then(|at| {
        let scope = Scope { place: Place::Address(&target.name), ..scope };
        checker.filled_in(at, &scope)
    });
    let point = address.map(|address| (Arc::from(address), command_type(target)));
    let write = settings.filter(|_| possible).map(|settings| Write {
        name: item.name.text.as_str().into(),
        target: tags.target,
        command: tags.command,
        outcome: tags.outcome,
        ..settings
    });
    (write, point)
}

/// Whether the target may be written; reports it otherwise.
fn is_writable(
    world: &World<'_>,
    item: &ast::Write,
    target: &Tag<'_>,
    catalog: &Catalog,
    report: &mut Diagnostics,
) -> bool {
    let fault = |why: String| Diagnostic::new("E501", item.to.span, why);
    if matches!(target.decl, TagDecl::Orders(_)) {
        return true;
    }
    let TagDecl::Tag(decl) = target.decl else {
        let fault = fault(format!("`{}` is not read from a device, so it cannot be written", target.name));
        report.push(fault.label(target.decl.span(), "declared here").help("name a `tag` with `writable`"));
        return false;
    };
    if !target.attrs.writable {
        let fault = fault(format!("`{}` is not writable", target.name)).label(decl.name.span, "this tag");
        report.push(fault.help("add `writable` to the tag if the device may be changed from outside"));
        return false;
    }
    let source = world.device(target.device).and_then(|device| world.items.sources.get(device.source?));
    let Some(source) = source else { return false };
    let traits = catalog.source(&source.driver.text).and_then(|driver| driver.source());
    if traits.is_some_and(|traits| !traits.writes) {
        let fault = fault(format!("the driver `{}` cannot write", source.driver));
        report.push(fault.label(source.driver.span, "the source of the tag"));
        return false;
    }
    traits.is_some()
}

/// Type in which commands arrive: the widest of the target's kind, in its unit.
fn command_type(target: &Tag<'_>) -> PlcType {
    let own = target.point.as_ref().map(|(_, plc_type)| *plc_type);
    match (&target.ty, own) {
        (Ty::Bool, _) => PlcType::Bool,
        (Ty::Text, _) => PlcType::String,
        (Ty::Time, _) => PlcType::Time,
        (Ty::Number(Number { real: true, .. }), _) => PlcType::Lreal,
        (_, Some(PlcType::Ulint | PlcType::Lword)) => PlcType::Ulint,
        _ => PlcType::Lint,
    }
}

impl Checker<'_, '_> {
    /// The settings of a write for one target, the tags left open.
    fn write_settings(&mut self, item: &ast::Write, target: &Tag<'_>, scope: &Scope<'_>) -> Option<Write> {
        let owner = format!("write `{}`", item.name);
        let settings = &item.settings;
        let mut fields = Fields::new(owner, item.name.span, &settings.list, &settings.broken, self.report);
        let [allow, limit, expire, verify] = SETTINGS.map(|name| fields.take(name));
        fields.finish(&[], &SETTINGS, false, self, scope);
        let broken = |name: &str| settings.broken.iter().any(|broken| broken.text == name);
        let orders = matches!(target.decl, TagDecl::Orders(_));
        if let Some(setting) = verify.filter(|_| orders) {
            let fault = Diagnostic::new("E407", setting.span, "nothing is read back of alarms");
            self.report.push(fault.help("leave `verify` out: the events of the alarms tell"));
        }
        let allow = match allow {
            Some(setting) if orders => self.allowed_orders(setting),
            Some(setting) => self.allow(setting, target, scope),
            None => {
                if !broken("allow") {
                    let fault = Diagnostic::new("E502", item.name.span, "a write without limits");
                    self.report.push(fault.help(allow_help(target)));
                }
                None
            }
        };
        let limit = match limit {
            Some(setting) => Some(self.limit(setting, scope)?),
            None => None,
        };
        let expire_ns = expire.map_or(Some(EXPIRE_NS), |setting| self.span_of_time(setting, 0.1, scope));
        let verify_ns = match verify {
            Some(setting) => Some(self.span_of_time(setting, 0.01, scope)?),
            None => None,
        };
        let none = TagId(0);
        Some(Write {
            name: "".into(),
            target: none,
            command: none,
            outcome: none,
            allow: allow?,
            limit,
            expire_ns: expire_ns?,
            verify_ns,
        })
    }

    /// `allow = 50 kW..400 kW`, or `allow = ["stopped", "running"]` for what is no number.
    fn allow(&mut self, setting: &ast::Setting, target: &Tag<'_>, scope: &Scope<'_>) -> Option<Allow> {
        match (&setting.value, &target.ty) {
            (_, Ty::Error) => None,
            (SettingValue::Range(range), Ty::Number(number))
                if range.to.is_none() && range.high.is_some() =>
            {
                let high = range.high.as_ref()?;
                let (low, high) = self.low_high(&range.low, high, &number.unit, range.span, scope)?;
                if let Some((least, most)) = target.attrs.range.filter(|(l, h)| low < *l || high > *h) {
                    let unit = &number.unit;
                    let fault = Diagnostic::new("E502", range.span, "`allow` is wider than the tag");
                    let fault = fault.label(target.decl.span(), format!("`range {least}..{most} {unit}`"));
                    self.report.push(fault.help("stay inside the `range` of the tag"));
                    return None;
                }
                Some(Allow::Range { low, high })
            }
            (SettingValue::List(list, _), Ty::Bool | Ty::Text | Ty::Enum(_)) if !list.is_empty() => {
                let values: Option<Vec<_>> =
                    list.iter().map(|value| self.fixed_value(value, target, setting, scope)).collect();
                values.map(Allow::OneOf)
            }
            _ => {
                let fault = Diagnostic::new("E407", setting.span, "`allow` names what may be written");
                self.report.push(fault.help(allow_help(target)));
                None
            }
        }
    }

    /// `allow = ["acknowledge", "shelve"]`: what operators may do to alarms from there.
    fn allowed_orders(&mut self, setting: &ast::Setting) -> Option<Allow> {
        let word = |value: &ast::Expr| {
            let typed = self.expr(value, &Scope::constant());
            let text = typed.constant().cloned()?;
            ALARM_ACTIONS.into_iter().find(|word| text == gwp_core::Value::Text((*word).into()))
        };
        let words: Option<Vec<&str>> = match &setting.value {
            SettingValue::List(list, _) if !list.is_empty() => list.iter().map(word).collect(),
            _ => None,
        };
        if words.is_none() {
            let fault = Diagnostic::new("E407", setting.span, "`allow` lists what may be done to alarms");
            self.report.push(fault.help("for example `allow = [\"acknowledge\", \"shelve\", \"unshelve\"]`"));
        }
        let words = words?.into_iter();
        Some(Allow::OneOf(words.map(|word| gwp_core::Value::Text(word.into())).collect()))
    }

    fn fixed_value(
        &mut self,
        value: &ast::Expr,
        target: &Tag<'_>,
        setting: &ast::Setting,
        scope: &Scope<'_>,
    ) -> Option<gwp_core::Value> {
        let typed = self.expr(value, scope);
        if let (Ty::Enum(labels), Some(gwp_core::Value::Text(text))) = (&target.ty, typed.constant()) {
            let raw = labels.iter().find(|(_, label)| label == text).map(|(raw, _)| *raw);
            if raw.is_none() {
                let fault = Diagnostic::new("E203", value.span, format!("there is no label \"{text}\""));
                let known: Vec<String> = labels.iter().map(|(_, label)| format!("\"{label}\"")).collect();
                self.report.push(fault.help(format!("`{}` has: {}", target.name, known.join(", "))));
            }
            return raw.map(gwp_core::Value::Int);
        }
        let typed = self.declared(typed, &target.ty, value.span, setting.name.span, "`allow`");
        if !typed.is_error() && typed.constant().is_none() {
            self.report.push(Diagnostic::new("E210", value.span, "a fixed value is needed here"));
        }
        typed.constant().filter(|_| !typed.is_error()).cloned()
    }

    /// `limit = 1 per 5 s`
    fn limit(&mut self, setting: &ast::Setting, scope: &Scope<'_>) -> Option<Limit> {
        let SettingValue::Per(range, per) = &setting.value else {
            let fault = Diagnostic::new("E407", setting.span, "`limit` needs a number and a time");
            self.report.push(fault.help("for example `limit = 1 per 5 s`"));
            return None;
        };
        let count = self.fixed_number(&range.low, &Unit::none(), false, scope);
        let per_ns = self.seconds(per, 0.001, scope);
        let whole = |count: &f64| {
            range.high.is_none() && count.fract() == 0.0 && (1.0..=f64::from(LIMIT_COUNT_MAX)).contains(count)
        };
        let count = count?;
        if !whole(&count) {
            let message = format!("`limit` counts from 1 to {LIMIT_COUNT_MAX} commands");
            self.report.push(Diagnostic::new("E407", range.span, message));
            return None;
        }
        Some(Limit { count: count as u32, per_ns: per_ns? })
    }

    fn span_of_time(&mut self, setting: &ast::Setting, least_s: f64, scope: &Scope<'_>) -> Option<i64> {
        match &setting.value {
            SettingValue::Range(range) if range.high.is_none() => self.seconds(&range.low, least_s, scope),
            _ => {
                let message = format!("`{}` needs one span of time", setting.name);
                self.report.push(Diagnostic::new("E407", setting.span, message));
                None
            }
        }
    }

    fn seconds(&mut self, value: &ast::Expr, least_s: f64, scope: &Scope<'_>) -> Option<i64> {
        const MOST_S: f64 = 86_400.0;
        let seconds = self.fixed_number(value, &Unit::second(), false, scope)?;
        if !(least_s..=MOST_S).contains(&seconds) {
            let message = format!("a time from {} ms to 1 d is needed here", least_s * 1e3);
            let fault = Diagnostic::new("E407", value.span, message);
            self.report.push(fault.here(format!("this is {seconds} s")));
            return None;
        }
        Some((seconds * 1e9).round() as i64)
    }
}

fn allow_help(target: &Tag<'_>) -> String {
    match &target.ty {
        _ if matches!(target.decl, TagDecl::Orders(_)) => {
            "list what may be done: `allow = [\"acknowledge\"]`, also \"shelve\", \"unshelve\"".into()
        }
        Ty::Number(number) => match target.attrs.range {
            Some((low, high)) => {
                format!("add `allow = low..high` inside `range {low}..{high} {}`", number.unit)
            }
            None => "add `allow = low..high`: what may be written".into(),
        },
        Ty::Enum(labels) => {
            let first = labels.first().map_or("label", |(_, label)| label);
            format!("list what may be written: `allow = [\"{first}\"]`")
        }
        Ty::Bool => "list what may be written: `allow = [true, false]`".into(),
        _ => "list what may be written: `allow = [\"...\"]`".into(),
    }
}

/// A note for writes whose outcomes no sink gets.
pub(crate) fn unaudited(
    world: &World<'_>,
    writes: &[Write],
    routed: &HashSet<TagId>,
    report: &mut Diagnostics,
) {
    let mut heard: BTreeMap<&str, bool> = BTreeMap::new();
    for write in writes {
        *heard.entry(&write.name).or_default() |= routed.contains(&write.outcome);
    }
    for item in &world.items.writes {
        if heard.get(item.name.text.as_str()) == Some(&false) {
            let message = format!("what becomes of the commands of `{}` reaches no sink", item.name);
            let fault = Diagnostic::new("N702", item.name.span, message);
            report.push(fault.help(format!("write a flow: `flow audit = {} -> sink`", item.name)));
        }
    }
}
