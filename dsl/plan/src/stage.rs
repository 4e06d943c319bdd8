//! Stages: what happens to samples on a route.
//!
//! A stage narrows the set of samples that pass; it never changes one. So a
//! route's outcome is a selection of its input, and a journal may refer to it
//! instead of copying it.

use crate::eval::Slots;
use crate::mask::{Mask, Scene};
use crate::plan::Stage;
use gwp_core::{Batch, Kind, Quality, TagId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A compiled stage with its state.
pub enum Running {
    Where(Mask),
    /// `deadband` and `changes`.
    Changes {
        deadband: BTreeMap<TagId, f64>,
        every_tag: bool,
        heartbeat_ns: Option<i64>,
        last: LastByTag,
    },
    Sample {
        period_ns: i64,
        last: LastByTag,
    },
}

/// What was passed on last, by tag. Plain data: checkpointed, restored, moved between nodes.
pub type LastByTag = BTreeMap<TagId, LastSent>;

/// The last sample of a tag that a stage passed on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LastSent {
    pub value: Value,
    pub quality: Quality,
    pub time: Timestamp,
}

impl Running {
    pub fn new(stage: &Stage, slots: &mut Slots) -> Running {
        match stage {
            Stage::Where(condition) => Running::Where(Mask::compile(condition, slots)),
            Stage::Deadband(deadband) => Running::Changes {
                deadband: deadband.clone(),
                every_tag: false,
                heartbeat_ns: None,
                last: LastByTag::new(),
            },
            Stage::Changes { deadband, heartbeat_ns } => Running::Changes {
                deadband: deadband.clone(),
                every_tag: true,
                heartbeat_ns: *heartbeat_ns,
                last: LastByTag::new(),
            },
            Stage::Sample { period_ns } => {
                Running::Sample { period_ns: (*period_ns).max(1), last: LastByTag::new() }
            }
        }
    }

    /// Clears `pass[i]` of every sample that goes no further.
    pub fn apply(&mut self, batch: &Batch, scene: &Scene<'_>, pass: &mut [bool]) {
        match self {
            Running::Where(mask) => mask.apply(batch, scene, pass),
            Running::Changes { deadband, every_tag, heartbeat_ns, last } => {
                for_each_passing(batch, pass, |tag, index| {
                    let band = deadband.get(&tag).copied();
                    if band.is_none() && !*every_tag {
                        return true;
                    }
                    let sample = sample(batch, index);
                    let news = last.get(&tag).is_none_or(|last| {
                        is_news(last, &sample, band)
                            || heartbeat_ns
                                .is_some_and(|beat| sample.time.0.saturating_sub(last.time.0) >= beat)
                    });
                    if news {
                        last.insert(tag, sample);
                    }
                    news
                });
            }
            Running::Sample { period_ns, last } => {
                let period_ns = *period_ns;
                for_each_passing(batch, pass, |tag, index| {
                    let sample = sample(batch, index);
                    let period = |time: Timestamp| time.0.div_euclid(period_ns);
                    let first = last.get(&tag).is_none_or(|last| period(sample.time) > period(last.time));
                    if first {
                        last.insert(tag, sample);
                    }
                    first
                });
            }
        }
    }

    /// State of a stage that has one.
    pub fn state(&self) -> Option<&LastByTag> {
        match self {
            Running::Where(_) => None,
            Running::Changes { last, .. } | Running::Sample { last, .. } => Some(last),
        }
    }

    pub fn set_state(&mut self, state: LastByTag) {
        match self {
            Running::Where(_) => {}
            Running::Changes { last, .. } | Running::Sample { last, .. } => *last = state,
        }
    }
}

fn for_each_passing(batch: &Batch, pass: &mut [bool], mut keep: impl FnMut(TagId, usize) -> bool) {
    for (index, (pass, tag)) in pass.iter_mut().zip(batch.tags.iter()).enumerate() {
        *pass = *pass && keep(*tag, index);
    }
}

fn sample(batch: &Batch, index: usize) -> LastSent {
    LastSent {
        value: batch.values.get(index),
        quality: batch.qualities.get(index),
        time: batch.times.get(index),
    }
}

/// Whether a sample differs from the last one passed on: another quality, another
/// value, or for numbers with a deadband a value farther away than it.
fn is_news(last: &LastSent, sample: &LastSent, deadband: Option<f64>) -> bool {
    if last.quality != sample.quality || last.value.kind() != sample.value.kind() {
        return true;
    }
    match (deadband, last.value.as_f64(), sample.value.as_f64()) {
        (Some(band), Some(old), Some(new)) if sample.value.kind() != Kind::Bool => {
            // A NaN is not a difference that could be small: it counts as news.
            let change = (new - old).abs();
            change > band || change.is_nan()
        }
        _ => last.value != sample.value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Latest;
    use gwp_core::{Column, GroupId};
    use std::sync::Arc;

    fn run(stage: &mut Running, time_s: i64, values: &[Value]) -> Vec<bool> {
        let mut column = Column::new();
        values.iter().cloned().for_each(|value| column.push(value));
        let tags: Arc<[TagId]> = (0..values.len() as u32).map(TagId).collect();
        let batch = Batch::uniform(GroupId::NONE, tags, Timestamp(time_s * 1_000_000_000), column);
        let (latest, flow) = (Latest::new(0), Arc::from("f"));
        let mut pass = vec![true; values.len()];
        stage.apply(&batch, &Scene { latest: &latest, tags: &[], flow: &flow }, &mut pass);
        pass
    }

    #[test]
    fn a_deadband_holds_back_small_changes_of_its_tags_only() {
        let stage = Stage::Deadband([(TagId(0), 0.5)].into());
        let mut stage = Running::new(&stage, &mut Slots::default());
        let both = |a, b| [Value::Float(a), Value::Float(b)];
        assert_eq!(run(&mut stage, 0, &both(10.0, 1.0)), [true, true]);
        assert_eq!(run(&mut stage, 1, &both(10.5, 1.0)), [false, true]);
        assert_eq!(run(&mut stage, 2, &both(10.6, 1.0)), [true, true]);
        assert_eq!(run(&mut stage, 3, &both(10.2, 1.0)), [false, true]);
    }

    #[test]
    fn changes_pass_news_and_heartbeats() {
        let stage = Stage::Changes { deadband: BTreeMap::new(), heartbeat_ns: Some(10_000_000_000) };
        let mut stage = Running::new(&stage, &mut Slots::default());
        let values = |text: &str, flag| [Value::Text(text.into()), Value::Bool(flag)];
        assert_eq!(run(&mut stage, 0, &values("a", false)), [true, true]);
        assert_eq!(run(&mut stage, 1, &values("a", true)), [false, true]);
        assert_eq!(run(&mut stage, 9, &values("b", true)), [true, false]);
        assert_eq!(run(&mut stage, 11, &values("b", true)), [false, true]);
        assert_eq!(run(&mut stage, 19, &values("b", true)), [true, false]);
        assert_eq!(run(&mut stage, 20, &[Value::Nothing, Value::Bool(true)]), [true, false]);
    }

    #[test]
    fn sampling_passes_the_first_of_each_period() {
        let stage = Stage::Sample { period_ns: 10_000_000_000 };
        let mut stage = Running::new(&stage, &mut Slots::default());
        let passed: Vec<bool> =
            [3, 9, 10, 12, 30, 29].map(|second| run(&mut stage, second, &[Value::Int(1)])[0]).into();
        assert_eq!(passed, [true, false, true, false, true, false]);
    }
}
