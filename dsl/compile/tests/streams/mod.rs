//! Generated streams: samples of three tags, polled or reported by the device, in the order of arrival.
#![allow(dead_code)]

use std::sync::Arc;

use gwp_core::record::SlotMark;
use gwp_core::{Batch, Column, Fact, GroupId, Position, Qualities, Quality, Record, TagId, Timestamp, Value};
use gwp_plan::Plan;
use proptest::prelude::*;

pub const NS: i64 = 1_000_000_000;

/// Streams lie in the days from here: year, month, day.
pub const BEGIN_DAYS: (i16, i8, i8) = (2025, 3, 20);

/// Times at which streams begin, seconds since 1970: an ordinary day, and the evenings before the clocks change.
pub const BEGINS: [i64; 3] = [1_742_860_800, 1_743_278_400 - 7_200, 1_743_300_000 - 3_600];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tag {
    X,
    N,
    B,
}

pub const TAGS: [Tag; 3] = [Tag::X, Tag::N, Tag::B];

impl Tag {
    pub fn path(self, source: &str) -> String {
        format!("{source}.{}", ["x", "n", "b"][self as usize])
    }
}

/// A sample; without a value it is bad.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    pub time: i64,
    pub tag: Tag,
    pub value: Option<Value>,
}

/// What the device does at one time: for each tag nothing, bad, or a raw number.
pub type Step = (i64, [Option<Option<i64>>; 3]);

fn one() -> impl Strategy<Value = Option<Option<i64>>> {
    prop_oneof![4 => (0i64..12).prop_map(|raw| Some(Some(raw))), 1 => Just(Some(None)), 3 => Just(None)]
}

/// Gaps in units and what comes after them; a gap of nothing makes duplicates.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![1 => Just(0i64), 6 => 1i64..4, 2 => 4i64..30];
    proptest::collection::vec((gap, [one(), one(), one()]), 1..50)
}

/// The samples of steps, a unit in seconds. At the beginning each tag has one.
pub fn samples(steps: &[Step], begin: i64, unit: i64) -> Vec<Sample> {
    let (mut time, mut counter, mut list) = (begin, 0i64, Vec::new());
    let first = (0, [Some(Some(1)), Some(Some(0)), Some(Some(0))]);
    for (gap, what) in [first].iter().chain(steps) {
        time += gap * unit * NS;
        for (tag, what) in TAGS.into_iter().zip(what) {
            let Some(raw) = what else { continue };
            let value = raw.map(|raw| match tag {
                Tag::X => Value::Float((raw - 4) as f64 / 4.0),
                Tag::B => Value::Bool(raw % 2 == 1),
                Tag::N => {
                    // Mostly small steps, some large ones, some resets.
                    counter = if raw == 11 { 3 } else { (counter + raw * raw * 7) % 1_000 };
                    Value::Int(counter)
                }
            });
            list.push(Sample { time, tag, value });
        }
    }
    list
}

/// The tags of a source in a plan.
pub fn ids(plan: &Plan, source: &str) -> [TagId; 3] {
    let by_path = plan.tag_ids();
    TAGS.map(|tag| by_path[&Arc::from(tag.path(source).as_str())])
}

pub fn group_of(plan: &Plan, tag: TagId) -> GroupId {
    let index = plan.groups.iter().position(|group| group.tags.contains(&tag)).expect("in a group");
    GroupId(index as u32)
}

pub fn record(fact: Fact) -> Record {
    Record { position: Position::new(1, 1), fact }
}

pub fn activated(begin: i64) -> Record {
    let anchor = Timestamp(begin);
    record(Fact::Activated { previous: Position::default(), running_hash: 0, anchor })
}

pub fn tick(now: i64) -> Record {
    record(Fact::Tick { now: Timestamp(now) })
}

/// Samples of one time as one record of a group.
pub fn batch(group: GroupId, time: i64, samples: &[(TagId, Option<Value>)]) -> Record {
    let (mut column, mut qualities) = (Column::new(), Qualities::Same(Quality::GOOD));
    for (index, (_, value)) in samples.iter().enumerate() {
        column.push(value.clone().unwrap_or(Value::Nothing));
        let quality = if value.is_some() { Quality::GOOD } else { Quality::BAD };
        qualities.set(index, quality, samples.len());
    }
    let tags = samples.iter().map(|(tag, _)| *tag).collect();
    let mut batch = Batch::uniform(group, tags, Timestamp(time), column);
    batch.qualities = qualities;
    let number = (time / NS) as u64;
    record(Fact::Samples { slot: SlotMark { number, skipped: 0 }, batch: Arc::new(batch) })
}

/// Each sample comes so much later; those of one tag and time stay in order. Ticks tell the time in between.
pub fn arriving(
    plan: &Plan,
    source: &str,
    samples: &[Sample],
    delays: &[i64],
    begin: i64,
) -> Vec<(i64, Record)> {
    let ids = ids(plan, source);
    let mut under_way: Vec<(i64, &Sample)> = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let same = under_way.iter().find(|(_, other)| (other.time, other.tag) == (sample.time, sample.tag));
        let delay = delays.get(index % delays.len().max(1)).copied().unwrap_or(0);
        let delay = if sample.time == begin { 0 } else { delay };
        under_way.push((same.map_or(sample.time + delay, |(at, _)| *at), sample));
    }
    under_way.sort_by_key(|(at, _)| *at);
    let mut records = Vec::new();
    for (at, sample) in under_way {
        records.push((at, tick(at)));
        let id = ids[sample.tag as usize];
        records.push((at, batch(group_of(plan, id), sample.time, &[(id, sample.value.clone())])));
    }
    records
}

/// Samples as slots of a poll group: what has no sample in a slot is as before. A step without any is a failed slot.
pub fn slots(plan: &Plan, source: &str, steps: &[Step], begin: i64, unit: i64) -> (Vec<Record>, Vec<Sample>) {
    let ids = ids(plan, source);
    let group = group_of(plan, ids[0]);
    let mut now: [Option<Value>; 3] =
        [Some(Value::Float(0.0)), Some(Value::Int(0)), Some(Value::Bool(false))];
    let (mut records, mut list) = (Vec::new(), Vec::new());
    let made = samples(steps, begin, unit);
    let last = made.last().map_or(begin, |sample| sample.time);
    for time in (begin..=last).step_by((unit * NS) as usize) {
        let new: Vec<&Sample> = made.iter().filter(|sample| sample.time == time).collect();
        let failed = steps.get((time / NS / unit) as usize % steps.len()).is_some_and(|step| step.0 > 20);
        if failed && time > begin {
            let why = Quality::TIMEOUT;
            records.push(record(Fact::Failed {
                group,
                slot: SlotMark::default(),
                time: Timestamp(time),
                why,
            }));
            continue;
        }
        new.iter().for_each(|sample| now[sample.tag as usize] = sample.value.clone());
        let of_slot: Vec<(TagId, Option<Value>)> = plan.groups[group.index()]
            .tags
            .iter()
            .map(|id| {
                let which = ids.iter().position(|other| other == id).expect("one of the three");
                (*id, now[which].clone())
            })
            .collect();
        records.push(batch(group, time, &of_slot));
        list.extend(TAGS.map(|tag| Sample { time, tag, value: now[tag as usize].clone() }));
    }
    (records, list)
}

/// Records in the order of arrival.
pub fn sorted_by_arrival(mut records: Vec<(i64, Record)>) -> Vec<Record> {
    records.sort_by_key(|(at, _)| *at);
    records.into_iter().map(|(_, record)| record).collect()
}
