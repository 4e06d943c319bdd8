//! A change of the store as bytes: what goes to the node that keeps a copy of it.
//!
//! ```text
//! header (40 bytes): "gwC", version, kind, 3 zero bytes, number u32, body length u32 (little-endian),
//!                    place (16, big-endian), xxh3 of body and the header before it, u64
//! body = op*         key and value as length and bytes
//! op   = 0, keyspace name           the next number stands for this keyspace from here on
//!      | 1, keyspace, key, value    insert
//!      | 2, keyspace, key           remove
//!      | 3, keyspace name           delete the keyspace with all that is in it
//! ```
//! The checksum is taken of every change, also when nobody wants its bytes: the running hash is
//! made of it. The decoder trusts nothing, and looks at all of a frame before it gives any of it.

use crate::codec::{DecodeError, Reader, put_varint};
use crate::limits::CHANGE_BYTES_MAX;
use crate::segments::is_ours;
use gwp_core::Cursor;
use gwp_redundancy::mirror::{Head, Place};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

const MAGIC: [u8; 3] = *b"gwC";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 40;
/// The header up to the checksum.
const CHECKED_BYTES: usize = 32;
/// fjall's bound.
const KEY_BYTES_MAX: usize = u16::MAX as usize;
const NAME_BYTES_MAX: usize = 64;

/// What the operations are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameKind {
    /// One commit.
    Change = 1,
    /// A piece of a full copy.
    Piece = 2,
}

/// One operation on the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op<'a> {
    Insert { keyspace: &'a str, key: &'a [u8], value: &'a [u8] },
    Remove { keyspace: &'a str, key: &'a [u8] },
    Delete { keyspace: &'a str },
}

/// A place as it is stored.
pub(crate) fn place_bytes(place: Place) -> [u8; 16] {
    Cursor::new(place.position, place.after).to_bytes()
}

/// Reads what [`place_bytes`] wrote.
pub(crate) fn read_place(bytes: &[u8]) -> Option<Place> {
    let Cursor { position, part } = Cursor::from_bytes(bytes)?;
    Some(Place { position, after: part })
}

/// Takes operations down: their checksum, and their bytes if somebody wants them.
pub(crate) struct Recorder {
    checksum: Xxh3,
    /// None when nobody wants them, or when they are too many.
    bytes: Option<Vec<u8>>,
    body_bytes: usize,
    /// Keyspaces named so far, by fjall's number.
    named: Vec<u64>,
    scratch: Vec<u8>,
}

impl Recorder {
    pub(crate) fn new(wanted: bool) -> Recorder {
        Recorder {
            checksum: Xxh3::new(),
            bytes: wanted.then(|| vec![0; HEADER_BYTES]),
            body_bytes: 0,
            named: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    pub(crate) fn insert(&mut self, keyspace: (u64, &str), key: &[u8], value: &[u8]) {
        self.begin(1, keyspace);
        put_varint(&mut self.scratch, key.len() as u64);
        self.scratch.extend_from_slice(key);
        put_varint(&mut self.scratch, value.len() as u64);
        self.end(value);
    }

    pub(crate) fn remove(&mut self, keyspace: (u64, &str), key: &[u8]) {
        self.begin(2, keyspace);
        put_varint(&mut self.scratch, key.len() as u64);
        self.end(key);
    }

    pub(crate) fn delete(&mut self, keyspace: &str) {
        self.scratch.push(3);
        put_varint(&mut self.scratch, keyspace.len() as u64);
        self.end(keyspace.as_bytes());
    }

    fn begin(&mut self, op: u8, (id, name): (u64, &str)) {
        let known = self.named.iter().position(|known| *known == id);
        let number = known.unwrap_or_else(|| {
            self.scratch.push(0);
            put_varint(&mut self.scratch, name.len() as u64);
            self.scratch.extend_from_slice(name.as_bytes());
            self.named.push(id);
            self.named.len() - 1
        });
        self.scratch.push(op);
        put_varint(&mut self.scratch, number as u64);
    }

    fn end(&mut self, last: &[u8]) {
        let more = self.scratch.len() + last.len();
        self.body_bytes += more;
        self.checksum.update(&self.scratch);
        self.checksum.update(last);
        if self.bytes.as_ref().is_some_and(|bytes| bytes.len() + more > CHANGE_BYTES_MAX) {
            self.bytes = None;
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(&self.scratch);
            bytes.extend_from_slice(last);
        }
        self.scratch.clear();
    }

    /// The checksum, the length of the frame, and the frame.
    pub(crate) fn finish(
        mut self,
        kind: FrameKind,
        number: u32,
        place: Place,
    ) -> (u64, u32, Option<Arc<[u8]>>) {
        let mut header = [0; HEADER_BYTES];
        header[..3].copy_from_slice(&MAGIC);
        header[3] = VERSION;
        header[4] = kind as u8;
        header[8..12].copy_from_slice(&number.to_le_bytes());
        // Too long for the field is too long for a frame: nobody will read it.
        let body = u32::try_from(self.body_bytes).unwrap_or(u32::MAX);
        header[12..16].copy_from_slice(&body.to_le_bytes());
        header[16..CHECKED_BYTES].copy_from_slice(&place_bytes(place));
        self.checksum.update(&header[..CHECKED_BYTES]);
        let checksum = self.checksum.digest();
        header[CHECKED_BYTES..].copy_from_slice(&checksum.to_le_bytes());
        let frame = self.bytes.map(|mut bytes| {
            bytes[..HEADER_BYTES].copy_from_slice(&header);
            bytes.into()
        });
        (checksum, body.saturating_add(HEADER_BYTES as u32), frame)
    }
}

/// A frame whose bytes have been looked at.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub kind: FrameKind,
    pub number: u32,
    pub place: Place,
    pub checksum: u64,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(crate) fn ops(&self) -> impl Iterator<Item = Op<'a>> {
        let mut ops = Ops::new(self.body);
        // Looked at when it was opened: there is no error any more.
        std::iter::from_fn(move || ops.next().ok().flatten())
    }
}

/// Looks at all of a frame.
///
/// # Errors
/// Bytes that [`Recorder`] does not write.
pub(crate) fn open_frame(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    if bytes.len() > CHANGE_BYTES_MAX {
        return Err(DecodeError("change too large"));
    }
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(DecodeError("ends early"))?;
    let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header[..3] != MAGIC {
        return Err(DecodeError("not a change"));
    }
    if header[3] != VERSION {
        return Err(DecodeError("change of another version of gwp"));
    }
    if u32_at(12) as usize != body.len() {
        return Err(DecodeError("length of the change"));
    }
    let mut checksum = Xxh3::new();
    checksum.update(body);
    checksum.update(&header[..CHECKED_BYTES]);
    let checksum = checksum.digest();
    if header[CHECKED_BYTES..] != checksum.to_le_bytes() {
        return Err(DecodeError("checksum of the change"));
    }
    let kind = match header[4] {
        1 => FrameKind::Change,
        2 => FrameKind::Piece,
        _ => return Err(DecodeError("kind of change")),
    };
    let place = read_place(&header[16..CHECKED_BYTES]).ok_or(DecodeError("place"))?;
    let mut ops = Ops::new(body);
    while ops.next()?.is_some() {}
    Ok(Frame { kind, number: u32_at(8), place, checksum, body })
}

/// Looks at the frame of a commit and at what its head says of it.
///
/// # Errors
/// The bytes are damaged or are not those of the head.
pub(crate) fn open_change<'a>(head: &Head, bytes: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
    let frame = open_frame(bytes)?;
    let told = head.bytes as usize == bytes.len()
        && head.place == frame.place
        && head.before < head.place
        && head.hash == head.hash_before.then(frame.checksum);
    match told && frame.kind == FrameKind::Change {
        true => Ok(frame),
        false => Err(DecodeError("not the change that its head tells of")),
    }
}

