//! What a store that was set aside has and the log lacks, batch by batch, in bounded memory.
//!
//! ```text
//! aside, after where the logs part --Samples of this plan--> window --> what no record of the log holds --> batches
//!                                                               ^
//! log, after the same place: which of these slots and samples does it hold? --+
//! ```
//! The two are compared on disk, a window at a time, as the memory of an active does not reach back as far as a tail
//! can. What the active has appended since is found by its [`admission`](crate::admission). What could not be compared,
//! as the log does not go back so far any more, gets a repeat number: rather twice than never. Records that are no samples
//! stay behind: slots that failed like the one before, ticks, activations; and what would make something happen.

use crate::admission::{ActingTags, GroupTags, group_tags};
use crate::limits::{READ_BYTES_MAX, TAIL_BATCH_BYTES, TAIL_WINDOW_BYTES};
use crate::reading::{GoodTags, SlotReading};
use gwp_core::record::SlotMark;
use gwp_core::{Batch, Fact, PlanId, Position, TagId, Timestamp};
use gwp_journal::{LogReader, StoreError};
use gwp_plan::Plan;
use gwp_redundancy::mirror::held::lacking;
use gwp_redundancy::mirror::identity::content_hash;
use gwp_redundancy::mirror::{Held, Identity, Reading, Stream, TagSet};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Why there is no next batch.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    #[error("what was set aside cannot be read: {0}")]
    Aside(StoreError),
    #[error("the log cannot be read: {0}")]
    Log(StoreError),
    #[error("it is not wanted any more")]
    Over,
}

/// Where a tail begins and ends, and what of it is done.
#[derive(Clone, Debug, Default)]
pub struct TailSpan {
    /// Where the logs part: what both hold ends here.
    pub above: Position,
    /// Its last record.
    pub upto: Position,
    /// By plan: what is handed over already.
    pub done: BTreeMap<PlanId, Position>,
}

/// Readings that the log lacks, in the order of the aside.
#[derive(Clone, PartialEq, Debug)]
pub struct TailBatch {
    /// At least one.
    pub facts: Vec<Fact>,
    /// When they are handed over, so is everything of this plan up to here.
    pub upto: Position,
}

/// What was found so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TailFound {
    /// Samples that the log lacks.
    pub lacking: u64,
    /// Samples that it holds, or has better.
    pub held: u64,
    /// Samples that would make something happen: commands, orders to alarms.
    pub withheld: u64,
    /// Records with samples under other plans, which are not handed over.
    pub other_plans: BTreeMap<PlanId, u64>,
}

/// What only an aside has, under one plan.
pub struct Tail {
    aside: LogReader,
    plan: PlanId,
    tags: GroupTags,
    acting: ActingTags,
    span: TailSpan,
    /// The aside is read up to here.
    at: Position,
    batches: VecDeque<TailBatch>,
    found: TailFound,
}

/// What is asked of the log at once.
#[derive(Default)]
struct Window {
    facts: Vec<(Position, Fact)>,
    /// Slots, and the tags of which the log has a good sample; none while no record of it is found.
    slots: BTreeMap<Identity, Option<GoodTags>>,
    /// Samples without a slot, and whether the log holds them.
    events: BTreeMap<Identity, bool>,
    /// By tag and time of these: the first repeat number that no other sample in the log has; 0 where there is none.
    free: BTreeMap<(TagId, Timestamp), u32>,
    /// The log goes back to where the two part: what is not found is not there.
    is_compared: bool,
}

impl Held<SlotReading> for Window {
    fn good(&self, identity: &Identity) -> Option<GoodTags> {
        self.slots.get(identity).cloned().flatten()
    }

    fn newest(&self, _: Stream) -> Option<i64> {
        None
    }
}

impl Tail {
    /// What `aside` has under a plan. Without a plan, under one that it does not know: nothing.
    pub fn new(aside: LogReader, plan: Option<&Plan>, id: PlanId, span: TailSpan) -> Tail {
        let (tags, acting) = match plan {
            Some(plan) => (group_tags(plan), ActingTags::of(plan)),
            None => Default::default(),
        };
        let at = span.above;
        Tail {
            aside,
            plan: id,
            tags,
            acting,
            span,
            at,
            batches: VecDeque::new(),
            found: TailFound::default(),
        }
    }

    /// The plan whose records it hands over.
    pub fn plan(&self) -> PlanId {
        self.plan
    }

    /// The aside is read up to here.
    pub fn at(&self) -> Position {
        self.at
    }

