//! Progress: up to which event time the samples of each poll group are complete.
//!
//! It is computed from the records alone, so that every reader of the log knows the same:
//!
//! | group | is complete up to |
//! |---|---|
//! | polled | just before its next due slot; a slot that failed counts. A group that has given no record for its patience is absent and keeps nobody waiting, until it gives one again |
//! | time stamps of the device, or `late` set | the newest of its samples, or a second before gateway time, less `late`; with `hold`, while the connection is broken and until the backlog is in, the newest of its samples less `late` |
//! | else (stamped on arrival) | always: what arrives is the present |
//!
//! The *watermark* of what reads several groups is the smallest of them. Inputs are folded up
//! to it; timers and window ends also wait for gateway time to pass them.

use crate::plan::{OnDisconnect, Origin, Plan};
use gwp_core::time::NS_PER_S;
use gwp_core::{Batch, Fact, GroupId, TagId, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// A polled group that has given no record for two periods and this long is absent, nanoseconds.
const PATIENCE_NS: i64 = 10 * NS_PER_S;

/// Samples with time stamps of a device are this long under way without being late, nanoseconds.
const TRANSIT_NS: i64 = NS_PER_S;

/// After a reconnection without a sample for this long the backlog counts as delivered, nanoseconds.
const QUIET_NS: i64 = 2 * NS_PER_S;

/// Up to where a reader may compute; both ends are inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watermark {
    /// All samples up to here have come.
    pub input: Timestamp,
    /// Timers up to here are due.
    pub timer: Timestamp,
}

impl Watermark {
    /// The same, that long before.
    pub fn before(self, ns: i64) -> Watermark {
        Watermark {
            input: Timestamp(self.input.0.saturating_sub(ns)),
            timer: Timestamp(self.timer.0.saturating_sub(ns)),
        }
    }
}

/// Progress of all groups of a plan.
#[derive(Clone, Debug)]
pub struct Progress {
    groups: Vec<Group>,
    /// Some group buffers while its connection is broken.
    holds: bool,
    /// Tags `connected` of sources that hold, ascending, with the source's index.
    connections: Vec<(TagId, u32)>,
    state: ProgressState,
}

/// What changes, as plain data.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ProgressState {
    /// Gateway time, as far as the records tell it.
    pub now: Timestamp,
    /// By [`GroupId`].
    pub groups: Vec<GroupState>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct GroupState {
    /// Newest slot or sample.
    pub newest: Option<Timestamp>,
    /// Gateway time of its last record, or from which one is expected.
    pub heard: Timestamp,
    /// Waiting for a device that buffers.
    pub hold: Option<Hold>,
}

/// A broken connection to a device that buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Gateway time of the break.
    pub since: Timestamp,
    /// Gateway time of the reconnection: the backlog is coming in.
    pub draining: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Group {
    kind: Kind,
    source: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Polled { period_ns: i64, phase_ns: i64 },
    Device { late_ns: i64, hold_ns: i64 },
    Arrival,
}

impl Progress {
    pub fn new(plan: &Plan) -> Progress {
        let kind = |group: &crate::plan::Group| {
            let source = plan.sources.get(group.source as usize);
            let hold_ns = match source.map(|source| source.on_disconnect) {
                Some(OnDisconnect::Hold(ns)) => ns,
                _ => 0,
            };
            let late_ns = source.map_or(0, |source| source.late_ns);
            if group.period_ns > 0 {
                Kind::Polled { period_ns: group.period_ns, phase_ns: group.phase_ns }
            } else if source.is_some_and(|source| source.device_time) || late_ns > 0 || hold_ns > 0 {
                Kind::Device { late_ns, hold_ns }
            } else {
                Kind::Arrival
            }
        };
        let groups: Vec<Group> =
            plan.groups.iter().map(|group| Group { kind: kind(group), source: group.source }).collect();
        let connected = (0u32..).map(TagId).zip(&plan.tags);
        let connections = connected.filter_map(|(id, tag)| match tag.origin {
            Origin::Connected { source } => Some((id, source)),
            _ => None,
        });
        let holds = |source: u32| {
            groups.iter().any(|group| {
                group.source == source && matches!(group.kind, Kind::Device { hold_ns: 1.., .. })
            })
        };
        let state = ProgressState { now: Timestamp(0), groups: vec![GroupState::default(); groups.len()] };
        let connections: Vec<_> = connections.filter(|(_, source)| holds(*source)).collect();
        let holds = groups.iter().any(|group| matches!(group.kind, Kind::Device { hold_ns: 1.., .. }));
        Progress { connections, holds, groups, state }
    }

