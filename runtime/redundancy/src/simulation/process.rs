//! A node's process: the machine, and the shell around it that does what the machine says.

use super::plan::{CLEAN_DELAY, MS, S};
use super::source::Inbox;
use super::store::{Body, SINKS, Sample, Store, Superblocks, owe};
use super::world::{Clock, Event, TICK, World};
use crate::member::{Epoch, Member, NodeId};
use crate::message::{Body as Ask, Message, Stance};
use crate::mirror::fill::{From, admit};
use crate::mirror::takeover::take_over;
use crate::mirror::{ActiveSide, Outlet, Place, StandbySide, Wish};
use crate::mono::Mono;
use crate::node::{Configured, Event as News, Input, Node, Output, Role, Settings, SwitchCause};
use crate::timing::Timing;
use crate::token::{ActivationToken, Gate};
use gwp_core::Cursor;

/// From the vote that is handed over to deliveries of the other: it asks again with every beat,
/// the answer comes back, its own vote and that it won go to disk, sinks open.
fn handover_gap(timing: &Timing) -> u64 {
    timing.beat + 2 * (timing.lease / CLEAN_DELAY) + 4 * 30 * MS + 270 * MS
}

/// The active at work.
pub struct Work {
    pub epoch: Epoch,
    pub side: ActiveSide,
    pub outlets: [Outlet; SINKS],
    pub conn: Option<u32>,
    /// The machine was told that the peer is in step.
    in_step: bool,
    /// What the peer has handed over is in the log up to here; the answer is owed.
    pub handed: Option<Place>,
    told: [Cursor; SINKS],
    /// Entries that were submitted and that it did not know to be.
    pub lag: [usize; SINKS],
    pub inbox: Inbox,
    /// What it knew to be delivered when it was activated.
    pub kept: [Cursor; SINKS],
    /// Newest that was ever submitted.
    pub upto: [Cursor; SINKS],
    /// The peer has said that it keeps these.
    pub known: [Cursor; SINKS],
    /// The log's records when it was activated.
    base: usize,
}

/// A node while it follows the active.
pub struct Follow {
    pub conn: u32,
    pub epoch: Epoch,
    pub side: Option<StandbySide>,
}

/// Entries on their way to a sink.
pub struct Flight {
    pub serial: u64,
    pub epoch: Epoch,
    pub batch: Vec<(Cursor, Sample)>,
    pub emitted: bool,
}

pub struct Process {
    pub boot: u32,
    /// `None` = it is dead.
    pub node: Option<Node>,
    pub paused_until: u64,
    /// While it is paused: what comes over the network is lost.
    pub asleep: bool,
    pub pause_at_gate: Option<u64>,
    pub clock: Clock,
    pub disk: Superblocks,
    pub store: Store,
    pub gate: Option<Gate>,
    pub work: Option<Work>,
    pub follow: Option<Follow>,
    pub flights: [Option<Flight>; SINKS],
    closing: bool,
    pub draining: bool,
    pub hung: bool,
    pub sync_fails: bool,
    pub reads_fail: u64,
    pub heard_boots: [u32; 3],
    /// Newest epoch that the peer was heard to be active in.
    pub active_epoch: Epoch,
    /// Epoch whose active has said when it asked that this node holds everything.
    pub in_step: Epoch,
    next_connect: u64,
    configured: Configured,
}

impl Process {
    pub fn new(clock: Clock, shadow_bytes: usize) -> Process {
        Process {
            boot: 0,
            node: None,
            paused_until: 0,
            asleep: false,
            pause_at_gate: None,
            clock,
            disk: Superblocks::default(),
            store: Store::empty(shadow_bytes),
            gate: None,
            work: None,
            follow: None,
            flights: Default::default(),
            closing: false,
            draining: false,
            hung: false,
            sync_fails: false,
            reads_fail: 20,
            heard_boots: [0; 3],
            active_epoch: 0,
            in_step: 0,
            next_connect: 0,
            configured: Configured::default(),
        }
    }

    pub fn role(&self) -> Option<Role> {
        self.node.as_ref().map(Node::role)
    }

