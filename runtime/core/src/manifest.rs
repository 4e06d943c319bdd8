//! Manifests: what a driver or sink is and which settings it takes.
//!
//! The compiler, editors, the reference pages and the component itself read
//! the same table, so none of them can drift from the others.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Description of one driver or sink.
#[derive(Debug)]
pub struct Manifest {
    /// Name in a program: `source press : modbus_tcp { }`.
    pub name: &'static str,
    /// One paragraph for the reference page and hover texts.
    pub doc: &'static str,
    /// Settings of the `source` or `sink` item itself.
    pub settings: &'static [Setting],
    /// What only one source or sink of a gateway can have.
    pub exclusive: Option<Exclusive>,
    pub role: Role,
}

/// A thing that two sources or sinks cannot share: a file that is written, a serial port, a client id.
#[derive(Debug)]
pub struct Exclusive {
    /// Its name in messages: `file`. Things of different names are different things.
    pub what: &'static str,
    /// Settings that name it together. It is not there when an optional one is left out.
    pub settings: &'static [&'static str],
}

/// What the component does.
#[derive(Debug)]
pub enum Role {
    Source(SourceTraits),
    Sink(SinkTraits),
}

/// What the engine must know of a driver.
#[derive(Debug)]
pub struct SourceTraits {
    /// Settings of a `device ... on source { }`.
    pub device_settings: &'static [Setting],
    /// Address forms for the reference page: form and meaning.
    pub addresses: &'static [(&'static str, &'static str)],
    /// It is asked in scan slots (else it reports on its own).
    pub polled: Slots,
    /// Its samples carry the device's time stamps unless a program says `time = gateway`.
    pub device_time: bool,
    /// It keeps samples while the gateway is away, so it may be paused, and `on_disconnect = hold(..)` can wait
    /// for them.
    pub buffers: bool,
    /// Tags with `writable` can be written.
    pub writes: bool,
    /// Its messages can be the commands of a `write`.
    pub commands: bool,
    /// Standby modes it can do, fastest first.
    pub standby: &'static [Standby],
}

/// When a source is asked in scan slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slots {
    Always,
    Never,
    /// When this setting has this word.
    When(&'static str, &'static str),
}

/// What a source does on a node in standby.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Standby {
    Hot,
    Transfer,
    Warm,
    Cold,
}

/// What the engine must know of a sink.
#[derive(Debug)]
pub struct SinkTraits {
    /// Samples one delivery holds at most; journal entries are merged up to it.
    pub batch_samples: usize,
    /// Encoded bytes one delivery holds at most, roughly.
    pub batch_bytes: usize,
    /// Deliveries handed over and not yet acknowledged at most. `in_flight` x batch
    /// bounds what can arrive twice after a failure.
    pub in_flight: usize,
    /// The same delivery twice leaves the destination as once.
    pub idempotent: bool,
    /// The destination refuses an older epoch.
    pub fencing: bool,
    /// The cursor is written in the same transaction as the data: exactly once.
    pub transactional: bool,
    pub place: PlaceOfData,
}

/// Where delivered data ends up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlaceOfData {
    /// On this node only: the peer has its own.
    Node,
    /// At a destination both nodes of a pair reach.
    Shared,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: SettingKind,
    pub need: Need,
    /// One line for the reference page and hover texts.
    pub doc: &'static str,
}

/// Whether a setting must be written.
#[derive(Debug)]
pub enum Need {
    Required,
    Optional,
    /// Taken when absent, written as in a program (`"5 s"`, `"qos1"`, `"true"`).
    Default(&'static str),
}

/// Type and bounds of a setting.
#[derive(Debug)]
pub enum SettingKind {
    Bool,
    /// Whole number, both ends included.
    Int {
        min: i64,
        max: i64,
    },
    Float {
        min: f64,
        max: f64,
    },
    /// A span of time, held in nanoseconds; bounds in milliseconds.
    Duration {
        min_ms: i64,
        max_ms: i64,
    },
    /// An amount of data, held in bytes.
    Bytes {
        min: u64,
        max: u64,
    },
    /// Free text.
    Text,
    /// Text that must not stand in a program: only `secret("name")` is accepted.
    Secret,
    /// One word of these, written without quotes.
    Choice(&'static [&'static str]),
    /// `[a, b]` of texts.
    TextList,
    /// A nested block.
    Block(&'static [Setting]),
}

/// A span of time as a program writes it: `250 ms`, `1.5 min`, `7 d`.
pub fn written_duration(ns: i64) -> String {
    written(
        ns as f64,
        &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("min", 6e10), ("h", 3.6e12), ("d", 8.64e13)],
        "s",
    )
}