    /// Gateway time, as far as the records tell it.
    pub fn now(&self) -> Timestamp {
        self.state.now
    }

    pub fn state(&self) -> &ProgressState {
        &self.state
    }

    /// Takes over a state of the same plan; another number of groups is ignored.
    pub fn set_state(&mut self, state: ProgressState) {
        if state.groups.len() == self.groups.len() {
            self.state = state;
        }
    }

    /// Adopts from another plan what is known of groups that have kept their meaning:
    /// `renumber` gives the new number of an old group.
    pub fn adopt(&mut self, old: &Progress, renumber: &dyn Fn(GroupId) -> Option<GroupId>) {
        self.state.now = self.state.now.max(old.state.now);
        let now = self.state.now;
        self.state.groups.iter_mut().for_each(|group| group.heard = now);
        for (id, state) in (0..).map(GroupId).zip(&old.state.groups) {
            if let Some(new) = renumber(id).and_then(|id| self.state.groups.get_mut(id.index())) {
                *new = state.clone();
            }
        }
    }

    /// Newest slot or sample of a group.
    pub fn newest(&self, group: GroupId) -> Option<Timestamp> {
        self.state.groups.get(group.index())?.newest
    }

    /// Period of a polled group, nanoseconds.
    pub fn period_ns(&self, group: GroupId) -> Option<i64> {
        match self.groups.get(group.index())?.kind {
            Kind::Polled { period_ns, .. } => Some(period_ns),
            _ => None,
        }
    }

    /// Whether samples of a group may come behind its progress.
    pub fn may_be_late(&self, group: GroupId) -> bool {
        self.groups.get(group.index()).is_some_and(|group| matches!(group.kind, Kind::Device { .. }))
    }

    /// Whether the time stamps of a group order its samples; else what arrives is the present.
    pub fn keeps_order(&self, group: GroupId) -> bool {
        self.groups.get(group.index()).is_some_and(|group| !matches!(group.kind, Kind::Arrival))
    }

    /// Takes in what a record says of progress.
    pub fn record(&mut self, fact: &Fact) {
        match fact {
            Fact::Tick { now } | Fact::Anchor { now } => self.pass(*now),
            Fact::Activated { anchor, .. } => {
                self.pass(*anchor);
                // After a start every group is expected anew.
                let now = self.state.now;
                for (group, state) in self.groups.iter().zip(&mut self.state.groups) {
                    state.heard = now;
                    // Its connection ended with the process before, and the device buffers.
                    let holds = matches!(group.kind, Kind::Device { hold_ns: 1.., .. });
                    if holds && state.newest.is_some() {
                        state.hold.get_or_insert(Hold { since: now, draining: None });
                    }
                }
            }
            Fact::Samples { slot, batch } => self.samples(slot.number, batch),
            Fact::Failed { group, time, .. } => {
                self.pass(*time);
                self.heard(*group, *time);
            }
            Fact::Configured { .. } => {}
        }
    }

    fn samples(&mut self, slot: u64, batch: &Batch) {
        // Backfill tells how a connection was, and not how it is.
        let connections = if batch.backfill { 0 } else { self.connections.len() };
        for place in 0..connections {
            let (tag, source) = self.connections[place];
            if let Some(index) = batch.tags.iter().position(|other| *other == tag) {
                self.connection(source, batch.values.get(index) == Value::Bool(true), batch.times.get(index));
            }
        }
        let newest = match &batch.times {
            gwp_core::Times::Same(time) => Some(*time),
            gwp_core::Times::Each(times) => times.iter().max().copied(),
        };
        let Some(newest) = newest else { return };
        match self.groups.get(batch.group.index()).map(|group| group.kind) {
            // A device's clock says nothing of the gateway's.
            Some(Kind::Device { .. }) => {}
            _ => self.pass(newest),
        }
        match self.groups.get(batch.group.index()).map(|group| group.kind) {
            // Samples without a slot, such as those of a source that has failed, are none of its grid.
            Some(Kind::Polled { .. }) if slot == 0 => {
                let now = self.state.now;
                if let Some(state) = self.state.groups.get_mut(batch.group.index()) {
                    state.heard = now;
                }
            }
            _ => self.heard(batch.group, newest),
        }
    }

