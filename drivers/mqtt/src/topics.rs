//! Which tags a topic feeds, and what a message gives to them. Pure: the time of arrival is an argument.

use crate::address;
use crate::payload::{self, Decoded};
use crate::settings::{Options, Retained};
use gwp_core::manifest::{Place, SettingError};
use gwp_core::source::{PlcType, SourceDeclaration};
use gwp_core::{Batch, Column, GroupId, Qualities, Quality, TagId, Times, Timestamp};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// All topics of one source.
#[derive(Debug, Default)]
pub struct Topics {
    by_name: BTreeMap<String, Vec<Point>>,
}

/// A tag that a topic feeds.
#[derive(Clone, Debug)]
struct Point {
    group: GroupId,
    tag: TagId,
    plc_type: PlcType,
    pointer: Option<String>,
    command: bool,
}

/// A message, as far as samples are concerned.
#[derive(Clone, Debug)]
pub struct Message<'m> {
    pub topic: &'m str,
    pub payload: &'m [u8],
    /// The broker kept it from an earlier time.
    pub retained: bool,
    /// It may have been delivered before.
    pub repeated: bool,
    /// The user property `time`.
    pub time: Option<&'m str>,
}

/// A topic to subscribe to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    pub topic: String,
    /// It carries commands only: at most once.
    pub commands: bool,
}

impl Topics {
    /// Reads all addresses; everything wrong with them goes to the list.
    pub fn new(declaration: &SourceDeclaration, errors: &mut Vec<SettingError>) -> Topics {
        let mut topics = Topics::default();
        for (index, group) in declaration.groups.iter().enumerate() {
            for (at, (declared, tag)) in group.points.iter().zip(group.tags.iter()).enumerate() {
                let place = Place::Address { group: index, point: at };
                let wrong = |message: String, help: String| SettingError {
                    place: place.clone(),
                    code: Some("E401"),
                    message,
                    help,
                };
                if declared.writable {
                    errors.push(wrong(
                        "a tag of an MQTT source cannot be written".into(),
                        "remove `writable`; a sink `mqtt` publishes".into(),
                    ));
                }
                match address::parse(&declared.address) {
                    Err(error) => errors.push(wrong(error.message, error.help)),
                    Ok(address) => topics.by_name.entry(address.topic).or_default().push(Point {
                        group: group.id,
                        tag: *tag,
                        plc_type: declared.plc_type,
                        pointer: address.pointer,
                        command: declared.command,
                    }),
                }
            }
        }
        topics
    }

    /// What to subscribe to, in order of the topics.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let of = |(topic, points): (&String, &Vec<Point>)| Subscription {
            topic: topic.clone(),
            commands: points.iter().all(|point| point.command),
        };
        self.by_name.iter().map(of).collect()
    }

    /// Samples of a message, one batch per poll group and kind of time; commands each in their own.
    pub fn samples(&self, options: &Options, message: &Message<'_>, arrival: Timestamp) -> Vec<Batch> {
        let Some(points) = self.by_name.get(message.topic) else { return Vec::new() };
        let has_pointer = options.time_at.is_some() || points.iter().any(|point| point.pointer.is_some());
        let json: Option<Json> = has_pointer.then(|| serde_json::from_slice(message.payload).ok()).flatten();
        let dated = Dated::new(options, message, json.as_ref());
        let mut batches: BTreeMap<GroupId, Gathered> = BTreeMap::new();
        let mut commands = Vec::new();
        for point in points {
            let decoded = point.decode(options, message, json.as_ref());
            if point.command {
                let decoded = decoded.unwrap_or((gwp_core::Value::Nothing, Quality::DECODING));
                let (time, quality) = dated.of_command(message, arrival, decoded.1);
                let mut gathered = Gathered::default();
                gathered.push(point.tag, (decoded.0, quality));
                commands.push(gathered.batch(point.group, time));
                continue;
            }
            if message.retained && options.retained == Retained::Skip {
                continue;
            }
            let Some((value, quality)) = decoded else { continue };
            let quality = dated.of_sample(options, message, quality);
            batches.entry(point.group).or_default().push(point.tag, (value, quality));
        }
        let time = dated.time.filter(|_| options.device_time).unwrap_or(arrival);
        let samples = batches.into_iter().map(|(group, gathered)| gathered.batch(group, time));
        samples.chain(commands).collect()
    }
}

impl Point {
    /// `None` if the message says nothing of this tag.
    fn decode(&self, options: &Options, message: &Message<'_>, json: Option<&Json>) -> Option<Decoded> {
        let Some(pointer) = &self.pointer else {
            return Some(payload::raw(self.plc_type, message.payload, options.time_unit));
        };
        let Some(json) = json else { return Some((gwp_core::Value::Nothing, Quality::DECODING)) };
        json.pointer(pointer).map(|part| payload::json(self.plc_type, part, options.time_unit))
    }
}

/// What a message says of its time.
struct Dated {
    time: Option<Timestamp>,
    /// It names a time that cannot be read.
    wrong: bool,
}

impl Dated {
    fn new(options: &Options, message: &Message<'_>, json: Option<&Json>) -> Dated {
        let in_payload = options.time_at.as_deref().and_then(|pointer| json?.pointer(pointer));
        let time = match (in_payload, message.time) {
            (Some(found), _) => Some(payload::time_of_json(found, options.time_unit)),
            (None, Some(text)) => Some(payload::time_of_text(text.trim(), options.time_unit)),
            (None, None) => None,
        };
        Dated { time: time.flatten(), wrong: time.is_some_and(|time| time.is_none()) }
    }

    /// A command counts once and while it is fresh: its own time, if it has one.
    fn of_command(
        &self,
        message: &Message<'_>,
        arrival: Timestamp,
        quality: Quality,
    ) -> (Timestamp, Quality) {
        let quality = match () {
            () if message.retained || message.repeated => Quality::INITIAL,
            () if self.wrong => Quality::DECODING,
            () => quality,
        };
        (self.time.unwrap_or(arrival), quality)
    }

    fn of_sample(&self, options: &Options, message: &Message<'_>, quality: Quality) -> Quality {
        let undated = options.device_time && self.time.is_none();
        let quality = if undated { quality.worst(Quality::UNCERTAIN) } else { quality };
        let old = message.retained && options.retained == Retained::Mark;
        if old { quality.worst(Quality::INITIAL) } else { quality }
    }
}

/// Samples of one batch.
#[derive(Default)]
struct Gathered {
    tags: Vec<TagId>,
    values: Column,
    qualities: Vec<Quality>,
}

impl Gathered {
    fn push(&mut self, tag: TagId, (value, quality): Decoded) {
        self.tags.push(tag);
        self.values.push(value);
        self.qualities.push(quality);
    }

    fn batch(self, group: GroupId, time: Timestamp) -> Batch {
        let len = self.tags.len();
        let mut batch = Batch::uniform(group, self.tags.into(), time, self.values);
        // One by one, so that the log tells samples of one time apart.
        batch.times = Times::Each(vec![time; len]);
        batch.qualities = match self.qualities.as_slice() {
            [first, rest @ ..] if rest.iter().all(|quality| quality == first) => Qualities::Same(*first),
            _ => Qualities::Each(self.qualities),
        };
        batch
    }
}
