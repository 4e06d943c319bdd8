//! Faults as they befall the world, and their end.

use super::plan::{CLEAN_DELAY, Fault, MS, S};
use super::store::{Body, lacks};
use super::world::{Clock, Event, World, ix};
use crate::member::{Member, NodeId};
use crate::node::{Command, Input, Role};
use crate::policy::{PairPolicy, Quorum};
use crate::timing::{Path, Timing};

/// What a path of these delays, disks and sinks promises.
fn failover_bound(timing: &Timing) -> u64 {
    let delay = timing.lease / CLEAN_DELAY + MS;
    timing.failover_bound(&Path {
        delay,
        round_trip: 2 * delay,
        vote_fsync: 30 * MS,
        // Merged, synced, opened.
        activate: 260 * MS,
        drift_permille: 20,
    })
}

impl World {
    pub fn fault(&mut self, fault: Fault) {
        if self.calm && !matches!(fault, Fault::Crash { .. }) {
            return;
        }
        self.say(|| format!("FAULT {fault:?}"));
        match fault {
            Fault::Network { loss, doubled, delay } => self.set_network(loss, doubled, delay),
            Fault::Cut { from, to } => {
                self.cut[ix(from)][ix(to)] = from != to;
                let downs = self.cut.iter().flatten().filter(|cut| **cut).count();
                let both = self.cut[ix(to)][ix(from)];
                self.coverage.saw(if both { "full cut" } else { "one-way cut" });
                if downs > 4 {
                    self.coverage.saw("swizzle");
                }
            }
            Fault::Mend { from, to } => self.cut[ix(from)][ix(to)] = false,
            Fault::Pause { of, lasts } => {
                self.coverage.saw("pause");
                self.pause(of, lasts, false);
            }
            Fault::Suspend { of, lasts, ahead } => self.suspend(of, lasts, ahead),
            Fault::Freeze { of, lasts } => self.freeze(of, lasts),
            Fault::PauseAtGate { of, lasts } => self.nodes[of.index()].pause_at_gate = Some(lasts),
            Fault::Crash { of, back, reboot } => self.crash(of, back, reboot),
            Fault::CrashActive { back } => self.crash_active(back),
            Fault::SmoothSwitchover => {
                self.facts.smooth = true;
                NodeId::BOTH.into_iter().for_each(|id| self.command(id, Command::Switchover));
            }
            Fault::Destroy { of, back } => self.destroy(of, back),
            Fault::SuperblockFails(Member::Node(id)) => self.nodes[id.index()].disk.fails = true,
            Fault::SuperblockFails(Member::Witness) => self.witness.disk.fails = true,
            Fault::SyncFails(id) => self.nodes[id.index()].sync_fails = true,
            Fault::Hang { of, lasts } => {
                self.coverage.saw("hang");
                self.nodes[of.index()].hung = true;
                self.later(lasts, Event::HangEnds(of));
            }
            Fault::ReadsFail { of, permille } => self.nodes[of.index()].reads_fail = permille,
            Fault::SinkDown { sink, lasts } => {
                self.coverage.saw("destination down");
                self.facts.sinks[sink].down = true;
                self.later(lasts, Event::SinkUp(sink));
            }
            Fault::Configure => self.configure(),
            Fault::Switchover => {
                NodeId::BOTH.into_iter().for_each(|id| self.command(id, Command::Switchover));
            }
            Fault::Maintenance { of, lasts } => {
                self.coverage.saw("maintenance");
                self.command(of, Command::Maintenance(true));
                self.later(lasts, Event::MaintenanceEnds(of));
            }
            Fault::Health { of, score } => self.command_input(of, Input::Health(score)),
            Fault::Ready { of, ready } => self.command_input(of, Input::Ready(ready)),
            Fault::Force(id) => {
                self.coverage.saw("forced");
                self.command(id, Command::ForceActivate);
            }
        }
    }

    fn crash_active(&mut self, back: u64) {
        let Some(active) = self.only_active() else { return };
        if self.nodes[active.peer().index()].role() == Some(Role::Standby) {
            self.facts.expect(
                active.peer(),
                self.t + failover_bound(&self.plan.timing),
                "a failover within its bound",
            );
            self.coverage.saw("clean crash");
        }
        self.crash(Member::Node(active), back, false);
    }

    /// A node will not take over before somebody says so; somebody looks at it later.
    pub fn ask_operator(&mut self, id: NodeId) {
        self.coverage.saw("stale refused");
        if !std::mem::replace(&mut self.asked, true) {
            self.later_between(2 * S, 6 * S, Event::OperatorLooks(id));
        }
    }

    /// If nobody is active or about to be, this node is made it.
    pub fn operator_looks(&mut self, id: NodeId) {
        self.asked = false;
        let holds = |id: NodeId| self.nodes[id.index()].role().is_some_and(Role::holds);
        if !NodeId::BOTH.into_iter().any(holds) {
            self.coverage.saw("operator decides for a stale one");
            // He cannot know whether the other is about to be.
            self.plan.forced = true;
            self.command(id, Command::ForceActivate);
        }
    }

    fn command(&mut self, id: NodeId, command: Command) {
        self.command_input(id, Input::Operator(command));
    }

    /// A paused process hears of it when it goes on.
    fn command_input(&mut self, id: NodeId, input: Input) {
        let boot = self.nodes[id.index()].boot;
        self.later(0, Event::Input(id, boot, input));
    }

