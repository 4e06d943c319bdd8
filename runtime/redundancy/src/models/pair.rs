//! Two nodes and a witness, the real machines, in every order of events: time, messages lost,
//! delayed, doubled and overtaking each other, crashes, pauses between check and effect.
//!
//! Time is discrete and every machine's clock always shows [`NOW`]: a tick makes everything
//! that is remembered older instead ([`Node::age`]), so states that differ only in the date
//! are one. A clock that lags leaves a tick out. A machine is given [`Input::Tick`] with each
//! tick; between two ticks anything may happen in any order.

use crate::failback::FailbackMode;
use crate::invariants;
use crate::member::{Epoch, Member, NodeId};
use crate::message::{Body, Message};
use crate::mono::Mono;
use crate::node::{Command, Configured, Input, Node, Output, Role, Settings, StalePolicy};
use crate::policy::Quorum;
use crate::timing::Timing;
use crate::token::{Gate, Permit};
use crate::vote::Superblock;
use crate::witness::{Witness, WitnessInput, WitnessOutput};
use stateright::{Model, Property};

mod scenes;

/// What every clock shows: one more than the longest time in the past that matters to a machine
/// of these models, a promise.
pub const NOW: Mono = Mono(4);

/// One way a small pair can be.
#[derive(Clone)]
pub struct Pair {
    pub quorum: Quorum,
    pub timing: Timing,
    /// Activations beyond this epoch are not followed.
    pub epoch_max: Epoch,
    pub crashes: u8,
    /// Messages under way at once; more are lost.
    pub messages: usize,
    /// Which of more are lost is any choice, not the last ones.
    pub any_lost: bool,
    /// Ticks a clock may leave out.
    pub lag: u8,
    /// A message may arrive twice.
    pub doubled: bool,
    /// Effects are checked and emitted in two steps, at a fenced destination.
    pub effects: bool,
    pub switchovers: u8,
    /// How often the active may lose its peer and go alone, or have it in step again.
    pub marks: u8,
    /// A node's pipeline may hang.
    pub hangs: u8,
    /// An operator may force a node.
    pub force: u8,
    /// The primary is active and the backup in step from the beginning.
    pub running: bool,
    /// States that differ only in what cannot matter any more are one. Without it, each state is
    /// looked at as it is, and it is checked that nothing that is forgotten would have mattered.
    pub forgets: bool,
}

/// A node's process and what its shell holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Side {
    /// `None` = the process is dead.
    pub node: Option<Node>,
    pub disk: Superblock,
    gate: Option<(Epoch, Option<Permit>)>,
    /// An effect that was checked and has not left yet, by its epoch.
    emitting: Option<Epoch>,
    /// The shell was told to close and has not said so yet.
    closing: bool,
    draining: bool,
    hung: bool,
    /// Ticks since it hangs, as far as they matter.
    hung_for: u8,
    lagged: u8,
    /// Whether the last activation was told that its log may be behind.
    stale: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub sides: [Side; 2],
    pub witness: Option<Witness>,
    witness_disk: Superblock,
    witness_lagged: u8,
    /// From, to, what: ascending, each once.
    net: Vec<Sent>,
    crashes: u8,
    switchovers: u8,
    marks: u8,
    hangs: u8,
    forced: u8,
    /// Highest epoch the destination has accepted.
    accepted: Epoch,
    /// Rules broken in a step rather than in a state.
    broken: Option<invariants::Broken>,
    /// Epoch of the last activation, and whether its holder went alone in it.
    last: Epoch,
    went_alone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    /// Time passes; bits of the members whose clock lags.
    Tick(u8),
    Deliver(usize),
    DeliverAndKeep(usize),
    Lose(usize),
    Crash(Member),
    Restart(Member),
    Check(NodeId),
    Emit(NodeId),
    Closed(NodeId),
    Drained(NodeId),
    Switch(NodeId),
    InStep(NodeId),
    GoAlone(NodeId),
    Hang(NodeId),
    Force(NodeId),
}

type Sent = (Member, Member, Message);

/// What its receiver makes of it.
fn heard((from, to, message): &Sent) -> Sent {
    (*from, *to, message.heard_by(*to))
}

/// Whether one of those whose votes an epoch rests on was asked in the epoch before it as well. An operator may have
/// made somebody active of whom they never heard.
fn heard_of(before: Epoch, epoch: Epoch, voters: [&Superblock; 2]) -> bool {
    voters.iter().any(|voter| voter.promise.epoch == epoch && voter.before.epoch == before)
}

