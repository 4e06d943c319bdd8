//! Lines: samples as CSV, and where the last whole line of a file ends.
//!
//! Source: RFC 4180 for quoting; lines end in LF. A file never holds a NUL
//! (one in a text becomes U+FFFD), so a NUL is a page that never reached the disk.

use gwp_core::batch::Blob;
use gwp_core::sink::Part;
use gwp_core::{Batch, Kind, Quality, Timestamp};
use std::fmt::Write as _;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Time,
    Path,
    Value,
    Quality,
    Unit,
    Repeat,
    Backfill,
    Device,
    Tag,
    Flow,
}

impl Column {
    pub const ALL: [Column; 10] = [
        Column::Time,
        Column::Path,
        Column::Value,
        Column::Quality,
        Column::Unit,
        Column::Repeat,
        Column::Backfill,
        Column::Device,
        Column::Tag,
        Column::Flow,
    ];

    /// The word in a program and in the header line.
    pub const fn word(self) -> &'static str {
        match self {
            Column::Time => "time",
            Column::Path => "path",
            Column::Value => "value",
            Column::Quality => "quality",
            Column::Unit => "unit",
            Column::Repeat => "repeat",
            Column::Backfill => "backfill",
            Column::Device => "device",
            Column::Tag => "tag",
            Column::Flow => "flow",
        }
    }

    pub fn from_word(word: &str) -> Option<Column> {
        Column::ALL.into_iter().find(|column| column.word() == word)
    }
}

/// Writes samples as lines.
#[derive(Debug)]
pub struct Format {
    columns: Vec<Column>,
    builder: csv::WriterBuilder,
    /// A field being written.
    scratch: String,
    /// A time as it was written last.
    time: (Timestamp, String),
    /// A quality as it was written last.
    quality: (Quality, String),
}

impl Format {
    pub fn new(columns: Vec<Column>, separator: u8) -> Format {
        let mut builder = csv::WriterBuilder::new();
        builder.delimiter(separator).terminator(csv::Terminator::Any(b'\n'));
        Format {
            columns,
            builder,
            scratch: String::new(),
            time: (Timestamp(0), Timestamp(0).to_string()),
            quality: (Quality::GOOD, Quality::GOOD.to_string()),
        }
    }

    /// The header line.
    pub fn header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = self.builder.from_writer(&mut out);
        // Writing to memory cannot fail, here and below.
        let _ = writer.write_record(self.columns.iter().map(|column| column.word()));
        drop(writer);
        out
    }

    /// Appends the lines of some samples of a part.
    pub fn lines(&mut self, part: &Part, indexes: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let mut writer = self.builder.from_writer(out);
        for index in indexes {
            let Some(tag) = part.batch.tags.get(index).copied() else { break };
            let names = &*part.flow;
            let info = names.info(tag);
            let quality = self.value(&part.batch, index);
            for column in &self.columns {
                let field: &str = match column {
                    Column::Time => time_text(&mut self.time, part.batch.times.get(index)),
                    Column::Path => names.name(tag),
                    Column::Value => &self.scratch,
                    Column::Quality => quality_text(&mut self.quality, quality),
                    Column::Unit => info.map_or("", |info| &info.unit),
                    Column::Repeat => {
                        let _ = writer.write_field(part.batch.repeat(index).to_string());
                        continue;
                    }
                    Column::Backfill if part.batch.backfill => "true",
                    Column::Backfill => "false",
                    Column::Device => info.map_or("?", |info| &info.device),
                    Column::Tag => info.map_or("?", |info| &info.tag),
                    Column::Flow => &names.flow,
                };
                let _ = match field.contains('\0') {
                    true => writer.write_field(field.replace('\0', "\u{FFFD}")),
                    false => writer.write_field(field),
                };
            }
            let _ = writer.write_record(None::<&[u8]>);
        }
    }

    /// Writes a value into the scratch and gives its quality: a float that is no number is
    /// left empty and bad.
    fn value(&mut self, batch: &Batch, index: usize) -> Quality {
        self.scratch.clear();
        let quality = batch.qualities.get(index);
        let cell = batch.values.cells.get(index).copied().unwrap_or(0);
        match batch.values.kind(index) {
            Kind::Float => {
                let value = f64::from_bits(cell);
                if !value.is_finite() {
                    return quality.worst(Quality::NOT_A_NUMBER);
                }
                // The shortest text that reads back as this number, with an exponent when it is long.
                let _ = write!(self.scratch, "{value:?}");
            }
            Kind::Text => {
                if let Some(Blob::Text(text)) = batch.values.blobs.get(cell as usize) {
                    self.scratch.push_str(text);
                }
            }
            Kind::Nothing => {}
            _ => {
                let _ = write!(self.scratch, "{}", batch.values.get(index));
            }
        }
        quality
    }
}

fn time_text(last: &mut (Timestamp, String), time: Timestamp) -> &str {
    if last.0 != time {
        *last = (time, time.to_string());
    }
    &last.1
}

fn quality_text(last: &mut (Quality, String), quality: Quality) -> &str {
    if last.0 != quality {
        *last = (quality, quality.to_string());
    }
    &last.1
}

