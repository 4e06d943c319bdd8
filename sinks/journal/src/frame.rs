//! Frames: checksummed, versioned pieces of the log and of journals.
//!
//! ```text
//! header (68 bytes, little-endian): "gwF", version, kind, codec, 2 zero bytes, plan (16), from, upto (16 each,
//!                    big-endian cursors), samples u32, body length u32, CRC-32 of header and body u32
//! body   = lz4(records) or lz4(entries); an incompressible body is stored as it is
//! ```
//! A frame is stored under its last cursor, so a reader that stands at a cursor
//! finds its next frame by one seek.

use crate::codec::{DecodeError, Reader, TagLists, put_batch, put_varint, take_batch, zigzag};
use crate::limits::BODY_BYTES_MAX;
use gwp_core::record::SlotMark;
use gwp_core::{Batch, Cursor, Fact, GroupId, PlanId, Position, Quality, Record, Timestamp};
use std::sync::Arc;

const MAGIC: [u8; 3] = *b"gwF";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 68;
const CODEC_STORED: u8 = 0;
const CODEC_LZ4: u8 = 1;

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    Log = 1,
    Journal = 2,
}

/// Header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    pub kind: FrameKind,
    /// Plan under which its tags and routes are numbered.
    pub plan: PlanId,
    /// First cursor in it; positions of log frames are complete cursors.
    pub from: Cursor,
    /// Last cursor in it.
    pub upto: Cursor,
    pub samples: u32,
}

/// An entry of a journal.
#[derive(Clone, PartialEq, Debug)]
pub struct JournalEntry {
    pub cursor: Cursor,
    /// Index of the sink's route in the frame's plan.
    pub route: u32,
    pub samples: u32,
    pub content: Content,
}

/// Where an entry's samples are.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// In the log at the entry's position: all, or those whose bit is set.
    Reference {
        bits: Option<Arc<[u8]>>,
    },
    Values(Arc<Batch>),
}

/// Encodes records into a frame. They must be in order, of one plan and not empty.
pub fn encode_log(plan: PlanId, records: &[Arc<Record>]) -> Vec<u8> {
    let mut body = Vec::with_capacity(records.iter().map(|record| record.bytes()).sum());
    let mut last = Position::ZERO;
    let mut samples = 0;
    for record in records {
        put_position(&mut body, &mut last, record.position);
        put_fact(&mut body, &record.fact);
        samples += record.samples();
    }
    let end = |record: Option<&Arc<Record>>| record.map_or(Cursor::ZERO, |r| Cursor::complete(r.position));
    seal(
        FrameHeader {
            kind: FrameKind::Log,
            plan,
            from: end(records.first()),
            upto: end(records.last()),
            samples: samples as u32,
        },
        &body,
    )
}

/// Encodes entries into a frame. They must be in order, of one plan and not empty.
pub fn encode_journal(plan: PlanId, entries: &[JournalEntry]) -> Vec<u8> {
    let mut body = Vec::with_capacity(64 * entries.len());
    let mut last = Position::ZERO;
    let mut samples = 0u32;
    for entry in entries {
        put_position(&mut body, &mut last, entry.cursor.position);
        put_varint(&mut body, u64::from(entry.cursor.part));
        put_varint(&mut body, u64::from(entry.route));
        put_varint(&mut body, u64::from(entry.samples));
        match &entry.content {
            Content::Reference { bits: None } => body.push(0),
            Content::Reference { bits: Some(bits) } => {
                body.push(1);
                put_varint(&mut body, bits.len() as u64);
                body.extend_from_slice(bits);
            }
            Content::Values(batch) => {
                body.push(2);
                put_batch(&mut body, batch);
            }
        }
        samples = samples.saturating_add(entry.samples);
    }
    let end = |entry: Option<&JournalEntry>| entry.map_or(Cursor::ZERO, |entry| entry.cursor);
    seal(
        FrameHeader {
            kind: FrameKind::Journal,
            plan,
            from: end(entries.first()),
            upto: end(entries.last()),
            samples,
        },
        &body,
    )
}

