//! Telegrams of S7 communication: setup, read var, write var.
//!
//! ```text
//! head        32 kind 0000 reference:2 parameters:2 data:2 [class code]    class and code in answers
//! setup       F0 00 jobs out:2 jobs in:2 pdu:2
//! read var    04 items { 12 0A 10 size count:2 block:2 area address:3 }
//!   answer    04 items | { return size length:2 values }                    each but the last made even
//! write var   05 items { as above } | { 00 size length:2 values }
//!   answer    05 items | { return }
//! ```
//! An address counts bits, except of timers and counters, which are counted themselves.

use super::Malformed;
use super::refusal::{HeaderError, ReturnCode};

/// Items one request may have at most.
pub const ITEMS_MAX: usize = 20;

/// Bytes of a request in front of its items: head, function, number of items.
pub const REQUEST_HEAD: usize = 10 + 2;
/// Bytes of each item of a request.
pub const REQUEST_ITEM: usize = 12;
/// Bytes of an answer in front of its items.
pub const ANSWER_HEAD: usize = 12 + 2;
/// Bytes in front of the values of each item of an answer, and of a write.
pub const VALUE_HEAD: usize = 4;

/// Sizes of a PDU that are asked for or taken.
pub const PDU_MAX: u16 = 960;
/// Requests that may be open at a time at most; many PLCs allow one only.
pub const JOBS_MAX: u16 = 4;
/// An answer with less is refused: not even a request for one item with a value would fit.
pub const PDU_MIN: u16 = 64;

pub(super) const PROTOCOL: u8 = 0x32;
pub(super) const JOB: u8 = 1;
pub(super) const ACK: u8 = 2;
pub(super) const ACK_DATA: u8 = 3;
pub(super) const SETUP: u8 = 0xF0;
pub(super) const READ_VAR: u8 = 0x04;
pub(super) const WRITE_VAR: u8 = 0x05;

/// Memory areas of a PLC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Area {
    Inputs,
    Outputs,
    Flags,
    Blocks,
    Counters,
    Timers,
}

impl Area {
    const fn code(self) -> u8 {
        match self {
            Area::Inputs => 0x81,
            Area::Outputs => 0x82,
            Area::Flags => 0x83,
            Area::Blocks => 0x84,
            Area::Counters => 0x1C,
            Area::Timers => 0x1D,
        }
    }

    /// True where an address counts elements of two bytes, not bytes.
    pub const fn is_counted(self) -> bool {
        matches!(self, Area::Counters | Area::Timers)
    }
}

/// What one item of a request names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    pub area: Area,
    /// Number of the data block; 0 in other areas.
    pub block: u16,
    /// First byte, or number of the first timer or counter.
    pub start: u32,
    /// One bit of that byte alone; `count` is 1 then.
    pub bit: Option<u8>,
    /// Bytes, timers or counters.
    pub count: u16,
}

impl Item {
    /// Bytes of its values.
    pub const fn bytes(&self) -> usize {
        if self.area.is_counted() { self.count as usize * 2 } else { self.count as usize }
    }

    fn write(&self, to: &mut Vec<u8>) {
        let (size, address) = match (self.area, self.bit) {
            (Area::Counters | Area::Timers, _) => (self.area.code(), self.start),
            (_, Some(bit)) => (0x01, self.start * 8 + u32::from(bit)),
            (_, None) => (0x02, self.start * 8),
        };
        let ([count_high, count_low], [block_high, block_low]) =
            (self.count.to_be_bytes(), self.block.to_be_bytes());
        let [_, a, b, c] = address.to_be_bytes();
        to.extend([0x12, 0x0A, 0x10, size, count_high, count_low, block_high, block_low]);
        to.extend([self.area.code(), a, b, c]);
    }
}

/// A telegram's head and parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Telegram<'b> {
    pub reference: u16,
    /// The request as a whole was refused.
    pub error: Option<HeaderError>,
    parameters: &'b [u8],
    data: &'b [u8],
}

fn job(reference: u16, parameters: &[u8], data: &[u8]) -> Vec<u8> {
    // Both are built below and far from this bound.
    let length = |part: &[u8]| u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
    let ([a, b], [c, d], [e, f]) = (reference.to_be_bytes(), length(parameters), length(data));
    [&[PROTOCOL, JOB, 0, 0, a, b, c, d, e, f], parameters, data].concat()
}

/// What both ends agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreement {
    /// Bytes of a telegram at most.
    pub pdu: u16,
    /// Requests that may be open at a time.
    pub jobs: u16,
}

/// Asks for an agreement.
pub fn setup(reference: u16, wanted: Agreement) -> Vec<u8> {
    let ([a, b], [c, d]) = (wanted.jobs.to_be_bytes(), wanted.pdu.to_be_bytes());
    job(reference, &[SETUP, 0, a, b, a, b, c, d], &[])
}

/// Asks for the values of up to [`ITEMS_MAX`] items.
pub fn read(reference: u16, items: &[Item]) -> Vec<u8> {
    let mut parameters = vec![READ_VAR, items.len() as u8];
    items.iter().for_each(|item| item.write(&mut parameters));
    job(reference, &parameters, &[])
}