/// Finds the end of the last whole line in bytes that come in pieces.
///
/// A line ends at an LF outside quotes; inside them quotes come in pairs, so
/// counting them is enough.
#[derive(Debug, Default)]
pub struct LineScan {
    offset: u64,
    quoted: bool,
    torn: bool,
    /// Bytes up to and including the last whole line.
    pub whole: u64,
}

impl LineScan {
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.offset += 1;
            self.torn |= *byte == 0;
            match byte {
                b'"' => self.quoted = !self.quoted,
                b'\n' if !self.quoted && !self.torn => self.whole = self.offset,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{batch, names, part};
    use gwp_core::Value;
    use proptest::prelude::*;

    fn text(format: &mut Format, part: &Part) -> String {
        let mut out = format.header();
        format.lines(part, 0..part.batch.len(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_hold_every_kind_of_value() {
        let values = vec![
            Value::Float(20.0),
            Value::Float(-1e300),
            Value::Int(-7),
            Value::UInt(u64::MAX),
            Value::Bool(true),
            Value::Text("a,\"b\"\nc\0d".into()),
            Value::Bytes(vec![0, 255].into()),
            Value::Time(Timestamp::from_millis(1)),
            Value::Nothing,
            Value::Float(f64::NAN),
        ];
        let mut batch = batch(1_500, values);
        batch.qualities.set(8, Quality::TIMEOUT, 10);
        let mut format = Format::new(Column::ALL[..5].into(), b',');
        assert_eq!(
            text(&mut format, &part(1, &names(10), batch)),
            "time,path,value,quality,unit\n\
             1970-01-01T00:00:01.500Z,m.t0,20.0,good,kW\n\
             1970-01-01T00:00:01.500Z,m.t1,-1e300,good,kW\n\
             1970-01-01T00:00:01.500Z,m.t2,-7,good,kW\n\
             1970-01-01T00:00:01.500Z,m.t3,18446744073709551615,good,kW\n\
             1970-01-01T00:00:01.500Z,m.t4,true,good,kW\n\
             1970-01-01T00:00:01.500Z,m.t5,\"a,\"\"b\"\"\nc\u{FFFD}d\",good,kW\n\
             1970-01-01T00:00:01.500Z,m.t6,00ff,good,kW\n\
             1970-01-01T00:00:01.500Z,m.t7,1970-01-01T00:00:00.001Z,good,kW\n\
             1970-01-01T00:00:01.500Z,m.t8,,bad(timeout),kW\n\
             1970-01-01T00:00:01.500Z,m.t9,,bad(not_a_number),kW\n"
        );
    }

    #[test]
    fn columns_and_separator_are_the_users() {
        let columns = ["flow", "device", "tag", "repeat", "value", "backfill"]
            .map(|word| Column::from_word(word).unwrap());
        let mut batch = batch(1, vec![Value::Int(1), Value::Int(2)]);
        batch.repeats = vec![0, 3];
        let mut format = Format::new(columns.into(), b';');
        let expected = "flow;device;tag;repeat;value;backfill\nlive;m;t0;0;1;false\nlive;m;t1;3;2;false\n";
        assert_eq!(text(&mut format, &part(1, &names(2), batch)), expected);
        let flagged = Batch { backfill: true, ..crate::fixture::batch(1, vec![Value::Int(1)]) };
        let line = text(&mut format, &part(1, &names(1), flagged));
        assert_eq!(line.lines().nth(1), Some("live;m;t0;0;1;true"));
    }

    #[test]
    fn a_single_empty_column_still_makes_a_line() {
        let mut format = Format::new(vec![Column::Value], b',');
        let part = part(1, &names(1), batch(1, vec![Value::Nothing]));
        assert_eq!(text(&mut format, &part), "value\n\"\"\n");
    }

    proptest! {
        /// Cut anywhere, a file is cut back to a whole line, and to none that was not whole.
        #[test]
        fn a_cut_file_keeps_its_whole_lines(
            texts in prop::collection::vec("[a-c,\"\n\r\0;]{0,8}", 1..8),
            cut in any::<prop::sample::Index>(),
            piece in 1usize..9,
        ) {
            let values: Vec<_> = texts.iter().map(|text| Value::Text(text.as_str().into())).collect();
            let count = values.len();
            let mut format = Format::new(vec![Column::Value, Column::Quality], b',');
            let part = part(1, &names(count), batch(1, values));
            let mut ends = vec![0, format.header().len()];
            let mut file = format.header();
            for index in 0..count {
                format.lines(&part, index..index + 1, &mut file);
                ends.push(file.len());
            }
            let cut = cut.index(file.len() + 1);
            let mut scan = LineScan::default();
            file[..cut].chunks(piece).for_each(|bytes| scan.feed(bytes));
            let expected = ends.iter().rfind(|end| **end <= cut).copied().unwrap();
            prop_assert_eq!(scan.whole, expected as u64);

            // Pages that never reached the disk read as zeros: nothing after them counts.
            let mut scan = LineScan::default();
            scan.feed(&file[..cut]);
            scan.feed(&[0; 16]);
            scan.feed(b"x,good\n");
            prop_assert_eq!(scan.whole, expected as u64);
        }
    }
}
