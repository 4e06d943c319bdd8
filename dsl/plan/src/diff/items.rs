//! The items of a plan by their names: every part of a plan belongs to at least one.

use super::fingerprint::Fingerprint;
use super::same::dead_letter;
use crate::plan::{Calc, Group, Origin, Plan, Route, SinkPlan, Tag};
use gwp_core::TagId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which part of its plan an item is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Part {
    Gateway,
    Source(usize),
    Tag(TagId),
    /// A calc or an alarm.
    Calc(usize),
    Write(usize),
    Sink(usize),
    Flow(Arc<str>),
    /// A line about names; it does nothing by itself.
    Moved,
}

/// An item of a plan.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// `source/press`, `tag/press.flow`, ...
    pub name: String,
    pub part: Part,
    /// Everything it says.
    pub whole: Fingerprint,
    /// What it does, without how a flow is worded.
    pub core: Fingerprint,
}

/// All items of a plan; of two plans that differ in names only, in the same order.
pub(super) fn items(plan: &Plan) -> Vec<Item> {
    let of = Items::new(plan);
    let mut items = vec![of.item("gateway".into(), Part::Gateway, &(plan.version, &plan.gateway))];
    items.extend((0..plan.sources.len()).map(|index| of.source(index)));
    items.extend((0..).map(TagId).zip(&plan.tags).filter_map(|(id, tag)| of.tag(id, tag)));
    items.extend(plan.calcs.iter().enumerate().map(|(index, calc)| of.calc(index, calc)));
    items.extend((0..plan.writes.len()).map(|index| of.write(index)));
    items.extend(plan.sinks.iter().enumerate().map(|(index, sink)| of.sink(index, sink)));
    let mut flows: Vec<&Arc<str>> = plan.flows.iter().map(|flow| &flow.name).collect();
    for route in plan.sinks.iter().flat_map(|sink| &sink.routes) {
        if !flows.contains(&&route.flow) {
            flows.push(&route.flow);
        }
    }
    items.extend(flows.into_iter().map(|flow| of.flow(flow)));
    items.extend(plan.moved.iter().map(|line| {
        let name = format!("moved/{:?}/{}/{}", line.kind, line.old.item, line.old.member);
        of.item(name.to_lowercase(), Part::Moved, line)
    }));
    items
}

struct Items<'p> {
    plan: &'p Plan,
    /// Tags that belong to something else than an item of their own.
    claimed: BTreeSet<TagId>,
    /// Period of the poll group of each tag.
    periods: BTreeMap<TagId, i64>,
}

