//! From the bytes of an answer to a poll group's columns.
//!
//! What to do is worked out once per block: points of one form that follow each other both in the
//! PLC and in the group become one run, which is decoded in one tight loop.

use crate::bcd;
use crate::blocks::Block;
use crate::moment;
use crate::point::{Form, Point};
use gwp_core::Quality;
use gwp_core::batch::{Blob, Kinds};
pub use gwp_driver_kit::readings::Readings;
use std::sync::Arc;

/// Decoding of one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    runs: Vec<Run>,
}

/// Points of one form that follow each other in the block and in the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    form: Form,
    /// Offset of the first in the block, in bytes.
    from: usize,
    /// Index of the first in the group.
    to: usize,
    points: usize,
}

impl Program {
    /// Decoding of `block`, whose points are indexes into `points`.
    pub fn new(block: &Block, points: &[Point]) -> Program {
        let mut runs: Vec<Run> = Vec::new();
        for &index in &block.points {
            let to = index as usize;
            let Some(point) = points.get(to) else { continue };
            let from = point.span.start.saturating_sub(block.span.start) as usize * block.span.unit();
            let single = Run { form: point.form, from, to, points: 1 };
            match runs.last_mut() {
                Some(run) if run.is_continued_by(&single) => run.points += 1,
                _ => runs.push(single),
            }
        }
        Program { runs }
    }

    /// Puts the values of the block's bytes in their places; what makes no value turns bad.
    pub fn decode(&self, bytes: &[u8], readings: &mut Readings) {
        for run in &self.runs {
            if run.decode(bytes, readings).is_none() {
                (run.to..run.to + run.points).for_each(|index| readings.fail(index, Quality::DECODING));
            }
        }
    }
}

/// One value with what is to be said of it: a cell, a text, or why there is none.
enum Decoded {
    Cell(u64),
    Text(String, Quality),
    Bad(Quality),
}

impl Run {
    fn is_continued_by(&self, next: &Run) -> bool {
        let bytes = self.form.bytes() as usize;
        let follows = next.from == self.from + self.points * bytes && next.to == self.to + self.points;
        follows && self.form == next.form
    }

    /// `None` when answer or group are shorter than planned; the caller marks the points.
    fn decode(&self, bytes: &[u8], readings: &mut Readings) -> Option<()> {
        let width = self.form.bytes() as usize;
        let bytes = bytes.get(self.from..self.from + self.points * width)?;
        let cells = readings.values.cells.get_mut(self.to..self.to + self.points)?;
        match self.form {
            Form::Bit(bit) => each(cells, bytes, |[byte]| u64::from(byte >> bit & 1)),
            Form::Unsigned8 => each(cells, bytes, |[byte]| u64::from(byte)),
            Form::Signed8 => each(cells, bytes, |byte| signed(i8::from_be_bytes(byte))),
            Form::Unsigned16 => each(cells, bytes, |pair| u64::from(u16::from_be_bytes(pair))),
            Form::Signed16 => each(cells, bytes, |pair| signed(i16::from_be_bytes(pair))),
            Form::Unsigned32 => each(cells, bytes, |four| u64::from(u32::from_be_bytes(four))),
            Form::Signed32 => each(cells, bytes, |four| signed(i32::from_be_bytes(four))),
            Form::Whole64 => each(cells, bytes, u64::from_be_bytes),
            Form::Float32 => {
                each(cells, bytes, |four| f64::from(f32::from_be_bytes(four)).to_bits());
                self.refuse_not_a_number(readings);
            }
            Form::Float64 => {
                each(cells, bytes, u64::from_be_bytes);
                self.refuse_not_a_number(readings);
            }
            _ => {
                for (point, bytes) in bytes.chunks_exact(width.max(1)).enumerate() {
                    self.store(self.to + point, decoded(self.form, bytes), readings);
                }
            }
        }
        Some(())
    }

    fn refuse_not_a_number(&self, readings: &mut Readings) {
        for index in self.to..self.to + self.points {
            if readings.values.cells.get(index).is_some_and(|cell| f64::from_bits(*cell).is_nan()) {
                readings.fail(index, Quality::NOT_A_NUMBER);
            }
        }
    }

