//! What the expectations of a scenario look at: samples and rows that came out, and how they are told.

use super::{Expected, ExpectedRow, Subject};
use crate::plan::{Origin, Plan, Tag};
use gwp_core::quality::Severity;
use gwp_core::{Batch, Quality, TagId, Timestamp, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Samples kept of each watched tag.
const HISTORY_MAX: usize = 1_000_000;

/// All that came out so far.
pub(super) struct Watch<'p> {
    plan: &'p Plan,
    /// Tags whose samples may come in another order than that of their times.
    unordered: BTreeSet<TagId>,
    /// Samples by tag, by time: event time, value, quality.
    samples: BTreeMap<TagId, Vec<(Timestamp, Value, Quality)>>,
    /// Rows by name.
    rows: BTreeMap<Arc<str>, Vec<IssuedRow<'p>>>,
}

/// A row, and the gateway time at which it was issued.
struct IssuedRow<'p> {
    at: Timestamp,
    columns: Vec<Cell<'p>>,
}

/// One column of a row.
struct Cell<'p> {
    name: Arc<str>,
    tag: Option<&'p Tag>,
    value: Value,
    quality: Quality,
}

impl<'p> IssuedRow<'p> {
    fn cell(&self, name: &str) -> Option<&Cell<'p>> {
        self.columns.iter().find(|cell| &*cell.name == name)
    }
}

impl Cell<'_> {
    fn text(&self) -> String {
        sample_text(&self.value, self.quality, self.tag)
    }
}

/// What was expected, what was found, and what was there before.
pub(super) type Unmet = Option<(String, String, Vec<(Timestamp, String)>)>;

