//! Selections: which tags `demo`, `meter[*].power`, `plc.temp_*` and `*.x` mean.

use gwp_core::TagId;
use gwp_syntax::ast::{MemberPick, Members, Name, Select, SelectPart, SelectRoot};
use gwp_syntax::{Diagnostic, Span};

use crate::alarms::ALARMS;
use crate::check::resolve::{no_member, not_in_family};
use crate::items::{ItemKind, nearest_name};
use crate::world::{Device, TagDecl, World};

/// What a selection means.
pub(crate) enum Selected<'a> {
    Tags(Vec<TagId>),
    /// The name of a flow: a named stream.
    Stream(&'a str),
    /// Nothing, and why is reported.
    Silent,
}

type Found<T> = Result<T, Box<Diagnostic>>;

fn wrong<T>(diagnostic: Diagnostic) -> Found<T> {
    Err(Box::new(diagnostic))
}

impl<'a> World<'a> {
    /// Finds the tags that a selection means.
    pub(crate) fn select(&self, select: &Select) -> Found<Selected<'a>> {
        let part = match select.parts.as_slice() {
            [] => None,
            [part] => Some(part),
            [_, more, ..] => {
                let span = match more {
                    SelectPart::Name(name) | SelectPart::Prefix(name) => name.span,
                };
                return wrong(
                    Diagnostic::new("E102", span, "a tag has no parts").help("select `device.tag`"),
                );
            }
        };
        let (devices, many) = match &select.root {
            SelectRoot::Any(_) => (self.real_devices(), true),
            SelectRoot::Named(name, Some(members)) => (self.family_devices(name, members)?, true),
            SelectRoot::Named(name, None) => match self.by_name.get(name.text.as_str()) {
                Some(device) => (vec![*device], false),
                None => return self.not_a_device(name, part, select.span),
            },
        };
        let mut tags = Vec::new();
        let mut hidden = false;
        for device in devices.into_iter().filter_map(|index| self.device(index)) {
            hidden |= self.members(device, part, many, &mut tags)?;
        }
        match (tags.is_empty(), hidden) {
            (true, true) => Ok(Selected::Silent),
            (true, false) => wrong(self.selects_nothing(select)),
            _ => Ok(Selected::Tags(tags)),
        }
    }

    /// At most so many tags are looked at to find what a selection means.
    pub(crate) fn looks_at(&self, select: &Select) -> usize {
        match &select.root {
            SelectRoot::Any(_) => self.tags.len(),
            SelectRoot::Named(name, Some(_)) => {
                let devices = self.families.get(name.text.as_str()).map_or(0, |family| family.devices.len());
                let members = match select.parts.first() {
                    Some(SelectPart::Name(_)) => 1,
                    _ => self.tags.len() / self.devices.len().max(1) + 1,
                };
                devices * members
            }
            SelectRoot::Named(name, None) => {
                let device = self.by_name.get(name.text.as_str()).and_then(|device| self.device(*device));
                1 + device.map_or(0, |device| device.members.len())
            }
        }
    }

    fn real_devices(&self) -> Vec<usize> {
        (0..self.devices.len())
            .filter(|index| self.device(*index).is_some_and(|device| !device.check_only))
            .collect()
    }

    fn family_devices(&self, name: &Name, members: &Members) -> Found<Vec<usize>> {
        let Some(family) = self.families.get(name.text.as_str()) else {
            if self.by_name.contains_key(name.text.as_str()) {
                let fault =
                    Diagnostic::new("E110", members.span, format!("`{name}` is one device, not a family"));
                return wrong(fault.help(format!("write `{name}` without brackets")).fix_here(""));
            }
            return match self.items.unknown(name, &[ItemKind::Device]) {
                Some(fault) => wrong(fault),
                None => Ok(Vec::new()),
            };
        };
        let number = |digits: &gwp_syntax::ast::Digits| digits.text.parse::<u64>().ok();
        match &members.pick {
            MemberPick::All => Ok(family.devices.values().copied().collect()),
            MemberPick::One(digits) => match number(digits).and_then(|number| family.devices.get(&number)) {
                Some(device) => Ok(vec![*device]),
                None => wrong(not_in_family(name, digits.span, &digits.text)),
            },
            MemberPick::Range(first, last) => {
                let (from, to) = (number(first).unwrap_or(0), number(last).unwrap_or(u64::MAX));
                if from > to {
                    return wrong(Diagnostic::new(
                        "E116",
                        members.span,
                        "the last number is smaller than the first",
                    ));
                }
                Ok(family.devices.range(from..=to).map(|(_, device)| *device).collect())
            }
        }
    }

    fn not_a_device(&self, name: &Name, part: Option<&SelectPart>, span: Span) -> Found<Selected<'a>> {
        if let Some(flow) = self.items.flows.iter().find(|flow| flow.name.text == name.text) {
            if part.is_some() {
                let fault =
                    Diagnostic::new("E102", span, format!("the flow `{name}` can only be taken as a whole"));
                return wrong(fault.help("choose tags at its head, or with `except`"));
            }
            return Ok(Selected::Stream(&flow.name.text));
        }
        if let Some(family) = self.families.get(name.text.as_str()) {
            let fault = Diagnostic::new("E105", name.span, format!("`{name}` is a family of devices"))
                .here("which ones?");
            let first = family.devices.keys().next().copied().unwrap_or(1);
            return wrong(
                fault.help(format!("write `{name}[*]` for all, `{name}[{first}]` for one of them")),
            );
        }
        match self.items.unknown(name, &[ItemKind::Device, ItemKind::Source, ItemKind::Flow]) {
            // Devices of families have names of their own, such as `m1`.
            Some(fault) if fault.help.is_none() && fault.code == "E101" => {
                let near = nearest_name(&name.text, self.by_name.keys().map(|device| &**device));
                wrong(near.into_iter().fold(fault, Diagnostic::did_you_mean))
            }
            Some(fault) => wrong(fault),
            None => Ok(Selected::Silent),
        }
    }

    /// Adds the tags of one device. True if there may be more that could not be read.
    fn members(
        &self,
        device: &Device<'a>,
        part: Option<&SelectPart>,
        many: bool,
        tags: &mut Vec<TagId>,
    ) -> Found<bool> {
        match part {
            Some(SelectPart::Name(name)) => match device.members.get(name.text.as_str()) {
                Some(tag) => {
                    tags.push(*tag);
                    Ok(false)
                }
                None if name.text == ALARMS && device.events.is_some() => {
                    tags.extend(device.events.iter().flatten());
                    Ok(false)
                }
                None if device.hides(&name.text) => Ok(true),
                None if many => Ok(false),
                None => wrong(no_member(device, name)),
            },
            part => {
                let prefix = match part {
                    Some(SelectPart::Prefix(prefix)) => prefix.text.as_str(),
                    _ => "",
                };
                let fits = device.members.iter().filter(|(name, _)| name.starts_with(prefix));
                tags.extend(fits.map(|(_, tag)| *tag).filter(|tag| self.is_declared(*tag)));
                Ok(device.open || !device.broken.is_empty())
            }
        }
    }

    /// True for tags that stand in the program; built-in ones are only taken by name.
    fn is_declared(&self, tag: TagId) -> bool {
        self.tag(tag).is_some_and(|tag| !matches!(tag.decl, TagDecl::Connected(_)))
    }

    fn selects_nothing(&self, select: &Select) -> Diagnostic {
        let fault = Diagnostic::new("E308", select.span, format!("`{select}` selects no tag"));
        if matches!(select.parts.first(), Some(SelectPart::Name(name)) if name.text == ALARMS) {
            return fault.help("none of these devices has an `alarm`");
        }
        let SelectRoot::Named(name, None) = &select.root else { return fault };
        if !select.parts.is_empty() {
            return fault.help("check the names, or leave it out");
        }
        let source = self.items.sources.iter().position(|source| source.name.text == name.text);
        let on_it: Vec<_> = self
            .devices
            .iter()
            .filter(|device| source.is_some() && device.source == source && device.name.as_ref() != name.text)
            .map(|device| device.decl.name().text.as_str())
            .collect();
        match on_it.first() {
            Some(device) => {
                fault.help(format!("the source has no tags itself; name its devices, such as `{device}`"))
            }
            None => fault.help("check the names, or leave it out"),
        }
    }
}
