//! Batches: samples travel as structs of arrays, at most
//! [`limits::BATCH_SAMPLES_MAX`](crate::limits::BATCH_SAMPLES_MAX) together.
//!
//! A poll group's batch has one time, one kind and mostly one quality, so the
//! uniform forms ([`Times::Same`], [`Kinds::Same`], [`Qualities::Same`]) keep
//! the hot path free of per-sample work, and `tags` is shared between all
//! batches of the group: consumers may cache by its address.

use crate::{GroupId, Kind, Quality, TagId, Timestamp, Value};
use std::sync::Arc;

/// Samples of one poll group and slot, or of one computation, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Poll group it came from, or [`GroupId::NONE`].
    pub group: GroupId,
    /// Tag of each sample. The very same allocation for every full batch of a poll group.
    pub tags: Arc<[TagId]>,
    pub times: Times,
    /// Repeat number of each sample among those of its tag with equal or older time; empty = all 0.
    /// Given by the sequencer, never by a source.
    pub repeats: Vec<u32>,
    pub values: Column,
    pub qualities: Qualities,
    /// Nanoseconds from the first sample's time to the moment its value was read; 0 when unknown.
    pub read_after_ns: i64,
    /// Its samples may be older than others of their tags that were delivered before: the other node of a pair has read
    /// them, or they waited at a node that was behind.
    pub backfill: bool,
}

/// Time of each sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Times {
    Same(Timestamp),
    Each(Vec<Timestamp>),
}

impl Times {
    pub fn get(&self, index: usize) -> Timestamp {
        match self {
            Times::Same(time) => *time,
            Times::Each(times) => times.get(index).copied().unwrap_or_default(),
        }
    }
}

/// Quality of each sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Qualities {
    Same(Quality),
    Each(Vec<Quality>),
}

impl Qualities {
    /// Quality of one sample; an index out of range reads as bad.
    pub fn get(&self, index: usize) -> Quality {
        match self {
            Qualities::Same(quality) => *quality,
            Qualities::Each(all) => all.get(index).copied().unwrap_or(Quality::BAD),
        }
    }

    /// Sets one of `len` qualities, leaving the uniform form only when it must.
    pub fn set(&mut self, index: usize, quality: Quality, len: usize) {
        match self {
            Qualities::Same(all) if *all == quality => {}
            Qualities::Same(all) => {
                let mut each = vec![*all; len];
                if let Some(slot) = each.get_mut(index) {
                    *slot = quality;
                }
                *self = Qualities::Each(each);
            }
            Qualities::Each(each) => {
                if let Some(slot) = each.get_mut(index) {
                    *slot = quality;
                }
            }
        }
    }
}

/// Kind of each value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kinds {
    Same(Kind),
    Each(Vec<Kind>),
}

/// Values as one array of 64-bit cells.
///
/// A cell holds: bool 0 or 1, int and time as two's complement, uint as is,
/// float as IEEE 754 bits, text and bytes as index into `blobs`, nothing 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub kinds: Kinds,
    pub cells: Vec<u64>,
    pub blobs: Vec<Blob>,
}

