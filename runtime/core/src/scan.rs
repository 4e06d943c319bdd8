//! Scan slots: when each poll group is due, and the loop all polled drivers share.
//!
//! ```text
//! grid of a group: phase, phase + period, phase + 2 period, ... (since 1970)
//! due slot --read--> Samples | first failure: Samples, all bad | further: Failed
//! late (link busy): the latest due slot is polled, those before it are counted as skipped
//! ```
//! Every due slot is accounted for by exactly one record: its own, or the
//! `skipped` count of the next, across restarts of the source, too. Grids depend on the time only, so two nodes
//! poll the same slots.

use crate::command::{Command, CommandFault};
use crate::record::SlotMark;
use crate::source::{Emission, GroupDeclaration, SourceContext};
use crate::{Batch, BoxFuture, Column, Qualities, Quality, Timestamp};
use std::sync::atomic::Ordering::Relaxed;

/// When the poll groups of one link are due. Pure: `now` is an argument.
#[derive(Debug)]
pub struct Schedule {
    groups: Vec<Grid>,
}

#[derive(Debug)]
struct Grid {
    period_ns: i64,
    phase_ns: i64,
    /// Number of the next slot to account for.
    next: i64,
}

impl Grid {
    fn time(&self, number: i64) -> Timestamp {
        Timestamp(number.saturating_mul(self.period_ns).saturating_add(self.phase_ns))
    }

    /// Number of the newest slot at or before `now`.
    fn newest(&self, now: Timestamp) -> i64 {
        now.0.saturating_sub(self.phase_ns).div_euclid(self.period_ns)
    }
}

/// A slot that is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Index of the group in the order given to [`Schedule::new`].
    pub group: usize,
    pub slot: SlotMark,
    /// Time of the slot: the time stamp of its samples.
    pub time: Timestamp,
}

impl Schedule {
    /// A schedule over (period, phase) in nanoseconds per group; the first slots
    /// are those after `now`. Periods below 1 are taken as 1.
    pub fn new(groups: impl IntoIterator<Item = (i64, i64)>, now: Timestamp) -> Self {
        let groups = groups
            .into_iter()
            .map(|(period, phase)| {
                let mut grid = Grid { period_ns: period.max(1), phase_ns: phase, next: 0 };
                grid.next = grid.newest(now) + 1;
                grid
            })
            .collect();
        Schedule { groups }
    }

    /// Number of the last slot of a group that is taken or passed.
    fn last(&self, group: usize) -> u64 {
        self.groups.get(group).map_or(0, |grid| u64::try_from(grid.next - 1).unwrap_or(0))
    }

    /// Makes the slots of a group after `slot` due: what has passed of them counts as skipped.
    pub fn resume_after(&mut self, group: usize, slot: u64) {
        if let (Some(grid), Ok(slot)) = (self.groups.get_mut(group), i64::try_from(slot)) {
            grid.next = slot.saturating_add(1);
        }
    }

    /// Time of the earliest slot not yet taken; `None` without groups.
    pub fn next_time(&self) -> Option<Timestamp> {
        self.groups.iter().map(|grid| grid.time(grid.next)).min()
    }

    /// Takes the group that has been due longest at `now`, at its newest due slot.
    pub fn take(&mut self, now: Timestamp) -> Option<Due> {
        let (group, grid) = self
            .groups
            .iter_mut()
            .enumerate()
            .filter(|(_, grid)| grid.time(grid.next) <= now)
            .min_by_key(|(index, grid)| (grid.time(grid.next), *index))?;
        let newest = grid.newest(now).max(grid.next);
        let skipped = u32::try_from(newest - grid.next).unwrap_or(u32::MAX);
        grid.next = newest + 1;
        let slot = SlotMark { number: u64::try_from(newest).unwrap_or(0), skipped };
        Some(Due { group, slot, time: grid.time(newest) })
    }
}

/// Result of reading one poll group once.
#[derive(Debug)]
pub enum Polled {
    /// One value and quality per point, in order.
    Values { values: Column, qualities: Qualities },
    /// Nothing could be read.
    Failed(Quality),
}

