//! One gateway of the pair as a machine: what it hears and what time it is decide what it is.
//!
//! ```text
//! Booting --opened--> Starting --hears an active--> CatchingUp --in step--> Standby
//!                        |                            ^   |                   |
//!                        |  nobody is active          |   |  the active       |
//!                        |  (after a hold)            |   |  is gone          | its promise ran out,
//!                        v                            |   v  (after a hold)   v or it handed its vote over
//!                     Candidate <---------------------|---+---------------- Candidate
//!                        | a majority                 |
//!                        v                            | hears an active
//!                     Activating --sinks open--> Active --lease lost, higher epoch, fault--> Fenced
//!                                                 ^  |                                         ^
//!                                          aborted|  v switchover: the standby is prepared     |
//!                                                Draining --acknowledged: vote handed over-----+
//!
//! Maintenance: an operator keeps it from standing.   Faulted: its store cannot be trusted.
//! ```
//!
//! A call of [`Node::step`] goes: what has run out by `now` ends, the input is taken, what is
//! due begins, what must be kept goes to disk. Nothing that depends on a vote leaves before
//! the vote is on disk.

mod due;
mod exchange;
mod hearing;
mod holding;
#[cfg(test)]
mod past;
mod standing;
mod state;
mod switching;

use crate::failback::{Failback, FailbackMode};
use crate::health::Health;
use crate::lease::Lease;
use crate::member::{Epoch, Member, NodeId};
use crate::message::{Body, Message, NodeReport, Report, Stance};
use crate::mono::Mono;
use crate::policy::Quorum;
use crate::timing::Timing;
use crate::vote::{Mark, Superblock, Voter};
use gwp_core::{PlanId, Position};

pub use exchange::{Command, Event, Input, Output, Refusal, SwitchCause};
pub use standing::{ForceObstacle, Obstacle};
pub use state::{FailbackView, State};
pub use switching::SwitchObstacle;

/// What an operator or `node.toml` decides about a pair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    pub me: NodeId,
    pub quorum: Quorum,
    pub timing: Timing,
    pub stale: StalePolicy,
    pub failback: FailbackMode,
}

/// What a node does that could take over, but whose log may lack what was delivered already.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum StalePolicy {
    /// It takes over, and flags what it delivers from its old log as backfill.
    #[default]
    Allow,
    /// It takes over only when an operator says so.
    Ask,
}

/// What a node is. [`State`] has the finer words of the status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Booting,
    Starting,
    CatchingUp,
    Standby,
    Candidate,
    Activating,
    Active,
    Draining,
    Fenced,
    Maintenance,
    Faulted,
}

impl Role {
    /// Whether it holds an epoch that it has won.
    pub fn holds(self) -> bool {
        matches!(self, Role::Activating | Role::Active | Role::Draining)
    }
}

/// The configuration a node runs, and the log position of the record that put it in force.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Configured {
    pub plan: PlanId,
    pub at: Position,
}

/// What was heard of another member, and when.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Seen {
    /// [`Mono::NEVER`] = not since this node started.
    at: Mono,
    /// When its vote will be free, by its last report.
    free_at: Mono,
    report: Report,
    /// People were told that it is silent.
    missed: bool,
}

impl Seen {
    fn within(&self, now: Mono, ns: u64) -> bool {
        self.at != Mono::NEVER && now.since(self.at) < ns
    }
}

/// The superblock and the disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Disk {
    written: Superblock,
    writing: Option<Superblock>,
    failed: bool,
}

/// One gateway. Everything it knows is in here; [`Node::step`] is all that changes it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    settings: Settings,
    voter: Voter,
    disk: Disk,
    role: Role,
    /// When it took this role.
    since: Mono,
    lease: Lease,
    /// Exits may still be open after the role that opened them ended.
    closing: bool,
    /// The token of this activation was given out.
    announced: bool,
    peer: Seen,
    witness: Seen,
    /// The active's clock at its last request: an older one is not news.
    peer_sent: Mono,
    /// Until then the active's requests and the answers to them stand for hellos.
    peer_hello_at: Mono,
    /// Granted to the peer, to be said when it is on disk.
    owed: Option<(Epoch, Mono)>,
    next_beat: Mono,
    next_witness_hello: Mono,
    /// Highest epoch known to have been won.
    leader: Epoch,
    /// Epoch in which the active said that this node holds everything; 0 = not, or not since boot.
    in_step: Epoch,
    /// Epoch of the active that was followed last.
    followed: Epoch,
    /// Highest epoch that the peer was active in and gave up.
    peer_gave_up: Epoch,
    /// It is certain that the peer has no power.
    peer_off: bool,
    /// After a candidacy without result.
    stand_after: Mono,
    configured: Option<Configured>,
    /// The other one that it can run as well, around a change.
    also: Option<Configured>,
    /// There is none that it could run.
    unfit: bool,
    sequencer_moved: Mono,
    store_moved: Mono,
    health: u8,
    ready: bool,
    holder: holding::Holder,
    switch: switching::Switch,
    failback: Failback,
    better: Health,
}