/// An order of messages, the same for those that are heard alike.
fn key(sent: &Sent) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    heard(sent).hash(&mut hasher);
    hasher.finish()
}

impl Pair {
    pub fn settings(&self, me: NodeId) -> Settings {
        Settings {
            me,
            quorum: self.quorum,
            timing: self.timing,
            stale: StalePolicy::Allow,
            failback: FailbackMode::Manual,
        }
    }

    /// Starts the process of a node on what its disk holds.
    fn boot(&self, world: &mut World, me: NodeId) {
        let side = &mut world.sides[me.index()];
        side.node = Some(Node::boot(self.settings(me), side.disk, NOW));
        for input in [Input::Configured(Some(Configured::default())), Input::Ready(true), Input::Opened] {
            self.feed(world, me, input);
        }
    }

    fn witnessed(&self) -> bool {
        self.quorum == Quorum::Witnessed
    }

    /// Gives a node an input, and does what it says as far as that needs no choice.
    fn feed(&self, world: &mut World, of: NodeId, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let side = &mut world.sides[of.index()];
            let Some(node) = &mut side.node else { return };
            let mut out = Vec::new();
            node.step(NOW, input, &mut out);
            let mut send = Vec::new();
            for output in out {
                match output {
                    Output::Send { to, message } => {
                        let exits = [side.gate.map(|(epoch, _)| epoch), side.emitting];
                        let told = invariants::relinquished(message.report.relinquished, &exits);
                        world.broken = world.broken.or(told.err());
                        send.push((Member::Node(of), to, message));
                    }
                    Output::Persist(block) => {
                        side.disk = block;
                        inputs.insert(0, Input::Persisted);
                    }
                    Output::Activate { token, stale } => {
                        let epoch = token.epoch();
                        side.gate = Some((epoch, None));
                        side.stale = stale;
                        let voters = [&side.disk, &world.witness_disk];
                        let unheard = world.forced > 0 && !heard_of(world.last, epoch, voters);
                        let found = self.activation(&world.last, &world.went_alone, of, stale || unheard);
                        world.broken = world.broken.or(found);
                        (world.last, world.went_alone) = (epoch, false);
                        let _made = Gate::new(token);
                        inputs.insert(0, Input::Activated(epoch));
                    }
                    Output::Permit(permit) => {
                        if let Some((epoch, of_gate)) = &mut side.gate
                            && *epoch == permit.epoch()
                        {
                            *of_gate = Some(permit);
                        }
                    }
                    Output::Close => {
                        side.gate = None;
                        side.closing = true;
                        side.draining = false;
                    }
                    Output::Drain => side.draining = true,
                    Output::Resume => side.draining = false,
                    Output::Prepare => inputs.insert(0, Input::Prepared(true)),
                    Output::Alone(true) => world.went_alone = world.went_alone || side.gate.is_some(),
                    // The peer has caught up with what left without it.
                    Output::Alone(false) => world.went_alone = false,
                    Output::Cancel | Output::Role { .. } | Output::Notify(_) | Output::Refused(_) => {}
                }
            }
            if side.closing && side.emitting.is_none() && !self.effects {
                side.closing = false;
                inputs.insert(0, Input::Closed);
            }
            if side.draining && !self.effects {
                side.draining = false;
                inputs.insert(0, Input::Drained);
            }
            self.post(world, send);
        }
    }

    /// A takeover from somebody who went alone must know it.
    fn activation(&self, last: &Epoch, alone: &bool, of: NodeId, stale: bool) -> Option<invariants::Broken> {
        let other_led = *last != 0 && invariants::own_epoch(of, *last).is_err();
        (other_led && *alone && !stale)
            .then_some(invariants::Broken("a takeover knows that the last active went alone"))
    }

    fn feed_witness(&self, world: &mut World, input: WitnessInput) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(witness) = &mut world.witness else { return };
            let mut out = Vec::new();
            witness.step(NOW, input, &mut out);
            let mut send = Vec::new();
            for output in out {
                match output {
                    WitnessOutput::Send { to, message } => {
                        send.push((Member::Witness, Member::Node(to), message))
                    }
                    WitnessOutput::Persist(block) => {
                        world.witness_disk = block;
                        inputs.push(WitnessInput::Persisted);
                    }
                }
            }
            self.post(world, send);
        }
    }

    fn post(&self, world: &mut World, messages: Vec<Sent>) {
        for entry in messages {
            let room = self.any_lost || world.net.len() < self.messages;
            let new = || world.net.iter().all(|other| heard(other) != heard(&entry));
            if room && new() {
                world.net.push(entry);
            }
        }
        world.net.sort_by_cached_key(key);
    }

    fn tick(&self, world: &mut World, lags: u8) {
        for id in NodeId::BOTH {
            let side = &mut world.sides[id.index()];
            if lags >> id.index() & 1 == 1 {
                side.lagged += 1;
                continue;
            }
            if let Some(node) = &mut side.node {
                node.age(1, NOW);
            }
            side.hung_for = if side.hung { (side.hung_for + 1).min(2 * self.timing.lease as u8) } else { 0 };
            if let Some((_, Some(permit))) = &mut side.gate {
                permit.age(1, NOW);
            }
            // Stamps are of the clock of who asked.
            if let Some(node) = &mut world.sides[id.peer().index()].node {
                node.age_heard(1);
            }
            for (from, to, message) in &mut world.net {
                let of = match message.body {
                    Body::Ask { .. } => *from,
                    _ => *to,
                };
                if of == Member::Node(id) {
                    message.age(1);
                }
            }
        }
        if let Some(witness) = &mut world.witness {
            if lags >> 2 & 1 == 1 {
                world.witness_lagged += 1;
            } else {
                witness.age(1, NOW);
            }
        }
        world.net.sort_by_cached_key(key);
        world.net.dedup_by_key(|sent| heard(sent));
        for id in NodeId::BOTH {
            if lags >> id.index() & 1 == 0 {
                let moved = !world.sides[id.index()].hung;
                self.feed(world, id, Input::Moved { sequencer: moved, store: moved });
            }
        }
    }

    fn deliver(&self, world: &mut World, entry: Sent) {
        let (from, to, message) = entry;
        match (to, from) {
            (Member::Node(id), _) => self.feed(world, id, Input::Message { from, message }),
            (Member::Witness, Member::Node(id)) => {
                self.feed_witness(world, WitnessInput::Message { from: id, message });
            }
            (Member::Witness, Member::Witness) => {}
        }
    }

    /// What is checked as a property of the machine alone, whatever its surroundings.
    fn holds_together(&self, world: &World) -> Option<invariants::Broken> {
        let mut found = Ok(());
        for id in NodeId::BOTH {
            let side = &world.sides[id.index()];
            let Some(node) = &side.node else { continue };
            let open = side
                .gate
                .and_then(|(epoch, permit)| permit.filter(|permit| NOW < permit.until()).map(|_| epoch));
            found = found.and(invariants::of_node(node, &side.disk, open, NOW)).and(invariants::marked(
                id,
                node,
                side.disk.mark,
                world.witness_disk.mark,
                NOW,
            ));
        }
        found.err()
    }
}

