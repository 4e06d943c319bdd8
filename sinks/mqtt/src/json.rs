//! Writes JSON messages, one after the other, value by value.
//!
//! Everything that repeats (the position of a part, a time, a quality) is kept
//! as it was written last. Values without a JSON form: a float that is not
//! finite is `null` and bad, bytes are a text of hexadecimal digits.

use crate::encode::{Shape, TimeForm};
use gwp_core::batch::Blob;
use gwp_core::sink::FlowNames;
use gwp_core::{Batch, Cursor, Kind, Quality, TagId, Timestamp};
use std::io::Write as _;

/// Writes one message after the other.
#[derive(Debug)]
pub struct Json {
    out: Vec<u8>,
    /// Body of `quality`: the samples that are not good.
    exceptions: Vec<u8>,
    /// Samples in the message being written.
    pub samples: usize,
    /// Messages of this part so far.
    number: u32,
    /// `"position":"3:1042/0/` of this part.
    position: Vec<u8>,
    /// Whether the samples being written are flagged.
    backfill: bool,
    /// A time as it was written last.
    time: (Timestamp, Vec<u8>),
    /// A quality as it was written last, in quotes.
    quality: (Quality, Vec<u8>),
    /// Bytes of the message before: the next is likely as long.
    expected: usize,
}

/// A place in an unfinished message to go back to.
#[derive(Clone, Copy)]
pub struct Mark {
    out: usize,
    exceptions: usize,
}

impl Json {
    pub fn new() -> Self {
        Json {
            out: Vec::new(),
            exceptions: Vec::new(),
            samples: 0,
            number: 0,
            position: Vec::new(),
            backfill: false,
            time: (Timestamp(0), Vec::new()),
            quality: (Quality::GOOD, b"\"good\"".to_vec()),
            expected: 256,
        }
    }

    pub fn begin_part(&mut self, cursor: Cursor, backfill: bool, form: TimeForm) {
        self.number = 0;
        self.backfill = backfill;
        self.position.clear();
        let at = cursor.position;
        // Writing to memory cannot fail, here and below.
        let _ = write!(self.position, ",\"position\":\"{}:{}/{}/", at.epoch, at.seq, cursor.part);
        if self.time.1.is_empty() {
            self.time.1 = time_text(Timestamp(0), form);
        }
    }

    pub fn begin(&mut self, time: Timestamp, repeat: u32, opening: &[u8], shape: &Shape) {
        self.out = Vec::with_capacity(self.expected + self.expected / 8);
        self.exceptions.clear();
        self.samples = 0;
        self.out.extend_from_slice(b"{\"time\":");
        if self.time.0 != time {
            self.time = (time, time_text(time, shape.time));
        }
        self.out.extend_from_slice(&self.time.1);
        self.out.extend_from_slice(&self.position);
        push_number(&mut self.out, self.number);
        self.number += 1;
        self.out.extend_from_slice(b"\",");
        if repeat != 0 {
            self.out.extend_from_slice(b"\"repeat\":");
            push_number(&mut self.out, repeat);
            self.out.push(b',');
        }
        if self.backfill {
            self.out.extend_from_slice(b"\"backfill\":true,");
        }
        self.out.extend_from_slice(opening);
    }

    /// Bytes the message has when finished now.
    pub fn len(&self) -> usize {
        const QUALITY: usize = ",\"quality\":{".len();
        let exceptions = if self.exceptions.is_empty() { 0 } else { QUALITY + self.exceptions.len() };
        self.out.len() + exceptions + 1
    }

    pub fn mark(&self) -> Mark {
        Mark { out: self.out.len(), exceptions: self.exceptions.len() }
    }

    pub fn take_back(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.exceptions.truncate(mark.exceptions);
        self.samples -= 1;
    }

    #[inline]
    pub fn sample(&mut self, key: &[u8], batch: &Batch, index: usize, names: &FlowNames, shape: &Shape) {
        self.out.extend_from_slice(key);
        let quality = self.value(batch, index, names, shape);
        self.out.push(b',');
        self.samples += 1;
        if !quality.is_good() {
            self.exceptions.extend_from_slice(key);
            let word = quality_text(&mut self.quality, quality);
            self.exceptions.extend_from_slice(word);
            self.exceptions.push(b',');
        }
    }

