//! Plants of a few tags for this crate's tests.

use gwp_core::batch::Column;
use gwp_core::sink::{Delivery, FlowNames, Part, SinkIdentity};
use gwp_core::{Batch, Cursor, GroupId, Position, SinkId, TagId, TagInfo, TagTable, Timestamp, Value};
use std::sync::Arc;

/// Names of a flow over tags `m.t0`, `m.t1` ... in kW.
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

/// A delivery of one part at position 3:`seq`.
pub fn delivery(names: &Arc<FlowNames>, seq: u64, batch: Batch) -> Arc<Delivery> {
    let cursor = Cursor::new(Position::new(3, seq), 0);
    let part = Part { cursor, flow: names.clone(), batch: Arc::new(batch) };
    Arc::new(Delivery { from: cursor, upto: cursor, parts: vec![part] })
}

/// Delivery `seq` with the values `seq`, `seq` + 1 ... at `seq` ms.
pub fn numbered(names: &Arc<FlowNames>, seq: u64, tags: usize) -> Arc<Delivery> {
    let values = (0..tags as i64).map(|tag| Value::Int(seq as i64 + tag)).collect();
    delivery(names, seq, batch(seq as i64, values))
}

pub fn identity(incarnation: u8, epoch: u32) -> SinkIdentity {
    SinkIdentity { incarnation: [incarnation; 16], sink: SinkId(4), epoch }
}