/// The rule that begins with these words was not broken on the way here.
macro_rules! rule {
    ($name:literal) => {
        Property::<Self>::always($name, |_, world| {
            world.broken.is_none_or(|broken| !broken.0.starts_with($name))
        })
    };
}

fn holds(node: &Node) -> bool {
    NOW < node.lease_until()
}

fn led(world: &World, id: NodeId, epoch: Epoch) -> bool {
    world.sides[id.index()]
        .node
        .as_ref()
        .is_some_and(|node| node.role() == Role::Active && node.epoch() >= epoch && NOW < node.lease_until())
}

impl Model for Pair {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        let side = |_| Side {
            node: None,
            disk: Superblock::default(),
            gate: None,
            emitting: None,
            closing: false,
            draining: false,
            hung: false,
            hung_for: 0,
            lagged: 0,
            stale: false,
        };
        let mut world = World {
            sides: NodeId::BOTH.map(side),
            witness: self.witnessed().then(|| Witness::boot(self.timing, Superblock::default(), NOW)),
            witness_disk: Superblock::default(),
            witness_lagged: 0,
            net: Vec::new(),
            crashes: 0,
            switchovers: 0,
            marks: 0,
            hangs: 0,
            forced: 0,
            accepted: 0,
            broken: None,
            last: 0,
            went_alone: false,
        };
        NodeId::BOTH.into_iter().for_each(|id| self.boot(&mut world, id));
        if self.running {
            self.run_until_paired(&mut world);
        }
        vec![world]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        if world.net.len() > self.messages {
            // Any of them may be the one that is lost.
            acts.extend((0..world.net.len()).map(Act::Lose));
            return;
        }
        let lagged = [world.sides[0].lagged, world.sides[1].lagged, world.witness_lagged];
        for lags in 0..8u8 {
            let may = (0..3).all(|i| lags >> i & 1 == 0 || lagged[i] < self.lag);
            if may && (self.witnessed() || lags < 4) {
                acts.push(Act::Tick(lags));
            }
        }
        for at in 0..world.net.len() {
            acts.push(Act::Deliver(at));
            // Otherwise one that is never delivered is lost when others want its room.
            if !self.any_lost {
                acts.push(Act::Lose(at));
            }
            if self.doubled {
                acts.push(Act::DeliverAndKeep(at));
            }
        }
        if world.witness.is_some() && world.crashes < self.crashes {
            acts.push(Act::Crash(Member::Witness));
        } else if world.witness.is_none() && self.witnessed() {
            acts.push(Act::Restart(Member::Witness));
        }
        for id in NodeId::BOTH {
            self.actions_of(world, id, acts);
        }
    }

    fn next_state(&self, last: &World, act: Act) -> Option<World> {
        let mut world = self.after(last, act)?;
        if self.forgets {
            self.forget(&mut world);
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("I1 one holder", |model, world| {
                let nodes = [NodeId::Primary, NodeId::Backup].map(|id| &world.sides[id.index()].node);
                let [Some(one), Some(other)] = nodes else { return true };
                !model.exclusive(world) || invariants::one_holder([(one, NOW), (other, NOW)]).is_ok()
            }),
            rule!("I2"),
            rule!("I3"),
            rule!("I4"),
            rule!("I6"),
            rule!("I7"),
            rule!("I15"),
            rule!("a takeover"),
            Property::<Self>::always("a hung node loses its lease", |model, world| {
                let long = 2 * model.timing.lease as u8;
                let hung = |side: &Side| side.hung_for >= long && side.node.as_ref().is_some_and(holds);
                !world.sides.iter().any(hung)
            }),
            Property::<Self>::always("nothing that is forgotten matters", |model, world| {
                model.forgets || model.forgets_rightly(world)
            }),
            Property::<Self>::sometimes("primary active", |_, world| led(world, NodeId::Primary, 1)),
        ];
        if self.epoch_max >= 2 {
            properties
                .push(Property::<Self>::sometimes("backup active", |_, world| led(world, NodeId::Backup, 2)));
        }
        if self.epoch_max >= 3 {
            properties.push(Property::<Self>::sometimes("failed back", |_, world| {
                led(world, NodeId::Primary, 3) && world.accepted <= 3
            }));
        }
        if self.marks > 0 {
            properties.push(Property::<Self>::sometimes("stale takeover", |_, world| {
                world.sides.iter().any(|side| side.stale && side.gate.is_some())
            }));
        }
        if self.switchovers > 0 {
            properties.push(Property::<Self>::sometimes("switched over", |_, world| {
                world.switchovers > 0 && world.crashes == 0 && led(world, NodeId::Backup, 2)
            }));
        }
        properties
    }
}

