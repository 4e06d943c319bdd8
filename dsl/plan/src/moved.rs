//! Names that have changed: how what an older plan names is called in a newer one.
//!
//! A name is the identity of state and journal, so a change of a name is written down (`moved old -> new`)
//! and stays in the plan. Lines chain: `a -> b`, `b -> c` makes an `a` of any older plan `c`. A line whose old
//! name no older plan knows does nothing.

use crate::plan::{ALARM_ROWS, Origin, Plan, Tag};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `moved old -> new`. Ordered by kind, then by the old name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Moved {
    pub kind: MovedKind,
    pub old: Place,
    pub new: Place,
}

/// What it is that has another name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum MovedKind {
    /// Whatever has tags: a device, one device of a family, a source, a write.
    Device,
    /// All devices of a family; their numbers stay.
    Family,
    /// A tag, calc or alarm.
    Member,
    /// The same member of all devices of a family.
    FamilyMember,
    Flow,
    Sink,
}

/// An item, or a member of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Place {
    pub item: Arc<str>,
    /// Empty for the item itself.
    pub member: Arc<str>,
}

impl Place {
    /// The item itself.
    pub fn item(item: &str) -> Place {
        Place { item: item.into(), member: "".into() }
    }

    pub fn member(item: &str, member: &str) -> Place {
        Place { item: item.into(), member: member.into() }
    }
}

/// A list of moves with what they make of older names.
#[derive(Clone, Default, Debug)]
pub struct Renames {
    by_old: BTreeMap<(MovedKind, Place), Place>,
}

impl Renames {
    pub fn new(moved: &[Moved]) -> Renames {
        Renames {
            by_old: moved.iter().map(|line| ((line.kind, line.old.clone()), line.new.clone())).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_old.is_empty()
    }

    /// What a device is called now, or a place in it; `None` if it has not moved, or moves in a ring.
    pub fn place(&self, old: &Place) -> Option<Place> {
        self.follow(old, |at| self.step(at))
    }

    /// What a device, source or write is called now.
    pub fn device(&self, old: &str) -> Option<Arc<str>> {
        Some(self.place(&Place::item(old))?.item)
    }

    /// What a flow is called now.
    pub fn flow(&self, old: &str) -> Option<Arc<str>> {
        Some(self.follow(&Place::item(old), |at| self.exact(MovedKind::Flow, at))?.item)
    }

    /// What a sink is called now.
    pub fn sink(&self, old: &str) -> Option<Arc<str>> {
        Some(self.follow(&Place::item(old), |at| self.exact(MovedKind::Sink, at))?.item)
    }

    /// All names a sink has had before, the latest first.
    pub fn former_names_of_sink(&self, now: &str) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut at = now;
        let sinks = || self.by_old.iter().filter(|((kind, _), _)| *kind == MovedKind::Sink);
        // No two sinks move to one name, and a ring ends at the name it begins with.
        while let Some(((_, old), _)) = sinks().find(|(_, new)| *new.item == *at) {
            if *old.item == *now || names.contains(&old.item) {
                break;
            }
            names.push(old.item.clone());
            at = &old.item;
        }
        names
    }

    /// What the path of a tag of an older plan is now; `None` if no move touches it.
    pub fn path(&self, tag: &Tag) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let info = &tag.info;
        let rest = info.path.strip_prefix(&*info.device)?.strip_prefix('.')?;
        let device = || self.row_device(&info.device);
        match (&tag.origin, &*info.row) {
            (Origin::Outcome, _) => {
                let target = self.device(rest);
                (target.is_some() || device().is_some()).then(|| {
                    joined(device().as_deref().unwrap_or(&info.device), target.as_deref().unwrap_or(rest))
                })
            }
            (Origin::Column, row) if row != ALARM_ROWS => {
                let column = rest.strip_prefix(row)?;
                let (to, row_now) = (device(), self.flow(row));
                (to.is_some() || row_now.is_some()).then(|| {
                    let row = row_now.as_deref().unwrap_or(row);
                    format!("{}.{row}{column}", to.as_deref().unwrap_or(&info.device))
                })
            }
            _ => {
                // What is not a member of its own, such as `alarms.state`, is called like none.
                let now = self.place(&Place::member(&info.device, rest))?;
                Some(joined(&now.item, &now.member))
            }
        }
    }

    /// What the device of a row is called now: rows over several devices carry the name of their flow.
    pub fn row_device(&self, old: &str) -> Option<Arc<str>> {
        self.device(old).or_else(|| self.flow(old))
    }

    /// Takes steps until there is none any more.
    fn follow(&self, old: &Place, step: impl Fn(&Place) -> Option<Place>) -> Option<Place> {
        let mut at = step(old)?;
        // Every step uses another line, or they go in a ring.
        for _ in 0..self.by_old.len() {
            match step(&at) {
                Some(next) => at = next,
                None => return Some(at),
            }
        }
        None
    }

    fn exact(&self, kind: MovedKind, at: &Place) -> Option<Place> {
        self.by_old.get(&(kind, at.clone())).cloned()
    }

    /// One move: a line about the member itself comes before one about its device.
    fn step(&self, at: &Place) -> Option<Place> {
        let device = Place::item(&at.item);
        let whole = |to: Place| Place { member: at.member.clone(), ..to };
        let member = || match at.member.is_empty() {
            true => None,
            false => {
                self.exact(MovedKind::Member, at).or_else(|| self.in_family(MovedKind::FamilyMember, at))
            }
        };
        member()
            .or_else(|| self.exact(MovedKind::Device, &device).map(whole))
            .or_else(|| self.in_family(MovedKind::Family, &device).map(whole))
    }

    /// A line about the family of a device, `meter` of `meter07`.
    fn in_family(&self, kind: MovedKind, at: &Place) -> Option<Place> {
        let digits = at.item.bytes().rev().take_while(u8::is_ascii_digit).count();
        let first = at.item.len() - digits;
        // Names of families may end in digits themselves.
        (first..at.item.len()).rev().find_map(|split| {
            let (family, number) = at.item.split_at(split);
            let to = self.exact(kind, &Place { item: family.into(), member: at.member.clone() })?;
            Some(Place { item: format!("{}{number}", to.item).into(), ..to })
        })
    }
}

fn joined(device: &str, member: &str) -> String {
    format!("{device}.{member}")
}

impl Plan {
    /// What names of older plans are called in this one.
    pub fn renames(&self) -> Renames {
        Renames::new(&self.moved)
    }
}

#[cfg(test)]
mod tests;