    /// Writes one value and gives its quality: a float without a JSON form is bad.
    #[inline]
    pub fn value(&mut self, batch: &Batch, index: usize, names: &FlowNames, shape: &Shape) -> Quality {
        let quality = batch.qualities.get(index);
        let cell = batch.values.cells.get(index).copied().unwrap_or(0);
        match batch.values.kind(index) {
            Kind::Float => {
                let value = f64::from_bits(cell);
                if !value.is_finite() {
                    self.out.extend_from_slice(b"null");
                    return quality.worst(Quality::NOT_A_NUMBER);
                }
                self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
            }
            kind @ (Kind::Int | Kind::UInt) => {
                if shape.labels
                    && let Some(label) = label_of(names, batch.tags[index], kind, cell)
                {
                    push_text(&mut self.out, label);
                } else if kind == Kind::Int {
                    push_number(&mut self.out, cell as i64);
                } else {
                    push_number(&mut self.out, cell);
                }
            }
            Kind::Bool => self.out.extend_from_slice(if cell != 0 { b"true" } else { b"false" }),
            Kind::Time => self.out.extend_from_slice(&time_text(Timestamp(cell as i64), shape.time)),
            Kind::Text | Kind::Bytes => match batch.values.blobs.get(cell as usize) {
                Some(Blob::Text(text)) => push_text(&mut self.out, text),
                Some(Blob::Bytes(bytes)) => push_hex(&mut self.out, bytes),
                None => self.out.extend_from_slice(b"null"),
            },
            Kind::Nothing => self.out.extend_from_slice(b"null"),
        }
        quality
    }

    /// Ends a message of `values`.
    pub fn finish(&mut self) -> Vec<u8> {
        close_object(&mut self.out);
        if !self.exceptions.is_empty() {
            close_object(&mut self.exceptions);
            self.out.extend_from_slice(b",\"quality\":{");
            self.out.extend_from_slice(&self.exceptions);
        }
        self.end()
    }

    /// Ends a message of one `value`.
    pub fn finish_single(&mut self, quality: Quality) -> Vec<u8> {
        if !quality.is_good() {
            self.out.extend_from_slice(b",\"quality\":");
            let word = quality_text(&mut self.quality, quality);
            self.out.extend_from_slice(word);
        }
        self.end()
    }

    fn end(&mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.expected = self.out.len();
        std::mem::take(&mut self.out)
    }
}

/// Ends an object whose members all end in a comma.
fn close_object(out: &mut Vec<u8>) {
    match out.last_mut() {
        Some(last) if *last == b',' => *last = b'}',
        _ => out.push(b'}'),
    }
}

fn quality_text(last: &mut (Quality, Vec<u8>), quality: Quality) -> &[u8] {
    if last.0 != quality {
        *last = (quality, format!("\"{quality}\"").into_bytes());
    }
    &last.1
}

fn time_text(time: Timestamp, form: TimeForm) -> Vec<u8> {
    match form {
        TimeForm::Milliseconds => itoa::Buffer::new().format(time.millis()).into(),
        TimeForm::Iso => format!("\"{time}\"").into_bytes(),
    }
}

/// Label of an enum's value.
fn label_of(names: &FlowNames, tag: TagId, kind: Kind, cell: u64) -> Option<&str> {
    let value = if kind == Kind::Int { cell as i64 } else { i64::try_from(cell).ok()? };
    let labels = &names.info(tag)?.labels;
    let found = labels.binary_search_by_key(&value, |(value, _)| *value).ok()?;
    labels.get(found).map(|(_, label)| &**label)
}

#[inline]
fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A text in quotes, escaped.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    // Neither a text nor memory can make this fail.
    let _ = serde_json::to_writer(out, text);
}

/// Bytes as a text of lower-case hexadecimal digits.
fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    out.extend(
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
    out.push(b'"');
}