struct Ops<'a> {
    reader: Reader<'a>,
    named: Vec<&'a str>,
}

impl<'a> Ops<'a> {
    fn new(body: &'a [u8]) -> Self {
        Ops { reader: Reader::new(body), named: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<Op<'a>>, DecodeError> {
        while !self.reader.is_empty() {
            match self.reader.byte()? {
                0 => {
                    let name = self.name()?;
                    self.named.push(name);
                }
                1 => {
                    let (keyspace, key) = (self.keyspace()?, self.key()?);
                    let len = self.reader.bounded(CHANGE_BYTES_MAX, "value too long")?;
                    let value = self.reader.take(len)?;
                    return Ok(Some(Op::Insert { keyspace, key, value }));
                }
                2 => {
                    let (keyspace, key) = (self.keyspace()?, self.key()?);
                    return Ok(Some(Op::Remove { keyspace, key }));
                }
                3 => {
                    let keyspace = self.name()?;
                    if keyspace == "meta" {
                        return Err(DecodeError("keyspace that stays"));
                    }
                    return Ok(Some(Op::Delete { keyspace }));
                }
                _ => return Err(DecodeError("operation")),
            }
        }
        Ok(None)
    }

    fn name(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.reader.bounded(NAME_BYTES_MAX, "name of a keyspace")?;
        let name = std::str::from_utf8(self.reader.take(len)?).ok().filter(|name| is_ours(name));
        name.ok_or(DecodeError("name of a keyspace"))
    }

    fn keyspace(&mut self) -> Result<&'a str, DecodeError> {
        let number = self.reader.varint()?;
        let name = usize::try_from(number).ok().and_then(|number| self.named.get(number));
        name.copied().ok_or(DecodeError("number of a keyspace"))
    }

    fn key(&mut self) -> Result<&'a [u8], DecodeError> {
        match self.reader.bounded(KEY_BYTES_MAX, "key too long")? {
            0 => Err(DecodeError("empty key")),
            len => self.reader.take(len),
        }
    }
}

#[cfg(test)]
mod tests;