/// What a polled driver implements; the loop around it is [`run_polled`].
pub trait Poller: Send {
    /// Reads group `group` (index into the declaration's groups) for the slot at `time`.
    fn poll<'a>(&'a mut self, group: usize, time: Timestamp) -> BoxFuture<'a, Polled>;

    /// Carries out a command, on the same link as the polls, and answers it.
    fn write<'a>(&'a mut self, command: Command) -> BoxFuture<'a, ()> {
        command.answer(Err(CommandFault::Failed("this driver cannot write".into())));
        Box::pin(std::future::ready(()))
    }
}

/// Commands that go before one poll at most, so that many of them do not stop the scan.
const WRITES_BEFORE_POLL: usize = 8;

/// Polls all groups of one link in their slots until stopped.
pub async fn run_polled(cx: &mut SourceContext, groups: &[GroupDeclaration], poller: &mut dyn Poller) {
    let mut stop = cx.stop.clone();
    // Slots that pass meanwhile are those of the node that is active.
    first_of(cx.outlet.released(), stop.stopped()).await;
    let grids = groups.iter().map(|group| (group.period_ns, group.phase_ns));
    let mut schedule = Schedule::new(grids, cx.clock.now());
    for (index, group) in groups.iter().enumerate() {
        // A run before this one may have ended long ago.
        let accounted = cx.outlet.accounted(group.id, schedule.last(index));
        schedule.resume_after(index, accounted);
    }
    let mut failing: Vec<Option<Quality>> = vec![None; groups.len()];
    while let Some(next) = schedule.next_time() {
        if cx.stop.is_stopped() {
            return;
        }
        let clock = cx.clock.clone();
        for _ in 0..WRITES_BEFORE_POLL {
            let Some(command) = cx.commands.try_next() else { break };
            poller.write(command).await;
        }
        let Some(due) = schedule.take(clock.now()) else {
            let (mut stop, commands) = (cx.stop.clone(), cx.commands.clone());
            let mut taken = None;
            let command = async { taken = Some(commands.next().await) };
            first_of(clock.sleep_until(next), first_of(stop.stopped(), command)).await;
            if let Some(command) = taken {
                poller.write(command).await;
            }
            continue;
        };
        cx.meter.slots_skipped.fetch_add(u64::from(due.slot.skipped), Relaxed);
        let polled = poller.poll(due.group, due.time).await;
        let read_after_ns = clock.now().0.saturating_sub(due.time.0);
        let Some((group, failing)) = groups.get(due.group).zip(failing.get_mut(due.group)) else {
            continue;
        };
        if matches!(polled, Polled::Failed(_)) {
            cx.meter.slots_failed.fetch_add(1, Relaxed);
        }
        let emission = emission(group, due, polled, read_after_ns, failing);
        let mut stop = cx.stop.clone();
        // While the disk is full no credit comes back: stopping must not wait for it.
        first_of(cx.outlet.emit(emission), stop.stopped()).await;
    }
    // Without groups there is nothing to poll or write; the connection itself is still watched.
    cx.stop.stopped().await;
}

/// Turns a poll's result into what the log will say of the slot.
fn emission(
    group: &GroupDeclaration,
    due: Due,
    polled: Polled,
    read_after_ns: i64,
    failing: &mut Option<Quality>,
) -> Emission {
    match polled {
        Polled::Values { values, qualities } if values.len() == group.tags.len() => {
            *failing = None;
            let mut batch = Batch::uniform(group.id, group.tags.clone(), due.time, values);
            batch.qualities = qualities;
            batch.read_after_ns = read_after_ns;
            Emission::Samples { slot: due.slot, batch }
        }
        // A driver that gives another number of values than it has points is broken.
        Polled::Values { .. } => failed(group, due, Quality::DECODING, failing),
        Polled::Failed(why) => failed(group, due, why, failing),
    }
}

fn failed(group: &GroupDeclaration, due: Due, why: Quality, failing: &mut Option<Quality>) -> Emission {
    if failing.replace(why) == Some(why) {
        return Emission::Failed { group: group.id, slot: due.slot, time: due.time, why };
    }
    let batch = Batch::failed(group.id, group.tags.clone(), due.time, why);
    Emission::Samples { slot: due.slot, batch }
}