impl Pair {
    /// Whether one holder is promised at all.
    fn exclusive(&self, world: &World) -> bool {
        use crate::policy::PairPolicy::Availability;
        self.quorum != Quorum::Pair(Availability) && world.forced == 0
    }

    /// What follows from an action; nothing if that is not followed.
    fn after(&self, last: &World, act: Act) -> Option<World> {
        let mut world = last.clone();
        self.act(&mut world, act);
        world.broken = world.broken.or(self.holds_together(&world));
        let beyond = world.sides.iter().any(|side| {
            side.node.as_ref().is_some_and(|node| node.epoch() > self.epoch_max)
                || side.disk.promise.epoch > self.epoch_max
        });
        (!beyond).then_some(world)
    }

    /// Gives what cannot matter any more one value.
    fn forget(&self, world: &mut World) {
        for side in &mut world.sides {
            side.stale &= side.gate.is_some();
            if let Some(node) = &mut side.node {
                node.forget(NOW);
            }
        }
        world.net.iter_mut().for_each(|sent| *sent = heard(sent));
    }

    /// Whether from the state without what is forgotten the same follows as from the whole one.
    fn forgets_rightly(&self, world: &World) -> bool {
        let short = |mut world: World| {
            self.forget(&mut world);
            world
        };
        let forgotten = short(world.clone());
        let (mut acts, mut same) = (Vec::new(), Vec::new());
        self.actions(world, &mut acts);
        self.actions(&forgotten, &mut same);
        acts == same
            && acts
                .into_iter()
                .all(|act| self.after(world, act).map(short) == self.after(&forgotten, act).map(short))
    }