    /// All of the process is gone; the disks stay.
    pub fn stop(&mut self) {
        self.node = None;
        self.boot += 1;
        (self.gate, self.work, self.follow) = (None, None, None);
        self.flights = Default::default();
        (self.closing, self.draining, self.hung) = (false, false, false);
        (self.paused_until, self.pause_at_gate) = (0, None);
        self.heard_boots = [0; 3];
        (self.active_epoch, self.in_step) = (0, 0);
    }

    pub fn heard(&mut self, from: Member, message: &Message) {
        if from != Member::Witness && message.report.stance == Stance::Active {
            self.active_epoch = self.active_epoch.max(message.report.epoch);
            let node = &message.report.node;
            if let (Ask::Ask { .. }, true) = (message.body, node.paired || !node.switching) {
                self.in_step = if node.paired { message.report.epoch } else { 0 };
            }
        }
    }

    fn may_follow(&self) -> bool {
        let role = self.role();
        let fits = matches!(role, Some(Role::CatchingUp | Role::Standby | Role::Maintenance | Role::Fenced));
        let store = &self.store;
        let settled = !self.closing && !store.failed && !store.syncing && store.synced == store.log.len();
        fits && settled && self.follow.is_none() && self.active_epoch > 0
    }
}

impl World {
    pub fn boot_node(&mut self, id: NodeId) {
        let now = self.now(id);
        let settings = Settings {
            me: id,
            quorum: self.plan.quorum,
            timing: self.plan.timing,
            stale: self.plan.stale,
            failback: self.plan.failback,
        };
        let process = &mut self.nodes[id.index()];
        if process.node.is_some() {
            return;
        }
        process.node = Some(Node::boot(settings, process.disk.newest(), now));
        process.configured = process.store.configured();
        let (boot, configured) = (process.boot, process.configured);
        self.say(|| format!("{id} starts"));
        self.later(0, Event::Tick(id, boot));
        let logged = self.nodes[id.index()].store.end().position.epoch;
        let opens = self.random.between(50 * MS, 500 * MS);
        for input in [Input::Configured(Some(configured)), Input::Logged(logged), Input::Opened] {
            self.later(opens, Event::Input(id, boot, input));
        }
        self.later_between(opens, opens + S, Event::Input(id, boot, Input::Ready(true)));
        self.later(opens, Event::Input(id, boot, Input::Health(100)));
    }

    /// Gives a machine an input and does what it says.
    pub fn feed(&mut self, id: NodeId, input: Input) {
        let now = self.now(id);
        let Some(node) = &mut self.nodes[id.index()].node else { return };
        let mut out = Vec::new();
        let before = (node.role(), node.epoch());
        node.step(now, input, &mut out);
        let after = (node.role(), node.epoch());
        self.check_told(id, before, after, &out);
        for output in out {
            self.output(id, output);
        }
        self.check(id);
    }

    fn output(&mut self, id: NodeId, output: Output) {
        let process = &mut self.nodes[id.index()];
        let boot = process.boot;
        match output {
            Output::Send { to, message } => {
                self.check_relinquished(id, message.report.relinquished);
                self.send(Member::Node(id), to, message);
            }
            Output::Persist(block) => {
                process.disk.begin(block);
                self.later_between(MS, 30 * MS, Event::Written(Member::Node(id), boot));
            }
            Output::Activate { token, stale } => self.activate(id, token, stale),
            Output::Permit(permit) => {
                if let Some(gate) = &mut process.gate {
                    gate.permit(permit);
                }
            }
            Output::Close => self.close(id),
            Output::Alone(alone) => {
                self.coverage.saw(if alone { "solo" } else { "mark cleared" });
                self.say(|| format!("{id}: may deliver alone: {alone}"));
                self.facts.apart |= alone;
                if let (true, Some(work)) = (alone, &mut self.nodes[id.index()].work) {
                    work.side.solo_registered();
                }
            }
            Output::Prepare => {
                let prepared = self.random.chance(950);
                self.later_between(20 * MS, 2 * S, Event::Input(id, boot, Input::Prepared(prepared)));
            }
            Output::Drain => process.draining = true,
            Output::Resume => process.draining = false,
            Output::Cancel => self.say(|| format!("{id}: lets go of what was prepared")),
            Output::Role { from, to } => {
                self.say(|| format!("{id}: {from:?} to {to:?}"));
                self.coverage.role(from, to);
                self.facts.role(id, from, to);
                if to == Role::Standby && self.facts.destroyed == Some(id) {
                    self.facts.destroyed = None;
                }
                if (from, to) == (Role::Draining, Role::Fenced) && self.facts.smooth {
                    self.coverage.saw("smooth switchover");
                    let by = self.t + handover_gap(&self.plan.timing);
                    self.facts.expect(id.peer(), by, "I29 a switchover without a wait for a promise");
                }
            }
            Output::Notify(news) => self.news(id, news),
            Output::Refused(why) => self.say(|| format!("{id}: refused: {why:?}")),
        }
    }