    fn store(&self, index: usize, decoded: Decoded, readings: &mut Readings) {
        let (cell, quality) = match decoded {
            Decoded::Bad(why) => return readings.fail(index, why),
            Decoded::Cell(cell) => (cell, Quality::GOOD),
            Decoded::Text(text, quality) => {
                let blob = readings.values.blobs.len() as u64;
                readings.values.blobs.push(Blob::Text(Arc::from(text)));
                (blob, quality)
            }
        };
        if let Some(place) = readings.values.cells.get_mut(index) {
            *place = cell;
        }
        if quality != Quality::GOOD {
            readings.mark(index, quality);
        }
    }
}

/// The tight loop: each value of `N` bytes becomes a cell.
fn each<const N: usize>(cells: &mut [u64], bytes: &[u8], cell: impl Fn([u8; N]) -> u64) {
    let (values, _) = bytes.as_chunks::<N>();
    cells.iter_mut().zip(values).for_each(|(place, value)| *place = cell(*value));
}

fn signed(number: impl Into<i64>) -> u64 {
    number.into().cast_unsigned()
}

/// A value of the forms that are not decoded in the tight loop.
fn decoded(form: Form, bytes: &[u8]) -> Decoded {
    let whole = |number: Option<i64>| match number {
        Some(number) => Decoded::Cell(number.cast_unsigned()),
        None => Decoded::Bad(Quality::DECODING),
    };
    match form {
        Form::Bcd16 { signed } | Form::Bcd32 { signed } => whole(bcd::number(bytes, signed)),
        Form::Counter => whole(bcd::counter(bytes)),
        Form::S5Time => whole(bcd::s5time(bytes)),
        Form::Date => whole(moment::of_date(bytes)),
        Form::DateAndTime => whole(moment::of_date_and_time(bytes)),
        Form::Dtl => whole(moment::of_dtl(bytes)),
        Form::Ldt => whole(bytes.try_into().ok().map(i64::from_be_bytes)),
        Form::Chars { .. } => Decoded::Text(latin(until_zero(bytes)), Quality::GOOD),
        Form::WChar => wide(bytes, Quality::GOOD),
        Form::Text { len } => string(bytes, len),
        Form::WText { len } => wide_string(bytes, len),
        _ => Decoded::Bad(Quality::DECODING),
    }
}

/// The characters of STRING and CHAR are those of ISO 8859-1.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn wide(bytes: &[u8], quality: Quality) -> Decoded {
    let units = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
    match char::decode_utf16(units).collect::<Result<String, _>>() {
        Ok(text) => Decoded::Text(text, quality),
        Err(_) => Decoded::Bad(Quality::DECODING),
    }
}

/// How many characters of a text are there, and whether the tag has room for all of them. A text
/// that was never set up has more characters than it can have.
fn characters(greatest: u16, actual: u16, len: u16) -> Option<(usize, Quality)> {
    if actual > greatest {
        return None;
    }
    Some((usize::from(actual.min(len)), if actual > len { Quality::TRUNCATED } else { Quality::GOOD }))
}

fn string(bytes: &[u8], len: u16) -> Decoded {
    let [greatest, actual, text @ ..] = bytes else { return Decoded::Bad(Quality::DECODING) };
    match characters(u16::from(*greatest), u16::from(*actual), len) {
        Some((count, quality)) => Decoded::Text(latin(text.get(..count).unwrap_or(text)), quality),
        None => Decoded::Bad(Quality::DECODING),
    }
}

fn wide_string(bytes: &[u8], len: u16) -> Decoded {
    let [a, b, c, d, text @ ..] = bytes else { return Decoded::Bad(Quality::DECODING) };
    match characters(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]), len) {
        Some((count, quality)) => wide(text.get(..count * 2).unwrap_or(text), quality),
        None => Decoded::Bad(Quality::DECODING),
    }
}

/// Kinds of a group's values, worked out once.
pub fn kinds(points: &[Point]) -> Kinds {
    gwp_driver_kit::readings::kinds(points.iter().map(|point| point.plc_type))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
