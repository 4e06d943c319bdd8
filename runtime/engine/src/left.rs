//! What sources that ended have left to those that come after them: in a change of the plan, and at a start.

use crate::graph::RunningSource;
use gwp_core::GroupId;
use gwp_core::source::{Bookmarks, Carried};
use gwp_plan::Plan;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By names: numbers are another plan's.
#[derive(Default)]
pub(crate) struct Left {
    /// Slots that are accounted for: (source, device, period, phase).
    slots: BTreeMap<(Arc<str>, Arc<str>, i64, i64), u64>,
    /// Where they stood.
    bookmarks: BTreeMap<String, Bookmarks>,
}

impl Left {
    /// What the store has from before the start.
    pub fn with_bookmarks(bookmarks: BTreeMap<String, Bookmarks>) -> Left {
        Left { slots: BTreeMap::new(), bookmarks }
    }

    /// A source ends.
    pub fn remember(&mut self, source: &RunningSource) {
        for (id, slot) in source.outlet.slots() {
            let Some(group) = source.home.group(id) else { continue };
            let key = (source.name.clone(), group.device.clone(), group.period_ns, group.phase_ns);
            let known = self.slots.entry(key).or_insert(slot);
            *known = slot.max(*known);
        }
        self.bookmarks.insert(source.name.to_string(), source.outlet.bookmarks());
    }

    /// What a source of a plan goes on after.
    pub fn carried(&self, plan: &Plan, index: usize) -> Carried {
        let name = &plan.sources[index].name;
        let own = (0..).map(GroupId).zip(&plan.groups).filter(|(_, group)| group.source as usize == index);
        let slots = own.filter_map(|(id, group)| {
            let key = (name.clone(), group.device.clone(), group.period_ns, group.phase_ns);
            Some((id, *self.slots.get(&key)?))
        });
        let slots = slots.collect();
        Carried { slots, bookmarks: self.bookmarks.get(&**name).cloned().unwrap_or_default() }
    }
}
