//! A record of a scan slot as the rules of the pair see it.
//!
//! Those rules (`gwp_redundancy::mirror`) compare what both nodes have read by slot and by the tags that are good in
//! it. What is read without a slot (samples stamped by a device, the state of a connection) is no reading here: no
//! source that reads on a standby gives any that both nodes could have.

use gwp_core::record::SlotMark;
use gwp_core::{Batch, Fact, GroupId, TagId};
use gwp_redundancy::mirror::{Identity, Reading, TagSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Tags by number, ascending and each once. That of a full batch is the plan's own list, so it takes no memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct GoodTags(Arc<[TagId]>);

impl GoodTags {
    fn select(&self, keep: impl Fn(&TagId) -> bool) -> GoodTags {
        GoodTags(self.0.iter().copied().filter(keep).collect())
    }

    fn has(&self, tag: TagId) -> bool {
        self.0.binary_search(&tag).is_ok()
    }
}

impl TagSet for GoodTags {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn minus(&self, other: &GoodTags) -> GoodTags {
        match Arc::ptr_eq(&self.0, &other.0) {
            true => GoodTags::default(),
            false => self.select(|tag| !other.has(*tag)),
        }
    }

    fn plus(&self, other: &GoodTags) -> GoodTags {
        if other.is_empty() || Arc::ptr_eq(&self.0, &other.0) {
            return self.clone();
        }
        let mut tags: Vec<TagId> = self.0.iter().chain(other.0.iter()).copied().collect();
        tags.sort_unstable();
        tags.dedup();
        GoodTags(tags.into())
    }
}

/// A due slot of a poll group with its samples, scaled and checked as in the log.
#[derive(Clone, PartialEq, Debug)]
pub struct SlotReading {
    pub slot: SlotMark,
    pub batch: Arc<Batch>,
}

/// Values are kept as bits: each equals itself.
impl Eq for SlotReading {}

impl Hash for SlotReading {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl SlotReading {
    /// The slot of a fact; `tags` are all those of its group, which turn bad in a slot that failed. `None` if it has
    /// none.
    pub fn of(fact: &Fact, tags: impl FnOnce(GroupId) -> Option<Arc<[TagId]>>) -> Option<SlotReading> {
        let (slot, batch) = match fact {
            Fact::Samples { slot, batch } => (*slot, batch.clone()),
            Fact::Failed { group, slot, time, why } => {
                (*slot, Arc::new(Batch::failed(*group, tags(*group)?, *time, *why)))
            }
            _ => return None,
        };
        let has_slot = slot.number > 0 && batch.group != GroupId::NONE;
        has_slot.then_some(SlotReading { slot, batch })
    }

    /// As it is appended. `skipped` slots of its group before it are in no record. What may stand beside another
    /// sample of the same tag and time has the repeat number 1: nothing else of a polled tag has any.
    pub fn into_fact(self, skipped: u32, is_second: bool) -> Fact {
        let SlotReading { slot, mut batch } = self;
        if is_second {
            let repeats = vec![1; batch.len()];
            Arc::make_mut(&mut batch).repeats = repeats;
        }
        Fact::Samples { slot: SlotMark { number: slot.number, skipped }, batch }
    }
}

impl Reading for SlotReading {
    type Good = GoodTags;

    fn identity(&self) -> Identity {
        Identity::Slot { group: self.batch.group, number: self.slot.number }
    }

    fn good(&self) -> GoodTags {
        let all = match &self.batch.qualities {
            gwp_core::Qualities::Same(quality) if quality.is_good() => true,
            gwp_core::Qualities::Same(_) => return GoodTags::default(),
            gwp_core::Qualities::Each(each) => each.iter().all(|quality| quality.is_good()),
        };
        let tags = &self.batch.tags;
        if all && tags.is_sorted_by(|tag, next| tag < next) {
            return GoodTags(tags.clone());
        }
        let good = (0..tags.len()).filter(|index| self.batch.qualities.get(*index).is_good());
        let mut good: Vec<TagId> = good.map(|index| tags[index]).collect();
        good.sort_unstable();
        good.dedup();
        GoodTags(good.into())
    }

    fn keep(&self, tags: &GoodTags) -> SlotReading {
        if tags.0 == self.batch.tags {
            return self.clone();
        }
        let wanted = (0u32..).zip(self.batch.tags.iter()).filter(|(_, tag)| tags.has(**tag));
        let (indexes, kept): (Vec<u32>, Vec<TagId>) = wanted.map(|(index, tag)| (index, *tag)).unzip();
        SlotReading { batch: Arc::new(self.batch.select(&indexes, kept.into())), ..self.clone() }
    }

    fn is_backfill(&self) -> bool {
        self.batch.backfill
    }

    fn flagged(mut self) -> SlotReading {
        Arc::make_mut(&mut self.batch).backfill = true;
        self
    }

    fn bytes(&self) -> usize {
        96 + self.batch.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::{Column, Kind, Qualities, Quality, Timestamp};

    fn reading(good: [bool; 3]) -> SlotReading {
        let tags: Arc<[TagId]> = [4, 7, 9].map(TagId).into();
        let mut batch =
            Batch::uniform(GroupId(2), tags, Timestamp(50), Column::uniform(Kind::Int, vec![1, 2, 3]));
        let quality = |good| if good { Quality::GOOD } else { Quality::TIMEOUT };
        batch.qualities = Qualities::Each(good.map(quality).into());
        let fact = Fact::Samples { slot: SlotMark { number: 5, skipped: 9 }, batch: Arc::new(batch) };
        SlotReading::of(&fact, |_| None).unwrap()
    }

    fn tags(of: &GoodTags) -> Vec<u32> {
        of.0.iter().map(|tag| tag.0).collect()
    }

    #[test]
    fn what_is_good_counts_and_what_is_kept_has_its_values() {
        let (all, some) = (reading([true; 3]), reading([true, false, true]));
        assert!(Arc::ptr_eq(&all.good().0, &all.batch.tags), "shared");
        assert_eq!(tags(&some.good()), [4, 9]);
        let lacking = all.good().minus(&some.good());
        assert_eq!(tags(&lacking), [7]);
        assert_eq!(tags(&some.good().plus(&lacking)), [4, 7, 9]);
        let kept = all.keep(&lacking);
        assert_eq!((kept.batch.values.cells.as_slice(), tags(&kept.good())), (&[2][..], vec![7]));
        assert_eq!(all.identity(), kept.identity());
        assert!(all.good().minus(&all.good()).is_empty() && reading([false; 3]).good().is_empty());
    }

    #[test]
    fn a_slot_that_failed_is_a_reading_of_all_its_tags_and_facts_without_slot_are_none() {
        let slot = SlotMark { number: 5, skipped: 0 };
        let failed = Fact::Failed { group: GroupId(2), slot, time: Timestamp(50), why: Quality::TIMEOUT };
        let of = SlotReading::of(&failed, |group| (group == GroupId(2)).then(|| [TagId(4)].into())).unwrap();
        assert_eq!((of.batch.len(), of.good().is_empty()), (1, true));
        let between = Fact::Samples { slot: SlotMark::default(), batch: of.batch.clone() };
        assert!(SlotReading::of(&between, |_| None).is_none());
        assert!(SlotReading::of(&Fact::Tick { now: Timestamp(1) }, |_| None).is_none());
    }

    #[test]
    fn a_second_sample_of_a_slot_has_a_repeat_number_and_a_late_one_is_flagged() {
        let repeats = |fact: Fact| match fact {
            Fact::Samples { batch, slot } => (batch.repeats.clone(), slot.skipped),
            _ => panic!(),
        };
        assert_eq!(repeats(reading([true; 3]).into_fact(2, false)), (vec![], 2));
        assert_eq!(repeats(reading([true; 3]).into_fact(0, true)), (vec![1; 3], 0));
        let late = reading([true; 3]).flagged().into_fact(0, false);
        assert!(SlotReading::of(&late, |_| None).unwrap().is_backfill());
        assert_eq!(repeats(late).0, Vec::<u32>::new());
    }
}
