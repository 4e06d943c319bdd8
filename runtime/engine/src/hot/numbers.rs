//! In which numbers of tags and poll groups a standby keeps what it reads.
//!
//! They are those of one plan, as in a log. When another one takes its place, sources that both have go on: what they
//! gave before is renumbered once, and what they give next as it comes ([`Translation`]).

use crate::admission::{GroupTags, group_tags};
use crate::reading::SlotReading;
use crate::translation::Translation;
use gwp_core::source::{Emission, SourceMeter};
use gwp_core::{Batch, Fact, GroupId, PlanId, TagId};
use gwp_plan::diff::same_source;
use gwp_plan::{Conditioner, Plan};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Readiness;

/// A plan, and what runs of its sources.
pub(super) struct Numbers {
    pub plan: Arc<Plan>,
    pub id: PlanId,
    /// Of all polled groups.
    pub tags: GroupTags,
    conditioners: Vec<Conditioner>,
    /// By the number of the run.
    pub runs: BTreeMap<usize, Run>,
    /// The plan that was in this one's place.
    before: Option<Crossing>,
}

/// A source that runs.
pub(super) struct Run {
    /// Its index in the plan.
    pub at: usize,
    pub how: Readiness,
    /// Unless it speaks in the numbers of the plan.
    pub translation: Option<Translation>,
    pub meter: Arc<SourceMeter>,
}

impl Numbers {
    pub fn new(plan: Arc<Plan>, runs: BTreeMap<usize, Run>) -> Numbers {
        let (tags, conditioners) = (group_tags(&plan), Conditioner::of_plan(&plan));
        Numbers { id: plan.id(), tags, conditioners, runs, before: None, plan }
    }

    /// What these are for what was read by `before`; that is remembered.
    pub fn cross(&mut self, before: &Numbers) -> &Crossing {
        self.before.insert(Crossing::new(before, &self.plan))
    }

    /// The same plan, with other runs.
    pub fn keep_before(&mut self, same: &mut Numbers) {
        self.before = same.before.take();
    }

    /// Whether records that are numbered by `plan` can be told.
    pub fn knows(&self, plan: PlanId) -> bool {
        plan == self.id || self.before.as_ref().is_some_and(|before| before.id == plan)
    }

    /// Polled groups of what runs, as far as it is wanted.
    pub fn groups(&self, wanted: impl Fn(Readiness) -> bool) -> Vec<GroupId> {
        let runs = |source: u32| self.runs.values().any(|run| run.at == source as usize && wanted(run.how));
        let groups = self.tags.keys().copied();
        groups.filter(|id| self.plan.group(*id).is_some_and(|group| runs(group.source))).collect()
    }

    /// The slot of what a run gives, conditioned as in the log; `None` if it has none, or the run is over.
    pub fn given(&self, run: usize, emission: Emission) -> Option<SlotReading> {
        let emission = match &self.runs.get(&run)?.translation {
            None => emission,
            Some(translation) => translation.apply(emission)?,
        };
        let fact = match emission {
            Emission::Samples { slot, mut batch } => {
                if let Some(conditioner) = self.conditioners.get(batch.group.index()) {
                    conditioner.apply(&mut batch);
                }
                Fact::Samples { slot, batch: Arc::new(batch) }
            }
            Emission::Failed { group, slot, time, why } => Fact::Failed { group, slot, time, why },
            // Of this node alone: said when it is the active's.
            Emission::Connected { .. } | Emission::Bookmark { .. } => return None,
        };
        SlotReading::of(&fact, |group| self.tags.get(&group).cloned())
    }

    /// The slot of a record that is numbered by `plan`.
    pub fn logged(&self, plan: PlanId, fact: &Fact) -> Option<SlotReading> {
        if plan == self.id {
            return SlotReading::of(fact, |group| self.tags.get(&group).cloned());
        }
        let before = self.before.as_ref().filter(|before| before.id == plan)?;
        before.reading(&SlotReading::of(fact, |group| before.tags.get(&group).cloned())?)
    }
}

/// From the numbers of a plan to those of the one in its place.
pub(super) struct Crossing {
    id: PlanId,
    tags: GroupTags,
    /// Of groups that both have.
    groups: BTreeMap<GroupId, Arc<Option<Translation>>>,
}

impl Crossing {
    fn new(before: &Numbers, now: &Plan) -> Crossing {
        let old = &before.plan;
        let kind = |plan: &Plan, tag: TagId| plan.tag(tag).map(|tag| tag.kind);
        let mut groups = BTreeMap::new();
        for index in 0..old.sources.len() {
            let Some(at) = (0..now.sources.len()).find(|at| same_source(old, index, now, *at)) else {
                continue;
            };
            let translation = Translation::new(old, index, now, at);
            // A value that was scaled to another kind is none of the tag any more.
            let is_same_kind = |tag: &TagId| {
                let new = translation.as_ref().map_or(Some(*tag), |translation| translation.tag(*tag));
                new.is_some_and(|new| kind(old, *tag) == kind(now, new))
            };
            let own = before.tags.iter().filter(|(id, tags)| {
                old.group(**id).is_some_and(|group| group.source as usize == index)
                    && tags.iter().all(is_same_kind)
            });
            let own: Vec<GroupId> = own.map(|(id, _)| *id).collect();
            let translation = Arc::new(translation);
            groups.extend(own.into_iter().map(|id| (id, translation.clone())));
        }
        Crossing { id: before.id, tags: before.tags.clone(), groups }
    }

    pub fn reading(&self, reading: &SlotReading) -> Option<SlotReading> {
        let batch = match &**self.groups.get(&reading.batch.group)? {
            None => reading.batch.clone(),
            Some(translation) => Arc::new(translation.batch(Batch::clone(&reading.batch))?),
        };
        Some(SlotReading { slot: reading.slot, batch })
    }
}