impl<'p> Items<'p> {
    fn new(plan: &'p Plan) -> Items<'p> {
        let mut claimed: BTreeSet<TagId> = plan.sources.iter().map(|source| source.connected).collect();
        for calc in &plan.calcs {
            claimed.extend(own_tags(calc));
        }
        claimed.extend(plan.writes.iter().flat_map(|write| [write.command, write.outcome]));
        claimed.extend(plan.sinks.iter().flat_map(|sink| &sink.routes).flat_map(row_tags));
        let period = |group: &'p Group| group.tags.iter().map(|tag| (*tag, group.period_ns));
        Items { plan, claimed, periods: plan.groups.iter().flat_map(period).collect() }
    }

    fn item(&self, name: String, part: Part, content: &impl Serialize) -> Item {
        let whole = Fingerprint::of(self.plan, content);
        Item { name, part, whole, core: whole }
    }

    /// Tags without the number of their source: what is connected is named by the item.
    fn tags(&self, tags: impl IntoIterator<Item = TagId>) -> Vec<Tag> {
        let plain = |tag: &Tag| match tag.origin {
            Origin::Connected { .. } => Tag { origin: Origin::Connected { source: 0 }, ..tag.clone() },
            _ => tag.clone(),
        };
        let mut tags: Vec<Tag> = tags.into_iter().filter_map(|tag| self.plan.tag(tag)).map(plain).collect();
        tags.sort_by(|a, b| a.info.path.cmp(&b.info.path));
        tags
    }

    /// With its groups and what the driver is told of their tags.
    fn source(&self, index: usize) -> Item {
        let source = &self.plan.sources[index];
        let connected = self.tags([source.connected]);
        let told = self.plan.source_declaration(index).map(|told| told.groups).unwrap_or_default();
        let points: BTreeSet<_> = told
            .iter()
            .flat_map(|group| &group.points)
            .map(|p| (p.path.clone(), p.address.clone(), p.plc_type, p.writable, p.command))
            .collect();
        let groups = groups_of(self.plan, index);
        let groups: Vec<Group> =
            groups.into_iter().map(|group| Group { source: 0, ..group.clone() }).collect();
        let content = (source, connected, groups, points);
        self.item(format!("source/{}", source.name), Part::Source(index), &content)
    }

    fn tag(&self, id: TagId, tag: &Tag) -> Option<Item> {
        if self.claimed.contains(&id) {
            return None;
        }
        let period_ns = self.periods.get(&id);
        Some(self.item(format!("tag/{}", tag.info.path), Part::Tag(id), &(self.tags([id]), period_ns)))
    }

    fn calc(&self, index: usize, calc: &Calc) -> Item {
        let kind = if calc.alarm.is_some() { "alarm" } else { "calc" };
        let path = self.plan.tag(calc.tag).map_or("", |tag| &tag.info.path);
        self.item(format!("{kind}/{path}"), Part::Calc(index), &(calc, self.tags(own_tags(calc))))
    }

    fn write(&self, index: usize) -> Item {
        let write = &self.plan.writes[index];
        let path = self.plan.tag(write.outcome).map_or("", |tag| &tag.info.path);
        let content = (write, self.tags([write.command, write.outcome]));
        self.item(format!("write/{path}"), Part::Write(index), &content)
    }

    fn sink(&self, index: usize, sink: &SinkPlan) -> Item {
        let own = SinkPlan { routes: Vec::new(), dead_letter: None, ..sink.clone() };
        self.item(format!("sink/{}", sink.name), Part::Sink(index), &(own, dead_letter(self.plan, sink)))
    }

    fn flow(&self, flow: &Arc<str>) -> Item {
        let routes = routes_of(self.plan, flow);
        let rows = self.tags(routes.iter().flat_map(|(_, route)| row_tags(route)).collect::<BTreeSet<_>>());
        let plain = |(sink, route): &(usize, &Route)| {
            let mut route = (*route).clone();
            if let Some(window) = &mut route.window {
                window.instances.sort_by(|a, b| a.device.cmp(&b.device));
            }
            (self.plan.sinks[*sink].name.clone(), route)
        };
        let mut routes: Vec<(Arc<str>, Route)> = routes.iter().map(plain).collect();
        routes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let summary = self.plan.flows.iter().find(|summary| summary.name == *flow);
        let attributes = summary.map(|summary| (summary.high_priority, summary.standby));
        let core = Fingerprint::of(self.plan, &(&routes, &rows, attributes));
        let item = self.item(format!("flow/{flow}"), Part::Flow(flow.clone()), &(summary, routes, rows));
        Item { core, ..item }
    }
}

/// Poll groups of a source, by device, period and the path of the first tag.
pub(super) fn groups_of(plan: &Plan, source: usize) -> Vec<&Group> {
    let mut groups: Vec<&Group> =
        plan.groups.iter().filter(|group| group.source as usize == source).collect();
    let first = |group: &Group| group.tags.iter().filter_map(|tag| Some(&plan.tag(*tag)?.info.path)).min();
    groups.sort_by(|a, b| (&a.device, a.period_ns, first(a)).cmp(&(&b.device, b.period_ns, first(b))));
    groups
}

/// The routes of a flow, with the index of their sinks.
pub(super) fn routes_of<'p>(plan: &'p Plan, flow: &str) -> Vec<(usize, &'p Route)> {
    let routes = |(index, sink): (usize, &'p SinkPlan)| {
        sink.routes.iter().filter(|route| *route.flow == *flow).map(move |route| (index, route))
    };
    plan.sinks.iter().enumerate().flat_map(routes).collect()
}

/// The tag of a calc; of an alarm also those its device has for alarms.
fn own_tags(calc: &Calc) -> Vec<TagId> {
    let alarm = calc.alarm.iter().flat_map(|alarm| alarm.columns.iter().chain([&alarm.orders]));
    [calc.tag].into_iter().chain(alarm.copied()).collect()
}

/// Tags of the columns of its rows.
fn row_tags(route: &Route) -> Vec<TagId> {
    let instances = route.window.iter().flat_map(|window| &window.instances);
    instances
        .flat_map(|one| one.built_in.iter().copied().chain(one.columns.iter().map(|column| column.tag)))
        .collect()
}
