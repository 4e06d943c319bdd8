//! Tags: what a sample is a sample of.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Index of a tag in its plan. Only meaningful together with a plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TagId(pub u32);

impl TagId {
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a poll group (unit or connection x scan class) in its plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The batch belongs to no poll group: computed or unsolicited samples.
    pub const NONE: GroupId = GroupId(u32::MAX);

    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a sink may want to know of a tag.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TagInfo {
    /// `device.tag`, the identity of the tag.
    pub path: Arc<str>,
    /// Name of the device (or source) it belongs to.
    pub device: Arc<str>,
    /// Name of the tag in its device.
    pub tag: Arc<str>,
    /// Unit of its values as written in the program; empty when it has none.
    pub unit: Arc<str>,
    /// Labels of an enum by raw value, ascending; empty for others.
    pub labels: Arc<[(i64, Arc<str>)]>,
    pub desc: Arc<str>,
    /// Name of the rows it is a column of: of a window, or `alarms`. Empty for tags of their own.
    pub row: Arc<str>,
}

/// All tags of a plan by [`TagId`]; shared by everything that shows names.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TagTable {
    pub tags: Vec<TagInfo>,
}

impl TagTable {
    pub fn get(&self, tag: TagId) -> Option<&TagInfo> {
        self.tags.get(tag.index())
    }
}
