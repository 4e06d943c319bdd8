//! Tags of KEPServerEX, from the CSV that it exports per device, as a source.
//!
//! Groups of tags (`Press.OilTemp`) become devices, so that the paths at the sinks are the names that are known from
//! there. What is set per channel or device (address, word order) is not in the export and is marked in the program.

mod address;
mod rows;

use super::Imported;
use super::draft::{Draft, Entry, Group, Source, Tag};
use super::report::Report;
use super::text::{self, Names, parsed_number};
use crate::catalog;
use address::Address;
use gwp_core::manifest::{Declaration, Place, Settings};
use gwp_core::source::{Driver, GroupDeclaration, PlcType, PointDeclaration, SourceDeclaration};
use gwp_core::{GroupId, TagId};
use rows::Row;
use std::collections::HashMap;

/// Tags of one import at most, elements of arrays included.
const TAGS_MAX: usize = 200_000;

/// What the file does not tell.
#[derive(Debug)]
pub struct Options {
    /// Name of the source.
    pub source: String,
    /// Driver; guessed from the addresses without it.
    pub driver: Option<String>,
    /// Name of the file, for the comment at the top.
    pub file: String,
}

/// Reads an export and writes the program.
///
/// # Errors
/// It is no tag export, or too large; in words.
pub fn import(csv: &str, options: &Options) -> anyhow::Result<Imported> {
    let mut report = Report::default();
    let table = rows::read(csv, &mut report)?;
    let driver = options.driver.clone().unwrap_or_else(|| guessed(&table.rows).to_owned());
    let mut items = Names::default();
    let mut source = Source { name: items.take(&options.source), driver, ..Source::default() };
    let mut reader = Reader {
        modbus: source.driver.starts_with("modbus"),
        driver: catalog::driver(&source.driver),
        decimal_comma: table.decimal_comma,
        report: &mut report,
        words: false,
        tags: 0,
    };
    let mut groups: Vec<(Group, Names)> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for row in &table.rows {
        let (path, own) = match row.name.rsplit_once('.') {
            Some((path, own)) if !path.is_empty() && !own.is_empty() => (path, own),
            _ => ("", &*row.name),
        };
        let at = *index.entry(path.to_lowercase()).or_insert_with(|| {
            let device = (!path.is_empty()).then(|| items.take(&as_item(path)));
            let template =
                device.as_ref().map(|device| items.take(&format!("{device}_tags"))).unwrap_or_default();
            groups.push((
                Group { device, template, ..Group::default() },
                Names::with(&["connected", "alarms"]),
            ));
            groups.len() - 1
        });
        let (group, names) = &mut groups[at];
        reader.row(row, own, group, names);
    }
    let words = reader.words;
    report.tags = groups
        .iter()
        .flat_map(|(group, _)| &group.entries)
        .filter(|entry| matches!(entry, Entry::Tag(_)))
        .count();
    source.groups = groups.into_iter().map(|(group, _)| group).collect();
    connection(&mut source, words, &mut report);
    source.common_scan();
    if !source.is_known() {
        report.comments += report.tags;
        report.tags = 0;
        report.remind(format!(
            "this version has no driver `{}`: the source stands in the program as a comment",
            source.driver
        ));
    }
    let head = vec![format!(
        "Imported from {} (tags of KEPServerEX). Comments say what did not come over as it was.",
        text::line(&options.file)
    )];
    let draft = Draft { head, sources: vec![source], ..Draft::default() };
    Ok(Imported { text: draft.finished(&mut report)?, report })
}

/// Nested groups, and blanks and other signs in their names, with `_` between them: a device is named often.
fn as_item(path: &str) -> String {
    path.trim().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}