    /// An engineer puts another configuration in force.
    fn configure(&mut self) {
        self.plans = self.plans.wrapping_add(1);
        let plan = self.plans;
        for id in NodeId::BOTH {
            let process = &mut self.nodes[id.index()];
            let may =
                process.node.as_ref().is_some_and(|node| node.may_configure(plan.is_multiple_of(2)).is_ok());
            let paused = process.paused_until > self.t;
            if let Some(work) = process.work.as_ref().filter(|_| may && !paused && !process.store.failed) {
                process.store.append(work.epoch, Body::Config(plan));
                self.coverage.saw("configured");
                self.start_sync(id);
                self.pump(id);
            }
        }
    }

    pub fn crash(&mut self, of: Member, back: u64, reboot: bool) {
        let clock = |at: &mut Clock, t: u64| {
            if reboot {
                *at = Clock { offset: S, since: t, ..*at };
            }
        };
        let back = if self.calm { back.min(S) } else { back };
        match of {
            Member::Witness => {
                if self.witness.machine.take().is_none() {
                    return;
                }
                self.coverage.saw("witness crash");
                self.witness.boot += 1;
                if self.witness.disk.interrupt(&mut self.random) {
                    self.coverage.saw("torn superblock");
                }
                clock(&mut self.witness.clock, self.t);
                self.later(back, Event::Boot(of, self.witness.boot));
            }
            Member::Node(id) => {
                if self.nodes[id.index()].node.is_none() {
                    return;
                }
                self.coverage.saw(if reboot { "reboot" } else { "crash" });
                self.all_is_stored(id);
                self.conn_dies_with(id);
                let process = &mut self.nodes[id.index()];
                process.stop();
                clock(&mut process.clock, self.t);
                let boot = process.boot;
                if process.disk.interrupt(&mut self.random) {
                    self.coverage.saw("torn superblock");
                }
                let keep = self.plan.shadow_on_disk;
                if self.nodes[id.index()].store.crash(&mut self.random, keep) {
                    self.coverage.saw("torn tail");
                }
                self.later(back, Event::Boot(of, boot));
                self.power_off_known(id, back, reboot);
            }
        }
    }

    /// A crash in the middle of a switched-off machine: sometimes the peer can be sure of it.
    fn power_off_known(&mut self, id: NodeId, back: u64, reboot: bool) {
        let safety = self.plan.quorum == Quorum::Pair(PairPolicy::Safety);
        if reboot && safety && back > 2 * S && self.random.chance(700) {
            self.coverage.saw("power off known");
            let other = id.peer();
            let boot = self.nodes[other.index()].boot;
            // Said while it is still off: what was under way has arrived by then.
            if self.nodes[other.index()].paused_until <= self.t {
                self.later(S, Event::Input(other, boot, Input::PeerOff));
            }
        }
    }

    fn conn_dies_with(&mut self, id: NodeId) {
        let process = &self.nodes[id.index()];
        if process.work.is_some() || process.follow.is_some() {
            self.break_link();
        }
    }

    /// I11: whatever a running node has read or copied is in one of its stores, or named. Where
    /// logs are trimmed, all destinations may have it instead.
    pub fn all_is_stored(&mut self, id: NodeId) {
        let store = &self.nodes[id.index()].store;
        let mut stored = store.stored();
        if self.plan.trims.is_some() {
            for identity in store.owed.keys() {
                stored.entry(*identity).or_default().0 |= self.facts.delivered(identity);
            }
        }
        if let Some(identity) = lacks(&store.owed, &[&stored, &store.dropped]) {
            self.fail(format!("I11 what was read is in a store: {identity:?} of {id}"));
        }
    }

    /// All faults end.
    pub fn calm_down(&mut self) {
        self.say(|| "CALM".to_string());
        self.calm = true;
        self.set_network(0, 0, 5 * MS);
        self.cut = [[false; 3]; 3];
        self.facts.sinks.iter_mut().for_each(|sink| sink.down = false);
        for id in NodeId::BOTH {
            let process = &mut self.nodes[id.index()];
            process.paused_until = process.paused_until.min(self.t);
            process.clock.since = process.clock.since.min(self.t);
            process.pause_at_gate = None;
            (process.hung, process.sync_fails, process.disk.fails, process.reads_fail) =
                (false, false, false, 20);
            let (boot, dead) = (process.boot, process.node.is_none());
            // A disk is not exchanged within a promise.
            let exchanged = self.facts.destroyed == Some(id);
            let wait = if exchanged { 2 * self.plan.timing.promise } else { 0 };
            if dead {
                self.later_between(wait, wait + S, Event::Boot(Member::Node(id), boot));
            }
            if process_failed(self, id) {
                self.later_between(0, S, Event::Repaired(id, boot));
            }
            self.later(0, Event::MaintenanceEnds(id));
            self.command_input(id, Input::Ready(true));
            self.command_input(id, Input::Health(100));
        }
        self.witness.asleep_until = 0;
        self.witness.disk.fails = false;
        if self.witness.machine.is_none() {
            self.later_between(0, S, Event::Boot(Member::Witness, self.witness.boot));
        }
    }

    /// Who is active, if exactly one is and nobody else is about to be.
    pub fn only_active(&self) -> Option<NodeId> {
        let roles = NodeId::BOTH.map(|id| self.nodes[id.index()].role());
        let holds = |role: Option<Role>| role.is_some_and(Role::holds);
        NodeId::BOTH
            .into_iter()
            .find(|id| roles[id.index()] == Some(Role::Active) && !holds(roles[id.peer().index()]))
    }
}

fn process_failed(world: &World, id: NodeId) -> bool {
    world.nodes[id.index()].store.failed
}
