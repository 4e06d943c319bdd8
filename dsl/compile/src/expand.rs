//! Unfolds sources, devices, families and templates into devices with their members.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gwp_core::{Settings, TagId};
use gwp_syntax::ast::{self, Arg, Member as Written, Name};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use crate::alarms::{ALARMS, EVENT_COLUMNS, ORDERS};
use crate::check::{Checker, Scope};
use crate::items::ItemKind;
use crate::limits::{DEVICES_MAX, FAMILY_MAX, TAGS_MAX};
use crate::types::{Ty, Typed};
use crate::world::{Attributes, Decl, Device, Family, Tag, TagDecl, World};
use crate::writes;

/// Unfolds all devices and sources, and numbers their tags by path.
pub(crate) fn expand<'a>(world: &mut World<'a>, report: &mut Diagnostics) {
    for (index, source) in world.items.sources.clone().into_iter().enumerate() {
        add_device(
            world,
            Device { source: Some(index), ..empty(source.name.text.as_str(), Decl::Source(source)) },
        );
    }
    let mut used: HashSet<&str> = HashSet::new();
    for device in world.items.devices.clone() {
        declared(world, device, &mut used, report);
    }
    let mut templates: Vec<_> = world.items.templates.values().copied().collect();
    templates.sort_by_key(|template| template.name.span);
    for template in templates.into_iter().filter(|template| !used.contains(template.name.text.as_str())) {
        let params = check_only_params(world, template, report);
        let device = Device {
            template: Some(template),
            params,
            index: Some(1),
            check_only: true,
            ..empty(&template.name.text, Decl::Template(template))
        };
        world.devices.push(device);
    }
    world.tags = tags(world, report);
    number(world);
    // Their targets are tags, which have numbers only now.
    let more = writes::expand(world, report);
    world.tags.extend(more);
    number(world);
    unique_paths(world, report);
}

pub(crate) fn empty<'a>(name: &str, decl: Decl<'a>) -> Device<'a> {
    Device {
        name: name.into(),
        decl,
        source: None,
        index: None,
        template: None,
        params: Vec::new(),
        members: HashMap::new(),
        events: None,
        orders: None,
        broken: HashSet::new(),
        open: false,
        check_only: false,
        settings: Settings::default(),
        scan_ns: None,
        place: None,
    }
}

fn add_device<'a>(world: &mut World<'a>, device: Device<'a>) -> usize {
    let index = world.devices.len();
    world.by_name.insert(device.name.clone(), index);
    world.devices.push(device);
    index
}

/// Unfolds one `device` item.
fn declared<'a>(
    world: &mut World<'a>,
    device: &'a ast::Device,
    used: &mut HashSet<&'a str>,
    report: &mut Diagnostics,
) {
    let template = device.model.as_ref().and_then(|model| {
        let found = world.items.templates.get(model.template.text.as_str()).copied();
        if found.is_none() {
            report.extend(world.items.unknown(&model.template, &[ItemKind::Template]));
        }
        found
    });
    used.extend(template.map(|template| template.name.text.as_str()));
    let source = device.source.as_ref().and_then(|name| {
        let found = world.items.sources.iter().position(|source| source.name.text == name.text);
        if found.is_none() {
            report.extend(world.items.unknown(name, &[ItemKind::Source]));
        }
        found
    });
    let add = |world: &mut World<'a>, name: &str, index: Option<i64>, report: &mut Diagnostics| {
        if world.devices.len() >= DEVICES_MAX {
            let message = format!("a project may have {DEVICES_MAX} devices");
            report.push(Diagnostic::new("E199", device.name.span, message));
            return None;
        }
        if let Err(fault) = world.unfolded.text(name.len(), device.name.span) {
            report.extend(fault);
            return None;
        }
        let made = Device { source, index, template, ..empty(name, Decl::Device(device)) };
        let at = add_device(world, made);
        let params = match (&device.model, template) {
            (Some(model), Some(template)) => arguments(world, template, &model.args, model.span, at, report),
            _ => Vec::new(),
        };
        if let Some(made) = world.devices.get_mut(at) {
            made.params = params;
            made.open = device.model.is_some() && template.is_none();
        }
        Some(at)
    };
    let Some(family) = &device.family else {
        add(world, &device.name.text, None, report);
        return;
    };
    let mut members = Family::default();
    for number in numbers(family, report) {
        let name = member_name(device, family, number);
        if let Some(taken) = world.items.get(&name).filter(|named| named.span != device.name.span) {
            let message = format!("`{name}` of this family is declared twice");
            let fault = Diagnostic::new("E103", device.name.span, message);
            report.push(fault.label(taken.span, "the other one"));
            continue;
        }
        let index = i64::try_from(number).unwrap_or(i64::MAX);
        match add(world, &name, Some(index), report) {
            Some(at) => members.devices.insert(number, at),
            None => break,
        };
    }
    world.families.insert(&device.name.text, members);
}

