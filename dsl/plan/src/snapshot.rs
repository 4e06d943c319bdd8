//! Snapshots: the state of a lane as plain data.
//!
//! A checkpoint stores one under the position it covers; a change of the plan
//! moves it to the new lane by the names of tags and flows, so state follows
//! what did not change.

use crate::lane::{Lane, RunningRoute};
use crate::plan::Plan;
use crate::stage::LastByTag;
use gwp_core::{PlanId, Quality, TagId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// Version of the snapshot format, its first byte.
const SNAPSHOT_VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Snapshot {
    plan: PlanId,
    latest: Vec<(TagId, Value, Quality, Timestamp)>,
    /// Per route and stage; stages without state have none.
    stages: Vec<Vec<Option<LastByTag>>>,
    usable: LastByTag,
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
    pub fn snapshot(&self, plan: PlanId) -> Vec<u8> {
        let latest = self.slots.iter().map(|(tag, slot)| {
            let (value, quality, time) = self.latest.get(slot);
            (tag, value, quality, time)
        });
        let snapshot = Snapshot {
            plan,
            latest: latest.collect(),
            stages: self
                .routes
                .iter()
                .map(|route| route.stages.iter().map(|stage| stage.state().cloned()).collect())
                .collect(),
            usable: self.usable.clone(),
        };
        // Plain data into a growing buffer: nothing here can fail.
        postcard::to_extend(&snapshot, vec![SNAPSHOT_VERSION]).expect("a snapshot can always be encoded")
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
        for (tag, value, quality, time) in snapshot.latest {
            if let Some(slot) = self.slots.get(tag) {
                self.latest.set(slot, value, quality, time);
            }
        }
        for (route, states) in self.routes.iter_mut().zip(snapshot.stages) {
            for (stage, state) in route.stages.iter_mut().zip(states) {
                if let Some(state) = state {
                    stage.set_state(state);
                }
            }
        }
        self.usable = snapshot.usable;
        Ok(())
    }

    /// A lane for the same sink under a new plan, with the state of what has kept its
    /// name: latest values by tag, stages by flow, way in it, place and kind.
    pub fn migrate(&self, plan: Arc<Plan>, sink: usize) -> Lane {
        let mut next = Lane::new(plan, sink);
        let ids = next.plan.tag_ids();
        let renumber = |tag: TagId| ids.get(&self.plan.tag(tag)?.info.path).copied();
        for (tag, slot) in self.slots.iter() {
            if let Some(to) = renumber(tag).and_then(|tag| next.slots.get(tag)) {
                let (value, quality, time) = self.latest.get(slot);
                next.latest.set(to, value, quality, time);
            }
        }
        let moved = |state: &LastByTag| -> LastByTag {
            state.iter().filter_map(|(tag, last)| Some((renumber(*tag)?, last.clone()))).collect()
        };
        // Only looked up, never iterated: hash order cannot show.
        let mut old = HashMap::new();
        for (way, route) in ways(&self.routes).into_iter().zip(&self.routes) {
            for (place, stage) in route.stages.iter().enumerate() {
                old.insert((way.clone(), place, std::mem::discriminant(stage)), stage);
            }
        }
        for (way, route) in ways(&next.routes).into_iter().zip(&mut next.routes) {
            for (place, stage) in route.stages.iter_mut().enumerate() {
                let same = old.get(&(way.clone(), place, std::mem::discriminant(&*stage)));
                if let Some(state) = same.and_then(|stage| stage.state()) {
                    stage.set_state(moved(state));
                }
            }
        }
        next.usable = moved(&self.usable);
        next
    }
}

/// Each route by its flow and the how many-th of the flow's ways to this sink it is.
fn ways(routes: &[RunningRoute]) -> Vec<(Arc<str>, usize)> {
    let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
    let mut way = |route: &RunningRoute| {
        let count = seen.entry(route.flow.clone()).or_default();
        *count += 1;
        (route.flow.clone(), *count)
    };
    routes.iter().map(&mut way).collect()
}
