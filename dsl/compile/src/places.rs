//! From parts of the plan back to the text: what a driver says about a declaration is shown where it was written.

use gwp_core::manifest::{Place, SettingError};
use gwp_plan::Plan;
use gwp_syntax::ast::Setting;
use gwp_syntax::{Diagnostic, Span, codes};

use crate::assemble::Assembled;
use crate::world::{Decl, TagDecl, World};

/// Places of the sources, devices, tags and sinks of a plan.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By index in the plan.
    sources: Vec<ItemPlace>,
    sinks: Vec<ItemPlace>,
    /// By tag: name, address, type.
    tags: Vec<TagPlace>,
    /// By poll group.
    groups: Vec<ItemPlace>,
}

/// An item with its settings.
#[derive(Clone, Debug, Default)]
struct ItemPlace {
    name: Span,
    settings: Vec<(String, Span)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct TagPlace {
    address: Span,
    ty: Span,
}

impl ItemPlace {
    fn new(name: Span, settings: &[Setting]) -> ItemPlace {
        let settings = settings.iter().map(|setting| (setting.name.text.clone(), setting.span)).collect();
        ItemPlace { name, settings }
    }

    fn setting(&self, name: &str) -> Span {
        self.settings.iter().find(|(other, _)| other == name).map_or(self.name, |(_, span)| *span)
    }
}

impl Places {
    pub(crate) fn new(world: &World<'_>, assembled: &Assembled) -> Places {
        let plan = &assembled.plan;
        let items = &world.items;
        let sources = assembled.sources.iter().filter_map(|index| items.sources.get(*index));
        let sinks = assembled.sinks.iter().filter_map(|index| items.sinks.get(*index));
        let tags = assembled.tags.iter().map(|number| match world.tags.get(*number).map(|tag| tag.decl) {
            Some(TagDecl::Tag(tag)) => {
                TagPlace { address: tag.at.as_ref().map_or(tag.name.span, |at| at.span), ty: tag.ty.span }
            }
            Some(TagDecl::Command(write)) => {
                let at = write.at.as_ref().map_or(write.name.span, |at| at.span);
                TagPlace { address: at, ty: at }
            }
            Some(decl) => TagPlace { address: decl.span(), ty: decl.span() },
            None => TagPlace::default(),
        });
        let groups = plan.groups.iter().map(|group| {
            let device = world.by_name.get(&group.device).and_then(|index| world.device(*index));
            match device.map(|device| device.decl) {
                Some(Decl::Device(device)) => ItemPlace::new(device.name.span, &device.body.settings),
                Some(Decl::Source(source)) => ItemPlace::new(source.name.span, &source.body.settings),
                _ => ItemPlace::default(),
            }
        });
        Places {
            sources: sources.map(|source| ItemPlace::new(source.name.span, &source.body.settings)).collect(),
            sinks: sinks.map(|sink| ItemPlace::new(sink.name.span, &sink.settings.list)).collect(),
            groups: groups.collect(),
            tags: tags.collect(),
        }
    }

    /// Where the source of that index in the plan is declared.
    pub fn source(&self, index: usize) -> Option<Span> {
        self.sources.get(index).map(|place| place.name)
    }

    /// Where the sink of that index in the plan is declared.
    pub fn sink(&self, index: usize) -> Option<Span> {
        self.sinks.get(index).map(|place| place.name)
    }

    /// What the driver of `plan.sources[index]` found in [`Plan::source_declaration`], as diagnostics. The same error
    /// at the same place, as in all devices of a template, is given once.
    pub fn source_errors(&self, plan: &Plan, index: usize, errors: &[SettingError]) -> Vec<Diagnostic> {
        let groups: Vec<usize> = plan
            .groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.source as usize == index)
            .map(|(number, _)| number)
            .collect();
        let item = self.sources.get(index).cloned().unwrap_or_default();
        let tag = |group: usize, point: usize| {
            let group = plan.groups.get(*groups.get(group)?)?;
            self.tags.get(group.tags.get(point)?.index())
        };
        let spans = errors.iter().map(|error| match &error.place {
            Place::Item => item.name,
            Place::Setting(name) => item.setting(name),
            Place::DeviceSetting { group, name } => {
                let place = groups.get(*group).and_then(|number| self.groups.get(*number));
                place.map_or(item.name, |place| place.setting(name))
            }
            Place::Address { group, point } => tag(*group, *point).map_or(item.name, |place| place.address),
            Place::Type { group, point } => tag(*group, *point).map_or(item.name, |place| place.ty),
        });
        diagnostics(errors, spans)
    }

    /// What the driver of `plan.sinks[index]` found in its declaration, as diagnostics.
    pub fn sink_errors(&self, index: usize, errors: &[SettingError]) -> Vec<Diagnostic> {
        let item = self.sinks.get(index).cloned().unwrap_or_default();
        let spans = errors.iter().map(|error| match &error.place {
            Place::Setting(name) => item.setting(name),
            _ => item.name,
        });
        diagnostics(errors, spans)
    }
}

fn diagnostics(errors: &[SettingError], spans: impl Iterator<Item = Span>) -> Vec<Diagnostic> {
    let mut found = gwp_syntax::Diagnostics::default();
    for (error, span) in errors.iter().zip(spans) {
        let code = error.code.and_then(codes::find).map_or("E402", |row| row.code);
        let diagnostic = Diagnostic::new(code, span, error.message.clone());
        found.push(if error.help.is_empty() { diagnostic } else { diagnostic.help(error.help.clone()) });
    }
    found.into_sorted()
}
