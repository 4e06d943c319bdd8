//! A [`Message`] as bytes and back. Pure; [`link`](super::link) moves the bytes.

use super::{BulkError, Join, Kind, Message, REASON_BYTES_MAX, VERSION};
use crate::apart::Apart;
use crate::encode::{Reader, Unreadable, Writer};
use gwp_redundancy::limits::EPOCHS_KEPT;
use gwp_redundancy::mirror::fill::From;
use gwp_redundancy::mirror::{Head, History};
use std::sync::Arc;

/// Bytes of length, version and kind.
pub(super) const PREFIX: usize = 4 + 2;

/// Appends the message but for its opaque bytes, which are given back and follow. On an error
/// nothing is appended.
///
/// # Errors
/// It is longer than the peer would take, or its head and its bytes do not agree.
pub(super) fn encode<'m>(
    message: &'m Message,
    out: &mut Vec<u8>,
) -> Result<Option<&'m Arc<[u8]>>, BulkError> {
    if let Message::Frame { head, bytes } = message
        && usize::try_from(head.bytes) != Ok(bytes.len())
    {
        return Err(BulkError::HeadLength { told: head.bytes, len: bytes.len() });
    }
    let start = out.len();
    let kind = kind(message);
    out.extend_from_slice(&[0, 0, 0, 0, VERSION, kind as u8]);
    let bytes = fields(message, &mut Writer(out));
    let len = out.len() - start - PREFIX + bytes.map_or(0, |bytes| bytes.len());
    match u32::try_from(len + 2) {
        Ok(length) if len <= kind.max() => {
            out[start..start + 4].copy_from_slice(&length.to_le_bytes());
            Ok(bytes)
        }
        _ => {
            out.truncate(start);
            Err(BulkError::TooLarge { kind: kind.label(), len, max: kind.max() })
        }
    }
}

fn kind(message: &Message) -> Kind {
    match message {
        Message::Ping => Kind::Ping,
        Message::Join(_) => Kind::Join,
        Message::Acknowledge { .. } => Kind::Acknowledge,
        Message::Readings { .. } => Kind::Readings,
        Message::Follow { .. } => Kind::Follow,
        Message::SetAside { .. } => Kind::SetAside,
        Message::Resync { .. } => Kind::Resync,
        Message::Frame { .. } => Kind::Frame,
        Message::Piece { .. } => Kind::Piece,
        Message::PiecesEnd { .. } => Kind::PiecesEnd,
        Message::KeptBy { .. } => Kind::KeptBy,
        Message::Refused { .. } => Kind::Refused,
        Message::AskTime { .. } => Kind::AskTime,
        Message::Time { .. } => Kind::Time,
    }
}

fn fields<'m>(message: &'m Message, writer: &mut Writer<'_>) -> Option<&'m Arc<[u8]>> {
    match message {
        Message::Ping => {}
        Message::Join(join) => {
            let Join { epoch, incarnation, place, hash, complete, history } = join;
            writer.u32(*epoch);
            writer.bytes(incarnation);
            writer.place(*place);
            writer.hash(*hash);
            writer.u8(*complete as u8);
            writer.u32(history.ends().len() as u32);
            history.ends().iter().for_each(|end| writer.position(*end));
        }
        Message::Acknowledge { received, durable } => {
            writer.place(*received);
            writer.place(*durable);
        }
        Message::Piece { bytes } => return Some(bytes),
        Message::Readings { from, bytes } => {
            // Those of a node itself never go over a stream.
            writer.u8(u8::from(*from == From::Rejoin));
            return Some(bytes);
        }
        Message::AskTime { sent, apart } => {
            writer.i64(*sent);
            writer.u8(apart.is_some() as u8);
            if let Some(Apart { offset_ns, error_ns }) = *apart {
                writer.i64(offset_ns);
                writer.i64(error_ns);
            }
        }
        Message::Time { sent, received, answered } => {
            [sent, received, answered].into_iter().for_each(|time| writer.i64(*time));
        }
        Message::Follow { after } => writer.place(*after),
        Message::KeptBy { place, refused } => {
            writer.place(*place);
            writer.u32(*refused);
        }
        Message::SetAside { above } => writer.position(*above),
        Message::Resync { after, hash } => {
            writer.place(*after);
            writer.hash(*hash);
        }
        Message::Frame { head, bytes } => {
            let Head { before, hash_before, place, hash, bytes: _ } = *head;
            writer.place(before);
            writer.hash(hash_before);
            writer.place(place);
            writer.hash(hash);
            return Some(bytes);
        }
        Message::PiecesEnd { place, hash, pieces } => {
            writer.place(*place);
            writer.hash(*hash);
            writer.u32(*pieces);
        }
        Message::Refused { why } => {
            writer.bytes(&why.as_bytes()[..why.floor_char_boundary(REASON_BYTES_MAX)]);
        }
    }
    None
}