    fn actions_of(&self, world: &World, id: NodeId, acts: &mut Vec<Act>) {
        let side = &world.sides[id.index()];
        let Some(node) = &side.node else {
            acts.push(Act::Restart(Member::Node(id)));
            return;
        };
        if world.crashes < self.crashes {
            acts.push(Act::Crash(Member::Node(id)));
        }
        if self.effects {
            let open = side.gate.is_some_and(|(_, permit)| permit.is_some_and(|permit| NOW < permit.until()));
            match side.emitting {
                None if open && !side.draining => acts.push(Act::Check(id)),
                Some(_) => acts.push(Act::Emit(id)),
                None => {}
            }
            if side.closing && side.emitting.is_none() {
                acts.push(Act::Closed(id));
            }
            if side.draining && side.emitting.is_none() {
                acts.push(Act::Drained(id));
            }
        }
        if world.switchovers < self.switchovers && node.may_switch(NOW).is_ok() {
            acts.push(Act::Switch(id));
        }
        if world.marks < self.marks && node.role() == Role::Active {
            acts.extend([Act::InStep(id), Act::GoAlone(id)]);
        }
        if world.hangs < self.hangs && node.role() == Role::Active && !side.hung {
            acts.push(Act::Hang(id));
        }
        if world.forced < self.force && !node.role().holds() {
            acts.push(Act::Force(id));
        }
    }

    fn act(&self, world: &mut World, act: Act) {
        match act {
            Act::Tick(lags) => self.tick(world, lags),
            Act::Deliver(at) => {
                let entry = world.net.remove(at);
                self.deliver(world, entry);
            }
            Act::DeliverAndKeep(at) => self.deliver(world, world.net[at]),
            Act::Lose(at) => drop(world.net.remove(at)),
            Act::Crash(Member::Witness) => {
                world.crashes += 1;
                world.witness = None;
            }
            Act::Crash(Member::Node(id)) => {
                world.crashes += 1;
                let side = &mut world.sides[id.index()];
                let (disk, lagged) = (side.disk, side.lagged);
                *side = Side {
                    node: None,
                    disk,
                    gate: None,
                    emitting: None,
                    closing: false,
                    draining: false,
                    hung: false,
                    hung_for: 0,
                    lagged,
                    stale: false,
                };
            }
            Act::Restart(Member::Witness) => {
                world.witness = Some(Witness::boot(self.timing, world.witness_disk, NOW));
            }
            Act::Restart(Member::Node(id)) => self.boot(world, id),
            Act::Check(id) => {
                let side = &mut world.sides[id.index()];
                side.emitting = side.gate.map(|(epoch, _)| epoch);
            }
            Act::Emit(id) => self.emit(world, id),
            Act::Closed(id) => {
                world.sides[id.index()].closing = false;
                self.feed(world, id, Input::Closed);
            }
            Act::Drained(id) => {
                world.sides[id.index()].draining = false;
                self.feed(world, id, Input::Drained);
            }
            Act::Switch(id) => {
                world.switchovers += 1;
                self.feed(world, id, Input::Operator(Command::Switchover));
            }
            Act::InStep(id) => {
                world.marks += 1;
                self.feed(world, id, Input::PeerInStep(true));
            }
            Act::GoAlone(id) => {
                world.marks += 1;
                self.feed(world, id, Input::GoAlone);
            }
            Act::Hang(id) => {
                world.hangs += 1;
                world.sides[id.index()].hung = true;
            }
            Act::Force(id) => {
                world.forced += 1;
                self.feed(world, id, Input::Operator(Command::ForceActivate));
            }
        }
    }

    /// A checked effect reaches its destination, which fences.
    fn emit(&self, world: &mut World, id: NodeId) {
        let Some(epoch) = world.sides[id.index()].emitting.take() else { return };
        if invariants::fenced(world.accepted, epoch).is_ok() {
            world.accepted = epoch;
        } else if mutant!("destination_without_fence") {
            world.broken = Some(invariants::Broken("I3 epochs at a destination rise"));
        }
    }

    /// Begins with the primary active and the backup in step, nothing under way.
    fn run_until_paired(&self, world: &mut World) {
        let paired = |world: &World| {
            world.sides[0].node.as_ref().is_some_and(|node| node.role() == Role::Active)
                && world.sides[1].node.as_ref().is_some_and(|node| node.role() == Role::Standby)
        };
        for _ in 0..200 {
            if paired(world) {
                world.net.clear();
                return;
            }
            self.tick(world, 0);
            while let Some(entry) = world.net.pop() {
                self.deliver(world, entry);
            }
            self.feed(world, NodeId::Primary, Input::PeerInStep(true));
        }
        panic!("the pair does not come up: {world:?}");
    }
}