/// `meter` and 7 in `[01..40]` give `meter07`, for ever.
fn member_name(device: &ast::Device, family: &ast::Family, number: u64) -> String {
    let width = family.first.text.len();
    format!("{}{number:0width$}", device.name.text)
}

/// The numbers of a family without the exceptions.
fn numbers(family: &ast::Family, report: &mut Diagnostics) -> Vec<u64> {
    let (Ok(first), Ok(last)) = (family.first.text.parse::<u64>(), family.last.text.parse::<u64>()) else {
        report.push(Diagnostic::new("E116", family.span, "these numbers are too large"));
        return Vec::new();
    };
    if first > last {
        let fault = Diagnostic::new("E116", family.span, "the last number is smaller than the first");
        report.push(fault.help(format!("write `[{}..{}]`", family.last.text, family.first.text)));
        return Vec::new();
    }
    if last - first >= FAMILY_MAX as u64 {
        let fault = Diagnostic::new("E199", family.span, format!("a family may have {FAMILY_MAX} devices"));
        report.push(fault.help("divide it into several families"));
        return Vec::new();
    }
    let mut except = HashSet::new();
    for digits in &family.except {
        match digits.text.parse::<u64>() {
            Ok(number) if (first..=last).contains(&number) => {
                except.insert(number);
            }
            _ => report.push(Diagnostic::new(
                "E116",
                digits.span,
                format!("{} is not in the family anyway", digits.text),
            )),
        }
    }
    (first..=last).filter(|number| !except.contains(number)).collect()
}

/// Values of a template's parameters for one device.
fn arguments<'a>(
    world: &World<'a>,
    template: &'a ast::Template,
    args: &'a [Arg],
    span: Span,
    device: usize,
    report: &mut Diagnostics,
) -> Vec<(&'a str, Typed)> {
    let by_key: HashMap<&str, &Arg> =
        args.iter().filter_map(|arg| arg.key.as_ref().map(|key| (key.text.as_str(), arg))).collect();
    for (at, arg) in args.iter().enumerate() {
        let fault = match &arg.key {
            Some(key) if !template.params.iter().any(|param| param.name.text == key.text) => {
                let fault = Diagnostic::new(
                    "E112",
                    key.span,
                    format!("`{}` has no parameter `{key}`", template.name),
                );
                let known = template.params.iter().map(|param| param.name.text.as_str());
                Some(match crate::items::nearest(&key.text, known) {
                    Some(near) => fault.did_you_mean(near),
                    None => fault.label(template.name.span, "declared here"),
                })
            }
            None if at >= template.params.len() => {
                let count = template.params.len();
                Some(Diagnostic::new(
                    "E112",
                    arg.value.span,
                    format!("`{}` has {count} parameter(s)", template.name),
                ))
            }
            _ => None,
        };
        report.extend(fault);
    }
    let scope = Scope { device: Some(device), ..Scope::constant() };
    let mut values: Vec<(&str, Typed)> = Vec::new();
    for (at, param) in template.params.iter().enumerate() {
        let positional = args.get(at).filter(|arg| arg.key.is_none());
        let given = by_key.get(param.name.text.as_str()).copied().or(positional).map(|arg| &arg.value);
        let Some(value) = given.or(param.default.as_ref()) else {
            let fault = Diagnostic::new(
                "E112",
                span,
                format!("`{}` needs the parameter `{}`", template.name, param.name),
            );
            report.push(
                fault.label(param.name.span, "declared here").help(format!("add `{} = ...`", param.name)),
            );
            values.push((&param.name.text, Typed::error()));
            continue;
        };
        values.push((&param.name.text, parameter(world, param, value, &scope, report)));
    }
    values
}

