//! Snapshots: the state of a lane as plain data.
//!
//! A checkpoint stores one under the position it covers; a change of the plan
//! moves it to the new lane by the names of tags and flows, so state follows
//! what did not change, and what `moved` says has another name.

use crate::diff::Fingerprint;
use crate::event::progress::ProgressState;
use crate::event::saved::CircuitState;
use crate::event::window::{Instance, InstanceState};
use crate::lane::{Lane, LaneCircuit};
use crate::moved::Renames;
use crate::plan::Plan;
use crate::route::{RunningRoute, RunningWindow};
use crate::stage::{LastByTag, Running};
use gwp_core::{GroupId, PlanId, Quality, TagId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Version of the snapshot format, its first byte.
const SNAPSHOT_VERSION: u8 = 3;

#[derive(Serialize, Deserialize)]
struct Snapshot {
    plan: PlanId,
    progress: ProgressState,
    latest: Vec<(TagId, Value, Quality, Timestamp)>,
    circuits: Vec<CircuitState>,
    interrupted: BTreeSet<GroupId>,
    absent: BTreeSet<GroupId>,
    /// Per route and stage; stages without state have none.
    stages: Vec<Vec<Option<LastByTag>>>,
    /// Per route and instance of its window.
    windows: Vec<Vec<InstanceState>>,
    usable: LastByTag,
    events: BTreeMap<TagId, (Timestamp, u32)>,
}

/// Snapshot bytes that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the checkpoint is damaged")]
    Decode(#[source] postcard::Error),
    #[error("the checkpoint has format {0}, this program knows {SNAPSHOT_VERSION}")]
    Version(u8),
    #[error("the checkpoint belongs to plan {0}")]
    Plan(PlanId),
}

impl Lane {
    /// Its state as bytes, for a checkpoint.
    pub fn snapshot(&mut self, plan: PlanId) -> Vec<u8> {
        self.settle();
        let latest = self.slots.iter().map(|(tag, slot)| {
            let (value, quality, time) = self.latest.get(slot);
            (tag, value, quality, time)
        });
        let windows = |route: &RunningRoute| {
            let instances = route.window.iter().flat_map(|window| window.instances());
            instances.map(|instance| instance.state()).collect()
        };
        let snapshot = Snapshot {
            plan,
            progress: self.progress.state().clone(),
            latest: latest.collect(),
            circuits: self.circuits.iter().map(|one| one.circuit.state()).collect(),
            interrupted: self.interrupted.clone(),
            absent: self.absent.clone(),
            stages: self
                .routes
                .iter()
                .map(|route| route.stages.iter().map(|stage| stage.state().cloned()).collect())
                .collect(),
            windows: self.routes.iter().map(windows).collect(),
            usable: self.usable.clone(),
            events: self.events.clone(),
        };
        // Plain data into a growing buffer: nothing here can fail.
        postcard::to_extend(&snapshot, vec![SNAPSHOT_VERSION]).expect("a snapshot can always be encoded")
    }

    /// Lets its windows note what they have put off.
    fn settle(&mut self) {
        self.routes.iter_mut().filter_map(|route| route.window.as_mut()).for_each(RunningWindow::settle);
    }

    /// Takes over a state that [`Lane::snapshot`] gave under the same plan.
    ///
    /// # Errors
    /// Damaged bytes, another format version, or another plan; the lane is then as it was.
    pub fn restore(&mut self, plan: PlanId, bytes: &[u8]) -> Result<(), SnapshotError> {
        let (version, body) = bytes.split_first().unwrap_or((&0, &[]));
        if *version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(*version));
        }
        let snapshot: Snapshot = postcard::from_bytes(body).map_err(SnapshotError::Decode)?;
        if snapshot.plan != plan {
            return Err(SnapshotError::Plan(snapshot.plan));
        }
        self.progress.set_state(snapshot.progress);
        for (tag, value, quality, time) in snapshot.latest {
            if let Some(slot) = self.slots.get(tag) {
                self.latest.set(slot, value, quality, time);
            }
        }
        for (one, state) in self.circuits.iter_mut().zip(snapshot.circuits) {
            one.circuit.set_state(state);
        }
        for (route, states) in self.routes.iter_mut().zip(snapshot.stages) {
            for (stage, state) in route.stages.iter_mut().zip(states) {
                if let Some(state) = state {
                    stage.set_state(state);
                }
            }
        }
        for (route, states) in self.routes.iter_mut().zip(snapshot.windows) {
            let instances = route.window.iter_mut().flat_map(|window| window.instances_mut());
            instances.zip(states).for_each(|(instance, state)| instance.set_state(state));
        }
        self.interrupted = snapshot.interrupted;
        self.absent = snapshot.absent;
        self.usable = snapshot.usable;
        self.events = snapshot.events;
        Ok(())
    }

    /// A lane for the same sink under a new plan, with the state of what has kept its
    /// name, or has another one by the new plan's `moved`: latest values by tag, calcs by tag
    /// and their operators by place and function, stages by flow, way in it, place and kind,
    /// windows by row name and device.
    pub fn migrate(&mut self, plan: Arc<Plan>, sink: usize) -> Lane {
        self.settle();
        let mut next = Lane::new(plan, sink);
        let next_plan = next.plan.clone();
        let ids = next_plan.tag_ids();
        let renames = next_plan.renames();
        let renumber = |tag: TagId| {
            let old = self.plan.tag(tag)?;
            ids.get(&old.info.path).or_else(|| ids.get(&*renames.path(old)?)).copied()
        };
        for (tag, slot) in self.slots.iter() {
            if let Some(to) = renumber(tag).and_then(|tag| next.slots.get(tag)) {
                let (value, quality, time) = self.latest.get(slot);
                next.latest.set(to, value, quality, time);
            }
        }
        let same_group = |group: GroupId| {
            let old = self.plan.group(group)?;
            let tag = old.tags.iter().find_map(|tag| renumber(*tag))?;
            let same = |new: &crate::plan::Group| new.period_ns == old.period_ns && new.tags.contains(&tag);
            next_plan.groups.iter().position(same).map(|at| GroupId(at as u32))
        };
        next.progress.adopt(&self.progress, &same_group);
        next.interrupted = self.interrupted.iter().filter_map(|group| same_group(*group)).collect();
        next.absent = self.absent.iter().filter_map(|group| same_group(*group)).collect();
        next.events = self.events.iter().filter_map(|(tag, last)| Some((renumber(*tag)?, *last))).collect();
        for new in &mut next.circuits {
            let steps = new.steps.clone();
            for old in &self.circuits {
                adopt_circuit(new, &steps, old, &renumber);
            }
            if new.groups.is_empty() && *self.plan != *next_plan {
                new.circuit.begin_anew();
            }
        }
        let moved = |state: &LastByTag| -> LastByTag {
            state.iter().filter_map(|(tag, last)| Some((renumber(*tag)?, last.clone()))).collect()
        };
        adopt_stages(&mut next.routes, &self.routes, &renames, &moved);
        adopt_windows((&next_plan, &mut next.routes), (&self.plan, &self.routes), &renames, &renumber);
        next.usable = moved(&self.usable);
        next
    }
}