/// Settings that stand for what the export does not hold.
fn connection(source: &mut Source, words: bool, report: &mut Report) {
    let variable = text::quoted(&source.name);
    let (setting, example) = match &*source.driver {
        "modbus_rtu" => ("port", "/dev/ttyS0"),
        "simulator" => return,
        "opcua" => ("address", "opc.tcp://10.0.0.5:4840"),
        "modbus_tcp" | "modbus_rtu_tcp" => ("address", "10.0.0.5:502"),
        _ => ("address", "10.0.0.5"),
    };
    let mut set = |setting: String, note: &str| source.settings.push((setting, note.to_owned()));
    set(
        format!("{setting} = node({variable})"),
        &format!("not in the export: such as \"{example}\", in [vars] of node.toml"),
    );
    report.remind(format!(
        "say where the device is: `{}` in [vars] of node.toml, such as \"{example}\"",
        source.name
    ));
    if source.driver == "s7" {
        set("rack = 0".into(), "not in the export");
        set("slot = 1".into(), "not in the export");
        report.remind("look at `rack` and `slot`: they are not in the export");
    }
    if source.driver.starts_with("modbus") {
        set("unit_id = 1".into(), "not in the export");
        report.remind("look at `unit_id`: the device ID of KEPServerEX is not in the export");
        if words {
            set(
                "words = low_first".into(),
                "not in the export: the default of KEPServerEX (\"First word low\")",
            );
            report.remind("look at `words`: `low_first` is the default of KEPServerEX, devices by the standard have `high_first`");
        }
    }
}

