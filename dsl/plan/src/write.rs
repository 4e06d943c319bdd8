//! Writes: which command may change a device, decided by nothing but the plan, the command and the time.
//!
//! ```text
//! command (sample in the log) --decide--> Refuse(why)                      -> outcome
//!                                    \--> Execute(raw) -> driver, read back -> outcome
//! ```
//! Pure: `now` is an argument and [`WriteState`] is plain data. The gateway and the `test` blocks of
//! a program decide with the same code.

use crate::alarm::order::AlarmOrder;
use crate::condition::Ratio;
use crate::plan::{Origin, Plan, Tag};
use gwp_core::manifest::written_duration;
use gwp_core::source::PlcType;
use gwp_core::{Quality, TagId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Commands of one target that `limit` can count at most.
pub const LIMIT_COUNT_MAX: u32 = 10_000;

/// One target of a `write` item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Write {
    /// Name of the item.
    pub name: Arc<str>,
    /// The tag to change.
    pub target: TagId,
    /// The tag whose samples are the commands, in the unit of the target.
    pub command: TagId,
    /// The tag that tells what became of each command, as text.
    pub outcome: TagId,
    pub allow: Allow,
    pub limit: Option<Limit>,
    /// A command older than this is not carried out, nanoseconds.
    pub expire_ns: i64,
    /// How long to wait until the target reads back as written, nanoseconds; `None` = not looked at.
    pub verify_ns: Option<i64>,
}

/// Values that may be written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Allow {
    /// Both ends included, in the unit of the target.
    Range {
        low: f64,
        high: f64,
    },
    OneOf(Vec<Value>),
}

/// So many commands in so long a time.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Limit {
    pub count: u32,
    /// Nanoseconds.
    pub per_ns: i64,
}

/// What is remembered of one write: times of the latest commands that were let through.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WriteState {
    executed: VecDeque<Timestamp>,
}

/// A command, as its sample says.
#[derive(Clone, PartialEq, Debug)]
pub struct Commanded {
    pub value: Value,
    pub quality: Quality,
    pub time: Timestamp,
}

/// What is to be done with a command.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// It may not be carried out, and why: the outcome.
    Refuse(String),
    Execute(Execution),
}

/// A value on its way into a device.
#[derive(Clone, PartialEq, Debug)]
pub struct Execution {
    /// In the type of the tag at the device.
    pub raw: Value,
    /// What the tag reads then, in its unit.
    pub value: Value,
}

/// What became of a command that was let through.
#[derive(Clone, PartialEq, Debug)]
pub enum Written {
    /// The device took it.
    Done,
    /// It reads back as written.
    Confirmed,
    /// It reads back as something else, or not at all.
    NotConfirmed(Option<Value>),
    /// The device keeps what it had.
    Failed(String),
    /// Whether the device has it is not known.
    Unknown(String),
}

impl Write {
    /// Decides on a command at gateway time `now`.
    pub fn decide(
        &self,
        plan: &Plan,
        state: &mut WriteState,
        command: &Commanded,
        now: Timestamp,
    ) -> Decision {
        match self.judge(plan, state, command, now) {
            Ok(execution) => {
                if self.limit.is_some() {
                    state.executed.push_back(now);
                }
                Decision::Execute(execution)
            }
            Err(why) => Decision::Refuse(format!("refused: {why}")),
        }
    }

    fn judge(
        &self,
        plan: &Plan,
        state: &mut WriteState,
        command: &Commanded,
        now: Timestamp,
    ) -> Result<Execution, String> {
        let target = plan.tag(self.target).ok_or("the tag is gone")?;
        if command.quality == Quality::INITIAL {
            return Err("a retained or repeated message is no command".into());
        }
        if !command.quality.is_good() {
            return Err(format!("the value is {}", command.quality));
        }
        let age_ns = now.0.saturating_sub(command.time.0);
        if age_ns > self.expire_ns {
            let (age, expire) = (written_duration(age_ns), written_duration(self.expire_ns));
            return Err(format!("the command is {age} old, it expires after {expire}"));
        }
        if age_ns < -self.expire_ns {
            return Err(format!("the command is dated {} ahead", written_duration(-age_ns)));
        }
        if target.origin == Origin::Orders {
            let execution = self.order(plan, &command.value)?;
            return self.within_limit(state, now).map(|()| execution);
        }
        let execution = execution(target, &command.value)?;
        // A device that counts in steps holds another value than the one asked for: that must be allowed, too.
        let stepped = matches!(execution.raw, Value::Int(_) | Value::UInt(_)).then_some(&execution.value);
        for value in [&command.value].into_iter().chain(stepped) {
            if !self.allow.includes(value) {
                return Err(format!("{} is outside {}", shown(target, value), self.allow.shown(target)));
            }
        }
        self.within_limit(state, now).map(|()| execution)
    }

