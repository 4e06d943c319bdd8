//! Payloads: samples of one part as JSON messages, without I/O.
//!
//! This is the hot path of the sink. A flow's tags never change, so the text
//! `"name":` of each tag, escaped, and its topic are made once per flow and
//! tag ([`Flow`]); encoding a sample is then a copy of that text and the
//! printing of one number. Nothing is formatted or allocated per value.
//!
//! ```text
//! {"time":1767225600000,"position":"3:1042/0/0","values":{"press.oil_temp":61.5,"press.state":1}}
//! ```

use crate::json::{Json, push_text};
use crate::limits::PUBLISH_OVERHEAD;
use crate::topic::{Name, Template};
use gwp_core::sink::{FlowNames, Part};
use gwp_core::{Batch, TagId, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Flows whose names are kept at most; the one not used for longest goes first.
const FLOWS_MAX: usize = 8;

/// How samples become messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub topic: Template,
    pub grouping: Grouping,
    pub time: TimeForm,
    pub keys: KeyForm,
    /// Print an enum's label in place of its number, where it has one.
    pub labels: bool,
}

/// Which samples share a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Samples of one part with the same topic, time and repeat number.
    Slot,
    /// None.
    Tag,
}

/// How times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// Milliseconds since 1970 as a number, rounded down.
    Milliseconds,
    /// RFC 3339 in UTC as a text, with nanoseconds where the time has them.
    Iso,
}

/// How `values` calls a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// As the flow names it: its path, or what `rename` gave it.
    Path,
    /// Without the device, unless renamed.
    Tag,
}

/// One message to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub topic: Arc<str>,
    pub payload: Vec<u8>,
}

/// Makes messages of parts. Keeps the names of the flows it has seen.
#[derive(Debug)]
pub struct Encoder {
    shape: Shape,
    /// Bytes of a payload at most; a message of several samples is divided before it grows beyond.
    payload_max: usize,
    /// Bytes of a whole publish at most, told or shown by the broker.
    packet_max: usize,
    /// Most recently used last.
    flows: Vec<Flow>,
    json: Json,
    /// Samples by topic, where a part has several.
    by_topic: Vec<(u32, Vec<u32>)>,
}

/// Names of one flow, made as its tags are met.
#[derive(Debug)]
struct Flow {
    /// Held so that its address stays its own.
    names: Arc<FlowNames>,
    /// By tag; the one beyond the last stands for all tags the plan does not know.
    entries: Vec<Entry>,
    /// Text of all keys: `"name":` each.
    text: Vec<u8>,
    topics: Vec<Arc<str>>,
    topic_numbers: HashMap<Arc<str>, u32>,
}

/// Whether `rename` has given a tag its name; that its path stands behind the place of its device is no new name.
fn is_renamed(name: &str, path: &str) -> bool {
    name.strip_suffix(path).is_none_or(|place| !place.is_empty() && !place.ends_with('/'))
}

/// One tag of a flow: where its key stands in the text, and its topic. Length 0: not made yet.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key_start: u32,
    key_len: u32,
    topic: u32,
}

impl Flow {
    fn new(names: Arc<FlowNames>) -> Self {
        Flow {
            names,
            entries: Vec::new(),
            text: Vec::new(),
            topics: Vec::new(),
            topic_numbers: HashMap::new(),
        }
    }

    #[inline]
    fn entry(&mut self, tag: TagId, shape: &Shape) -> Entry {
        match self.entries.get(tag.index()) {
            Some(entry) if entry.key_len > 0 => *entry,
            _ => self.make(tag, shape),
        }
    }

    fn make(&mut self, tag: TagId, shape: &Shape) -> Entry {
        let index = tag.index().min(self.names.tags.tags.len());
        if index >= self.entries.len() {
            self.entries.resize(index + 1, Entry::default());
        }
        if self.entries[index].key_len > 0 {
            return self.entries[index];
        }
        let names = self.names.clone();
        let name = match (shape.keys, names.info(tag)) {
            (KeyForm::Tag, Some(info)) if !is_renamed(names.name(tag), &info.path) => &*info.tag,
            _ => names.name(tag),
        };
        let topic = shape.topic.render(&names, tag);
        let topic = match self.topic_numbers.get(topic.as_str()) {
            Some(number) => *number,
            None => {
                let topic: Arc<str> = topic.into();
                let number = self.topics.len() as u32;
                self.topics.push(topic.clone());
                self.topic_numbers.insert(topic, number);
                number
            }
        };
        let key_start = self.text.len();
        push_text(&mut self.text, name);
        self.text.push(b':');
        let key_len = (self.text.len() - key_start) as u32;
        self.entries[index] = Entry { key_start: key_start as u32, key_len, topic };
        self.entries[index]
    }

    #[inline]
    fn key(&self, entry: Entry) -> &[u8] {
        let start = entry.key_start as usize;
        self.text.get(start..start + entry.key_len as usize).unwrap_or_default()
    }
}

impl Encoder {
    pub fn new(shape: Shape, payload_max: usize) -> Self {
        Encoder {
            shape,
            payload_max,
            packet_max: usize::MAX,
            flows: Vec::new(),
            json: Json::new(),
            by_topic: Vec::new(),
        }
    }

    /// Bounds whole publishes to what the broker takes.
    pub fn set_packet_max(&mut self, bytes: usize) {
        self.packet_max = bytes;
    }