/// Steps of the same calcs, results and operators at the same place, keep their states.
fn adopt_circuit(
    new: &mut LaneCircuit,
    steps: &[(TagId, Option<u32>)],
    old: &LaneCircuit,
    renumber: &dyn Fn(TagId) -> Option<TagId>,
) {
    let before: HashMap<(TagId, Option<u32>), u32> = (0u32..)
        .zip(&old.steps)
        .filter_map(|(index, (tag, operator))| Some(((renumber(*tag)?, *operator), index)))
        .collect();
    if steps.iter().any(|step| before.contains_key(step)) {
        new.circuit.adopt(&old.circuit, renumber, &|step| before.get(steps.get(step as usize)?).copied());
    }
}

/// Stages of the same way of a flow, at the same place and of the same kind, keep their states.
fn adopt_stages(
    new_routes: &mut [RunningRoute],
    old_routes: &[RunningRoute],
    renames: &Renames,
    moved: &dyn Fn(&LastByTag) -> LastByTag,
) {
    let before = stages_before(new_routes, old_routes, renames);
    for (route, before) in new_routes.iter_mut().zip(before) {
        for (stage, before) in route.stages.iter_mut().zip(before) {
            if let Some(state) = before.and_then(|before| before.state()) {
                stage.set_state(moved(state));
            }
        }
    }
}