/// The driver that most addresses look like.
fn guessed(rows: &[Row]) -> &'static str {
    let mut counts: [(&'static str, usize); 4] = [("modbus_tcp", 0), ("s7", 0), ("opcua", 0), ("eip", 0)];
    for row in rows {
        let text = row.address.trim();
        let lower = text.to_ascii_lowercase();
        let number_behind = |start: &str| {
            lower.strip_prefix(start).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let s7 = ["db", "mw", "md", "mb", "iw", "id", "ib", "qw", "qd", "qb", "m", "i", "q"];
        let at = if address::parse(text).is_some() {
            0
        } else if lower.starts_with("ns=") {
            2
        } else if s7.iter().any(|start| number_behind(start)) {
            1
        } else {
            3
        };
        counts[at].1 += 1;
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or("modbus_tcp", |(name, _)| name)
}

/// What rows share while they are read.
struct Reader<'r> {
    modbus: bool,
    /// The driver that will read the tags, if there is one in this version.
    driver: Option<&'static dyn Driver>,
    decimal_comma: bool,
    report: &'r mut Report,
    /// A value takes several registers, so that their order matters.
    words: bool,
    tags: usize,
}

/// A data type of KEPServerEX: its word here and its bits.
fn plc_type(data_type: &str) -> Option<(&'static str, u32)> {
    Some(match data_type.to_ascii_lowercase().as_str() {
        "boolean" | "bool" => ("bool", 1),
        "char" => ("sint", 8),
        "byte" => ("usint", 8),
        "short" => ("int", 16),
        "word" => ("uint", 16),
        "long" => ("dint", 32),
        "dword" => ("udint", 32),
        "llong" => ("lint", 64),
        "qword" => ("ulint", 64),
        "float" => ("real", 32),
        "double" => ("lreal", 64),
        "string" => ("string", 0),
        _ => return None,
    })
}

/// Whether a driver reads a value of this type at this place.
fn reads(driver: &dyn Driver, address: &str, word: &str) -> Result<(), String> {
    let Some(plc_type) = PlcType::ALL.into_iter().find(|plc_type| plc_type.word() == word) else {
        return Ok(());
    };
    let point = PointDeclaration {
        path: "tag".into(),
        address: address.into(),
        plc_type,
        writable: false,
        command: false,
    };
    let group = GroupDeclaration {
        id: GroupId(0),
        device: "device".into(),
        device_settings: Settings::default(),
        period_ns: 0,
        phase_ns: 0,
        tags: [TagId(0)].into(),
        points: vec![point],
    };
    let item = Declaration { name: "device".into(), settings: Settings::default() };
    let declaration = SourceDeclaration { item, groups: vec![group], device_time: false };
    let errors = driver.check(&declaration);
    let of_tag =
        errors.into_iter().find(|error| matches!(error.place, Place::Address { .. } | Place::Type { .. }));
    of_tag.map_or(Ok(()), |error| Err(error.message))
}

impl Reader<'_> {
    fn row(&mut self, row: &Row, own: &str, group: &mut Group, names: &mut Names) {
        let why = match self.tag(row, own) {
            Ok((tag, addresses)) if self.tags + addresses.len() <= TAGS_MAX => {
                self.tags += addresses.len();
                let array = addresses.len() > 1;
                for (at, address) in addresses.into_iter().enumerate() {
                    let wanted = if array { format!("{own}_{at}") } else { own.to_owned() };
                    let name = names.take(&wanted);
                    if name != wanted {
                        self.report.lost(row.line, format!("`{wanted}` is called `{name}` here"));
                    }
                    group.entries.push(Entry::Tag(Tag { name, address, ..tag.clone() }));
                }
                return;
            }
            Ok(_) => format!("there are more than {TAGS_MAX} tags"),
            Err(why) => why,
        };
        let Row { line, name, address, data_type, .. } = row;
        self.report.comments += 1;
        self.report.lost(*line, format!("{name} is no tag here: {why}"));
        group.entries.push(Entry::Comment(format!("{own}: {data_type} at {address}: {why}")));
    }

    /// The tag with its addresses: several for an array.
    fn tag(&mut self, row: &Row, own: &str) -> Result<(Tag, Vec<String>), String> {
        if row.access.eq_ignore_ascii_case("wo") || row.access.eq_ignore_ascii_case("write only") {
            return Err("it can only be written; a `write` does that".into());
        }
        if row.address.trim().is_empty() {
            return Err("it has no address".into());
        }
        let mut notes = Vec::new();
        let (plc_type, addresses) = self.place(row, &mut notes)?;
        if matches!(row.access.to_ascii_lowercase().as_str(), "r/w" | "rw" | "read/write") {
            notes.push("R/W there".into());
            self.report.lost(
                row.line,
                "read/write there, only read here: say `writable` and add a `write` with limits",
            );
        }
        let number = !matches!(plc_type, "bool" | "string");
        let mut tag = Tag { plc_type, desc: row.desc.clone(), ..Tag::default() };
        let unit = row.unit.trim();
        if !unit.is_empty() {
            match text::unit(unit).filter(|_| number) {
                Some(known) => tag.unit = Some(known),
                None => {
                    notes.push(format!("unit: {unit}"));
                    let why = if number {
                        "is no unit here: write the one it means, or declare it with `unit`"
                    } else {
                        "is the unit of what is no number"
                    };
                    self.report.lost(row.line, format!("`{}` {why}", text::line(unit)));
                }
            }
        }
        tag.scale = self.scale(row, own, number, tag.unit.as_deref(), &mut notes)?;
        tag.scan_ms = self.scan(row);
        tag.note = notes.join("; ");
        Ok((tag, addresses))
    }

    fn place(&mut self, row: &Row, notes: &mut Vec<String>) -> Result<(&'static str, Vec<String>), String> {
        let written = row.data_type.trim();
        let name = match written.len().checked_sub(6).and_then(|at| written.split_at_checked(at)) {
            Some((name, end)) if end.eq_ignore_ascii_case(" array") => name.trim(),
            _ => written,
        };
        let default = name.is_empty() || name.eq_ignore_ascii_case("default");
        if !self.modbus {
            let found = if default { None } else { plc_type(name) };
            let (word, _) = found.ok_or_else(|| format!("{} is no type here", described(written)))?;
            self.driver.map_or(Ok(()), |driver| reads(driver, &row.address, word))?;
            return Ok((word, vec![row.address.clone()]));
        }
        let address = address::parse(&row.address).ok_or("this is no Modbus address")?;
        let (word, bits) = match default {
            true if address.is_bits() || address.bit.is_some() => ("bool", 1),
            true if address.text_bytes.is_some() => ("string", 0),
            true => ("uint", 16),
            false => plc_type(name).ok_or_else(|| format!("{} is no type here", described(written)))?,
        };
        self.modbus_places(&address, word, bits, notes, row.line).map(|addresses| (word, addresses))
    }

    fn modbus_places(
        &mut self,
        address: &Address,
        word: &str,
        bits: u32,
        notes: &mut Vec<String>,
        line: u64,
    ) -> Result<Vec<String>, String> {
        let is_bool = word == "bool";
        if address.low_byte_first {
            return Err("the low byte comes first: give it a device with `bytes = low_first`".into());
        }
        if address.bit == Some(16) {
            return Err("bits are counted from 0 to 15 here: KEPServerEX counted from 1".into());
        }
        if (word == "string") != address.text_bytes.is_some() {
            return Err("a string has its length in the address, and only a string has one".into());
        }
        if is_bool != (address.is_bits() || address.bit.is_some()) {
            return Err(format!("{word} does not fit this address"));
        }
        let width = address.text_bytes.map_or(bits.div_ceil(16).max(1), |bytes| u32::from(bytes).div_ceil(2));
        self.words |= matches!(bits, 32 | 64);
        let Some(elements) = address.elements else {
            let address = address.written(0, width).ok_or("it is beyond the last register")?;
            return Ok(vec![address]);
        };
        notes.push(format!("of an array of {elements}"));
        self.report.lost(line, "an array becomes a tag for each of its elements");
        let step = if address.is_bits() { 1 } else { width };
        let all =
            (0..elements).map(|at| at.checked_mul(step).and_then(|behind| address.written(behind, width)));
        all.collect::<Option<Vec<String>>>().ok_or_else(|| "it is beyond the last register".into())
    }

    /// What stands behind `scale`.
    fn scale(
        &mut self,
        row: &Row,
        own: &str,
        number: bool,
        unit: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<Option<String>, String> {
        let kind = row.scaling.trim().to_ascii_lowercase();
        match kind.as_str() {
            "" | "none" => {
                if row.negate && !number {
                    return Err("it is negated, which only numbers can be here: write a calc".into());
                }
                return Ok(row.negate.then(|| "-1".to_owned()));
            }
            "linear" if number => {}
            "square root" => {
                return Err(format!(
                    "its scaling is a square root: read `{own}` raw and write a calc with `sqrt`"
                ));
            }
            _ => return Err(format!("its scaling {} is not known here", described(&row.scaling))),
        }
        let end = |text: &String| parsed_number(text, self.decimal_comma);
        let [Some(raw_low), Some(raw_high), Some(low), Some(high)] =
            [0, 1, 2, 3].map(|at| end(&row.ends[at]))
        else {
            return Err("an end of its scaling is no number".into());
        };
        if raw_low == raw_high || low == high {
            return Err("both ends of its scaling are the same".into());
        }
        if row.clamped {
            notes.push("clamped there".into());
            self.report.lost(row.line, "clamped there, not here: `range` marks what is outside as uncertain");
        }
        if !matches!(&*row.scaled_type.to_ascii_lowercase(), "" | "float" | "double" | "default") {
            self.report.lost(
                row.line,
                "scaled to an integer there, to a real here: `round` in a calc makes it whole",
            );
        }
        let (low, high) = if row.negate { (-low, -high) } else { (low, high) };
        let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
        let [raw_low, raw_high, low, high] = [raw_low, raw_high, low, high].map(text::number);
        Ok(Some(format!("{raw_low}..{raw_high} -> {low}..{high}{unit}")))
    }

    fn scan(&mut self, row: &Row) -> Option<u64> {
        let text = row.scan_rate.trim();
        let ms = parsed_number(text, self.decimal_comma).filter(|ms| (1.0..=86_400_000.0).contains(ms));
        if ms.is_none() && !text.is_empty() && text != "0" {
            self.report.lost(row.line, format!("the scan rate {} is not from 1 ms to 1 d", described(text)));
        }
        ms.map(|ms| ms as u64)
    }
}

/// A text of the file in a message.
fn described(text: &str) -> String {
    if text.trim().is_empty() { "without a name".to_owned() } else { format!("`{}`", text::line(text)) }
}

#[cfg(test)]
mod tests;
