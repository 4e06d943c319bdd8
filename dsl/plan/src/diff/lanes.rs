//! What lanes really take over: asked of the lanes themselves, so that what people read is what happens.

use crate::event::window::Instance;
use crate::lane::Lane;
use crate::moved::Renames;
use crate::plan::Plan;
use crate::snapshot::{instance_before, is_same, stages_before, windows_before};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The lanes of both plans, made when they are asked for.
pub(super) struct Lanes<'p> {
    old: &'p Arc<Plan>,
    new: &'p Arc<Plan>,
    renames: &'p Renames,
    made: BTreeMap<usize, Option<Two>>,
}

/// The lanes of one sink before and after.
struct Two {
    old: Lane,
    new: Lane,
}

/// What becomes of a flow in the lane of a sink.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Fate {
    pub stages_kept: usize,
    pub stages_anew: usize,
    pub windows_kept: usize,
    /// Devices (or the flow itself) whose window was there and begins anew.
    pub windows_anew: usize,
}

impl<'p> Lanes<'p> {
    pub fn new(old: &'p Arc<Plan>, new: &'p Arc<Plan>, renames: &'p Renames) -> Lanes<'p> {
        Lanes { old, new, renames, made: BTreeMap::new() }
    }

    /// `None` if the sink is new.
    pub fn fate(&mut self, sink: usize, flow: &str) -> Option<Fate> {
        let (old, new, renames) = (self.old, self.new, self.renames);
        let make = || two(old, new, renames, sink);
        let two = self.made.entry(sink).or_insert_with(make).as_ref()?;
        Some(fate(two, renames, flow))
    }

    /// By the index of a sink that was asked for: calcs with memory that its lane has not computed so far.
    pub fn calcs_anew(&self) -> impl Iterator<Item = (usize, BTreeSet<Arc<str>>)> + '_ {
        let made = self.made.iter().filter_map(|(sink, two)| Some((*sink, two.as_ref()?)));
        made.map(|(sink, two)| (sink, calcs_anew(two, self.renames))).filter(|(_, calcs)| !calcs.is_empty())
    }

    /// Names of windows that go on in another way and could issue rows again.
    pub fn revising(&mut self) -> BTreeSet<Arc<str>> {
        let mut names = BTreeSet::new();
        for (index, sink) in self.new.sinks.iter().enumerate() {
            let mut windows = sink.routes.iter().filter_map(|route| route.window.as_ref());
            if !windows.any(|window| window.revise_ns > 0) {
                continue;
            }
            let (old, new, renames) = (self.old, self.new, self.renames);
            let make = || two(old, new, renames, index);
            let Some(two) = self.made.entry(index).or_insert_with(make).as_ref() else { continue };
            for window in two.new.routes.iter().filter_map(|route| route.window.as_ref()) {
                let before = windows_before(&window.name, &two.old.routes, renames);
                let goes_on = |one: &Instance| {
                    let before = instance_before(one, &before, renames).filter(|before| before.revises());
                    before.is_some_and(|before| !is_same((new, one), (old, before)))
                };
                if window.instances().iter().any(goes_on) {
                    names.insert(window.name.clone());
                }
            }
        }
        names
    }
}

fn two(old: &Arc<Plan>, new: &Arc<Plan>, renames: &Renames, sink: usize) -> Option<Two> {
    let name = &new.sinks.get(sink)?.name;
    let same = |name: &str| old.sinks.iter().position(|sink| *sink.name == *name);
    let former = || renames.former_names_of_sink(name).iter().find_map(|name| same(name));
    let before = same(name).or_else(former)?;
    Some(Two { old: Lane::new(old.clone(), before), new: Lane::new(new.clone(), sink) })
}

fn fate(two: &Two, renames: &Renames, flow: &str) -> Fate {
    let mut fate = Fate::default();
    let before = stages_before(&two.new.routes, &two.old.routes, renames);
    let had_flow = two
        .old
        .routes
        .iter()
        .any(|route| *route.flow == *flow || renames.flow(&route.flow).is_some_and(|now| *now == *flow));
    for (route, before) in two.new.routes.iter().zip(before).filter(|(route, _)| *route.flow == *flow) {
        for (_, before) in route.stages.iter().zip(before).filter(|(stage, _)| stage.state().is_some()) {
            match before {
                Some(_) => fate.stages_kept += 1,
                None if had_flow => fate.stages_anew += 1,
                None => {}
            }
        }
        let Some(window) = &route.window else { continue };
        let before = windows_before(&window.name, &two.old.routes, renames);
        for instance in window.instances() {
            let there = |old: &&Instance| {
                let now = renames.row_device(old.device());
                now.as_ref().unwrap_or(old.device()) == instance.device()
            };
            if instance_before(instance, &before, renames).is_some() {
                fate.windows_kept += 1;
            } else if before.iter().any(there) {
                fate.windows_anew += 1;
            }
        }
    }
    fate
}

/// Calcs with memory that the new lane computes and the old one did not, though the old plan had them.
fn calcs_anew(two: &Two, renames: &Renames) -> BTreeSet<Arc<str>> {
    let results = |lane: &Lane| -> Vec<gwp_core::TagId> {
        let steps = lane.circuits.iter().flat_map(|one| &one.steps);
        steps.filter(|(_, operator)| operator.is_none()).map(|(tag, _)| *tag).collect()
    };
    let (old, new) = (two.old.plan(), two.new.plan());
    let now = |tag: &crate::plan::Tag| renames.path(tag).map_or_else(|| tag.info.path.clone(), Into::into);
    let computed: BTreeSet<Arc<str>> =
        results(&two.old).into_iter().filter_map(|tag| old.tag(tag)).map(now).collect();
    let known: BTreeSet<Arc<str>> = old.calcs.iter().filter_map(|calc| old.tag(calc.tag)).map(now).collect();
    let wanted: BTreeSet<_> = results(&two.new).into_iter().collect();
    new.calcs
        .iter()
        .filter(|calc| wanted.contains(&calc.tag) && (calc.alarm.is_some() || !calc.operators.is_empty()))
        .filter_map(|calc| new.tag(calc.tag))
        .map(|tag| tag.info.path.clone())
        .filter(|path| known.contains(path) && !computed.contains(path))
        .collect()
}