impl Node {
    /// A node whose process has just started, with what its superblock holds.
    pub fn boot(settings: Settings, superblock: Superblock, now: Mono) -> Node {
        let nothing = Seen {
            at: Mono::NEVER,
            free_at: Mono::FOREVER,
            missed: false,
            report: Report {
                stance: Stance::Aside,
                epoch: 0,
                relinquished: 0,
                promise: Default::default(),
                bound_for: 0,
                before: Default::default(),
                mark: None,
                node: NodeReport::default(),
            },
        };
        Node {
            settings,
            voter: Voter::start(superblock, now, &settings.timing),
            disk: Disk { written: superblock, writing: None, failed: false },
            role: Role::Booting,
            since: now,
            lease: Lease::NONE,
            closing: false,
            announced: false,
            peer: nothing,
            witness: nothing,
            peer_hello_at: now,
            peer_sent: Mono::NEVER,
            owed: None,
            next_beat: now,
            next_witness_hello: now,
            leader: superblock.led,
            in_step: 0,
            followed: 0,
            peer_gave_up: 0,
            peer_off: false,
            stand_after: Mono::NEVER,
            configured: None,
            also: None,
            unfit: false,
            sequencer_moved: now,
            store_moved: now,
            health: 100,
            ready: false,
            holder: holding::Holder::default(),
            switch: switching::Switch::None,
            failback: Failback::new(settings.failback, now),
            better: Health::default(),
        }
    }

    /// Takes one input at `now` (never earlier than before) and appends what is to be done.
    pub fn step(&mut self, now: Mono, input: Input, out: &mut Vec<Output>) {
        self.expire(now, out);
        self.take(now, input, out);
        self.advance(now, out);
        self.persist(out);
        if self.on_disk() {
            self.speak(now, out);
        }
    }