    pub fn found(&self) -> &TailFound {
        &self.found
    }

    /// The next batch; none when that was all. Blocks. `log` must hold what was handed over before; it is read as long
    /// as `is_over` does not say that nobody wants to know.
    ///
    /// # Errors
    /// Why there is none. After [`TailError::Log`] and [`TailError::Over`] it goes on with the same batch.
    pub fn next(
        &mut self,
        log: &mut LogReader,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Option<TailBatch>, TailError> {
        while self.batches.is_empty() && self.at < self.span.upto {
            let (before, found) = (self.at, self.found.clone());
            let compared = self.window(is_over).and_then(|mut window| {
                self.compare(&mut window, log, is_over)?;
                Ok(window)
            });
            match compared {
                Ok(window) => self.pack(window),
                Err(error) => {
                    (self.at, self.found) = (before, found);
                    return Err(error);
                }
            }
        }
        Ok(self.batches.pop_front())
    }

    /// Reads on in the aside.
    fn window(&mut self, is_over: &dyn Fn() -> bool) -> Result<Window, TailError> {
        let (mut window, mut bytes) = (Window::default(), 0);
        while self.at < self.span.upto && bytes < TAIL_WINDOW_BYTES {
            if is_over() {
                return Err(TailError::Over);
            }
            let read = self.aside.records_after(self.at, READ_BYTES_MAX);
            // What stands before a damaged frame is handed over.
            let records = match read.or_else(|_| self.aside.records_after(self.at, 1)) {
                Err(error) if window.facts.is_empty() => return Err(TailError::Aside(error)),
                Err(_) => break,
                Ok(records) => records,
            };
            let Some((_, last)) = records.last() else {
                self.at = self.span.upto;
                break;
            };
            self.at = last.position;
            for (plan, record) in &records {
                let Fact::Samples { slot, batch } = &record.fact else { continue };
                if self.span.done.get(plan).is_some_and(|done| record.position <= *done) {
                    continue;
                }
                if *plan != self.plan {
                    *self.found.other_plans.entry(*plan).or_default() += 1;
                    continue;
                }
                let (batch, withheld) = self.acting.without(batch);
                self.found.withheld += withheld as u64;
                if !batch.is_empty() {
                    bytes += record.bytes();
                    window.take(record.position, *slot, batch);
                }
            }
        }
        Ok(window)
    }

    /// Finds what the log holds of it.
    fn compare(
        &self,
        window: &mut Window,
        log: &mut LogReader,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), TailError> {
        let mut at = self.span.above;
        window.is_compared = log.reaches(at).map_err(TailError::Log)?;
        while !window.facts.is_empty() {
            if is_over() {
                return Err(TailError::Over);
            }
            let records = log.records_after(at, READ_BYTES_MAX).map_err(TailError::Log)?;
            let Some((_, last)) = records.last() else { break };
            at = last.position;
            for (_, record) in records.iter().filter(|(plan, _)| *plan == self.plan) {
                window.found(&record.fact, &self.tags);
            }
        }
        Ok(())
    }

    /// Makes batches of what the log lacks.
    fn pack(&mut self, mut window: Window) {
        let (mut facts, mut bytes) = (Vec::new(), 0);
        let mut last = self.span.done.get(&self.plan).copied().unwrap_or(self.span.above);
        for (position, fact) in std::mem::take(&mut window.facts) {
            let all = samples(&fact);
            let lacks = window.lacks(&fact);
            let lacking = lacks.as_ref().map_or(0, samples);
            self.found.lacking += lacking;
            self.found.held += all - lacking;
            for part in lacks.into_iter().flat_map(parts) {
                if bytes >= TAIL_BATCH_BYTES {
                    self.batches.push_back(TailBatch { facts: std::mem::take(&mut facts), upto: last });
                    bytes = 0;
                }
                bytes += part_bytes(&part);
                facts.push(part);
            }
            last = position;
        }
        if !facts.is_empty() {
            self.batches.push_back(TailBatch { facts, upto: self.at });
        }
        self.span.done.insert(self.plan, self.at);
    }
}

/// A record with so many long texts that it is no batch is given in parts.
fn parts(fact: Fact) -> Vec<Fact> {
    match &fact {
        Fact::Samples { slot, batch } if batch.bytes() > TAIL_BATCH_BYTES && batch.len() > 1 => {
            let indexes: Vec<u32> = (0..batch.len() as u32).collect();
            let (front, back) = indexes.split_at(indexes.len() / 2);
            let half = |half: &[u32]| {
                let tags = half.iter().map(|&index| batch.tags[index as usize]).collect();
                Fact::Samples { slot: *slot, batch: Arc::new(batch.select(half, tags)) }
            };
            [parts(half(front)), parts(half(back))].concat()
        }
        _ => vec![fact],
    }
}

fn part_bytes(fact: &Fact) -> usize {
    match fact {
        Fact::Samples { batch, .. } => batch.bytes(),
        _ => 0,
    }
}

fn samples(fact: &Fact) -> u64 {
    match fact {
        Fact::Samples { batch, .. } => batch.len() as u64,
        _ => 0,
    }
}

/// Identity of a sample without a slot.
fn event(batch: &Batch, index: usize) -> Identity {
    let content = content_hash(&batch.values.get(index), batch.qualities.get(index));
    Identity::Event { tag: batch.tags[index], time: batch.times.get(index), content }
}

/// Samples of a batch, with these repeat numbers.
fn select(batch: &Batch, indexes: &[u32], repeats: Vec<u32>) -> Arc<Batch> {
    let tags = indexes.iter().map(|&index| batch.tags[index as usize]).collect();
    let repeats = if repeats.iter().all(|repeat| *repeat == 0) { Vec::new() } else { repeats };
    Arc::new(Batch { repeats, ..batch.select(indexes, tags) })
}

impl Window {
    fn take(&mut self, position: Position, slot: SlotMark, batch: Arc<Batch>) {
        let fact = Fact::Samples { slot, batch };
        match (SlotReading::of(&fact, |_| None), &fact) {
            (Some(reading), _) => {
                self.slots.insert(reading.identity(), None);
            }
            (None, Fact::Samples { batch, .. }) => {
                for (index, tag) in batch.tags.iter().enumerate() {
                    self.events.insert(event(batch, index), false);
                    self.free.insert((*tag, batch.times.get(index)), 0);
                }
            }
            (None, _) => {}
        }
        self.facts.push((position, fact));
    }

