//! The latest samples a lane knows, for those who look at it from outside.

use super::Lane;
use crate::plan::Plan;
use gwp_core::{Quality, TagId, Timestamp, Value};
use std::collections::BTreeMap;

/// Where a lane has the latest sample of a tag: good for that lane only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LatestAt {
    /// Of the circuit with this number; else of what stages read.
    circuit: Option<usize>,
    slot: usize,
}

impl Lane {
    /// Every tag that expressions read or give, with the place of its latest sample. A result stands where it is
    /// computed; what is only read, where it is newest.
    pub fn latest_places(&self) -> BTreeMap<TagId, LatestAt> {
        let mut places = BTreeMap::new();
        for (number, one) in self.circuits.iter().enumerate() {
            let own = one.steps.iter().filter(|(_, operator)| operator.is_none());
            for (tag, slot) in own.filter_map(|(tag, _)| Some((*tag, one.circuit.slot(*tag)?))) {
                places.insert(tag, LatestAt { circuit: Some(number), slot });
            }
        }
        for (tag, slot) in self.slots.iter() {
            places.entry(tag).or_insert(LatestAt { circuit: None, slot });
        }
        for (number, one) in self.circuits.iter().enumerate() {
            for (tag, slot) in one.circuit.tags() {
                places.entry(tag).or_insert(LatestAt { circuit: Some(number), slot });
            }
        }
        places
    }

    /// The latest sample at a place; none while there has been none.
    pub fn latest_at(&self, at: LatestAt) -> Option<(Value, Quality, Timestamp)> {
        let latest = match at.circuit {
            None => &self.latest,
            Some(number) => self.circuits.get(number)?.circuit.latest(),
        };
        let (value, quality, time) = latest.get(at.slot);
        (quality != Quality::WAITING).then_some((value, quality, time))
    }
}

impl Plan {
    /// The tag of a path.
    pub fn tag_at(&self, path: &str) -> Option<TagId> {
        let found = self.tags.binary_search_by(|tag| (*tag.info.path).cmp(path));
        found.ok().map(|index| TagId(index as u32))
    }
}
