//! The columnar body of a batch: one format for log, journal and mirror link.
//!
//! ```text
//! batch  = group+1, count, tags, times, repeats, kinds, cells, qualities, read_after
//! tags   = runs of consecutive ids: (gap, length)*
//! times  = 0, time | 1, first, delta*           (zigzag varints, nanoseconds; the first byte + 2: backfill)
//! kinds  = kind | 0xff, runs (length, kind)*
//! cells  = per kind: width 0/1/2/4/8, that many bytes each (ints: sign form first); texts as length, bytes
//! ```
//! Numbers are LEB128 varints unless said otherwise. The decoder trusts nothing:
//! every length is checked against what is left and against the bounds of
//! [`gwp_core::limits`].

use gwp_core::batch::{Blob, Kinds};
use gwp_core::{Batch, Column, GroupId, Kind, Qualities, Quality, TagId, Times, Timestamp, limits};
use std::sync::Arc;

/// Samples a decoded batch may have: far more than is ever written, so that nothing
/// written is refused, and little enough that a damaged count allocates little.
const SAMPLES_MAX: usize = 64 * limits::BATCH_SAMPLES_MAX;

/// In the form of times: the batch is flagged.
const BACKFILL: u8 = 2;

/// Bytes that are no batch or record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged bytes: {0}")]
pub struct DecodeError(pub &'static str);

type Decoded<T> = Result<T, DecodeError>;

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads encoded bytes from front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> Decoded<u8> {
        let (first, rest) = self.bytes.split_first().ok_or(DecodeError("ends early"))?;
        self.bytes = rest;
        Ok(*first)
    }

    pub fn take(&mut self, len: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self.bytes.split_at_checked(len).ok_or(DecodeError("ends early"))?;
        self.bytes = rest;
        Ok(head)
    }

    pub fn varint(&mut self) -> Decoded<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError("number too long"))
    }

    pub fn signed(&mut self) -> Decoded<i64> {
        self.varint().map(unzigzag)
    }

    /// A number that must not be above `max`.
    pub fn bounded(&mut self, max: usize, what: &'static str) -> Decoded<usize> {
        usize::try_from(self.varint()?).ok().filter(|value| *value <= max).ok_or(DecodeError(what))
    }

    pub fn u32(&mut self, what: &'static str) -> Decoded<u32> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError(what))
    }
}

/// Shares the tag lists of equal batches between decoded batches, as they were when live.
#[derive(Default, Debug)]
pub struct TagLists {
    recent: Vec<Arc<[TagId]>>,
}

impl TagLists {
    const MAX: usize = 256;

    fn share(&mut self, tags: Vec<TagId>) -> Arc<[TagId]> {
        if let Some(known) = self.recent.iter().find(|known| known[..] == tags[..]) {
            return known.clone();
        }
        let tags: Arc<[TagId]> = tags.into();
        if self.recent.len() == TagLists::MAX {
            self.recent.remove(0);
        }
        self.recent.push(tags.clone());
        tags
    }
}

/// Appends a batch.
pub fn put_batch(out: &mut Vec<u8>, batch: &Batch) {
    put_varint(out, u64::from(batch.group.0.wrapping_add(1)));
    put_varint(out, batch.len() as u64);
    put_tags(out, &batch.tags);
    let backfill = if batch.backfill { BACKFILL } else { 0 };
    match &batch.times {
        Times::Same(time) => {
            out.push(backfill);
            put_varint(out, zigzag(time.0));
        }
        Times::Each(times) => {
            out.push(1 | backfill);
            let mut last = 0i64;
            for time in times {
                put_varint(out, zigzag(time.0.wrapping_sub(last)));
                last = time.0;
            }
        }
    }
    put_repeats(out, &batch.repeats);
    put_column(out, &batch.values);
    match &batch.qualities {
        Qualities::Same(quality) => {
            out.push(0);
            put_varint(out, u64::from(quality.0));
        }
        Qualities::Each(all) => {
            out.push(1);
            put_runs(out, all.iter().map(|quality| quality.0));
        }
    }
    put_varint(out, zigzag(batch.read_after_ns));
}

/// Reads a batch.
///
/// # Errors
/// Bytes that [`put_batch`] does not write.
pub fn take_batch(reader: &mut Reader<'_>, lists: &mut TagLists) -> Decoded<Batch> {
    let group = GroupId(reader.u32("poll group")?.wrapping_sub(1));
    let count = reader.bounded(SAMPLES_MAX, "too many samples")?;
    let tags = lists.share(take_tags(reader, count)?);
    let form = reader.byte()?;
    let backfill = form & BACKFILL != 0;
    let times = match form & !BACKFILL {
        0 => Times::Same(Timestamp(reader.signed()?)),
        1 => {
            let mut last = 0i64;
            let mut times = Vec::with_capacity(count);
            for _ in 0..count {
                last = last.wrapping_add(reader.signed()?);
                times.push(Timestamp(last));
            }
            Times::Each(times)
        }
        _ => return Err(DecodeError("form of times")),
    };
    let repeats = take_repeats(reader, count)?;
    let values = take_column(reader, count)?;
    let qualities = match reader.byte()? {
        0 => Qualities::Same(Quality(reader.u32("quality")?)),
        1 => Qualities::Each(take_runs(reader, count)?.into_iter().map(Quality).collect()),
        _ => return Err(DecodeError("form of qualities")),
    };
    let read_after_ns = reader.signed()?;
    Ok(Batch { group, tags, times, repeats, values, qualities, read_after_ns, backfill })
}