/// Gives one item a value: as many bytes as it has, or one byte 0 or 1 for a bit.
pub fn write(reference: u16, item: &Item, value: &[u8]) -> Vec<u8> {
    let mut parameters = vec![WRITE_VAR, 1];
    item.write(&mut parameters);
    // Bits and bytes are counted in bits, timers and counters (octet strings) in bytes.
    let (size, length) = match (item.bit, item.area.is_counted()) {
        (Some(_), _) => (0x03, 1),
        (None, true) => (0x09, value.len()),
        (None, false) => (0x04, value.len() * 8),
    };
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    job(reference, &parameters, &[&[0, size, high, low], value].concat())
}

/// The parts of an answer.
///
/// # Errors
/// It is no answer of this protocol, or its lengths do not fit.
pub fn parse(bytes: &[u8]) -> Result<Telegram<'_>, Malformed> {
    let [protocol, kind, _, _, a, b, c, d, e, f, class, code, rest @ ..] = bytes else {
        return Err(Malformed::new(format!("a telegram of {} bytes", bytes.len())));
    };
    if *protocol != PROTOCOL || !matches!(*kind, ACK | ACK_DATA) {
        return Err(Malformed::new(format!("a telegram {protocol:#04x} {kind:#04x}, which is no answer")));
    }
    let [parameters, data] = [[*c, *d], [*e, *f]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    if rest.len() != parameters + data {
        return Err(Malformed::new(format!(
            "{} bytes where {} are announced",
            rest.len(),
            parameters + data
        )));
    }
    let (parameters, data) = rest.split_at(parameters);
    let error = HeaderError { class: *class, code: *code };
    let error = Some(error).filter(|error| (error.class, error.code) != (0, 0));
    Ok(Telegram { reference: u16::from_be_bytes([*a, *b]), error, parameters, data })
}

impl<'b> Telegram<'b> {
    /// What counts, when `wanted` was asked for.
    ///
    /// # Errors
    /// It is no answer to a setup, or the size of a PDU is of no use.
    pub fn agreement(&self, wanted: Agreement) -> Result<Agreement, Malformed> {
        let [SETUP, _, a, b, c, d, e, f] = *self.parameters else {
            return Err(Malformed::new("no answer to a setup"));
        };
        let [out, back, pdu] = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
        let pdu = pdu.min(wanted.pdu);
        if pdu < PDU_MIN {
            return Err(Malformed::new(format!("a PDU of {pdu} bytes is too small")));
        }
        Ok(Agreement { pdu, jobs: out.min(back).clamp(1, wanted.jobs.max(1)) })
    }

    /// Bytes of each item, or why there are none.
    ///
    /// # Errors
    /// It is no answer to reading just these items.
    pub fn values(&self, items: &[Item]) -> Result<Vec<Result<&'b [u8], ReturnCode>>, Malformed> {
        self.is_answer_to(READ_VAR, items.len())?;
        let mut rest = self.data;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let [code, size, high, low, behind @ ..] = rest else {
                return Err(Malformed::new("an answer that ends early"));
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if *code != ReturnCode::SUCCESS {
                // Without values whatever the length says.
                values.push(Err(ReturnCode(*code)));
                rest = behind;
                continue;
            }
            let length = match size {
                // Bits; bytes, words and integers counted in bits; reals, octet strings in bytes.
                0x03..=0x05 => length.div_ceil(8),
                0x06..=0x09 => length,
                other => return Err(Malformed::new(format!("values of size {other:#04x}"))),
            };
            if length != item.bytes() {
                return Err(Malformed::new(format!("{length} bytes of an item of {}", item.bytes())));
            }
            let Some((bytes, behind)) = behind.split_at_checked(length) else {
                return Err(Malformed::new("an answer that ends early"));
            };
            values.push(Ok(bytes));
            // Made even by a byte that means nothing; the last one need not be.
            rest = if length % 2 == 1 { behind.get(1..).unwrap_or_default() } else { behind };
        }
        if !rest.is_empty() {
            return Err(Malformed::new(format!("{} bytes behind the last item", rest.len())));
        }
        Ok(values)
    }

    /// What became of a write of one item.
    ///
    /// # Errors
    /// It is no answer to a write.
    pub fn written(&self) -> Result<Result<(), ReturnCode>, Malformed> {
        self.is_answer_to(WRITE_VAR, 1)?;
        match self.data {
            [ReturnCode::SUCCESS] => Ok(Ok(())),
            [code] => Ok(Err(ReturnCode(*code))),
            _ => Err(Malformed::new("no answer to one written item")),
        }
    }

    fn is_answer_to(&self, function: u8, items: usize) -> Result<(), Malformed> {
        match self.parameters {
            [found, count] if *found == function && usize::from(*count) == items => Ok(()),
            other => Err(Malformed::new(format!("an answer with the parameters {other:02x?}"))),
        }
    }
}

#[cfg(test)]
#[path = "telegram_tests.rs"]
mod tests;