fn parameter(
    world: &World<'_>,
    param: &ast::Param,
    value: &ast::Expr,
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Typed {
    let mut checker = Checker::new(world, report);
    let wanted = checker.type_of(&param.ty);
    let typed = checker.expr(value, scope);
    let typed = checker.declared(typed, &wanted, value.span, param.ty.span, &format!("`{}`", param.name));
    if !typed.is_error() && typed.constant().is_none() {
        report.push(Diagnostic::new("E210", value.span, "a fixed value is needed here"));
        return Typed::error();
    }
    typed
}

/// Values with which an unused template is checked: the defaults, else one of the parameter's type.
fn check_only_params<'a>(
    world: &World<'a>,
    template: &'a ast::Template,
    report: &mut Diagnostics,
) -> Vec<(&'a str, Typed)> {
    let mut values = Vec::new();
    for param in &template.params {
        let value = match &param.default {
            Some(default) => parameter(world, param, default, &Scope::constant(), report),
            None => match Checker::new(world, report).type_of(&param.ty) {
                Ty::Number(number) => {
                    let one = Typed::int(1).expr;
                    let typed = Typed::new(one, Ty::number(false, number.unit.clone()));
                    if number.real { typed.into_real() } else { typed }
                }
                Ty::Bool => Typed::bool(true),
                Ty::Text => Typed::text("x"),
                _ => Typed::error(),
            },
        };
        values.push((param.name.text.as_str(), value));
    }
    values
}

/// Collects the members of all devices.
fn tags<'a>(world: &mut World<'a>, report: &mut Diagnostics) -> Vec<Tag<'a>> {
    let mut tags: Vec<Tag<'a>> = Vec::new();
    for (index, device) in world.devices.iter_mut().enumerate() {
        let mut names: HashMap<&'a str, Span> = HashMap::new();
        let mut lower: HashMap<String, &'a str> = HashMap::new();
        for body in device.bodies() {
            device.broken.extend(body.broken.iter().map(|name| name.text.as_str()));
            for member in &body.members {
                let name = member.name();
                // More than may be are reported once they have their order.
                if tags.len() > TAGS_MAX {
                    return tags;
                }
                let bytes = device.name.len() + name.text.len();
                if let Err(fault) = world.unfolded.text(bytes, name.span) {
                    report.extend(fault);
                    return tags;
                }
                if !free(name, &mut names, &mut lower, report) {
                    continue;
                }
                let decl = match member {
                    Written::Tag(tag) => TagDecl::Tag(tag),
                    Written::Calc(calc) => TagDecl::Calc(calc),
                    Written::Alarm(alarm) => TagDecl::Alarm(alarm),
                };
                tags.push(new_tag(index, device, &name.text, decl));
            }
        }
        events(index, device, &names, &mut tags, report);
        if let Decl::Source(source) = device.decl {
            match names.get("connected") {
                Some(span) => {
                    let fault = Diagnostic::new("E103", *span, "every source has a built-in tag `connected`");
                    report.push(fault.help("choose another name"));
                }
                None => tags.push(new_tag(index, device, "connected", TagDecl::Connected(source))),
            }
        }
    }
    tags
}

fn unique_paths(world: &mut World<'_>, report: &mut Diagnostics) {
    for pair in world.tags.windows(2) {
        if let [first, second] = pair
            && first.path == second.path
        {
            report.push(same_path(&second.path, first.decl.span(), second.decl.span()));
        }
    }
    if world.tags.len() > TAGS_MAX {
        let span = world.tags.get(TAGS_MAX).map_or(Span::default(), |tag| tag.decl.span());
        report.push(Diagnostic::new("E199", span, format!("a project may have {TAGS_MAX} tags")));
        world.tags.truncate(TAGS_MAX);
    }
}