    fn within_limit(&self, state: &mut WriteState, now: Timestamp) -> Result<(), String> {
        let Some(limit) = self.limit else { return Ok(()) };
        let recent = |time: &Timestamp| now.0.saturating_sub(time.0) < limit.per_ns;
        while state.executed.front().is_some_and(|time| !recent(time)) {
            state.executed.pop_front();
        }
        if state.executed.len() >= limit.count as usize {
            let commands = if limit.count == 1 { "command" } else { "commands" };
            let per = written_duration(limit.per_ns);
            return Err(format!("more than {} {commands} in {per}", limit.count));
        }
        Ok(())
    }

    /// An order to the alarms of a device; one that names nobody is given in the name of the write.
    fn order(&self, plan: &Plan, value: &Value) -> Result<Execution, String> {
        let Value::Text(text) = value else { return Err("an order is a text".into()) };
        let mut order = AlarmOrder::read(text).map_err(|error| error.to_string())?;
        let word = Value::Text(order.action.word().into());
        if !self.allow.includes(&word) {
            return Err(format!("{} is not allowed", order.action.word()));
        }
        plan.check_order(self.target, &order)?;
        if order.by.is_empty() {
            order.by = self.name.clone();
        }
        let text = Value::Text(order.to_string().into());
        Ok(Execution { raw: text.clone(), value: text })
    }

    /// What became of a command, as the audit has it.
    pub fn outcome(&self, plan: &Plan, value: &Value, written: &Written) -> String {
        let shown = |value: &Value| {
            plan.tag(self.target).map_or_else(|| value.to_string(), |target| shown(target, value))
        };
        let value = shown(value);
        match written {
            Written::Done => format!("done: {value}"),
            Written::Confirmed => format!("confirmed: {value}"),
            Written::NotConfirmed(Some(read)) => {
                format!("not confirmed: {value} was written, {} is read back", shown(read))
            }
            Written::NotConfirmed(None) => {
                format!("not confirmed: {value} was written, nothing could be read back")
            }
            Written::Failed(why) => format!("failed: {value}, {why}"),
            Written::Unknown(why) => format!("unknown: {value}, {why}"),
        }
    }
}

impl Allow {
    fn includes(&self, value: &Value) -> bool {
        match self {
            Allow::Range { low, high } => value.as_f64().is_some_and(|value| *low <= value && value <= *high),
            Allow::OneOf(values) => values.contains(value),
        }
    }

    fn shown(&self, tag: &Tag) -> String {
        let number = |value: f64| shown(tag, &Value::Float(value));
        match self {
            Allow::Range { low, high } => format!("{}..{}", number(*low), number(*high)),
            Allow::OneOf(values) => {
                let values: Vec<String> = values.iter().map(|value| shown(tag, value)).collect();
                format!("[{}]", values.join(", "))
            }
        }
    }
}

/// A value with the unit or the label that the tag gives it.
fn shown(tag: &Tag, value: &Value) -> String {
    if let Value::Int(raw) = value
        && let Some((_, label)) = tag.info.labels.iter().find(|(number, _)| number == raw)
    {
        return label.to_string();
    }
    let single = matches!(tag.origin, Origin::Point { plc_type: PlcType::Real, .. });
    let text = match value {
        // As many digits as the device keeps.
        Value::Float(number) if single => (*number as f32).to_string(),
        value => value.to_string(),
    };
    match &*tag.info.unit {
        "" => text,
        unit => format!("{text} {unit}"),
    }
}