impl<'p> Watch<'p> {
    /// Nothing yet of a plan.
    pub fn new(plan: &'p Plan, unordered: BTreeSet<TagId>) -> Watch<'p> {
        Watch { plan, unordered, samples: BTreeMap::new(), rows: BTreeMap::new() }
    }

    /// Takes what comes out.
    pub fn take(&mut self, batch: &Batch, now: Timestamp) {
        let plan = self.plan;
        let first = batch.tags.first().and_then(|tag| plan.tag(*tag));
        if let Some(first) = first.filter(|tag| tag.origin == Origin::Column) {
            let column = |index: usize| {
                let tag = plan.tag(batch.tags[index]);
                let name = tag.map_or("", |tag| &*tag.info.tag);
                let short: Arc<str> = name.rsplit('.').next().unwrap_or("").into();
                Cell { name: short, tag, value: batch.values.get(index), quality: batch.qualities.get(index) }
            };
            let mut columns: Vec<_> = (0..batch.len()).map(column).collect();
            if columns.iter().all(|cell| &*cell.name != "device") {
                let device = Value::Text(first.info.device.clone());
                columns.push(Cell {
                    name: "device".into(),
                    tag: None,
                    value: device,
                    quality: Quality::GOOD,
                });
            }
            let rows = self.rows.entry(first.info.row.clone()).or_default();
            if rows.len() < HISTORY_MAX {
                rows.push(IssuedRow { at: now, columns });
            }
            return;
        }
        for (index, tag) in batch.tags.iter().enumerate() {
            let history = self.samples.entry(*tag).or_default();
            let (time, value, quality) =
                (batch.times.get(index), batch.values.get(index), batch.qualities.get(index));
            // Samples that may come late are kept one by one: another one may come between them.
            let place = history.partition_point(|(before, ..)| *before <= time);
            let same = place == history.len()
                && !self.unordered.contains(tag)
                && history.last().is_some_and(|(_, old, of_old)| (old, *of_old) == (&value, quality));
            if !same && history.len() < HISTORY_MAX {
                history.insert(place, (time, value, quality));
            }
        }
    }

    /// Whether a tag is as expected.
    pub fn expect(&self, tag: TagId, expected: &Expected, at: Timestamp) -> Unmet {
        let none = Vec::new();
        let history = self.samples.get(&tag).unwrap_or(&none);
        let until = |sample: &&(Timestamp, Value, Quality)| sample.0 <= at;
        let found = history.iter().rev().find(until);
        if found.is_some_and(|(_, value, quality)| expected.fits(value, *quality)) {
            return None;
        }
        let info = self.plan.tag(tag);
        // That it is good goes without saying, but where it is the question.
        let of_quality = matches!(expected, Expected::Quality(_));
        let told = |value: &Value, quality: Quality| match sample_text(value, quality, info) {
            text if of_quality && quality.is_good() => format!("{text} good"),
            text => text,
        };
        let show = |(time, value, quality): &(Timestamp, Value, Quality)| (*time, told(value, *quality));
        let text = found.map_or("no sample so far".into(), |(_, value, quality)| told(value, *quality));
        let mut before: Vec<_> = history.iter().rev().filter(until).take(5).map(show).collect();
        before.reverse();
        Some((expected_text(expected, info), text, before))
    }

    /// Whether a row is as expected.
    pub fn expect_row(&self, row: &ExpectedRow, at: Timestamp) -> Unmet {
        let none = Vec::new();
        let rows = self.rows.get(&row.name).unwrap_or(&none);
        let fits = |issued: &IssuedRow<'_>, (name, expected): &(Arc<str>, Expected)| {
            issued.cell(name).is_some_and(|cell| expected.fits(&cell.value, cell.quality))
        };
        let meant =
            |issued: &&IssuedRow<'_>| issued.at <= at && row.select.iter().all(|one| fits(issued, one));
        let found = rows.iter().rev().find(meant);
        if found.is_some_and(|issued| row.columns.iter().all(|one| fits(issued, one))) {
            return None;
        }
        let of_name = |name: &str| rows.iter().find_map(|issued| issued.cell(name)?.tag);
        let wanted = row.select.iter().chain(&row.columns).map(|(name, expected)| match expected {
            Expected::Quality(_) => format!("{name}.{}", expected_text(expected, None)),
            _ => format!("{name} = {}", expected_text(expected, of_name(name))),
        });
        let wanted: Vec<String> = wanted.collect();
        let show = |issued: &IssuedRow<'_>| {
            let names = row.select.iter().chain(&row.columns);
            let one = |(name, expected): &(Arc<str>, Expected)| match (issued.cell(name), expected) {
                (Some(cell), Expected::Quality(_)) if cell.quality.is_good() => {
                    format!("{name} = {} good", cell.text())
                }
                (Some(cell), _) => format!("{name} = {}", cell.text()),
                (None, _) => format!("{name} is missing"),
            };
            names.map(one).collect::<Vec<_>>().join(", ")
        };
        let mut before: Vec<_> =
            rows.iter().rev().filter(|issued| issued.at <= at).take(3).map(|r| (r.at, show(r))).collect();
        before.reverse();
        Some((wanted.join(", "), found.map_or("no such row so far".into(), show), before))
    }

    /// Whether there is nothing.
    pub fn expect_no(&self, what: &Subject, at: Timestamp) -> Unmet {
        let found = match what {
            // That a device is asked and has no value yet is no sample of it.
            Subject::Tag(tag) => self
                .samples
                .get(tag)
                .into_iter()
                .flatten()
                .find(|sample| sample.0 <= at && sample.2 != Quality::WAITING)
                .map(|(time, value, quality)| (*time, sample_text(value, *quality, self.plan.tag(*tag)))),
            Subject::Rows(name, device) => {
                let of = |row: &&IssuedRow<'_>| {
                    let name = row.cell("device").map(|cell| &cell.value);
                    device.is_none() || name == device.clone().map(Value::Text).as_ref()
                };
                let mut rows = self.rows.get(name).into_iter().flatten().filter(of);
                rows.find(|row| row.at <= at).map(|row| {
                    let columns = row.columns.iter().map(|cell| format!("{} = {}", cell.name, cell.text()));
                    (row.at, columns.collect::<Vec<_>>().join(", "))
                })
            }
        };
        found.map(|(time, text)| ("nothing".into(), text.clone(), vec![(time, text)]))
    }
}

/// A value as people read it: with its unit, an enum by its label.
fn value_text(value: &Value, tag: Option<&Tag>) -> String {
    let Some(info) = tag.map(|tag| &tag.info) else { return value.to_string() };
    let label = match value {
        Value::Int(raw) => info.labels.iter().find(|(other, _)| other == raw),
        _ => None,
    };
    match (label, value) {
        (Some((_, label)), _) => format!("\"{label}\""),
        (None, Value::Int(_) | Value::Float(_)) if !info.unit.is_empty() => format!("{value} {}", info.unit),
        _ => value.to_string(),
    }
}

fn expected_text(expected: &Expected, tag: Option<&Tag>) -> String {
    match expected {
        Expected::Value(value) => value_text(value, tag),
        other => other.to_string(),
    }
}

fn sample_text(value: &Value, quality: Quality, tag: Option<&Tag>) -> String {
    match quality.severity() {
        Severity::Good => value_text(value, tag),
        Severity::Uncertain => format!("{} {quality}", value_text(value, tag)),
        Severity::Bad => quality.to_string(),
    }
}