/// Numbers all tags by path; those of check-only devices last.
fn number(world: &mut World<'_>) {
    let mut tags = std::mem::take(&mut world.tags);
    let check_only = |tag: &Tag<'_>| world.devices.get(tag.device).is_some_and(|device| device.check_only);
    tags.sort_by(|a, b| (check_only(a), &a.path).cmp(&(check_only(b), &b.path)));
    for (number, tag) in (0u32..).zip(&tags) {
        match tag.decl {
            // Nobody names it: a test that commands goes by the outcome.
            TagDecl::Command(_) => continue,
            TagDecl::Orders(_) => {
                if let Some(device) = world.devices.get_mut(tag.device) {
                    device.orders = Some(TagId(number));
                }
                continue;
            }
            TagDecl::Event(column, _) => {
                if let Some(device) = world.devices.get_mut(tag.device) {
                    let columns = device.events.get_or_insert([TagId(0); EVENT_COLUMNS.len()]);
                    if let Some(place) = columns.get_mut(column) {
                        *place = TagId(number);
                    }
                }
                continue;
            }
            _ => {}
        }
        if let Some(device) = world.devices.get_mut(tag.device) {
            device.members.insert(tag.name.clone(), TagId(number));
        }
    }
    world.tags = tags;
}

/// The columns of a device's alarm events, if it has alarms.
fn events<'a>(
    index: usize,
    device: &Device<'a>,
    names: &HashMap<&'a str, Span>,
    tags: &mut Vec<Tag<'a>>,
    report: &mut Diagnostics,
) {
    let alarms = device.bodies().flat_map(|body| &body.members);
    let first =
        alarms.filter_map(|member| if let Written::Alarm(alarm) = member { Some(alarm) } else { None });
    let Some(first) = first.min_by_key(|alarm| alarm.name.span) else { return };
    if let Some(span) = names.get(ALARMS) {
        let fault = Diagnostic::new("E103", *span, "the events of alarms are called `alarms`");
        report.push(fault.label(first.name.span, "an alarm").help("choose another name"));
    }
    for (column, name) in EVENT_COLUMNS.iter().enumerate() {
        let path = Arc::from(format!("{}.{ALARMS}.{name}", device.name));
        tags.push(Tag { path, ..new_tag(index, device, name, TagDecl::Event(column, first)) });
    }
    let path = Arc::from(format!("{}.{ALARMS}.{ORDERS}", device.name));
    tags.push(Tag { path, ..new_tag(index, device, ORDERS, TagDecl::Orders(first)) });
}

/// Names with dots in them may be the path of something else.
pub(crate) fn same_path(path: &str, first: Span, second: Span) -> Diagnostic {
    let fault = Diagnostic::new("E103", second, format!("two tags would have the path `{path}`"));
    fault.label(first, "the other one").help("choose names without dots")
}

pub(crate) fn new_tag<'a>(index: usize, device: &Device<'a>, name: &str, decl: TagDecl<'a>) -> Tag<'a> {
    Tag {
        device: index,
        name: name.into(),
        path: Arc::from(format!("{}.{name}", device.name)),
        decl,
        ty: Ty::Error,
        attrs: Attributes::default(),
        point: None,
    }
}

/// False if the device has a member of that name already.
fn free<'a>(
    name: &'a Name,
    names: &mut HashMap<&'a str, Span>,
    lower: &mut HashMap<String, &'a str>,
    report: &mut Diagnostics,
) -> bool {
    if let Some(first) = names.get(name.text.as_str()) {
        let fault = Diagnostic::new("E103", name.span, format!("`{name}` is declared twice in this device"));
        report.push(fault.here("the second time").label(*first, "the first time"));
        return false;
    }
    if let Some(other) = lower.get(&name.text.to_lowercase()) {
        let message = format!("`{name}` and `{other}` differ in capital letters only");
        let fault = Diagnostic::new("E106", name.span, message);
        let place = names.get(other).copied().unwrap_or(name.span);
        report.push(fault.label(place, "the other one").help("choose names that cannot be mistaken"));
    }
    names.insert(&name.text, name.span);
    lower.insert(name.text.to_lowercase(), &name.text);
    true
}