    fn news(&mut self, id: NodeId, news: News) {
        self.say(|| format!("{id}: {news:?}"));
        match news {
            News::Activated { epoch, stale } => {
                if stale && self.had_everything(id) {
                    self.fail("a takeover by a standby that had everything flags nothing");
                }
                let timed = self.facts.is_timed();
                if let Some(what) = self.facts.in_time(id, self.t) {
                    self.fail(what);
                }
                let (takeover, handed) = self.facts.activated(id, epoch);
                self.facts.apart |= stale;
                if timed {
                    self.check_lag(id, handed);
                }
                if handed {
                    self.coverage.saw("switchover completed");
                } else if takeover {
                    self.coverage.saw(if stale { "stale takeover" } else { "takeover" });
                }
                if self.plan.healthy && takeover && !handed {
                    self.fail("I27 a switch without a cause");
                }
            }
            News::StaleRefused => self.ask_operator(id),
            News::SwitchoverAborted { .. } => self.coverage.saw("switchover aborted"),
            News::SwitchoverBegun { why, .. } => self.coverage.saw(match why {
                SwitchCause::Operator => "operator switchover",
                SwitchCause::Failback => "failback",
                SwitchCause::Health => "health switch",
            }),
            _ => {}
        }
    }

    /// What a shell does with its machine every few milliseconds.
    pub fn tick(&mut self, id: NodeId) {
        let process = &self.nodes[id.index()];
        let (boot, moved) = (process.boot, !process.hung);
        self.later(TICK, Event::Tick(id, boot));
        self.feed(id, Input::Moved { sequencer: moved, store: moved });
        self.check_due(id);
        self.drive_mark(id);
        self.consume(id);
        self.pump(id);
        self.close_or_drain(id);
        self.follow(id);
        self.trim(id);
    }

    /// A driver ticks when its machine is due: time that passes until then does nothing, but that people are told.
    fn check_due(&mut self, id: NodeId) {
        let now = self.now(id);
        let Some(node) = &self.nodes[id.index()].node else { return };
        let at = node.due(now).min(now.plus(node.settings().timing.beat));
        let (mut probe, mut out) = (node.clone(), Vec::new());
        probe.step(Mono(at.0 - 1), Input::Tick, &mut out);
        let is_by_itself = |output: &Output| matches!(output, Output::Notify(News::SwitchoverBegun { .. }));
        if out.iter().any(|output| !matches!(output, Output::Notify(_))) && !out.iter().any(is_by_itself) {
            self.fail("a machine does something before it is due");
        }
    }

    /// What the mirror wishes, the machine is told.
    fn drive_mark(&mut self, id: NodeId) {
        let now = self.now(id);
        let Some(work) = &mut self.nodes[id.index()].work else { return };
        let side = &mut work.side;
        side.tick(now);
        let mut inputs = Vec::new();
        match side.wish() {
            // The peer came back before the mark was registered.
            Some(Wish::Solo { .. }) if work.conn.is_some() && side.peer_durable() >= side.own_durable() => {
                side.solo_refused();
            }
            Some(Wish::Solo { .. }) => {
                work.in_step = false;
                inputs.push(Input::GoAlone);
            }
            Some(Wish::Clear) => {
                work.in_step = true;
                inputs.push(Input::PeerInStep(true));
                // From here on nothing leaves alone, whatever the keeper of the mark still has.
                side.mark_cleared();
            }
            None if side.is_paired() && !work.in_step => {
                work.in_step = true;
                inputs.push(Input::PeerInStep(true));
            }
            None => {}
        }
        // An activation that is not over takes neither; it is told again.
        let role = self.nodes[id.index()].role();
        if role != Some(Role::Active)
            && let Some(work) = &mut self.nodes[id.index()].work
        {
            work.in_step = work.in_step && role == Some(Role::Draining);
        }
        inputs.into_iter().for_each(|input| self.feed(id, input));
    }