fn seal(header: FrameHeader, body: &[u8]) -> Vec<u8> {
    let bound = lz4_flex::block::get_maximum_output_size(body.len());
    let mut out = vec![0; HEADER_BYTES + bound];
    let packed = lz4_flex::block::compress_into(body, &mut out[HEADER_BYTES..]).unwrap_or(usize::MAX);
    let codec = if packed < body.len() {
        out.truncate(HEADER_BYTES + packed);
        CODEC_LZ4
    } else {
        out.truncate(HEADER_BYTES);
        out.extend_from_slice(body);
        CODEC_STORED
    };
    out[..3].copy_from_slice(&MAGIC);
    out[3] = VERSION;
    out[4] = header.kind as u8;
    out[5] = codec;
    out[8..24].copy_from_slice(&header.plan.0);
    out[24..40].copy_from_slice(&header.from.to_bytes());
    out[40..56].copy_from_slice(&header.upto.to_bytes());
    out[56..60].copy_from_slice(&header.samples.to_le_bytes());
    out[60..64].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let checksum = checksum(&out);
    out[64..68].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// CRC-32 (IEEE 802.3) over header and body without the checksum's own place.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..64]);
    hasher.update(&frame[HEADER_BYTES..]);
    hasher.finalize()
}

/// The checksum a frame carries: its place in the running hash of the log.
pub fn frame_checksum(frame: &[u8]) -> u32 {
    frame.get(64..68).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Reads a header and checks the whole frame's checksum.
///
/// # Errors
/// Bytes that are no frame, a damaged one, or one of a newer version.
pub fn open_frame(frame: &[u8]) -> Result<FrameHeader, DecodeError> {
    if frame.len() < HEADER_BYTES || frame[..3] != MAGIC {
        return Err(DecodeError("not a frame"));
    }
    if frame[3] != VERSION {
        return Err(DecodeError("frame of another version"));
    }
    if frame_checksum(frame) != checksum(frame) {
        return Err(DecodeError("checksum differs"));
    }
    let kind = match frame[4] {
        1 => FrameKind::Log,
        2 => FrameKind::Journal,
        _ => return Err(DecodeError("frame kind")),
    };
    let mut plan = [0; 16];
    plan.copy_from_slice(&frame[8..24]);
    let cursor = |at: usize| Cursor::from_bytes(&frame[at..at + 16]).ok_or(DecodeError("cursor"));
    Ok(FrameHeader {
        kind,
        plan: PlanId(plan),
        from: cursor(24)?,
        upto: cursor(40)?,
        samples: u32::from_le_bytes([frame[56], frame[57], frame[58], frame[59]]),
    })
}

/// Body of a frame whose header was opened.
fn body(frame: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, DecodeError> {
    let packed = frame.get(HEADER_BYTES..).ok_or(DecodeError("not a frame"))?;
    let len = u32::from_le_bytes([frame[60], frame[61], frame[62], frame[63]]) as usize;
    if len > BODY_BYTES_MAX {
        return Err(DecodeError("frame too large"));
    }
    match frame[5] {
        CODEC_STORED if packed.len() == len => Ok(packed.into()),
        CODEC_LZ4 => match lz4_flex::block::decompress(packed, len) {
            Ok(body) if body.len() == len => Ok(body.into()),
            _ => Err(DecodeError("compressed body")),
        },
        _ => Err(DecodeError("codec")),
    }
}

/// Decodes the records of a log frame that stand after `after`.
///
/// # Errors
/// A damaged frame; nothing of it is returned then.
pub fn decode_log(
    frame: &[u8],
    after: Position,
    lists: &mut TagLists,
) -> Result<Vec<Arc<Record>>, DecodeError> {
    if open_frame(frame)?.kind != FrameKind::Log {
        return Err(DecodeError("not a log frame"));
    }
    let body = body(frame)?;
    let mut reader = Reader::new(&body);
    let mut records = Vec::new();
    let mut last = Position::ZERO;
    while !reader.is_empty() {
        let position = take_position(&mut reader, &mut last)?;
        let fact = take_fact(&mut reader, lists)?;
        if position > after {
            records.push(Arc::new(Record { position, fact }));
        }
    }
    Ok(records)
}

/// Decodes the entries of a journal frame that stand after `after`.
///
/// # Errors
/// A damaged frame; nothing of it is returned then.
pub fn decode_journal(
    frame: &[u8],
    after: Cursor,
    lists: &mut TagLists,
) -> Result<(PlanId, Vec<JournalEntry>), DecodeError> {
    let header = open_frame(frame)?;
    if header.kind != FrameKind::Journal {
        return Err(DecodeError("not a journal frame"));
    }
    let body = body(frame)?;
    let mut reader = Reader::new(&body);
    let mut entries = Vec::new();
    let mut last = Position::ZERO;
    while !reader.is_empty() {
        let position = take_position(&mut reader, &mut last)?;
        let part = reader.u32("part")?;
        let route = reader.u32("route")?;
        let samples = reader.u32("samples")?;
        let content = match reader.byte()? {
            0 => Content::Reference { bits: None },
            1 => {
                let len = reader.bounded(4096, "selection too long")?;
                Content::Reference { bits: Some(reader.take(len)?.into()) }
            }
            2 => Content::Values(Arc::new(take_batch(&mut reader, lists)?)),
            _ => return Err(DecodeError("entry")),
        };
        let cursor = Cursor::new(position, part);
        if cursor > after {
            entries.push(JournalEntry { cursor, route, samples, content });
        }
    }
    Ok((header.plan, entries))
}

fn put_position(out: &mut Vec<u8>, last: &mut Position, position: Position) {
    put_varint(out, zigzag(i64::from(position.epoch) - i64::from(last.epoch)));
    let base = if position.epoch == last.epoch { last.seq } else { 0 };
    put_varint(out, position.seq.wrapping_sub(base));
    *last = position;
}

fn take_position(reader: &mut Reader<'_>, last: &mut Position) -> Result<Position, DecodeError> {
    let epoch = i64::from(last.epoch).saturating_add(reader.signed()?);
    let epoch = u32::try_from(epoch).map_err(|_| DecodeError("epoch"))?;
    let base = if epoch == last.epoch { last.seq } else { 0 };
    *last = Position::new(epoch, base.wrapping_add(reader.varint()?));
    Ok(*last)
}

fn put_slot(out: &mut Vec<u8>, slot: SlotMark) {
    put_varint(out, slot.number);
    put_varint(out, u64::from(slot.skipped));
}

fn take_slot(reader: &mut Reader<'_>) -> Result<SlotMark, DecodeError> {
    Ok(SlotMark { number: reader.varint()?, skipped: reader.u32("skipped slots")? })
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    put_varint(out, zigzag(time.0));
}

fn put_fact(out: &mut Vec<u8>, fact: &Fact) {
    match fact {
        Fact::Activated { previous, running_hash, anchor } => {
            out.push(0);
            out.extend_from_slice(&previous.to_bytes());
            out.extend_from_slice(&running_hash.to_le_bytes());
            put_time(out, *anchor);
        }
        Fact::Configured { plan } => {
            out.push(1);
            out.extend_from_slice(&plan.0);
        }
        Fact::Tick { now } => {
            out.push(2);
            put_time(out, *now);
        }
        Fact::Anchor { now } => {
            out.push(3);
            put_time(out, *now);
        }
        Fact::Samples { slot, batch } => {
            out.push(4);
            put_slot(out, *slot);
            put_batch(out, batch);
        }
        Fact::Failed { group, slot, time, why } => {
            out.push(5);
            put_varint(out, u64::from(group.0));
            put_slot(out, *slot);
            put_time(out, *time);
            put_varint(out, u64::from(why.0));
        }
    }
}

fn take_fact(reader: &mut Reader<'_>, lists: &mut TagLists) -> Result<Fact, DecodeError> {
    let time = |reader: &mut Reader<'_>| reader.signed().map(Timestamp);
    Ok(match reader.byte()? {
        0 => Fact::Activated {
            previous: Position::from_bytes(reader.take(12)?).ok_or(DecodeError("position"))?,
            running_hash: u64::from_le_bytes(reader.take(8)?.try_into().map_err(|_| DecodeError("hash"))?),
            anchor: time(reader)?,
        },
        1 => Fact::Configured { plan: PlanId(reader.take(16)?.try_into().map_err(|_| DecodeError("plan"))?) },
        2 => Fact::Tick { now: time(reader)? },
        3 => Fact::Anchor { now: time(reader)? },
        4 => Fact::Samples { slot: take_slot(reader)?, batch: Arc::new(take_batch(reader, lists)?) },
        5 => Fact::Failed {
            group: GroupId(reader.u32("poll group")?),
            slot: take_slot(reader)?,
            time: time(reader)?,
            why: Quality(reader.u32("quality")?),
        },
        _ => return Err(DecodeError("fact")),
    })
}

#[cfg(test)]
mod tests;
