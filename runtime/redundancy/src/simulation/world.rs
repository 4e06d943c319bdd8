//! The world: virtual time, the network between the members, and who is told what when.

use super::coverage::Coverage;
use super::facts::Facts;
use super::link::{Conn, Wire};
use super::plan::{Fault, MS, Plan, S};
use super::process::Process;
use super::random::Random;
use super::store::{Sample, Superblocks};
use crate::member::{Epoch, Member, NodeId};
use crate::message::Message;
use crate::mono::Mono;
use crate::node::Input;
use crate::witness::{Witness, WitnessInput, WitnessOutput};
use gwp_core::Cursor;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// How often a shell gives its machine the time.
pub const TICK: u64 = 20 * MS;
/// Events of the story that are kept.
const STORY: usize = 250;

#[derive(Clone, Debug)]
pub enum Event {
    Tick(NodeId, u32),
    Message {
        to: Member,
        from: Member,
        boot: u32,
        serial: u64,
        message: Message,
    },
    Written(Member, u32),
    Input(NodeId, u32, Input),
    Boot(Member, u32),
    Synced(NodeId, u32, usize),
    Repaired(NodeId, u32),
    /// Sinks are open for an epoch, if the log is synced.
    Sinks(NodeId, u32, Epoch),
    Link {
        conn: u32,
        to: NodeId,
        wire: Wire,
    },
    LinkLost(u32, NodeId),
    Read(u8, u32),
    /// The source has another message.
    Posted(u32),
    /// The acknowledgement of a message leaves.
    Forget {
        of: NodeId,
        boot: u32,
        number: u32,
    },
    ReadBy(NodeId, u8, u32),
    Emit {
        of: NodeId,
        boot: u32,
        sink: usize,
        serial: u64,
    },
    Arrive {
        of: NodeId,
        boot: u32,
        sink: usize,
        serial: u64,
        epoch: Epoch,
        batch: Vec<(Cursor, Sample)>,
    },
    Answer {
        of: NodeId,
        boot: u32,
        sink: usize,
        serial: u64,
        answer: Answer,
    },
    Fault(Fault),
    SinkUp(usize),
    OperatorLooks(NodeId),
    HangEnds(NodeId),
    MaintenanceEnds(NodeId),
    Calm,
}

#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Acknowledged,
    Lost,
    Refused(Epoch),
}

struct Due {
    at: u64,
    seq: u64,
    /// Of its own, as the heap moves what it holds.
    event: Box<Event>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    /// The earliest is the greatest: a heap gives the greatest first.
    fn cmp(&self, other: &Due) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

/// The boot clock of one machine.
#[derive(Clone, Copy)]
pub struct Clock {
    pub offset: u64,
    pub permille: u64,
    /// Before this it stands still.
    pub since: u64,
}

impl Clock {
    pub fn show(&self, t: u64) -> Mono {
        Mono(self.offset + t.saturating_sub(self.since) / 1_000 * self.permille)
    }
}

pub struct WitnessProcess {
    pub machine: Option<Witness>,
    pub boot: u32,
    pub clock: Clock,
    pub disk: Superblocks,
    pub asleep_until: u64,
    heard_boots: [u32; 2],
}

pub struct World {
    pub t: u64,
    seq: u64,
    queue: BinaryHeap<Due>,
    pub random: Random,
    pub plan: Plan,
    pub calm: bool,
    pub nodes: [Process; 2],
    pub witness: WitnessProcess,
    pub cut: [[bool; 3]; 3],
    pub loss: u64,
    doubled: u64,
    pub delay: u64,
    serials: u64,
    newest_serial: [[u64; 3]; 3],
    pub conn: Option<Conn>,
    pub conns: u32,
    pub facts: Facts,
    pub coverage: Coverage,
    pub broken: Option<String>,
    telling: bool,
    pub story: VecDeque<String>,
    /// Until then a clock that did what votes do not allow for can make two holders.
    pub loose_until: u64,
    /// An operator is on his way.
    pub asked: bool,
    /// No slot is read any more.
    pub reads_end: bool,
    pub plans: u8,
    pub serial: u64,
}

pub fn ix(member: Member) -> usize {
    member.node().map_or(2, NodeId::index)
}

impl World {
    pub fn new(seed: u64, telling: bool) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        let clocks =
            plan.rates.map(|permille| Clock { offset: random.between(S, 1 << 50), permille, since: 0 });
        let faults = plan.faults.clone();
        let calm_at = plan.calm_at;
        let mut world = World {
            t: 0,
            seq: 0,
            queue: BinaryHeap::new(),
            random,
            nodes: NodeId::BOTH.map(|id| Process::new(clocks[id.index()], plan.shadow_bytes)),
            plan,
            calm: false,
            witness: WitnessProcess {
                machine: None,
                boot: 0,
                clock: clocks[2],
                disk: Superblocks::default(),
                asleep_until: 0,
                heard_boots: [0; 2],
            },
            cut: [[false; 3]; 3],
            loss: 0,
            doubled: 0,
            delay: 10 * MS,
            serials: 0,
            newest_serial: [[0; 3]; 3],
            conn: None,
            conns: 0,
            facts: Facts::default(),
            coverage: Coverage::default(),
            broken: None,
            telling,
            story: VecDeque::new(),
            loose_until: 0,
            asked: false,
            reads_end: false,
            plans: 0,
            serial: 0,
        };
        for member in [Member::Node(NodeId::Primary), Member::Node(NodeId::Backup), Member::Witness] {
            let delay = world.random.between(0, 2 * S);
            world.later(delay, Event::Boot(member, 0));
        }
        faults.into_iter().for_each(|(at, fault)| world.later(at, Event::Fault(fault)));
        world.later(calm_at, Event::Calm);
        world.later(S, Event::Posted(1));
        (0..super::store::STREAMS).for_each(|stream| world.later(S, Event::Read(stream, 1)));
        world
    }