    fn close_or_drain(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        let boot = process.boot;
        let quiet = process.flights.iter().all(Option::is_none);
        if process.closing && quiet {
            process.closing = false;
            self.later_between(MS, 20 * MS, Event::Input(id, boot, Input::Closed));
        } else if process.draining && quiet {
            let known = |work: &Work| {
                let upto =
                    work.upto.iter().zip(&process.store.delivered).all(|(upto, delivered)| delivered >= upto);
                let known = work.known == process.store.delivered;
                upto && known && work.side.peer_durable() >= work.side.own_durable()
            };
            if process.work.as_ref().is_some_and(known) {
                process.draining = false;
                process.gate = None;
                self.feed(id, Input::Drained);
            }
        }
    }

    fn follow(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        if process.may_follow() && self.t >= process.next_connect {
            process.next_connect = self.t + 200 * MS;
            let epoch = process.active_epoch;
            self.connect(id, epoch);
        } else if let Some(Follow { side: Some(_), .. }) = &process.follow
            && self.t >= process.next_connect
        {
            process.next_connect = self.t + 200 * MS;
            self.offer(id);
        }
    }

    fn activate(&mut self, id: NodeId, token: ActivationToken, stale: bool) {
        let epoch = token.epoch();
        self.say(|| format!("{id}: activates epoch {epoch}, stale: {stale}"));
        self.unfollow(id);
        let process = &mut self.nodes[id.index()];
        let store = &mut process.store;
        if epoch <= store.end().position.epoch {
            return self.fail("positions rise: an activation is newer than the log");
        }
        let own = store.durable();
        let mut tails = store.tails.clone();
        if store.handing.is_some() {
            // Its log does not tell what of these was delivered before it begins.
            tails.extend(store.shadow.iter().copied());
        }
        let takeover = take_over(&store.held, store.end(), &tails, &store.shadow, stale);
        store.append(epoch, Body::Activated { backfill_upto: takeover.backfill_upto });
        takeover.append.iter().for_each(|sample| store.append(epoch, Body::Sample(*sample)));
        process.gate = Some(Gate::new(token));
        // That the mark is set is the safe thing to assume: it makes the peer catch up first.
        process.work = Some(Work {
            epoch,
            side: ActiveSide::new(self.plan.mode, self.plan.timing.solo, own, true).with_window(3_000),
            outlets: store.delivered.map(Outlet::new),
            conn: None,
            in_step: false,
            handed: None,
            told: [Cursor::ZERO; SINKS],
            lag: [0; SINKS],
            inbox: Inbox::default(),
            kept: store.delivered,
            upto: [Cursor::ZERO; SINKS],
            known: [Cursor::ZERO; SINKS],
            base: store.log.len(),
        });
        process.draining = false;
        let boot = process.boot;
        self.start_sync(id);
        self.later_between(10 * MS, 200 * MS, Event::Sinks(id, boot, epoch));
    }

    /// The sinks can be opened and fenced, once what was merged is durable.
    pub fn sinks_open(&mut self, id: NodeId, epoch: Epoch) {
        let process = &mut self.nodes[id.index()];
        let boot = process.boot;
        let Some(work) = process.work.as_ref().filter(|work| work.epoch == epoch) else { return };
        if process.store.synced < work.base || self.facts.sinks[0].down {
            return self.later(10 * MS, Event::Sinks(id, boot, epoch));
        }
        process.store.tails.clear();
        process.store.aside.deleted();

        let accepted = &mut self.facts.sinks[0].accepted;
        if *accepted > epoch {
            let by = *accepted;
            return self.feed(id, Input::FencedBy(by));
        }
        *accepted = epoch;
        self.resume_transactional(id);
        self.note_lag(id);
        self.feed(id, Input::Activated(epoch));
    }

    fn close(&mut self, id: NodeId) {
        self.unfollow(id);
        let process = &mut self.nodes[id.index()];
        process.gate = None;
        process.work = None;
        (process.closing, process.draining) = (true, false);
        for flight in &mut process.flights {
            // What was not emitted never will be.
            *flight = flight.take().filter(|flight| flight.emitted);
        }
    }