/// Out-of-line content of text and bytes cells.
#[derive(Clone, Debug, PartialEq)]
pub enum Blob {
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

impl Blob {
    pub fn len(&self) -> usize {
        match self {
            Blob::Text(text) => text.len(),
            Blob::Bytes(bytes) => bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Column {
    fn default() -> Self {
        Column::new()
    }
}

impl Column {
    pub const fn new() -> Self {
        Column { kinds: Kinds::Same(Kind::Nothing), cells: Vec::new(), blobs: Vec::new() }
    }

    pub fn with_capacity(samples: usize) -> Self {
        Column { cells: Vec::with_capacity(samples), ..Column::new() }
    }

    /// `len` samples without a value.
    pub fn nothing(len: usize) -> Self {
        Column { cells: vec![0; len], ..Column::new() }
    }

    /// A column of one kind from its cells; only for kinds without blobs.
    pub fn uniform(kind: Kind, cells: Vec<u64>) -> Self {
        debug_assert!(!matches!(kind, Kind::Text | Kind::Bytes));
        Column { kinds: Kinds::Same(kind), cells, blobs: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Kind of one value; an index out of range reads as nothing.
    pub fn kind(&self, index: usize) -> Kind {
        match &self.kinds {
            Kinds::Same(kind) => *kind,
            Kinds::Each(kinds) => kinds.get(index).copied().unwrap_or(Kind::Nothing),
        }
    }

    pub fn get(&self, index: usize) -> Value {
        let cell = self.cells.get(index).copied().unwrap_or(0);
        match self.kind(index) {
            Kind::Nothing => Value::Nothing,
            Kind::Bool => Value::Bool(cell != 0),
            Kind::Int => Value::Int(cell as i64),
            Kind::UInt => Value::UInt(cell),
            Kind::Float => Value::Float(f64::from_bits(cell)),
            Kind::Time => Value::Time(Timestamp(cell as i64)),
            Kind::Text => match self.blobs.get(cell as usize) {
                Some(Blob::Text(text)) => Value::Text(text.clone()),
                _ => Value::Nothing,
            },
            Kind::Bytes => match self.blobs.get(cell as usize) {
                Some(Blob::Bytes(bytes)) => Value::Bytes(bytes.clone()),
                _ => Value::Nothing,
            },
        }
    }

    /// Appends a value.
    pub fn push(&mut self, value: Value) {
        let cell = match &value {
            Value::Nothing => 0,
            Value::Bool(v) => u64::from(*v),
            Value::Int(v) => *v as u64,
            Value::UInt(v) => *v,
            Value::Float(v) => v.to_bits(),
            Value::Time(v) => v.0 as u64,
            Value::Text(_) | Value::Bytes(_) => self.blobs.len() as u64,
        };
        self.push_cell(value.kind(), cell);
        match value {
            Value::Text(text) => self.blobs.push(Blob::Text(text)),
            Value::Bytes(bytes) => self.blobs.push(Blob::Bytes(bytes)),
            _ => {}
        }
    }

    /// Appends a cell of a kind without blobs.
    pub fn push_cell(&mut self, kind: Kind, cell: u64) {
        match &mut self.kinds {
            Kinds::Same(same) if self.cells.is_empty() => *same = kind,
            Kinds::Same(same) if *same == kind => {}
            Kinds::Same(same) => {
                let mut kinds = vec![*same; self.cells.len()];
                kinds.push(kind);
                self.kinds = Kinds::Each(kinds);
            }
            Kinds::Each(kinds) => kinds.push(kind),
        }
        self.cells.push(cell);
    }

    /// Replaces one value by nothing.
    pub fn clear_at(&mut self, index: usize) {
        if index >= self.cells.len() || self.kind(index) == Kind::Nothing {
            return;
        }
        let len = self.cells.len();
        if let Kinds::Same(kind) = self.kinds {
            self.kinds = Kinds::Each(vec![kind; len]);
        }
        if let Kinds::Each(kinds) = &mut self.kinds {
            kinds[index] = Kind::Nothing;
        }
        self.cells[index] = 0;
    }

    /// The values at `indexes`, in that order.
    pub fn select(&self, indexes: &[u32]) -> Column {
        if self.blobs.is_empty() {
            let cells = indexes.iter().map(|&i| self.cells.get(i as usize).copied().unwrap_or(0));
            let kinds = match &self.kinds {
                Kinds::Same(kind) => Kinds::Same(*kind),
                Kinds::Each(_) => Kinds::Each(indexes.iter().map(|&i| self.kind(i as usize)).collect()),
            };
            return Column { kinds, cells: cells.collect(), blobs: Vec::new() };
        }
        let mut out = Column::with_capacity(indexes.len());
        for &index in indexes {
            out.push(self.get(index as usize));
        }
        out
    }
}

impl Batch {
    /// A batch of samples with one time, all good.
    pub fn uniform(group: GroupId, tags: Arc<[TagId]>, time: Timestamp, values: Column) -> Self {
        debug_assert_eq!(tags.len(), values.len());
        Batch {
            group,
            tags,
            times: Times::Same(time),
            repeats: Vec::new(),
            values,
            qualities: Qualities::Same(Quality::GOOD),
            read_after_ns: 0,
            backfill: false,
        }
    }

    /// A batch in which every tag has no value and the same bad quality.
    pub fn failed(group: GroupId, tags: Arc<[TagId]>, time: Timestamp, why: Quality) -> Self {
        let values = Column::nothing(tags.len());
        Batch { qualities: Qualities::Same(why), ..Batch::uniform(group, tags, time, values) }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Repeat number of one sample.
    pub fn repeat(&self, index: usize) -> u32 {
        self.repeats.get(index).copied().unwrap_or(0)
    }

    /// The samples at `indexes`, in that order. `tags` must be theirs: it is handed in
    /// so that a repeated selection can share one allocation.
    pub fn select(&self, indexes: &[u32], tags: Arc<[TagId]>) -> Batch {
        debug_assert_eq!(indexes.len(), tags.len());
        Batch {
            group: self.group,
            tags,
            times: match &self.times {
                Times::Same(time) => Times::Same(*time),
                Times::Each(_) => Times::Each(indexes.iter().map(|&i| self.times.get(i as usize)).collect()),
            },
            repeats: if self.repeats.is_empty() {
                Vec::new()
            } else {
                indexes.iter().map(|&i| self.repeat(i as usize)).collect()
            },
            values: self.values.select(indexes),
            qualities: match &self.qualities {
                Qualities::Same(quality) => Qualities::Same(*quality),
                Qualities::Each(_) => {
                    Qualities::Each(indexes.iter().map(|&i| self.qualities.get(i as usize)).collect())
                }
            },
            read_after_ns: self.read_after_ns,
            backfill: self.backfill,
        }
    }

    /// Bytes of its texts and bytes values.
    pub fn payload(&self) -> usize {
        self.values.blobs.iter().map(Blob::len).sum()
    }

    /// Bytes this batch takes in memory, roughly; the measure of every in-memory bound.
    pub fn bytes(&self) -> usize {
        let each = match &self.times {
            Times::Same(_) => 0,
            Times::Each(times) => times.len() * 8,
        } + match &self.qualities {
            Qualities::Same(_) => 0,
            Qualities::Each(all) => all.len() * 4,
        } + self.repeats.len() * 4;
        let blobs = self.payload() + self.values.blobs.len() * 32;
        128 + self.values.cells.len() * 9 + each + blobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Column {
        let mut column = Column::new();
        for value in [
            Value::Float(1.5),
            Value::Text("run".into()),
            Value::Bool(true),
            Value::Nothing,
            Value::Bytes(vec![1, 2].into()),
            Value::Time(Timestamp(-5)),
            Value::UInt(u64::MAX),
            Value::Int(-1),
        ] {
            column.push(value);
        }
        column
    }

    #[test]
    fn a_column_gives_back_what_was_pushed() {
        let column = mixed();
        assert_eq!(column.get(0), Value::Float(1.5));
        assert_eq!(column.get(1), Value::Text("run".into()));
        assert_eq!(column.get(3), Value::Nothing);
        assert_eq!(column.get(7), Value::Int(-1));
        assert_eq!(column.get(99), Value::Nothing);
    }

    #[test]
    fn selection_keeps_order_values_and_uniformity() {
        let picked = mixed().select(&[7, 1, 4]);
        assert_eq!(picked.get(0), Value::Int(-1));
        assert_eq!(picked.get(1), Value::Text("run".into()));
        assert_eq!(picked.get(2), Value::Bytes(vec![1, 2].into()));

        let tags: Arc<[TagId]> = (0..4).map(TagId).collect();
        let mut batch =
            Batch::uniform(GroupId(1), tags, Timestamp(9), Column::uniform(Kind::Int, vec![10, 11, 12, 13]));
        let two = batch.select(&[3, 1], [TagId(3), TagId(1)].into());
        assert_eq!(two.values, Column::uniform(Kind::Int, vec![13, 11]));
        assert_eq!(two.qualities, Qualities::Same(Quality::GOOD));

        batch.qualities.set(1, Quality::TIMEOUT, 4);
        batch.values.clear_at(1);
        let two = batch.select(&[3, 1], [TagId(3), TagId(1)].into());
        assert_eq!(two.qualities, Qualities::Each(vec![Quality::GOOD, Quality::TIMEOUT]));
        assert_eq!((two.values.get(0), two.values.get(1)), (Value::Int(13), Value::Nothing));
    }
}