fn put_tags(out: &mut Vec<u8>, tags: &[TagId]) {
    let mut last = 0u32;
    let mut index = 0;
    while index < tags.len() {
        let first = tags[index].0;
        let run = tags[index..].iter().zip(first..).take_while(|(tag, expected)| tag.0 == *expected).count();
        put_varint(out, zigzag(i64::from(first) - i64::from(last)));
        put_varint(out, run as u64);
        last = first.wrapping_add(run as u32);
        index += run;
    }
}

fn take_tags(reader: &mut Reader<'_>, count: usize) -> Decoded<Vec<TagId>> {
    let mut tags = Vec::with_capacity(count);
    let mut last = 0i64;
    while tags.len() < count {
        let first = last.checked_add(reader.signed()?).ok_or(DecodeError("tag"))?;
        let run = reader.bounded(count - tags.len(), "run of tags")?;
        let end = first.checked_add(run as i64).filter(|end| *end <= i64::from(u32::MAX));
        let (Ok(from), Some(to), 1..) = (u32::try_from(first), end, run) else {
            return Err(DecodeError("tag"));
        };
        tags.extend((from..to as u32).map(TagId));
        last = to;
    }
    Ok(tags)
}

fn put_repeats(out: &mut Vec<u8>, repeats: &[u32]) {
    out.push(u8::from(!repeats.is_empty()));
    repeats.iter().for_each(|repeat| put_varint(out, u64::from(*repeat)));
}

fn take_repeats(reader: &mut Reader<'_>, count: usize) -> Decoded<Vec<u32>> {
    match reader.byte()? {
        0 => Ok(Vec::new()),
        1 => (0..count).map(|_| reader.u32("repeat number")).collect(),
        _ => Err(DecodeError("form of repeats")),
    }
}

/// (length, value) runs.
fn put_runs(out: &mut Vec<u8>, values: impl Iterator<Item = u32>) {
    let mut run: Option<(u32, u64)> = None;
    for value in values {
        match &mut run {
            Some((of, length)) if *of == value => *length += 1,
            _ => {
                if let Some((of, length)) = run.replace((value, 1)) {
                    put_varint(out, length);
                    put_varint(out, u64::from(of));
                }
            }
        }
    }
    if let Some((of, length)) = run {
        put_varint(out, length);
        put_varint(out, u64::from(of));
    }
}

fn take_runs(reader: &mut Reader<'_>, count: usize) -> Decoded<Vec<u32>> {
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let length = reader.bounded(count - values.len(), "run")?;
        if length == 0 {
            return Err(DecodeError("run"));
        }
        let value = reader.u32("run")?;
        values.resize(values.len() + length, value);
    }
    Ok(values)
}

fn put_column(out: &mut Vec<u8>, column: &Column) {
    match &column.kinds {
        Kinds::Same(kind) => {
            out.push(*kind as u8);
            put_cells(out, *kind, &column.cells, &column.blobs);
        }
        Kinds::Each(kinds) => {
            out.push(0xff);
            put_runs(out, kinds.iter().map(|kind| *kind as u32));
            let mut index = 0;
            while let Some(kind) = kinds.get(index).copied() {
                let run = kinds[index..].iter().take_while(|other| **other == kind).count();
                put_cells(out, kind, &column.cells[index..index + run], &column.blobs);
                index += run;
            }
        }
    }
}

fn take_column(reader: &mut Reader<'_>, count: usize) -> Decoded<Column> {
    let mut column = Column::with_capacity(count);
    match reader.byte()? {
        0xff => {
            let kinds = take_runs(reader, count)?
                .into_iter()
                .map(|kind| u8::try_from(kind).ok().and_then(Kind::from_byte).ok_or(DecodeError("kind")))
                .collect::<Decoded<Vec<_>>>()?;
            let mut index = 0;
            while let Some(kind) = kinds.get(index).copied() {
                let run = kinds[index..].iter().take_while(|other| **other == kind).count();
                take_cells(reader, kind, run, &mut column)?;
                index += run;
            }
            column.kinds = Kinds::Each(kinds);
        }
        byte => {
            let kind = Kind::from_byte(byte).ok_or(DecodeError("kind"))?;
            take_cells(reader, kind, count, &mut column)?;
            column.kinds = Kinds::Same(kind);
        }
    }
    Ok(column)
}