    /// A slot is due, or an event happens: each node reads it a little later.
    pub fn slot(&mut self, stream: u8, number: u32) {
        if self.reads_end {
            return;
        }
        let period = [200 * MS, 500 * MS, 300 * MS][usize::from(stream)];
        for id in NodeId::BOTH {
            self.later_between(0, period / 8, Event::ReadBy(id, stream, number));
        }
        self.later(period, Event::Read(stream, number + 1));
    }

    pub fn read(&mut self, id: NodeId, stream: u8, number: u32) {
        let fails = self.nodes[id.index()].reads_fail;
        let mut good = 0;
        for bit in if stream == super::store::EVENTS { 1..2 } else { 1..3u8 } {
            good |= if self.random.chance(fails) { 0 } else { bit };
        }
        let process = &mut self.nodes[id.index()];
        if process.hung || !process.role().is_some_and(|role| role != Role::Booting) {
            return;
        }
        if good == 0 {
            self.coverage.saw("read failed");
            if stream == super::store::EVENTS {
                return;
            }
        }
        self.facts.read(id, stream, number, good);
        let sample = Sample::read(stream, number, good, id);
        let store = &mut process.store;
        match &process.work {
            Some(work) if !store.failed => {
                owe(&mut store.owed, &sample);
                if let Some(sample) = admit(&sample, From::Own, &store.held) {
                    store.append(work.epoch, Body::Sample(sample));
                }
                self.start_sync(id);
                self.pump(id);
            }
            _ => {
                if store.shadow(&sample) {
                    self.coverage.saw("shadow dropped");
                }
            }
        }
    }

    pub fn start_sync(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        let store = &mut process.store;
        if !store.syncing && !store.failed && store.synced < store.log.len() {
            store.syncing = true;
            let event = Event::Synced(id, process.boot, store.log.len());
            self.later_between(3 * MS, 25 * MS, event);
        }
    }

    pub fn synced(&mut self, id: NodeId, upto: usize) {
        let now = self.now(id);
        let process = &mut self.nodes[id.index()];
        let store = &mut process.store;
        if !store.syncing || store.failed {
            return;
        }
        store.syncing = false;
        if process.sync_fails {
            process.sync_fails = false;
            store.failed = true;
            let boot = process.boot;
            self.coverage.saw("fsync failed");
            self.say(|| format!("{id}: fsync fails"));
            self.feed(id, Input::StoreFailed);
            self.unfollow(id);
            return self.later_between(S / 2, 6 * S, Event::Repaired(id, boot));
        }
        let had_tails = !store.aside.is_empty();
        store.synced_to(upto.min(store.log.len()));
        if had_tails && store.aside.is_empty() {
            self.coverage.saw("tail deleted");
        }
        self.handed_shadow(id);
        let process = &mut self.nodes[id.index()];
        let durable = process.store.durable();
        if let Some(work) = &mut process.work {
            work.side.committed(durable, now);
        }
        self.acknowledge(id);
        self.reconfigure(id);
        self.start_sync(id);
        self.pump(id);
    }

    /// The configuration of the log, as far as it is durable, is in force.
    pub fn reconfigure(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        let configured = process.store.configured();
        if configured != process.configured {
            process.configured = configured;
            self.feed(id, Input::Configured(Some(configured)));
        }
    }

    pub fn repaired(&mut self, id: NodeId) {
        if !self.nodes[id.index()].store.failed {
            return;
        }
        self.nodes[id.index()].store.crash(&mut self.random, true);
        self.say(|| format!("{id}: its store is verified"));
        self.reconfigure(id);
        self.feed(id, Input::Repaired);
    }

    /// Frames to the peer, delivered cursors, entries to the sinks.
    pub fn pump(&mut self, id: NodeId) {
        self.send_frames(id);
        let process = &mut self.nodes[id.index()];
        let delivered = process.store.delivered;
        if let Some(work) = &mut process.work
            && let (Some(conn), true) = (work.conn, work.told != delivered)
        {
            work.told = delivered;
            self.wire(conn, id.peer(), super::link::Wire::Delivered(delivered));
        }
        self.deliver(id);
    }
}