    /// Words for the story, if it is wanted.
    pub fn say(&mut self, words: impl FnOnce() -> String) {
        if self.telling {
            if self.story.len() == STORY {
                self.story.pop_front();
            }
            let t = self.t / 1_000;
            self.story.push_back(format!("{:>3}.{:06} s  {}", t / 1_000_000, t % 1_000_000, words()));
        }
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        if self.broken.is_none() {
            let what = what.into();
            self.say(|| format!("BROKEN: {what}"));
            self.broken = Some(what);
        }
    }

    pub fn later(&mut self, delay: u64, event: Event) {
        self.seq += 1;
        self.queue.push(Due { at: self.t + delay, seq: self.seq, event: Box::new(event) });
    }

    pub fn later_between(&mut self, from: u64, to: u64, event: Event) {
        let delay = self.random.between(from, to);
        self.later(delay, event);
    }

    pub fn now(&self, id: NodeId) -> Mono {
        self.nodes[id.index()].clock.show(self.t)
    }

    /// Takes the next event; `false` = there is none before `until`.
    pub fn step(&mut self, until: u64) -> bool {
        let Some(due) = self.queue.peek().filter(|due| due.at <= until) else { return false };
        self.t = due.at;
        let Some(Due { event, .. }) = self.queue.pop() else { return false };
        if let Some(event) = self.put_off(*event) {
            self.handle(event);
        }
        true
    }