/// By route and stage: the older stage whose state it goes on with.
pub(crate) fn stages_before<'r>(
    new_routes: &[RunningRoute],
    old_routes: &'r [RunningRoute],
    renames: &Renames,
) -> Vec<Vec<Option<&'r Running>>> {
    // Only looked up, never iterated: hash order cannot show.
    let mut old = HashMap::new();
    let flow_now = |flow: &Arc<str>| renames.flow(flow).unwrap_or_else(|| flow.clone());
    for (way, route) in ways(old_routes, flow_now).into_iter().zip(old_routes) {
        for (place, stage) in route.stages.iter().enumerate() {
            old.insert((way.clone(), place, std::mem::discriminant(stage)), stage);
        }
    }
    let of_route = |(way, route): ((Arc<str>, usize), &RunningRoute)| {
        let stages = route.stages.iter().enumerate();
        let before = |(place, stage)| {
            old.get(&(way.clone(), place, std::mem::discriminant::<Running>(stage))).copied()
        };
        stages.map(before).collect()
    };
    ways(new_routes, Arc::clone).into_iter().zip(new_routes).map(of_route).collect()
}

/// Windows of the same rows and device keep their states.
fn adopt_windows(
    (new_plan, new_routes): (&Plan, &mut [RunningRoute]),
    (old_plan, old_routes): (&Plan, &[RunningRoute]),
    renames: &Renames,
    renumber: &dyn Fn(TagId) -> Option<TagId>,
) {
    for new in new_routes.iter_mut().filter_map(|route| route.window.as_mut()) {
        let before = windows_before(&new.name, old_routes, renames);
        for instance in new.instances_mut() {
            match instance_before(instance, &before, renames) {
                Some(same) if is_same((new_plan, instance), (old_plan, same)) => {
                    instance.set_state(same.state())
                }
                Some(same) => instance.adopt(same, renumber),
                None => {}
            }
        }
    }
}

/// True if two instances make the same rows of the same samples, so that all of a state goes from one to the other:
/// also what rows that were issued are issued again from. State goes by slots, whose order is that of the paths.
pub(crate) fn is_same((new_plan, new): (&Plan, &Instance), (old_plan, old): (&Plan, &Instance)) -> bool {
    Fingerprint::of(new_plan, &new.definition()) == Fingerprint::of(old_plan, &old.definition())
}

/// Older instances of the windows that give rows of this name.
pub(crate) fn windows_before<'r>(
    name: &Arc<str>,
    old_routes: &'r [RunningRoute],
    renames: &Renames,
) -> Vec<&'r Instance> {
    let same_rows = |old: &Arc<str>| old == name || renames.flow(old).as_ref() == Some(name);
    let windows = old_routes.iter().filter_map(|route| route.window.as_ref());
    windows.filter(|old| same_rows(&old.name)).flat_map(|old| old.instances()).collect()
}

/// The one among them whose state an instance goes on with.
pub(crate) fn instance_before<'r>(
    instance: &Instance,
    before: &[&'r Instance],
    renames: &Renames,
) -> Option<&'r Instance> {
    let device_now = |device: &Arc<str>| renames.row_device(device).unwrap_or_else(|| device.clone());
    before.iter().find(|old| instance.is_like(old, &device_now)).copied()
}

/// Each route by its flow, as that is called now, and the how many-th of the flow's ways to this sink it is.
fn ways(routes: &[RunningRoute], called: impl Fn(&Arc<str>) -> Arc<str>) -> Vec<(Arc<str>, usize)> {
    let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
    let mut way = |route: &RunningRoute| {
        let flow = called(&route.flow);
        let count = seen.entry(flow.clone()).or_default();
        *count += 1;
        (flow, *count)
    };
    routes.iter().map(&mut way).collect()
}