    /// Polled groups that are absent once gateway time is `now`, and the slot each has missed first.
    pub fn absent_at(&self, now: Timestamp) -> impl Iterator<Item = (GroupId, Option<Timestamp>)> + '_ {
        let groups = self.groups.iter().zip(&self.state.groups);
        (0..).map(GroupId).zip(groups).filter_map(move |(id, (group, state))| match group.kind {
            Kind::Polled { period_ns, .. } if silent_too_long(period_ns, state, now) => {
                Some((id, state.newest.map(|newest| newest.plus(period_ns))))
            }
            _ => None,
        })
    }

    fn connection(&mut self, source: u32, connected: bool, time: Timestamp) {
        let of_source =
            |group: &Group| group.source == source && matches!(group.kind, Kind::Device { hold_ns: 1.., .. });
        for (group, state) in self.groups.iter().zip(&mut self.state.groups) {
            if !of_source(group) {
                continue;
            }
            match (&mut state.hold, connected) {
                (Some(hold), true) => hold.draining = Some(time),
                (Some(hold), false) => hold.draining = None,
                (None, false) => state.hold = Some(Hold { since: time, draining: None }),
                (None, true) => {}
            }
        }
    }

    fn heard(&mut self, group: GroupId, newest: Timestamp) {
        let now = self.state.now;
        if let Some(state) = self.state.groups.get_mut(group.index()) {
            state.newest = state.newest.max(Some(newest));
            state.heard = now;
            if state.hold.is_some_and(|hold| hold.draining.is_some_and(|back| newest >= back)) {
                state.hold = None;
            }
        }
    }

    /// Gateway time moves on; it never goes back.
    fn pass(&mut self, now: Timestamp) {
        if now <= self.state.now {
            return;
        }
        self.state.now = now;
        if !self.holds {
            return;
        }
        for (group, state) in self.groups.iter().zip(&mut self.state.groups) {
            let Kind::Device { hold_ns, .. } = group.kind else { continue };
            let Some(hold) = state.hold else { continue };
            let over = now.0.saturating_sub(hold.since.0) > hold_ns;
            let quiet =
                hold.draining.is_some_and(|back| now.0.saturating_sub(back.max(state.heard).0) > QUIET_NS);
            if over || quiet {
                state.hold = None;
            }
        }
    }

    fn complete_to(&self, group: GroupId) -> Timestamp {
        let index = group.index();
        let (Some(declared), Some(state)) = (self.groups.get(index), self.state.groups.get(index)) else {
            return Timestamp(i64::MAX);
        };
        let now = self.state.now;
        match declared.kind {
            Kind::Arrival => Timestamp(i64::MAX),
            Kind::Polled { period_ns, phase_ns } => {
                if silent_too_long(period_ns, state, now) {
                    return Timestamp(i64::MAX);
                }
                let next = match state.newest {
                    Some(slot) => slot.0.saturating_add(period_ns),
                    // Before its first slot: the first one on its grid since it is expected.
                    None => {
                        let since = state.heard.0.saturating_sub(phase_ns);
                        let slots = since.saturating_add(period_ns - 1).div_euclid(period_ns);
                        slots.saturating_mul(period_ns).saturating_add(phase_ns)
                    }
                };
                Timestamp(next.saturating_sub(1))
            }
            Kind::Device { late_ns, .. } => {
                let newest = state.newest.unwrap_or(Timestamp(i64::MIN));
                let present = Timestamp(now.0.saturating_sub(TRANSIT_NS));
                // A clock that runs ahead does not take others with it.
                let newest = newest.min(now);
                let reached = if state.hold.is_some() { newest } else { newest.max(present) };
                Timestamp(reached.0.saturating_sub(late_ns))
            }
        }
    }

    /// The same, if it has come to `time`. `laggard` is the place of a group that had not when it
    /// was asked last: it is looked at first, so that who reads many groups does not look at all
    /// of them with each record.
    pub fn watermark_from(
        &self,
        groups: &[GroupId],
        time: Timestamp,
        laggard: &mut usize,
    ) -> Option<Watermark> {
        let first = (*laggard).min(groups.len());
        let mut others = (first..groups.len()).chain(0..first);
        match others.find(|place| self.complete_to(groups[*place]) < time) {
            Some(behind) => {
                *laggard = behind;
                None
            }
            None => Some(self.watermark(groups)),
        }
    }

    /// Up to where what reads these groups may compute.
    pub fn watermark(&self, groups: &[GroupId]) -> Watermark {
        let input = groups.iter().map(|group| self.complete_to(*group)).min();
        let input = input.unwrap_or(Timestamp(i64::MAX));
        Watermark { input, timer: input.min(self.state.now) }
    }
}

/// A polled group that has given no record for its patience is absent.
fn silent_too_long(period_ns: i64, state: &GroupState, now: Timestamp) -> bool {
    let patience = PATIENCE_NS.saturating_add(period_ns.saturating_mul(2));
    now.0.saturating_sub(state.heard.0) > patience
}
