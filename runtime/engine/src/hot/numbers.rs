//! In which numbers of tags and poll groups a standby keeps what it reads.
//!
//! They are those of one plan. When another one takes its place, sources that both have go on: what they gave before is
//! renumbered once, and what they give next as it comes ([`Translation`]). Records of the log may be numbered by any plan:
//! by that of the active before this node has followed, or by the one before.

use crate::admission::{GroupTags, group_tags};
use crate::reading::SlotReading;
use crate::translation::Translation;
use gwp_core::source::{Emission, SourceMeter};
use gwp_core::{Batch, Fact, GroupId, PlanId, TagId};
use gwp_plan::diff::same_source;
use gwp_plan::{Conditioner, Plan};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Readiness;

/// Other plans that are known; what is compared of a log rarely has more.
const OTHERS_MAX: usize = 8;

/// A plan, and what runs of its sources.
pub(super) struct Numbers {
    pub plan: Arc<Plan>,
    pub id: PlanId,
    /// Of all polled groups.
    pub tags: GroupTags,
    conditioners: Vec<Conditioner>,
    /// By the number of the run.
    pub runs: BTreeMap<usize, Run>,
    /// Other plans that records of the log are numbered by, the one that was learned last at the end.
    others: VecDeque<Crossing>,
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
        Numbers { id: plan.id(), tags, conditioners, runs, others: VecDeque::new(), plan }
    }

    /// The same plan, with other runs.
    pub fn keep_others(&mut self, same: &mut Numbers) {
        self.others = std::mem::take(&mut same.others);
    }

    /// Whether records that are numbered by `plan` can be told.
    pub fn knows(&self, plan: PlanId) -> bool {
        plan == self.id || self.others.iter().any(|other| other.id == plan)
    }

    pub fn learn(&mut self, other: Crossing) {
        if self.others.len() == OTHERS_MAX {
            self.others.pop_front();
        }
        self.others.push_back(other);
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

    /// The slot of a record that is numbered by `plan`. Its values may be those of another scale.
    pub fn logged(&self, plan: PlanId, fact: &Fact) -> Option<SlotReading> {
        if plan == self.id {
            return SlotReading::of(fact, |group| self.tags.get(&group).cloned());
        }
        let other = self.others.iter().find(|other| other.id == plan)?;
        other.renumbered(&SlotReading::of(fact, |group| other.tags.get(&group).cloned())?)
    }
}

/// From the numbers of a plan to those of another one.
pub(super) struct Crossing {
    id: PlanId,
    tags: GroupTags,
    /// Of groups that both have.
    groups: BTreeMap<GroupId, Group>,
}

struct Group {
    /// Unless it is numbered alike.
    translation: Arc<Option<Translation>>,
    /// A value of it is the same under both: scaled and checked alike.
    has_same_values: bool,
}

impl Crossing {
    pub fn new(old: &Plan, now: &Plan) -> Crossing {
        let tags = group_tags(old);
        let mut groups = BTreeMap::new();
        for (index, source) in old.sources.iter().enumerate() {
            let named = now.sources.iter().position(|now| now.name == source.name);
            let Some(at) = named.filter(|at| same_source(old, index, now, *at)) else { continue };
            let translation = Arc::new(Translation::new(old, index, now, at));
            let value = |plan: &Plan, tag: TagId| plan.tag(tag).map(|tag| (tag.kind, tag.scale, tag.range));
            let is_same = |tag: &TagId| {
                let new =
                    translation.as_ref().as_ref().map_or(Some(*tag), |translation| translation.tag(*tag));
                new.is_some_and(|new| value(old, *tag) == value(now, new))
            };
            let own = tags
                .iter()
                .filter(|(id, _)| old.group(**id).is_some_and(|group| group.source as usize == index));
            groups.extend(own.map(|(id, tags)| {
                let has_same_values = tags.iter().all(is_same);
                (*id, Group { translation: translation.clone(), has_same_values })
            }));
        }
        Crossing { id: old.id(), tags, groups }
    }

    /// From one that cannot be read: nothing of it can be told.
    pub fn unknown(id: PlanId) -> Crossing {
        Crossing { id, tags: GroupTags::new(), groups: BTreeMap::new() }
    }

    /// A reading as if it had been read by the other plan; `None` if it could be another one then.
    pub fn reading(&self, reading: &SlotReading) -> Option<SlotReading> {
        let group = self.groups.get(&reading.batch.group)?;
        if group.has_same_values { self.renumbered(reading) } else { None }
    }

    fn renumbered(&self, reading: &SlotReading) -> Option<SlotReading> {
        let batch = match &*self.groups.get(&reading.batch.group)?.translation {
            None => reading.batch.clone(),
            Some(translation) => Arc::new(translation.batch(Batch::clone(&reading.batch))?),
        };
        Some(SlotReading { slot: reading.slot, batch })
    }
}
