//! A [`Message`] as bytes, the body of a sealed datagram.
//!
//! ```text
//! version u8 | stance u8 | epoch u32 | relinquished u32
//! promise (epoch u32, holder u8) | bound_for u64 | before (epoch u32, holder u8)
//! mark: 0, or 1 and (holder u8, epoch u32, turn u32, solo u8)
//! plan 16 bytes | configured at (epoch u32, seq u64) | flags u8 | health u8
//! tag u8 and: Hello nothing, Ask (epoch u32, sent u64), Vote (epoch u32, sent u64, granted u8), Mark, Marked
//! ```
//!
//! Little-endian. Every message has one form: bytes that could be left out, added or be
//! otherwise without a change of meaning are refused.

use crate::encode::{MARK_MAX, Reader, Unreadable, Writer};
use gwp_core::PlanId;
use gwp_redundancy::message::{Body, Message, NodeReport, Report, Stance};
use gwp_redundancy::mono::Mono;
use gwp_redundancy::node::Configured;

/// Version of this form. Members of one pair speak the same.
pub const VERSION: u8 = 1;

/// Longest form of a message, in bytes.
pub const MESSAGE_MAX: usize = 1 + 1 + 4 + 4 + 5 + 8 + 5 + MARK_MAX + 16 + 12 + 1 + 1 + (1 + 13);

const PAIRED: u8 = 1;
const SWITCHING: u8 = 2;
const READY: u8 = 4;

/// The worst a member could be is 0, the best this.
const HEALTH_MAX: u8 = 100;

/// Why bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    #[error(
        "a message of version {0}, not {VERSION}: run the same version of gwp on all members of the pair"
    )]
    Version(u8),
    #[error("a message of {0} bytes that is none: run the same version of gwp on all members of the pair")]
    Malformed(usize),
}

/// Appends `message` to `out`: at most [`MESSAGE_MAX`] bytes.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    writer.u8(VERSION);
    report(&message.report, &mut writer);
    body(&message.body, &mut writer);
}

/// Reads what [`encode`] wrote, and nothing else.
pub fn decode(bytes: &[u8]) -> Result<Message, WireError> {
    match bytes.first() {
        Some(&version) if version != VERSION => Err(WireError::Version(version)),
        _ => read(bytes).map_err(|Unreadable| WireError::Malformed(bytes.len())),
    }
}

fn read(bytes: &[u8]) -> Result<Message, Unreadable> {
    let mut reader = Reader::new(bytes);
    reader.u8()?;
    let message = Message { report: read_report(&mut reader)?, body: read_body(&mut reader)? };
    reader.end()?;
    Ok(message)
}

fn report(report: &Report, writer: &mut Writer<'_>) {
    let Report { stance, epoch, relinquished, promise, bound_for, before, mark, node } = *report;
    writer.u8(match stance {
        Stance::Witness => 0,
        Stance::Aside => 1,
        Stance::Candidate => 2,
        Stance::Active => 3,
    });
    writer.u32(epoch);
    writer.u32(relinquished);
    writer.promise(promise);
    writer.u64(bound_for);
    writer.promise(before);
    writer.mark_or_none(mark);
    let NodeReport { configured: Configured { plan: PlanId(plan), at }, paired, switching, health, ready } =
        node;
    writer.bytes(&plan);
    writer.position(at);
    writer.u8((paired as u8 * PAIRED) | (switching as u8 * SWITCHING) | (ready as u8 * READY));
    writer.u8(health.min(HEALTH_MAX));
}

fn read_report(reader: &mut Reader<'_>) -> Result<Report, Unreadable> {
    Ok(Report {
        stance: match reader.u8()? {
            0 => Stance::Witness,
            1 => Stance::Aside,
            2 => Stance::Candidate,
            3 => Stance::Active,
            _ => return Err(Unreadable),
        },
        epoch: reader.u32()?,
        relinquished: reader.u32()?,
        promise: reader.promise()?,
        bound_for: reader.u64()?,
        before: reader.promise()?,
        mark: reader.mark_or_none()?,
        node: read_node(reader)?,
    })
}

fn read_node(reader: &mut Reader<'_>) -> Result<NodeReport, Unreadable> {
    let configured = Configured { plan: PlanId(reader.array()?), at: reader.position()? };
    let flags = reader.u8()?;
    let health = reader.u8()?;
    if flags & !(PAIRED | SWITCHING | READY) != 0 || health > HEALTH_MAX {
        return Err(Unreadable);
    }
    Ok(NodeReport {
        configured,
        paired: flags & PAIRED != 0,
        switching: flags & SWITCHING != 0,
        health,
        ready: flags & READY != 0,
    })
}

fn body(body: &Body, writer: &mut Writer<'_>) {
    match *body {
        Body::Hello => writer.u8(0),
        Body::Ask { epoch, sent } => {
            writer.u8(1);
            writer.u32(epoch);
            writer.u64(sent.0);
        }
        Body::Vote { epoch, sent, granted } => {
            writer.u8(2);
            writer.u32(epoch);
            writer.u64(sent.0);
            writer.u8(granted as u8);
        }
        Body::Mark(mark) => {
            writer.u8(3);
            writer.mark(mark);
        }
        Body::Marked(mark) => {
            writer.u8(4);
            writer.mark(mark);
        }
    }
}

fn read_body(reader: &mut Reader<'_>) -> Result<Body, Unreadable> {
    Ok(match reader.u8()? {
        0 => Body::Hello,
        1 => Body::Ask { epoch: reader.u32()?, sent: Mono(reader.u64()?) },
        2 => Body::Vote { epoch: reader.u32()?, sent: Mono(reader.u64()?), granted: reader.bool()? },
        3 => Body::Mark(reader.mark()?),
        4 => Body::Marked(reader.mark()?),
        _ => return Err(Unreadable),
    })
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