/// The value as the device is to have it: `scale` undone, rounded to the type.
fn execution(target: &Tag, value: &Value) -> Result<Execution, String> {
    let Origin::Point { plc_type, .. } = target.origin else { return Err("the tag has no device".into()) };
    let unfit = || format!("{} does not fit {plc_type}", shown(target, value));
    let scale = target.scale.map(Ratio::of);
    let raw = match (value, plc_type) {
        (Value::Bool(_), PlcType::Bool) | (Value::Text(_), PlcType::String) => Some(value.clone()),
        (Value::Time(_), PlcType::Time) => Some(value.clone()),
        (Value::Int(_) | Value::UInt(_), _) if scale.is_none() && plc_type.whole_bounds().is_some() => {
            whole(plc_type, value)
        }
        (Value::Int(_) | Value::UInt(_) | Value::Float(_), _) => {
            let number = value.as_f64().map(|number| scale.map_or(number, |scale| scale.undo(number)));
            number.and_then(|number| from_number(plc_type, number))
        }
        _ => None,
    };
    let raw = raw.ok_or_else(unfit)?;
    let value = match (scale, raw.as_f64()) {
        (Some(scale), Some(number)) => Value::Float(scale.apply(number)),
        _ => raw.clone(),
    };
    Ok(Execution { raw, value })
}

fn whole(plc_type: PlcType, value: &Value) -> Option<Value> {
    let (low, high) = plc_type.whole_bounds()?;
    let number = match value {
        Value::Int(number) => i128::from(*number),
        Value::UInt(number) => i128::from(*number),
        _ => return None,
    };
    if number < low || number > high {
        return None;
    }
    match plc_type.kind() {
        gwp_core::Kind::UInt => u64::try_from(number).ok().map(Value::UInt),
        _ => i64::try_from(number).ok().map(Value::Int),
    }
}

fn from_number(plc_type: PlcType, number: f64) -> Option<Value> {
    match plc_type {
        PlcType::Lreal if number.is_finite() => Some(Value::Float(number)),
        PlcType::Real => Some(f64::from(number as f32)).filter(|n| n.is_finite()).map(Value::Float),
        _ => {
            let (low, high) = plc_type.whole_bounds()?;
            let number = number.round();
            // The low end and one above the high end are powers of two or zero: exact.
            if !(number >= low as f64 && number < (high + 1) as f64) {
                return None;
            }
            whole(
                plc_type,
                &if number < 0.0 { Value::Int(number as i64) } else { Value::UInt(number as u64) },
            )
        }
    }
}

/// True when the tag reads as it was written. What the device keeps is exact, so only the way through
/// `scale` may differ in the last digit.
pub fn reads_back(written: &Value, read: &Value) -> bool {
    match (written.as_f64(), read.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => written == read,
    }
}

impl Plan {
    /// The device of a tag that takes orders has the alarm that an order names.
    ///
    /// # Errors
    /// It has no such alarm.
    pub fn check_order(&self, orders: TagId, order: &AlarmOrder) -> Result<(), String> {
        let alarms = self.calcs.iter().filter_map(|calc| calc.alarm.as_ref());
        let mut names = alarms.filter(|alarm| alarm.orders == orders).map(|alarm| &*alarm.name);
        match &order.alarm {
            Some(alarm) if !names.any(|name| *name == **alarm) => {
                let device = self.tag(orders).map_or("the device", |tag| &tag.info.device);
                Err(format!("{device} has no alarm `{alarm}`"))
            }
            _ => Ok(()),
        }
    }
}

/// All writes of a plan at work, with their state.
#[derive(Clone, Debug)]
pub struct Writes {
    by_command: BTreeMap<TagId, usize>,
    states: Vec<WriteState>,
}

impl Writes {
    pub fn new(plan: &Plan) -> Writes {
        Writes {
            by_command: plan.writes.iter().enumerate().map(|(at, write)| (write.command, at)).collect(),
            states: vec![WriteState::default(); plan.writes.len()],
        }
    }

    /// Index in the plan of the write whose commands are the samples of a tag.
    pub fn of_command(&self, tag: TagId) -> Option<usize> {
        self.by_command.get(&tag).copied()
    }

    /// Decides on a command of the write with that index.
    pub fn decide(&mut self, plan: &Plan, write: usize, command: &Commanded, now: Timestamp) -> Decision {
        match (plan.writes.get(write), self.states.get_mut(write)) {
            (Some(write), Some(state)) => write.decide(plan, state, command, now),
            _ => Decision::Refuse("refused: there is no such write".into()),
        }
    }
}

#[cfg(test)]
mod tests;