/// Waits for whichever of two futures completes first; `core` has no runtime's `select!`.
async fn first_of(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let mut a = std::pin::pin!(a);
    let mut b = std::pin::pin!(b);
    std::future::poll_fn(|cx| {
        if a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroupId;
    use crate::edge::Edge;
    use crate::source::Outlet;
    use std::sync::Arc;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn every_slot_is_taken_once_or_counted_as_skipped() {
        let mut schedule = Schedule::new([(100 * MS, 0), (1000 * MS, 50 * MS)], at(1_000_000));
        let mut accounted = [0u64; 2];
        let mut numbers = [None::<u64>; 2];
        // A link that is sometimes busy for long.
        let mut now = 1_000_000;
        for step in [3, 90, 250, 10, 1_999, 40, 60, 100, 700, 2_500] {
            now += step;
            while let Some(due) = schedule.take(at(now)) {
                assert!(due.time <= at(now));
                accounted[due.group] += 1 + u64::from(due.slot.skipped);
                if let Some(last) = numbers[due.group].replace(due.slot.number) {
                    assert_eq!(due.slot.number - last, 1 + u64::from(due.slot.skipped));
                }
            }
            assert!(schedule.next_time().unwrap() > at(now));
        }
        let passed = (now - 1_000_000) as u64;
        assert_eq!(accounted[0], passed / 100);
        assert_eq!(accounted[1], (passed + 950) / 1000);
    }

    #[test]
    fn the_longest_due_group_goes_first() {
        let mut schedule = Schedule::new([(100 * MS, 0), (1000 * MS, 0)], at(999));
        let due = schedule.take(at(1_150)).unwrap();
        assert_eq!((due.group, due.time, due.slot.skipped), (0, at(1_100), 1));
        let due = schedule.take(at(1_150)).unwrap();
        assert_eq!((due.group, due.time, due.slot.skipped), (1, at(1_000), 0));
        assert_eq!(schedule.take(at(1_150)), None);
        assert_eq!(schedule.next_time(), Some(at(1_200)));
    }

    #[test]
    fn slots_between_two_runs_are_skipped_ones_of_the_second() {
        let outlet = Outlet::new(Edge::new(1), Arc::new(|_, _| {}));
        let mut first = Schedule::new([(100 * MS, 0)], at(950));
        first.resume_after(0, outlet.accounted(GroupId(0), first.last(0)));
        assert_eq!(first.take(at(1_000)).unwrap().slot, SlotMark { number: 10, skipped: 0 });
        // It ended before it had handed over anything.
        let mut second = Schedule::new([(100 * MS, 0)], at(1_550));
        second.resume_after(0, outlet.accounted(GroupId(0), second.last(0)));
        let due = second.take(at(1_550)).unwrap();
        assert_eq!((due.slot, due.time), (SlotMark { number: 15, skipped: 5 }, at(1_500)));
        assert_eq!(second.take(at(1_550)), None);
    }

    #[test]
    fn the_first_failure_marks_the_tags_and_further_ones_only_the_slot() {
        let group = GroupDeclaration {
            id: crate::GroupId(4),
            device: "press".into(),
            device_settings: Default::default(),
            period_ns: MS,
            phase_ns: 0,
            tags: [crate::TagId(1)].into(),
            points: Vec::new(),
        };
        let due = Due { group: 0, slot: SlotMark { number: 7, skipped: 0 }, time: at(7) };
        let mut failing = None;
        let poll = |polled, failing: &mut Option<Quality>| emission(&group, due, polled, 0, failing);
        let timeout = || Polled::Failed(Quality::TIMEOUT);
        assert!(matches!(poll(timeout(), &mut failing), Emission::Samples { batch, .. }
            if batch.qualities == Qualities::Same(Quality::TIMEOUT)));
        assert!(matches!(poll(timeout(), &mut failing), Emission::Failed { why: Quality::TIMEOUT, .. }));
        assert!(matches!(poll(Polled::Failed(Quality::COMM_LOST), &mut failing), Emission::Samples { .. }));
        let values = Polled::Values { values: Column::nothing(1), qualities: Qualities::Same(Quality::GOOD) };
        assert!(matches!(poll(values, &mut failing), Emission::Samples { .. }));
        assert!(matches!(poll(timeout(), &mut failing), Emission::Samples { .. }));
    }
}
