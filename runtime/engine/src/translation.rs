//! Numbers of tags and poll groups, from the plan a source was started under to the plan in force.
//!
//! Numbers are indexes into a plan, so they differ from plan to plan. A source whose declaration a change of the plan
//! leaves alone goes on under the numbers it was given; its emissions get those in force as the sequencer takes them,
//! and commands for it the other way round.

use gwp_core::source::Emission;
use gwp_core::{Batch, GroupId, TagId};
use gwp_plan::Plan;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the numbers of one source are under the plan in force.
#[derive(Debug, PartialEq)]
pub struct Translation {
    groups: BTreeMap<GroupId, GroupNow>,
    /// Old and new number of every tag, by the old one.
    tags: Vec<(TagId, TagId)>,
}

#[derive(Debug, PartialEq)]
struct GroupNow {
    id: GroupId,
    /// Tags of a full batch as the source knows them, and as they are numbered now, in the same order.
    old: Arc<[TagId]>,
    new: Arc<[TagId]>,
}

impl Translation {
    /// From the numbers of the source `home.sources[index]` to those of the same source `now.sources[at]`; `None` if
    /// they are the same. The declarations must be the same but for numbers.
    pub fn new(home: &Plan, index: usize, now: &Plan, at: usize) -> Option<Translation> {
        let of = |plan: &Plan, source: usize| -> Vec<(GroupId, Arc<[TagId]>)> {
            let own =
                (0..).map(GroupId).zip(&plan.groups).filter(|(_, group)| group.source as usize == source);
            own.map(|(id, group)| (id, group.tags.clone())).collect()
        };
        let (old, new) = (of(home, index), of(now, at));
        if old == new {
            return None;
        }
        let mut tags: Vec<(TagId, TagId)> = Vec::new();
        let mut groups = BTreeMap::new();
        for ((old_id, old), (id, new)) in old.into_iter().zip(new) {
            tags.extend(old.iter().copied().zip(new.iter().copied()));
            groups.insert(old_id, GroupNow { id, old, new });
        }
        tags.sort_unstable();
        Some(Translation { groups, tags })
    }

    /// A tag as it is numbered now.
    pub fn tag(&self, old: TagId) -> Option<TagId> {
        let at = self.tags.binary_search_by_key(&old, |(old, _)| *old).ok()?;
        Some(self.tags[at].1)
    }

    /// A tag in force as its source knows it.
    pub fn back(&self, now: TagId) -> Option<TagId> {
        self.tags.iter().find(|(_, new)| *new == now).map(|(old, _)| *old)
    }

    /// An emission in the numbers in force; `None` if it is of nothing the source was declared with.
    pub fn apply(&self, emission: Emission) -> Option<Emission> {
        Some(match emission {
            Emission::Samples { slot, batch } => Emission::Samples { slot, batch: self.batch(batch)? },
            Emission::Failed { group, slot, time, why } => {
                Emission::Failed { group: self.groups.get(&group)?.id, slot, time, why }
            }
            same @ (Emission::Connected { .. } | Emission::Bookmark { .. }) => same,
        })
    }

    /// A batch in the numbers in force; `None` as with [`Translation::apply`].
    pub fn batch(&self, mut batch: Batch) -> Option<Batch> {
        match self.groups.get(&batch.group) {
            Some(group) => {
                batch.group = group.id;
                if Arc::ptr_eq(&batch.tags, &group.old) || batch.tags == group.old {
                    // One allocation for all full batches: what reads them knows them by it.
                    batch.tags = group.new.clone();
                    return Some(batch);
                }
            }
            None if batch.group != GroupId::NONE => return None,
            None => {}
        }
        batch.tags = batch.tags.iter().map(|tag| self.tag(*tag)).collect::<Option<_>>()?;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::record::SlotMark;
    use gwp_core::{Column, Kind, Timestamp};

    fn ids(numbers: &[u32]) -> Arc<[TagId]> {
        numbers.iter().copied().map(TagId).collect()
    }

    fn translation() -> Translation {
        let group =
            |id: u32, old: &[u32], new: &[u32]| GroupNow { id: GroupId(id), old: ids(old), new: ids(new) };
        let groups = [(GroupId(0), group(2, &[1, 2], &[5, 6])), (GroupId(1), group(3, &[4], &[9]))];
        let tags = [(1, 5), (2, 6), (4, 9)].map(|(old, new)| (TagId(old), TagId(new)));
        Translation { groups: groups.into(), tags: tags.into() }
    }

    fn batch(group: GroupId, tags: &[u32]) -> Emission {
        let column = Column::uniform(Kind::Int, vec![7; tags.len()]);
        let batch = Batch::uniform(group, ids(tags), Timestamp(1), column);
        Emission::Samples { slot: SlotMark::default(), batch }
    }

    fn told(emission: Option<Emission>) -> Option<(GroupId, Vec<u32>)> {
        match emission? {
            Emission::Samples { batch, .. } => {
                Some((batch.group, batch.tags.iter().map(|tag| tag.0).collect()))
            }
            Emission::Failed { group, .. } => Some((group, Vec::new())),
            Emission::Connected { .. } | Emission::Bookmark { .. } => None,
        }
    }

    #[test]
    fn full_partial_and_unsolicited_batches_get_the_numbers_in_force() {
        let translation = translation();
        let now = |emission| told(translation.apply(emission));
        assert_eq!(now(batch(GroupId(0), &[1, 2])), Some((GroupId(2), vec![5, 6])));
        assert_eq!(now(batch(GroupId(0), &[2])), Some((GroupId(2), vec![6])));
        assert_eq!(now(batch(GroupId::NONE, &[4, 1])), Some((GroupId::NONE, vec![9, 5])));
        let (slot, why) = (SlotMark::default(), gwp_core::Quality::TIMEOUT);
        let failed = Emission::Failed { group: GroupId(1), slot, time: Timestamp(1), why };
        assert_eq!(now(failed), Some((GroupId(3), Vec::new())));
        assert_eq!(now(batch(GroupId(7), &[1])), None, "of no group it was declared with");
        assert_eq!(now(batch(GroupId::NONE, &[3])), None);
        assert_eq!(translation.back(TagId(9)), Some(TagId(4)));
        assert_eq!(translation.back(TagId(4)), None);
    }

    #[test]
    fn full_batches_share_one_list_of_tags() {
        let translation = translation();
        let list = || match translation.apply(batch(GroupId(0), &[1, 2])) {
            Some(Emission::Samples { batch, .. }) => batch.tags,
            other => panic!("{other:?}"),
        };
        assert!(Arc::ptr_eq(&list(), &list()));
    }
}