    /// The log has this.
    fn found(&mut self, fact: &Fact, tags: &GroupTags) {
        if let Some(reading) = SlotReading::of(fact, |group| tags.get(&group).cloned()) {
            if let Some(held) = self.slots.get_mut(&reading.identity()) {
                let good = reading.good();
                *held = Some(held.as_ref().map_or_else(|| good.clone(), |held| held.plus(&good)));
            }
        } else if let Fact::Samples { batch, .. } = fact
            && !self.events.is_empty()
        {
            for (index, tag) in batch.tags.iter().enumerate() {
                let Some(free) = self.free.get_mut(&(*tag, batch.times.get(index))) else { continue };
                *free = batch.repeat(index).saturating_add(1).max(*free);
                if let Some(is_held) = self.events.get_mut(&event(batch, index)) {
                    *is_held = true;
                }
            }
        }
    }

    /// What of it the log lacks. What it may have all the same, where it does not go back so far, stands beside that:
    /// with a repeat number.
    fn lacks(&mut self, fact: &Fact) -> Option<Fact> {
        let Fact::Samples { slot, batch } = fact else { return None };
        let least = u32::from(!self.is_compared);
        if let Some(reading) = SlotReading::of(fact, |_| None) {
            let SlotReading { slot, batch } = lacking(&reading, self)?;
            if self.is_compared {
                return Some(Fact::Samples { slot, batch });
            }
            let indexes: Vec<u32> = (0..batch.len() as u32).collect();
            let repeats = (0..batch.len()).map(|index| batch.repeat(index).max(least)).collect();
            return Some(Fact::Samples { slot, batch: select(&batch, &indexes, repeats) });
        }
        let (mut indexes, mut repeats) = (Vec::new(), Vec::new());
        for (index, tag) in batch.tags.iter().enumerate() {
            let Some(is_held) = self.events.get_mut(&event(batch, index)) else { continue };
            // It is given once.
            if std::mem::replace(is_held, true) {
                continue;
            }
            let own = batch.repeat(index).max(least);
            let free = self.free.entry((*tag, batch.times.get(index))).or_default();
            let repeat = if *free > 0 { *free } else { own };
            *free = repeat.saturating_add(1);
            indexes.push(index as u32);
            repeats.push(repeat);
        }
        let is_some = !indexes.is_empty();
        is_some.then(|| Fact::Samples { slot: *slot, batch: select(batch, &indexes, repeats) })
    }
}