/// How long the message that begins with these bytes is, its length included; none while too few
/// of them are here to say.
///
/// # Errors
/// It cannot be a message, or is longer than one of its kind may be.
pub(super) fn whole(bytes: &[u8]) -> Result<Option<usize>, BulkError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    let Some(len) = length.checked_sub(2) else { return Err(BulkError::Malformed(length)) };
    let &[version, kind, ..] = rest else { return Ok(None) };
    if version != VERSION {
        return Err(BulkError::Version(version));
    }
    let kind = Kind::of(kind).ok_or(BulkError::Malformed(length))?;
    match len <= kind.max() {
        true => Ok(Some(PREFIX + len)),
        false => Err(BulkError::TooLarge { kind: kind.label(), len, max: kind.max() }),
    }
}

/// Reads a message that is here as a whole, as [`whole`] said.
///
/// # Errors
/// It is not what [`encode`] writes.
pub(super) fn decode(bytes: &[u8]) -> Result<Message, BulkError> {
    match whole(bytes)? {
        Some(len) if len == bytes.len() => {
            read(&bytes[5..]).map_err(|Unreadable| BulkError::Malformed(len - 4))
        }
        _ => Err(BulkError::Malformed(bytes.len())),
    }
}

fn read(bytes: &[u8]) -> Result<Message, Unreadable> {
    let mut reader = Reader::new(bytes);
    let message = match Kind::of(reader.u8()?).ok_or(Unreadable)? {
        Kind::Ping => Message::Ping,
        Kind::Join => Message::Join(join(&mut reader)?),
        Kind::Acknowledge => Message::Acknowledge { received: reader.place()?, durable: reader.place()? },
        Kind::Readings => {
            let from = if reader.bool()? { From::Rejoin } else { From::Fill };
            Message::Readings { from, bytes: reader.rest().into() }
        }
        Kind::AskTime => {
            let (sent, is_known) = (reader.i64()?, reader.bool()?);
            let apart = match is_known {
                true => Some(Apart { offset_ns: reader.i64()?, error_ns: reader.i64()? }),
                false => None,
            };
            Message::AskTime { sent, apart }
        }
        Kind::Time => Message::Time { sent: reader.i64()?, received: reader.i64()?, answered: reader.i64()? },
        Kind::Follow => Message::Follow { after: reader.place()? },
        Kind::SetAside => Message::SetAside { above: reader.position()? },
        Kind::Resync => Message::Resync { after: reader.place()?, hash: reader.hash()? },
        Kind::Frame => frame(&mut reader)?,
        Kind::Piece => Message::Piece { bytes: reader.rest().into() },
        Kind::PiecesEnd => {
            Message::PiecesEnd { place: reader.place()?, hash: reader.hash()?, pieces: reader.u32()? }
        }
        Kind::KeptBy => Message::KeptBy { place: reader.place()?, refused: reader.u32()? },
        Kind::Refused => {
            Message::Refused { why: str::from_utf8(reader.rest()).map_err(|_| Unreadable)?.into() }
        }
    };
    reader.end()?;
    Ok(message)
}

fn join(reader: &mut Reader<'_>) -> Result<Join, Unreadable> {
    Ok(Join {
        epoch: reader.u32()?,
        incarnation: reader.array()?,
        place: reader.place()?,
        hash: reader.hash()?,
        complete: reader.bool()?,
        history: history(reader)?,
    })
}

/// One end of each epoch, ascending: all that a [`History`] can be.
fn history(reader: &mut Reader<'_>) -> Result<History, Unreadable> {
    let count = reader.u32()? as usize;
    if count > EPOCHS_KEPT {
        return Err(Unreadable);
    }
    let ends = (0..count).map(|_| reader.position()).collect::<Result<Vec<_>, _>>()?;
    match ends.is_sorted_by(|end, next| end.epoch < next.epoch) {
        true => Ok(History::of(ends)),
        false => Err(Unreadable),
    }
}

fn frame(reader: &mut Reader<'_>) -> Result<Message, Unreadable> {
    let (before, hash_before) = (reader.place()?, reader.hash()?);
    let (place, hash) = (reader.place()?, reader.hash()?);
    let bytes: Arc<[u8]> = reader.rest().into();
    let len = u32::try_from(bytes.len()).map_err(|_| Unreadable)?;
    Ok(Message::Frame { head: Head { before, hash_before, place, hash, bytes: len }, bytes })
}