    fn take(&mut self, now: Mono, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Tick => {}
            Input::Message { from, message } => self.hear(now, from, message, out),
            Input::Persisted => {
                if let Some(block) = self.disk.writing.take() {
                    self.disk.written = block;
                }
            }
            Input::PersistFailed => {
                self.disk.failed = true;
                self.fault(now, out);
            }
            Input::Logged(epoch) => self.leader = self.leader.max(epoch),
            Input::StoreFailed => self.fault(now, out),
            Input::Opened if self.role == Role::Booting => self.become_role(now, Role::Starting, out),
            Input::Repaired if self.role == Role::Faulted && !self.disk.failed => {
                self.in_step = 0;
                self.become_role(now, Role::Starting, out);
            }
            Input::Opened | Input::Repaired => {}
            Input::Moved { sequencer, store } => {
                self.sequencer_moved = if sequencer { now } else { self.sequencer_moved };
                self.store_moved = if store { now } else { self.store_moved };
            }
            Input::Activated(epoch) => self.activated(now, epoch, out),
            Input::Closed => self.closing = false,
            Input::Drained => self.drained(now, out),
            Input::Prepared(prepared) => self.prepared(prepared),
            Input::PeerInStep(in_step) => self.peer_in_step(now, in_step, out),
            Input::GoAlone => self.go_alone(now, out),
            Input::GiveUp if self.role.holds() => self.lose(now, out),
            Input::GiveUp => {}
            Input::FencedBy(by) => {
                // Whoever fenced with it has won it.
                self.leader = self.leader.max(by);
                if self.role.holds() && by > self.lease.epoch {
                    out.push(Output::Notify(Event::Fenced { epoch: self.lease.epoch, by }));
                    self.lose(now, out);
                }
            }
            Input::PeerOff => self.peer_off = true,
            Input::Health(score) => self.health = score.min(100),
            Input::Ready(ready) => self.ready = ready,
            Input::Configured(configured) => {
                if configured.is_none() {
                    out.push(Output::Notify(Event::ConfigInvalid));
                }
                self.configured = configured;
                self.unfit = configured.is_none();
            }
            Input::AlsoConfigured(also) => self.also = also,
            Input::FailbackWindow(open) => self.failback.window_open = open,
            Input::Operator(command) => self.command(now, command, out),
        }
    }

    fn command(&mut self, now: Mono, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Switchover => match self.may_switch(now) {
                Ok(()) => self.begin_switch(now, SwitchCause::Operator, out),
                Err(why) => out.push(Output::Refused(Refusal::Switchover(why))),
            },
            Command::Maintenance(true) => match self.role {
                Role::Starting | Role::CatchingUp | Role::Standby | Role::Fenced => {
                    self.become_role(now, Role::Maintenance, out);
                }
                Role::Maintenance => {}
                _ => out.push(Output::Refused(Refusal::MaintenanceOfActive)),
            },
            Command::Maintenance(false) => {
                if self.role == Role::Maintenance {
                    self.become_role(now, Role::Starting, out);
                }
            }
            Command::ForceActivate => self.force(now, out),
            Command::Acknowledge => self.failback.acknowledge(),
        }
    }

    /// What has run out by now ends.
    fn expire(&mut self, now: Mono, out: &mut Vec<Output>) {
        if self.role.holds() && now >= self.lease.until() {
            out.push(Output::Notify(Event::LeaseLost { epoch: self.lease.epoch }));
            self.lose(now, out);
        }
        if self.role == Role::Activating && now.since(self.since) >= crate::limits::ACTIVATE_MAX {
            self.lose(now, out);
        }
        if self.role == Role::Candidate && now.since(self.since) >= self.settings.timing.lease {
            self.step_aside(now, out);
        }
    }

    /// What is due begins.
    fn advance(&mut self, now: Mono, out: &mut Vec<Output>) {
        self.notice_silence(now, out);
        if self.may_stand(now).is_ok() {
            self.stand(now, out);
        }
        if self.role == Role::Candidate && self.on_disk() && self.has_majority(now) {
            self.win(now, out);
        }
        self.advance_switch(now, out);
    }

    /// Whether all that was promised is on disk.
    fn on_disk(&self) -> bool {
        !self.disk.failed && self.disk.writing.is_none() && self.disk.written == self.voter.block
    }

    fn persist(&mut self, out: &mut Vec<Output>) {
        if mutant!("vote_not_durable") {
            self.disk.written = self.voter.block;
        }
        if !self.disk.failed && self.disk.writing.is_none() && self.disk.written != self.voter.block {
            self.disk.writing = Some(self.voter.block);
            out.push(Output::Persist(self.voter.block));
        }
    }

    /// All is on disk: what waited for that is said.
    fn speak(&mut self, now: Mono, out: &mut Vec<Output>) {
        if let Some((epoch, sent)) = self.owed.take() {
            let promise = self.voter.block.promise;
            if promise.epoch == epoch && promise.holder == Some(self.peer()) {
                self.send(now, Member::Node(self.peer()), Body::Vote { epoch, sent, granted: true }, out);
            }
        }
        self.own_mark_kept(now, out);
        if self.role == Role::Activating && !self.announced {
            self.announce(now, out);
        }
        // Also while booting: that the epoch of an earlier process is over frees votes, and need not wait for a store.
        if now >= self.next_beat {
            self.beat(now, out);
        }
    }

    /// The store or the superblock cannot be trusted.
    fn fault(&mut self, now: Mono, out: &mut Vec<Output>) {
        let epoch = if self.role.holds() { self.lease.epoch } else { 0 };
        if self.role.holds() {
            self.lose(now, out);
        }
        if self.role != Role::Faulted {
            out.push(Output::Notify(Event::Faulted { epoch }));
            self.become_role(now, Role::Faulted, out);
        }
    }

    fn become_role(&mut self, now: Mono, to: Role, out: &mut Vec<Output>) {
        if self.role != to {
            out.push(Output::Role { from: self.role, to });
            self.role = to;
            self.since = now;
        }
    }

    fn peer(&self) -> NodeId {
        self.settings.me.peer()
    }

    fn send(&self, now: Mono, to: Member, body: Body, out: &mut Vec<Output>) {
        out.push(Output::Send { to, message: Message { report: self.report(now, to), body } });
    }

    /// What this node says of itself.
    fn report(&self, now: Mono, to: Member) -> Report {
        let block = &self.voter.block;
        let stance = match self.role {
            Role::Candidate => Stance::Candidate,
            role if role.holds() => Stance::Active,
            _ => Stance::Aside,
        };
        // An epoch is over for good when the process that led it has no open exit.
        let over = !self.role.holds() && (!self.closing || mutant!("relinquish_before_closed"));
        Report {
            stance,
            epoch: self.lease.epoch,
            relinquished: if over { self.disk.written.led } else { 0 },
            promise: block.promise,
            bound_for: if block.promise.holder == to.node() { 0 } else { self.voter.until.since(now) },
            before: block.before,
            mark: block.mark,
            node: NodeReport {
                configured: self.configured.unwrap_or_default(),
                // While draining, too, or the standby would let go of what it has prepared.
                paired: matches!(self.role, Role::Active | Role::Draining)
                    && self.holder.peer_in_step
                    && !(mutant!("draining_says_unpaired") && self.role == Role::Draining),
                switching: self.is_switching(),
                health: self.health,
                ready: self.ready && self.role == Role::Standby && !self.closing,
            },
        }
    }
}

/// The mark as the holder wants it kept.
fn mark_of(node: &Node, turn: u32, solo: bool) -> Mark {
    Mark { holder: node.settings.me, epoch: node.lease.epoch, turn, solo }
}
