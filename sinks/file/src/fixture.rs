//! Plants of a few tags for this crate's tests.

use gwp_core::batch::Column;
use gwp_core::sink::{Delivery, FlowNames, Part};
use gwp_core::{Batch, Cursor, GroupId, Position, TagId, TagInfo, TagTable, Timestamp, Value};
use std::sync::Arc;

/// Names of a flow `live` over tags `m.t0`, `m.t1` ... in kW.
pub fn names(tags: usize) -> Arc<FlowNames> {
    let tags = (0..tags).map(|number| TagInfo {
        path: format!("m.t{number}").into(),
        device: "m".into(),
        tag: format!("t{number}").into(),
        unit: "kW".into(),
        labels: Arc::new([]),
        desc: "".into(),
        row: "".into(),
    });
    Arc::new(FlowNames {
        flow: "live".into(),
        tags: Arc::new(TagTable { tags: tags.collect() }),
        renamed: Default::default(),
    })
}

/// A good sample of each of the tags 0, 1, 2 ... at one time.
pub fn batch(time_ms: i64, values: Vec<Value>) -> Batch {
    let tags = (0..values.len()).map(|index| TagId(index as u32)).collect();
    let mut column = Column::new();
    values.into_iter().for_each(|value| column.push(value));
    Batch::uniform(GroupId(0), tags, Timestamp::from_millis(time_ms), column)
}

/// Part 0 at position 3:`seq`.
pub fn part(seq: u64, names: &Arc<FlowNames>, batch: Batch) -> Part {
    Part { cursor: Cursor::new(Position::new(3, seq), 0), flow: names.clone(), batch: Arc::new(batch) }
}

/// A delivery of one value `seq` of one tag at a time.
pub fn one(seq: u64, time_ms: i64) -> Arc<Delivery> {
    let part = part(seq, &names(1), batch(time_ms, vec![Value::Int(seq as i64)]));
    Arc::new(Delivery { from: part.cursor, upto: part.cursor, parts: vec![part] })
}