    /// Whoever stands still gets it later, or never.
    fn put_off(&mut self, event: Event) -> Option<Event> {
        let witness =
            matches!(event, Event::Message { to: Member::Witness, .. } | Event::Written(Member::Witness, _));
        let (until, asleep) = match addressee(&event) {
            Some(id) => (self.nodes[id.index()].paused_until, self.nodes[id.index()].asleep),
            None if witness => (self.witness.asleep_until, true),
            None => return Some(event),
        };
        if until <= self.t {
            return Some(event);
        }
        match event {
            // A slot that is due while the process stands still is missed.
            Event::ReadBy(..) => {}
            Event::Message { .. } if asleep => {}
            Event::Link { conn, .. } if asleep => self.break_link_if(conn),
            event => self.later(until - self.t, event),
        }
        None
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick(id, boot) if self.is(id, boot) => self.tick(id),
            Event::Message { to, from, boot, serial, message } => {
                self.arrive_message(to, from, boot, serial, message);
            }
            Event::Written(member, boot) if self.boot_of(member) == boot => self.written(member),
            Event::Input(id, boot, input) if self.is(id, boot) => self.feed(id, input),
            Event::Boot(member, boot) if self.boot_of(member) == boot => self.boot(member),
            Event::Synced(id, boot, upto) if self.is(id, boot) => self.synced(id, upto),
            Event::Repaired(id, boot) if self.is(id, boot) => self.repaired(id),
            Event::Sinks(id, boot, epoch) if self.is(id, boot) => self.sinks_open(id, epoch),
            Event::Link { conn, to, wire } => self.link(conn, to, wire),
            Event::LinkLost(conn, id) => self.link_lost(conn, id),
            Event::Read(stream, number) => self.slot(stream, number),
            Event::Posted(number) => self.posted(number),
            Event::Forget { of, boot, number } if self.is(of, boot) => self.forget(number),
            Event::ReadBy(id, stream, number) => self.read(id, stream, number),
            Event::Emit { of, boot, sink, serial } if self.is(of, boot) => self.emit(of, sink, serial),
            Event::Arrive { of, boot, sink, serial, epoch, batch } => {
                let answer = self.at_sink(sink, epoch, &batch);
                self.later_between(MS, 15 * MS, Event::Answer { of, boot, sink, serial, answer });
            }
            Event::Answer { of, boot, sink, serial, answer } if self.is(of, boot) => {
                self.answer(of, sink, serial, answer);
            }
            Event::Fault(fault) => self.fault(fault),
            Event::OperatorLooks(id) => self.operator_looks(id),
            Event::SinkUp(sink) => self.facts.sinks[sink].down = false,
            Event::HangEnds(id) => self.nodes[id.index()].hung = false,
            Event::MaintenanceEnds(id) => {
                self.feed(id, Input::Operator(crate::node::Command::Maintenance(false)));
            }
            Event::Calm => self.calm_down(),
            // Of a process that is no more.
            _ => {}
        }
    }

    fn is(&self, id: NodeId, boot: u32) -> bool {
        let process = &self.nodes[id.index()];
        process.boot == boot && process.node.is_some()
    }

    pub fn boot_of(&self, member: Member) -> u32 {
        member.node().map_or(self.witness.boot, |id| self.nodes[id.index()].boot)
    }

    /// Puts a message on the network.
    pub fn send(&mut self, from: Member, to: Member, message: Message) {
        if self.cut[ix(from)][ix(to)] || self.random.chance(self.loss) {
            self.coverage.saw("message lost");
            return;
        }
        let boot = self.boot_of(from);
        self.serials += 1;
        let serial = self.serials;
        let copies = 1 + u64::from(self.random.chance(self.doubled));
        for copy in 0..copies {
            if copy > 0 {
                self.coverage.saw("message doubled");
            }
            let delay = self.random.between(MS / 2, self.delay + MS);
            self.later(delay, Event::Message { to, from, boot, serial, message });
        }
    }

    fn arrive_message(&mut self, to: Member, from: Member, boot: u32, serial: u64, message: Message) {
        let newest = &mut self.newest_serial[ix(from)][ix(to)];
        if serial < *newest {
            self.coverage.saw("message overtaken");
        }
        *newest = serial.max(*newest);
        match (to, from) {
            (Member::Node(id), from) => {
                let process = &mut self.nodes[id.index()];
                // The shell refuses what an earlier boot of the sender has said.
                let heard = &mut process.heard_boots[ix(from)];
                if process.node.is_none() || boot < *heard {
                    return;
                }
                *heard = boot;
                process.heard(from, &message);
                self.feed(id, Input::Message { from, message });
            }
            (Member::Witness, Member::Node(id)) => {
                let heard = &mut self.witness.heard_boots[id.index()];
                if boot >= *heard {
                    *heard = boot;
                    self.feed_witness(WitnessInput::Message { from: id, message });
                }
            }
            (Member::Witness, Member::Witness) => {}
        }
    }

    pub fn feed_witness(&mut self, input: WitnessInput) {
        let now = self.witness.clock.show(self.t);
        let Some(witness) = &mut self.witness.machine else { return };
        let mut out = Vec::new();
        witness.step(now, input, &mut out);
        for output in out {
            match output {
                WitnessOutput::Send { to, message } => self.send(Member::Witness, Member::Node(to), message),
                WitnessOutput::Persist(block) => {
                    self.witness.disk.begin(block);
                    let event = Event::Written(Member::Witness, self.witness.boot);
                    self.later_between(MS, 30 * MS, event);
                }
            }
        }
    }

    /// A superblock is on its disk, or cannot be written.
    fn written(&mut self, member: Member) {
        let disk = match member {
            Member::Node(id) => &mut self.nodes[id.index()].disk,
            Member::Witness => &mut self.witness.disk,
        };
        let failed = disk.fails;
        if failed {
            disk.fails = false;
            if disk.interrupt(&mut self.random) {
                self.coverage.saw("torn superblock");
            }
            self.say(|| format!("{member}: its superblock cannot be written"));
            // Somebody exchanges the disk's cable and starts it again.
            let back = self.random.between(S, 8 * S);
            self.later(2 * S, Event::Fault(Fault::Crash { of: member, back, reboot: false }));
        } else {
            disk.finish();
        }
        match (member, failed) {
            (Member::Node(id), true) => {
                self.coverage.saw("superblock failed");
                self.feed(id, Input::PersistFailed);
            }
            (Member::Node(id), false) => self.feed(id, Input::Persisted),
            (Member::Witness, true) => {
                self.coverage.saw("witness superblock failed");
                self.feed_witness(WitnessInput::PersistFailed);
            }
            (Member::Witness, false) => self.feed_witness(WitnessInput::Persisted),
        }
    }

    fn boot(&mut self, member: Member) {
        match member {
            Member::Node(id) => self.boot_node(id),
            Member::Witness if self.witness.machine.is_none() => {
                let now = self.witness.clock.show(self.t);
                self.say(|| "witness starts".to_string());
                self.witness.machine = Some(Witness::boot(self.plan.timing, self.witness.disk.newest(), now));
            }
            Member::Witness => {}
        }
    }

    pub fn set_network(&mut self, loss: u64, doubled: u64, delay: u64) {
        (self.loss, self.doubled, self.delay) = (loss, doubled, delay);
    }
}

/// The process that has to run for this event.
fn addressee(event: &Event) -> Option<NodeId> {
    match event {
        Event::Tick(id, _)
        | Event::Input(id, ..)
        | Event::Synced(id, ..)
        | Event::Repaired(id, _)
        | Event::Sinks(id, ..)
        | Event::LinkLost(_, id)
        | Event::ReadBy(id, ..)
        | Event::MaintenanceEnds(id)
        | Event::Emit { of: id, .. }
        | Event::Forget { of: id, .. }
        | Event::Answer { of: id, .. }
        | Event::Link { to: id, .. }
        | Event::Message { to: Member::Node(id), .. }
        | Event::Written(Member::Node(id), _) => Some(*id),
        _ => None,
    }
}
