//! Commands on their way from the sequencer to the executor of writes.
//!
//! The sequencer numbers a record and, if it holds commands, leaves them here: so the executor need
//! not look at every sample there is, and misses none. What was commanded before the gateway stopped
//! and has no outcome is found by [`unfinished`].

use crate::operator::AwaitedOutcomes;
use crate::plans::Plans;
use gwp_core::{Batch, Fact, GroupId, Position, Quality, Record, TagId};
use gwp_journal::{LogReader, StoreError};
use gwp_plan::{Commanded, Plan, Renames};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Notify;

/// Commands that wait here at most; more of them are refused without a look.
const WAITING_MAX: usize = 4_096;

/// A command with the position of its record.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    pub position: Position,
    /// Index of the write in the plan.
    pub write: usize,
    pub commanded: Commanded,
}

/// Commands of the present epoch, in the order of the log.
pub struct Inbox {
    index: RwLock<CommandIndex>,
    waiting: Mutex<Waiting>,
    bell: Notify,
    /// Operators who want to hear what became of their command.
    pub awaited: AwaitedOutcomes,
}

#[derive(Default)]
struct Waiting {
    arrived: VecDeque<Arrived>,
    /// Commands there was no room for, by write.
    surplus: BTreeMap<usize, u64>,
}

impl Inbox {
    pub fn new(plan: &Plan) -> Inbox {
        let index = RwLock::new(CommandIndex::new(plan));
        Inbox { index, waiting: Mutex::default(), bell: Notify::new(), awaited: AwaitedOutcomes::default() }
    }

