//! From the registers of an answer to a poll group's columns.
//!
//! What to do is worked out once per block: points that follow each other both
//! in the device and in the group become one run, so a block of plain
//! registers is decoded in one tight loop.

use crate::address::Order;
use crate::blocks::Block;
use crate::point::{Form, Point};
use gwp_core::Quality;
use gwp_core::batch::{Blob, Kinds};
use gwp_core::time::NS_PER_MS;
pub use gwp_driver_kit::readings::Readings;
use std::sync::Arc;

/// Values of one answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Registers(Vec<u16>),
    /// As many as were asked for, rounded up to whole bytes.
    Bits(Vec<bool>),
}

/// Decoding of one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    runs: Vec<Run>,
}

/// Points of one form that follow each other in the block and in the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    form: Form,
    words: Order,
    bytes: Order,
    /// Offset of the first in the block.
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
            let from = usize::from(point.span.start.saturating_sub(block.span.start));
            let (form, words, bytes) = (point.form, point.words, point.bytes);
            let single = Run { form, words, bytes, from, to, points: 1 };
            match runs.last_mut() {
                Some(run) if run.is_continued_by(&single) => run.points += 1,
                _ => runs.push(single),
            }
        }
        Program { runs }
    }

    /// Puts the values of `answer` in their places; what makes no value turns bad.
    pub fn decode(&self, answer: &Answer, readings: &mut Readings) {
        for run in &self.runs {
            let done = match answer {
                Answer::Registers(registers) => run.decode_registers(registers, readings),
                Answer::Bits(bits) => run.decode_bits(bits, readings),
            };
            if done.is_none() {
                (run.to..run.to + run.points).for_each(|index| readings.fail(index, Quality::DECODING));
            }
        }
    }
}

impl Run {
    fn is_continued_by(&self, next: &Run) -> bool {
        let width = usize::from(self.form.width());
        let follows = next.from == self.from + self.points * width && next.to == self.to + self.points;
        follows && (self.form, self.words, self.bytes) == (next.form, next.words, next.bytes)
    }

    fn decode_bits(&self, bits: &[bool], readings: &mut Readings) -> Option<()> {
        let bits = bits.get(self.from..self.from + self.points)?;
        let cells = readings.values.cells.get_mut(self.to..self.to + self.points)?;
        if self.form != Form::Bit {
            return None;
        }
        cells.iter_mut().zip(bits).for_each(|(cell, bit)| *cell = u64::from(*bit));
        Some(())
    }

    /// `None` when answer or group are shorter than planned; the caller marks the points.
    fn decode_registers(&self, registers: &[u16], readings: &mut Readings) -> Option<()> {
        let width = usize::from(self.form.width());
        let registers = registers.get(self.from..self.from + self.points * width)?;
        let cells = readings.values.cells.get_mut(self.to..self.to + self.points)?;
        match self.form {
            Form::Bit => return None,
            Form::Unsigned16 => self.single(cells, registers, u64::from),
            Form::Signed16 => {
                self.single(cells, registers, |register| i64::from(register.cast_signed()).cast_unsigned());
            }
            Form::RegisterBit(bit) => self.wide(cells, registers, |value| value >> bit & 1),
            Form::Byte { shift, signed: false } => self.wide(cells, registers, |value| value >> shift & 0xFF),
            Form::Byte { shift, signed: true } => {
                self.wide(cells, registers, |value| i64::from((value >> shift) as u8 as i8) as u64);
            }
            Form::Unsigned32 | Form::Unsigned64 | Form::Signed64 => {
                self.wide(cells, registers, |value| value)
            }
            Form::Signed32 => self.wide(cells, registers, |value| i64::from(value as u32 as i32) as u64),
            Form::Float32 => {
                self.wide(cells, registers, |value| f64::from(f32::from_bits(value as u32)).to_bits());
                self.refuse(readings, Quality::NOT_A_NUMBER, |cell| f64::from_bits(cell).is_nan());
            }
            Form::Float64 => {
                self.wide(cells, registers, |value| value);
                self.refuse(readings, Quality::NOT_A_NUMBER, |cell| f64::from_bits(cell).is_nan());
            }
            Form::Time64 => {
                let ns = |cell: u64| cell.cast_signed().checked_mul(NS_PER_MS);
                self.wide(cells, registers, |value| value);
                self.refuse(readings, Quality::OVERFLOW, |cell| ns(cell).is_none());
                let cells = readings.values.cells.get_mut(self.to..self.to + self.points)?;
                cells.iter_mut().for_each(|cell| *cell = ns(*cell).unwrap_or(0).cast_unsigned());
            }
            Form::Text { bytes } => self.texts(registers, usize::from(bytes), readings),
        }
        Some(())
    }

    /// Stores what `cell` makes of each register: the tight loop of plain registers.
    fn single(&self, cells: &mut [u64], registers: &[u16], cell: impl Fn(u16) -> u64) {
        let pairs = cells.iter_mut().zip(registers);
        match self.bytes {
            Order::HighFirst => pairs.for_each(|(place, register)| *place = cell(*register)),
            Order::LowFirst => pairs.for_each(|(place, register)| *place = cell(register.swap_bytes())),
        }
    }

    /// Joins the registers of each value, the highest first, and stores what `cell` makes of it.
    fn wide(&self, cells: &mut [u64], registers: &[u16], cell: impl Fn(u64) -> u64) {
        let width = usize::from(self.form.width());
        for (place, registers) in cells.iter_mut().zip(registers.chunks_exact(width)) {
            let push = |value: u64, register: &u16| {
                let register = if self.bytes == Order::LowFirst { register.swap_bytes() } else { *register };
                value << 16 | u64::from(register)
            };
            let value = match self.words {
                Order::HighFirst => registers.iter().fold(0, push),
                Order::LowFirst => registers.iter().rev().fold(0, push),
            };
            *place = cell(value);
        }
    }

    /// Turns those values bad whose cell is `wrong`.
    fn refuse(&self, readings: &mut Readings, why: Quality, wrong: impl Fn(u64) -> bool) {
        for index in self.to..self.to + self.points {
            if readings.values.cells.get(index).is_some_and(|cell| wrong(*cell)) {
                readings.fail(index, why);
            }
        }
    }

    fn texts(&self, registers: &[u16], len: usize, readings: &mut Readings) {
        let width = usize::from(self.form.width()).max(1);
        for (point, registers) in registers.chunks_exact(width).enumerate() {
            let mut bytes = Vec::with_capacity(width * 2);
            for register in registers {
                match self.bytes {
                    Order::HighFirst => bytes.extend(register.to_be_bytes()),
                    Order::LowFirst => bytes.extend(register.to_le_bytes()),
                }
            }
            bytes.truncate(len);
            let blob = readings.values.blobs.len() as u64;
            if let Some(cell) = readings.values.cells.get_mut(self.to + point) {
                *cell = blob;
                readings.values.blobs.push(Blob::Text(text(&bytes)));
            }
        }
    }
}

/// A device's text: up to its first zero byte, without padding blanks; UTF-8, else ISO 8859-1.
fn text(bytes: &[u8]) -> Arc<str> {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_end_matches(' ').into(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect::<String>().trim_end_matches(' ').into(),
    }
}

/// Kinds of a group's values, worked out once.
pub fn kinds(points: &[Point]) -> Kinds {
    gwp_driver_kit::readings::kinds(points.iter().map(|point| point.plc_type))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
