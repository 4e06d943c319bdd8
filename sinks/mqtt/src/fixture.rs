//! Plants of a few tags for this crate's tests.

use gwp_core::batch::Column;
use gwp_core::sink::{FlowNames, Part};
use gwp_core::{Batch, Cursor, GroupId, Position, TagId, TagInfo, TagTable, Timestamp, Value};
use std::sync::Arc;

/// Names of a flow `live` over tags given as `device.tag`, numbered from 0.
pub fn names(paths: &[&str]) -> Arc<FlowNames> {
    let tags = paths
        .iter()
        .map(|path| {
            let (device, tag) = path.split_once('.').unwrap_or((path, path));
            TagInfo {
                path: (*path).into(),
                device: device.into(),
                tag: tag.into(),
                unit: "".into(),
                labels: Arc::new([]),
                desc: "".into(),
                row: "".into(),
            }
        })
        .collect();
    Arc::new(FlowNames {
        flow: "live".into(),
        tags: Arc::new(TagTable { tags }),
        renamed: Default::default(),
    })
}

/// A good sample of each of the tags 0, 1, 2 ... at one time.
pub fn batch(time: Timestamp, values: Vec<Value>) -> Batch {
    let tags = (0..values.len()).map(|index| TagId(index as u32)).collect();
    let mut column = Column::new();
    values.into_iter().for_each(|value| column.push(value));
    Batch::uniform(GroupId(0), tags, time, column)
}

/// Part 0 at position 3:`seq`.
pub fn part(seq: u64, names: &Arc<FlowNames>, batch: Batch) -> Part {
    Part { cursor: Cursor::new(Position::new(3, seq), 0), flow: names.clone(), batch: Arc::new(batch) }
}