    /// Bytes a payload on this topic may have.
    pub fn payload_max(&self, topic: &str) -> usize {
        self.payload_max.min(self.packet_max.saturating_sub(PUBLISH_OVERHEAD + topic.len()))
    }

    /// Appends the messages of a part, in order. A sample that alone exceeds the bound
    /// still makes a message; the caller must look.
    pub fn encode(&mut self, part: &Part, out: &mut VecDeque<Message>) {
        let mut flow = self.take_flow(&part.flow);
        self.json.begin_part(part.cursor, part.batch.backfill, self.shape.time);
        match self.shape.grouping {
            Grouping::Tag => self.encode_each(&mut flow, &part.batch, out),
            Grouping::Slot => self.encode_slot(&mut flow, &part.batch, out),
        }
        self.flows.push(flow);
    }

    /// Takes the names of a flow out of the cache, or begins them.
    fn take_flow(&mut self, names: &Arc<FlowNames>) -> Flow {
        if let Some(index) = self.flows.iter().position(|flow| Arc::ptr_eq(&flow.names, names)) {
            return self.flows.remove(index);
        }
        if self.flows.len() >= FLOWS_MAX {
            self.flows.remove(0);
        }
        Flow::new(names.clone())
    }

    fn encode_each(&mut self, flow: &mut Flow, batch: &Batch, out: &mut VecDeque<Message>) {
        for (index, tag) in batch.tags.iter().enumerate() {
            let entry = flow.entry(*tag, &self.shape);
            let time = batch.times.get(index);
            self.json.begin(time, batch.repeat(index), b"\"value\":", &self.shape);
            let quality = self.json.value(batch, index, &flow.names, &self.shape);
            let payload = self.json.finish_single(quality);
            out.push_back(Message { topic: flow.topics[entry.topic as usize].clone(), payload });
        }
    }

    fn encode_slot(&mut self, flow: &mut Flow, batch: &Batch, out: &mut VecDeque<Message>) {
        let Some(first) = batch.tags.first() else { return };
        if self.shape.topic.distinguishes_tags() {
            for (index, tag) in batch.tags.iter().enumerate() {
                let topic = flow.entry(*tag, &self.shape).topic;
                self.encode_topic(flow, topic, batch, std::iter::once(index), out);
            }
            return;
        }
        let first = flow.entry(*first, &self.shape).topic;
        if batch.tags.iter().all(|tag| flow.entry(*tag, &self.shape).topic == first) {
            return self.encode_topic(flow, first, batch, 0..batch.len(), out);
        }
        let mut by_topic = std::mem::take(&mut self.by_topic);
        let mut groups = 0;
        for (index, tag) in batch.tags.iter().enumerate() {
            let topic = flow.entry(*tag, &self.shape).topic;
            // Samples of one device mostly stand together: look at the newest group first.
            let group = match by_topic[..groups].iter().rposition(|(number, _)| *number == topic) {
                Some(group) => group,
                None => {
                    if groups == by_topic.len() {
                        by_topic.push((topic, Vec::new()));
                    }
                    by_topic[groups].0 = topic;
                    by_topic[groups].1.clear();
                    groups += 1;
                    groups - 1
                }
            };
            by_topic[group].1.push(index as u32);
        }
        for (topic, indexes) in &by_topic[..groups] {
            self.encode_topic(flow, *topic, batch, indexes.iter().map(|index| *index as usize), out);
        }
        self.by_topic = by_topic;
    }

    /// Messages of samples with one topic: a new one whenever time or repeat number change
    /// (a key must not stand twice in `values`), or the bound is reached.
    fn encode_topic(
        &mut self,
        flow: &mut Flow,
        topic: u32,
        batch: &Batch,
        indexes: impl Iterator<Item = usize>,
        out: &mut VecDeque<Message>,
    ) {
        let topic = flow.topics[topic as usize].clone();
        let payload_max = self.payload_max(&topic);
        let mut open: Option<(Timestamp, u32)> = None;
        for index in indexes {
            let at = (batch.times.get(index), batch.repeat(index));
            if open != Some(at) {
                if open.is_some() {
                    out.push_back(Message { topic: topic.clone(), payload: self.json.finish() });
                }
                self.json.begin(at.0, at.1, b"\"values\":{", &self.shape);
                open = Some(at);
            }
            let entry = flow.entry(batch.tags[index], &self.shape);
            let before = self.json.mark();
            self.json.sample(flow.key(entry), batch, index, &flow.names, &self.shape);
            if self.json.len() > payload_max && self.json.samples > 1 {
                self.json.take_back(before);
                out.push_back(Message { topic: topic.clone(), payload: self.json.finish() });
                self.json.begin(at.0, at.1, b"\"values\":{", &self.shape);
                self.json.sample(flow.key(entry), batch, index, &flow.names, &self.shape);
            }
        }
        if open.is_some() {
            out.push_back(Message { topic, payload: self.json.finish() });
        }
    }
}

/// The part of [`Shape`] a declaration can get wrong.
impl Shape {
    /// True when two samples of different tags could stand under one key of one message.
    pub fn keys_can_collide(&self) -> bool {
        self.grouping == Grouping::Slot
            && self.keys == KeyForm::Tag
            && !self.topic.distinguishes_devices()
            && !self.topic.has(Name::Path)
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