/// One kind's cells. Integers take the width of the largest, floats 4 bytes when all are exact in it.
fn put_cells(out: &mut Vec<u8>, kind: Kind, cells: &[u64], blobs: &[Blob]) {
    match kind {
        Kind::Nothing => {}
        Kind::Bool => out.extend(cells.iter().map(|cell| u8::from(*cell != 0))),
        Kind::Int | Kind::Time => {
            // Most registers are unsigned: without the zigzag they keep their 16 bits.
            let plain = cells.iter().all(|cell| *cell as i64 >= 0);
            out.push(u8::from(plain));
            if plain {
                put_fixed(out, cells, |cell| cell);
            } else {
                put_fixed(out, cells, |cell| zigzag(cell as i64));
            }
        }
        Kind::UInt => put_fixed(out, cells, |cell| cell),
        Kind::Float => {
            let short = cells.iter().all(|cell| {
                let value = f64::from_bits(*cell);
                f64::from(value as f32).to_bits() == *cell
            });
            out.push(if short { 4 } else { 8 });
            if short {
                out.extend(cells.iter().flat_map(|cell| (f64::from_bits(*cell) as f32).to_le_bytes()));
            } else {
                out.extend(cells.iter().flat_map(|cell| cell.to_le_bytes()));
            }
        }
        Kind::Text | Kind::Bytes => {
            for cell in cells {
                let bytes: &[u8] = match blobs.get(*cell as usize) {
                    Some(Blob::Text(text)) => text.as_bytes(),
                    Some(Blob::Bytes(bytes)) => bytes,
                    None => &[],
                };
                put_varint(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
    }
}

fn put_fixed(out: &mut Vec<u8>, cells: &[u64], map: impl Fn(u64) -> u64) {
    let all = cells.iter().fold(0, |all, cell| all | map(*cell));
    match all {
        0 => out.push(0),
        1..=0xff => {
            out.push(1);
            out.extend(cells.iter().map(|cell| map(*cell) as u8));
        }
        0x100..=0xffff => {
            out.push(2);
            out.extend(cells.iter().flat_map(|cell| (map(*cell) as u16).to_le_bytes()));
        }
        0x1_0000..=0xffff_ffff => {
            out.push(4);
            out.extend(cells.iter().flat_map(|cell| (map(*cell) as u32).to_le_bytes()));
        }
        _ => {
            out.push(8);
            out.extend(cells.iter().flat_map(|cell| map(*cell).to_le_bytes()));
        }
    }
}

fn take_cells(reader: &mut Reader<'_>, kind: Kind, count: usize, column: &mut Column) -> Decoded<()> {
    let cells = &mut column.cells;
    match kind {
        Kind::Nothing => cells.resize(cells.len() + count, 0),
        Kind::Bool => cells.extend(reader.take(count)?.iter().map(|byte| u64::from(*byte != 0))),
        Kind::Int | Kind::Time => match reader.byte()? {
            0 => take_fixed(reader, count, cells, |raw| unzigzag(raw) as u64)?,
            1 => take_fixed(reader, count, cells, |raw| raw)?,
            _ => return Err(DecodeError("sign")),
        },
        Kind::UInt => take_fixed(reader, count, cells, |raw| raw)?,
        Kind::Float => match reader.byte()? {
            4 => {
                let (chunks, _) = reader.take(count * 4)?.as_chunks::<4>();
                cells.extend(chunks.iter().map(|chunk| f64::from(f32::from_le_bytes(*chunk)).to_bits()));
            }
            8 => {
                let (chunks, _) = reader.take(count * 8)?.as_chunks::<8>();
                cells.extend(chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)));
            }
            _ => return Err(DecodeError("width")),
        },
        Kind::Text | Kind::Bytes => {
            for _ in 0..count {
                // Its own bytes bound it: `take` gives no more than there are.
                let len = reader.bounded(usize::MAX, "text too long")?;
                let bytes = reader.take(len)?;
                cells.push(column.blobs.len() as u64);
                column.blobs.push(match kind {
                    Kind::Text => Blob::Text(
                        std::str::from_utf8(bytes).map_err(|_| DecodeError("text is not UTF-8"))?.into(),
                    ),
                    _ => Blob::Bytes(bytes.into()),
                });
            }
        }
    }
    Ok(())
}

fn take_fixed(
    reader: &mut Reader<'_>,
    count: usize,
    cells: &mut Vec<u64>,
    map: impl Fn(u64) -> u64,
) -> Decoded<()> {
    match reader.byte()? {
        0 => cells.resize(cells.len() + count, map(0)),
        1 => cells.extend(reader.take(count)?.iter().map(|byte| map(u64::from(*byte)))),
        2 => {
            let (chunks, _) = reader.take(count * 2)?.as_chunks::<2>();
            cells.extend(chunks.iter().map(|chunk| map(u64::from(u16::from_le_bytes(*chunk)))));
        }
        4 => {
            let (chunks, _) = reader.take(count * 4)?.as_chunks::<4>();
            cells.extend(chunks.iter().map(|chunk| map(u64::from(u32::from_le_bytes(*chunk)))));
        }
        8 => {
            let (chunks, _) = reader.take(count * 8)?.as_chunks::<8>();
            cells.extend(chunks.iter().map(|chunk| map(u64::from_le_bytes(*chunk))));
        }
        _ => return Err(DecodeError("width")),
    }
    Ok(())
}