    /// Poisoned only by a panic between plain changes: what it guards is whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the commands out of a record. Never waits.
    pub fn offer(&self, record: &Record) {
        let Fact::Samples { batch, .. } = &record.fact else { return };
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        if !index.may_hold(batch) {
            return;
        }
        let mut waiting = self.waiting();
        for (write, commanded) in index.commands(batch) {
            if waiting.arrived.len() < WAITING_MAX {
                waiting.arrived.push_back(Arrived { position: record.position, write, commanded });
            } else {
                *waiting.surplus.entry(write).or_default() += 1;
            }
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Goes on under another plan. `write` says which write of it one of the plan before is; commands of writes that
    /// are gone go with them, as do the tags of their outcomes.
    pub fn follow(&self, plan: &Plan, write: &dyn Fn(usize) -> Option<usize>) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = CommandIndex::new(plan);
        let mut waiting = self.waiting();
        waiting.arrived = std::mem::take(&mut waiting.arrived)
            .into_iter()
            .filter_map(|arrived| Some(Arrived { write: write(arrived.write)?, ..arrived }))
            .collect();
        waiting.surplus = std::mem::take(&mut waiting.surplus)
            .into_iter()
            .filter_map(|(of, count)| Some((write(of)?, count)))
            .collect();
    }

    /// The next command, if its record is at or below `upto`.
    pub fn take(&self, upto: Position) -> Option<Arrived> {
        let mut waiting = self.waiting();
        let ready = waiting.arrived.front().is_some_and(|arrived| arrived.position <= upto);
        ready.then(|| waiting.arrived.pop_front()).flatten()
    }

    /// A write with commands there was no room for, one command at a time.
    pub fn take_surplus(&self) -> Option<usize> {
        let mut waiting = self.waiting();
        let mut first = waiting.surplus.first_entry()?;
        let write = *first.key();
        *first.get_mut() -= 1;
        if *first.get() == 0 {
            first.remove();
        }
        Some(write)
    }

    /// Completes when something was offered since the last time.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// Which samples of a plan are commands.
struct CommandIndex {
    groups: BTreeSet<GroupId>,
    writes: BTreeMap<TagId, usize>,
}

impl CommandIndex {
    fn new(plan: &Plan) -> CommandIndex {
        CommandIndex {
            groups: command_groups(plan),
            writes: plan.writes.iter().enumerate().map(|(at, write)| (write.command, at)).collect(),
        }
    }

    fn may_hold(&self, batch: &Batch) -> bool {
        self.groups.contains(&batch.group)
    }

    fn commands<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (usize, Commanded)> + 'a {
        let samples = batch.tags.iter().enumerate();
        samples.filter_map(|(index, tag)| {
            let write = *self.writes.get(tag)?;
            let (value, quality) = (batch.values.get(index), batch.qualities.get(index));
            // That a connection broke is no command.
            let said = quality != Quality::COMM_LOST;
            said.then(|| (write, Commanded { value, quality, time: batch.times.get(index) }))
        })
    }
}

/// Poll groups whose samples are commands.
pub fn command_groups(plan: &Plan) -> BTreeSet<GroupId> {
    let commands: BTreeSet<TagId> = plan.writes.iter().map(|write| write.command).collect();
    let groups = (0..).map(GroupId).zip(&plan.groups);
    groups
        .filter(|(_, group)| group.tags.iter().any(|tag| commands.contains(tag)))
        .map(|(id, _)| id)
        .collect()
}

/// Records before a start that are looked at, and epochs they may come from.
const RECORDS_BACK: u64 = 16_384;
const EPOCHS_BACK: usize = 8;

/// Stored bytes read in one go.
const READ_BYTES: usize = 256 * 1024;

/// Paths of the outcome tags of commands that have no outcome, one for each command, up to `upto`; as they are called
/// by `renames`.
///
/// # Errors
/// The log cannot be read.
pub fn unfinished(
    log: &mut LogReader,
    plans: &Plans,
    renames: &Renames,
    upto: Position,
) -> Result<Vec<Arc<str>>, StoreError> {
    let mut open: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    let mut at = first_of_interest(log, upto)?;
    let mut index: Option<(gwp_core::PlanId, Arc<Plan>, CommandIndex)> = None;
    while at < upto {
        let records = log.records_after(at, READ_BYTES)?;
        let Some((_, last)) = records.last() else { break };
        at = last.position;
        for (plan_id, record) in records.iter().filter(|(_, record)| record.position <= upto) {
            let Fact::Samples { batch, .. } = &record.fact else { continue };
            if index.as_ref().is_none_or(|(known, ..)| known != plan_id) {
                // A plan that cannot be read has nobody who waits for an outcome.
                let Ok(plan) = plans.get(*plan_id) else { continue };
                index = Some((*plan_id, plan.clone(), CommandIndex::new(&plan)));
            }
            let Some((_, plan, index)) = &index else { continue };
            let path = |tag: TagId| {
                let tag = plan.tag(tag)?;
                Some(renames.path(tag).map_or_else(|| tag.info.path.clone(), Arc::from))
            };
            if index.may_hold(batch) {
                for (write, _) in index.commands(batch) {
                    let path = plan.writes.get(write).and_then(|write| path(write.outcome));
                    path.into_iter().for_each(|path| *open.entry(path).or_default() += 1);
                }
            // An outcome that came as backfill is of a command that another log has.
            } else if batch.group == GroupId::NONE && !batch.backfill {
                for write in plan.writes.iter().filter(|write| batch.tags.contains(&write.outcome)) {
                    let left = path(write.outcome).and_then(|path| open.get_mut(&path));
                    left.into_iter().for_each(|left| *left = left.saturating_sub(1));
                }
            }
        }
    }
    let each =
        |(path, count): (Arc<str>, u64)| std::iter::repeat_n(path, usize::try_from(count).unwrap_or(0));
    Ok(open.into_iter().flat_map(each).collect())
}

/// A position so many records before `upto`, across epochs.
fn first_of_interest(log: &mut LogReader, upto: Position) -> Result<Position, StoreError> {
    let (mut end, mut left) = (upto, RECORDS_BACK);
    for _ in 0..EPOCHS_BACK {
        if end.seq > left {
            return Ok(Position::new(end.epoch, end.seq - left));
        }
        left -= end.seq;
        let begin = Position::new(end.epoch, 0);
        let first = log.records_after(begin, 1)?.into_iter().next();
        match first.map(|(_, record)| record.fact.clone()) {
            Some(Fact::Activated { previous, .. }) if previous < begin && previous > Position::ZERO => {
                end = previous;
            }
            _ => return Ok(begin),
        }
    }
    Ok(end)
}