/// An amount of data as a program writes it: `256 B`, `1.5 MB`, `4 GB`; binary units where they
/// are whole and the others are not (`256 MiB`).
pub fn written_bytes(bytes: u64) -> String {
    const DECIMAL: &[(&str, f64)] = &[("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)];
    const BINARY: &[(&str, f64)] = &[
        ("B", 1.0),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
    ];
    let binary = bytes >= 1024 && bytes.is_multiple_of(1024) && !bytes.is_multiple_of(1_000);
    written(bytes as f64, if binary { BINARY } else { DECIMAL }, "B")
}

/// In the largest unit that leaves at least one of it, with three decimals at most.
fn written(value: f64, units: &[(&str, f64)], of_zero: &str) -> String {
    let fits = units.iter().rev().find(|(_, factor)| value.abs() >= *factor);
    let Some((unit, factor)) = fits else { return format!("{value} {of_zero}") };
    let number = format!("{:.3}", value / factor);
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

impl Manifest {
    /// Source traits, when it is a driver.
    pub fn source(&self) -> Option<&SourceTraits> {
        match &self.role {
            Role::Source(traits) => Some(traits),
            Role::Sink(_) => None,
        }
    }

    /// Whether a source with these settings is asked in scan slots.
    pub fn is_polled(&self, settings: &Settings) -> bool {
        match self.source().map(|traits| traits.polled) {
            Some(Slots::Always) => true,
            Some(Slots::When(setting, word)) => settings.text(setting) == Some(word),
            Some(Slots::Never) | None => false,
        }
    }

    /// Sink traits, when it is a sink.
    pub fn sink(&self) -> Option<&SinkTraits> {
        match &self.role {
            Role::Sink(traits) => Some(traits),
            Role::Source(_) => None,
        }
    }
}

/// A value as written in a program, checked against its [`Setting`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum SettingValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    Bytes(u64),
    /// Text, and the word of a choice.
    Text(Arc<str>),
    List(Vec<Arc<str>>),
    Block(Settings),
    /// `secret("name")`: the value stands in `node.toml`.
    SecretRef(Arc<str>),
    /// `node("name")`: the value stands in `node.toml`.
    NodeRef(Arc<str>),
}

/// Settings by name, defaults filled in. Accessors return `None` for absent
/// optional settings; the compiler has checked names, types and bounds before.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Settings(pub BTreeMap<Arc<str>, SettingValue>);

impl Settings {
    pub fn get(&self, name: &str) -> Option<&SettingValue> {
        self.0.get(name)
    }

    pub fn set(&mut self, name: &str, value: SettingValue) {
        self.0.insert(name.into(), value);
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            SettingValue::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            SettingValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            SettingValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub fn float(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            SettingValue::Float(value) => Some(*value),
            SettingValue::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// Nanoseconds of a duration.
    pub fn duration_ns(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            SettingValue::Duration(ns) => Some(*ns),
            _ => None,
        }
    }

    pub fn duration(&self, name: &str) -> Option<std::time::Duration> {
        self.duration_ns(name).and_then(|ns| u64::try_from(ns).ok()).map(std::time::Duration::from_nanos)
    }

    pub fn bytes(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            SettingValue::Bytes(bytes) => Some(*bytes),
            _ => None,
        }
    }

    pub fn list(&self, name: &str) -> Option<&[Arc<str>]> {
        match self.get(name)? {
            SettingValue::List(list) => Some(list),
            _ => None,
        }
    }

    pub fn block(&self, name: &str) -> Option<&Settings> {
        match self.get(name)? {
            SettingValue::Block(block) => Some(block),
            _ => None,
        }
    }

    /// True while `secret()` or `node()` stands where a value is needed: before a node resolves it.
    pub fn is_unresolved(&self, name: &str) -> bool {
        matches!(self.get(name), Some(SettingValue::SecretRef(_) | SettingValue::NodeRef(_)))
    }
}

/// What is wrong with a declaration, in plant words.
#[derive(Clone, PartialEq, Debug)]
pub struct SettingError {
    pub place: Place,
    /// Diagnostic code when it has one of its own (`E401`), else `E402` is shown.
    pub code: Option<&'static str>,
    /// Lower-case, says what is wrong.
    pub message: String,
    /// The one edit that mends it.
    pub help: String,
}

/// Where in a declaration.
#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    /// The item as a whole.
    Item,
    /// A setting of the item.
    Setting(&'static str),
    /// A setting of the device of `groups[group]`.
    DeviceSetting { group: usize, name: &'static str },
    /// The address of `groups[group].points[point]`.
    Address { group: usize, point: usize },
    /// The type of `groups[group].points[point]`.
    Type { group: usize, point: usize },
}

/// Name and settings of an item, common to sources and sinks.
#[derive(Clone, Debug)]
pub struct Declaration {
    pub name: Arc<str>,
    pub settings: Settings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_in_a_program() {
        const S: i64 = 1_000_000_000;
        for (ns, text) in [
            (0, "0 s"),
            (10_000_000, "10 ms"),
            (3_500_000, "3.5 ms"),
            (-2 * S, "-2 s"),
            (90 * S, "1.5 min"),
            (3_600 * S, "1 h"),
            (10 * 366 * 86_400 * S, "3660 d"),
        ] {
            assert_eq!(written_duration(ns), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (256, "256 B"),
            (1_000_000, "1 MB"),
            (4_096, "4 KiB"),
            (256 << 20, "256 MiB"),
            (1_500_000_000, "1.5 GB"),
            (100_000_000_000_000, "100 TB"),
        ] {
            assert_eq!(written_bytes(bytes), text);
        }
    }
}
