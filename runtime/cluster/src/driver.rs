//! The driver of a node: the thread that gives the machine what happens, and does what it says.
//!
//! ```text
//! links ---datagram--> wiring --message--\
//! votes on disk ---------------written---> Driver: Node::step --+--> wiring --> links
//! shell (engine, mirror, operators) -input-/                    +--> votes on disk
//! time (when the machine is due) ---------/                     +--> door: token, permits, shut
//!                                                               +--> shell: what else it says
//! ```
//! It waits for nothing but its inbox, so that leases are renewed and run out in time whatever the
//! rest of the process does. That a hung rest loses its lease all the same is the machine's business: it
//! wants to be told that sequencer and store move.

use crate::disk::{self, Written};
use crate::limits::{FAREWELLS, LOOK_EVERY_NS, REMINDERS_PER_BEAT};
use crate::links::{Arrived, Came, Inbox, LinkAddresses, Links, Mailbox};
use crate::route::LinkSet;
use crate::seal::{Sealer, Secret};
use crate::superblock::SuperblockFile;
use crate::wiring::{WireFigures, Wiring};
use gwp_redundancy::invariants::{self, Broken};
use gwp_redundancy::member::{Epoch, Member, NodeId};
use gwp_redundancy::message::{Message, Report, Stance};
use gwp_redundancy::mono::Mono;
use gwp_redundancy::node::{
    Command, Event, FailbackView, Input, Node, Obstacle, Output, Refusal, Role, Settings, State,
};
use gwp_redundancy::token::{ActivationToken, Permit};
use gwp_redundancy::vote::Superblock;
use std::io;
use std::num::NonZeroU128;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// The exits of the graph, as the driver opens and shuts them.
pub trait Door: Send {
    /// An epoch was won; shut until its first permit.
    fn activate(&mut self, token: ActivationToken);

    fn permit(&mut self, permit: Permit);

    fn shut(&mut self);
}

/// What a driver is made of.
pub struct DriverConfig {
    pub settings: Settings,
    pub secret: Secret,
    /// Random, for this start of the process alone.
    pub boot: NonZeroU128,
    pub links: Vec<LinkAddresses>,
    /// Where this member keeps its votes.
    pub votes: PathBuf,
    /// The clock that leases are counted on.
    pub clock: fn() -> Mono,
    pub door: Box<dyn Door>,
}

/// Why a member cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error(transparent)]
    Votes(#[from] crate::superblock::OpenError),
    #[error("a link of the pair cannot be used")]
    Link(#[source] io::Error),
    #[error("the operating system gives no thread")]
    Thread(#[source] io::Error),
}

/// What the machine tells the shell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// An epoch was won: run the graph, then [`Input::Activated`].
    Activate {
        epoch: Epoch,
        stale: bool,
    },
    /// The exits are shut. When nothing is on its way through them any more: [`Input::Closed`].
    Close,
    Prepare,
    Cancel,
    Drain,
    Resume,
    Role {
        from: Role,
        to: Role,
    },
    Notify(Event),
    /// The machine breaks a rule: a defect. The node has given up what it held.
    Defect(&'static str),
}

/// What was heard of the peer by which the store is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    /// Newest epoch in which the peer was heard to be active.
    pub active_epoch: Epoch,
    /// It is active in it still, as far as is known.
    pub is_active: bool,
    /// Links over which it is not heard while it is over another.
    pub silent: LinkSet,
}

/// A look at the machine.
#[derive(Clone, Debug)]
pub struct Look {
    pub state: State,
    pub role: Role,
    pub epoch: Epoch,
    /// Nanoseconds for which it may still act; `None` = for good, or it holds nothing.
    pub lease_left: Option<u64>,
    pub alone: bool,
    pub failback: FailbackView,
    /// How often the graph has moved since this process started, as far as it knows.
    pub switches: u64,
    /// Why it does not stand, if it does not.
    pub obstacle: Option<Obstacle>,
    pub votes: Superblock,
    /// What the peer and the witness said of themselves last, and nanoseconds since.
    pub peer: Option<(Report, u64)>,
    pub witness: Option<(Report, u64)>,
    pub wire: WireFigures,
}

/// A word of this process.
enum Word {
    Written(Written),
    Input(Input),
    /// What an operator wants, and whether the machine refused it.
    Command(Command, tokio::sync::oneshot::Sender<Option<Refusal>>),
    Look(tokio::sync::oneshot::Sender<Look>),
    /// Say farewell and end. True: nothing is on its way through the exits.
    End(bool),
}

impl From<Written> for Word {
    fn from(written: Written) -> Word {
        Word::Written(written)
    }
}

/// A running driver, for its shell. Dropping it ends the driver.
pub struct DriverHandle {
    inbox: Mailbox<Word>,
    moves: Arc<Moves>,
    pub heard: watch::Receiver<Heard>,
    thread: Option<JoinHandle<()>>,
}

impl DriverHandle {
    /// Tells the machine that something happened.
    pub fn input(&self, input: Input) {
        self.inbox.send(Word::Input(input));
    }

    /// A sender of inputs for others.
    pub fn inputs(&self) -> Inputs {
        Inputs { inbox: self.inbox.clone(), moves: self.moves.clone() }
    }

    /// Ends it in order. `is_empty`: the exits are shut and nothing is on its way through them, so the others are told
    /// that the epoch that was held here is over; else they wait until its lease has run out. Blocks for a few beats.
    pub fn end(mut self, is_empty: bool) {
        self.finish(is_empty);
    }

    fn finish(&mut self, is_empty: bool) {
        self.inbox.send(Word::End(is_empty));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for DriverHandle {
    fn drop(&mut self) {
        self.finish(false);
    }
}

/// What has moved since the driver looked. It looks with every beat, so that nobody has to wake it for this.
#[derive(Default)]
struct Moves {
    sequencer: AtomicBool,
    store: AtomicBool,
}

impl Moves {
    fn take(&self) -> Option<Input> {
        let (sequencer, store) = (self.sequencer.swap(false, Relaxed), self.store.swap(false, Relaxed));
        (sequencer || store).then_some(Input::Moved { sequencer, store })
    }
}

/// Tells the machine that something happened.
#[derive(Clone)]
pub struct Inputs {
    inbox: Mailbox<Word>,
    moves: Arc<Moves>,
}

impl Inputs {
    pub fn send(&self, input: Input) {
        self.inbox.send(Word::Input(input));
    }

    /// As [`Input::Moved`], within a beat.
    pub fn moved(&self, sequencer: bool, store: bool) {
        self.moves.sequencer.fetch_or(sequencer, Relaxed);
        self.moves.store.fetch_or(store, Relaxed);
    }

    /// Tells it what an operator wants; says why the machine refused it, if it did.
    pub async fn command(&self, command: Command) -> Option<Refusal> {
        let (answer, refused) = tokio::sync::oneshot::channel();
        self.inbox.send(Word::Command(command, answer));
        refused.await.ok().flatten()
    }

    /// Looks at the machine; `None` if the driver has ended.
    pub async fn look(&self) -> Option<Look> {
        let (answer, look) = tokio::sync::oneshot::channel();
        self.inbox.send(Word::Look(answer));
        look.await.ok()
    }
}

struct Driver {
    node: Node,
    wiring: Wiring,
    votes: Sender<Superblock>,
    /// Newest block on disk.
    kept: Superblock,
    writing: Option<Superblock>,
    clock: fn() -> Mono,
    beat: u64,
    /// When the machine was given something last.
    stepped: Mono,
    moves: Arc<Moves>,
    door: Box<dyn Door>,
    open: Option<Permit>,
    told: UnboundedSender<Told>,
    heard: watch::Sender<Heard>,
    /// Newest epoch that somebody was active in, and how often that was another one.
    newest: Epoch,
    switches: u64,
    peer: Option<(Report, Mono)>,
    witness: Option<(Report, Mono)>,
    me: NodeId,
    out: Vec<Output>,
    refused: Option<Refusal>,
    defect: bool,
}

/// Starts the driver; the machine is booting until it is told [`Input::Opened`].
///
/// # Errors
/// The votes cannot be read, or a link cannot be bound.
pub fn start(config: DriverConfig) -> Result<(DriverHandle, UnboundedReceiver<Told>), DriverError> {
    let DriverConfig { settings, secret, boot, links, votes, clock, door } = config;
    let (file, block, _) = SuperblockFile::open(&votes)?;
    let (links, mut arrivals, inbox) = Links::bind(&links).map_err(DriverError::Link)?;
    let votes = disk::start(file, inbox.clone()).map_err(DriverError::Thread)?;
    let (told, shell) = unbounded_channel();
    let (heard, hearing) = watch::channel(Heard::default());
    let (me, moves) = (settings.me, Arc::<Moves>::default());
    let mut driver = Driver {
        node: Node::boot(settings, block, clock()),
        wiring: Wiring::new(
            links,
            Sealer::new(&secret, Member::Node(me), boot),
            Member::Node(me),
            settings.timing,
        ),
        votes,
        kept: block,
        writing: None,
        clock,
        beat: settings.timing.beat,
        stepped: clock(),
        moves: moves.clone(),
        door,
        open: None,
        told,
        heard,
        newest: 0,
        switches: 0,
        peer: None,
        witness: None,
        me,
        out: Vec::new(),
        refused: None,
        defect: false,
    };
    let thread = std::thread::Builder::new()
        .name("gwp-pair".into())
        .spawn(move || driver.run(&mut arrivals))
        .map_err(DriverError::Thread)?;
    Ok((DriverHandle { inbox, moves, heard: hearing, thread: Some(thread) }, shell))
}

impl Driver {
    fn run(&mut self, arrivals: &mut Inbox<Word>) {
        let every = self.beat / REMINDERS_PER_BEAT;
        let mut reminded = (self.clock)();
        loop {
            let mut due = self.node.due(self.stepped).min(self.stepped.plus(self.beat.min(LOOK_EVERY_NS)));
            if self.wiring.reminds(reminded) {
                due = due.min(reminded.plus(every));
            }
            match arrivals.next(Some(self.until(due))) {
                Came::Word(Word::End(is_empty)) => return self.farewell(arrivals, is_empty),
                came => self.take(came),
            }
            let now = (self.clock)();
            match self.moves.take() {
                Some(moved) => self.step(moved),
                None if now >= due => self.step(Input::Tick),
                None => {}
            }
            if now.since(reminded) >= every {
                reminded = now;
                self.wiring.remind(now);
            }
        }
    }

    fn until(&self, at: Mono) -> Duration {
        Duration::from_nanos(at.since((self.clock)()))
    }

    fn take(&mut self, came: Came<Word>) {
        match came {
            Came::Datagram(arrived) => self.datagram(arrived),
            Came::Word(word) => self.word(word),
            Came::Nothing => {}
        }
    }

    fn datagram(&mut self, arrived: Arrived) {
        let now = (self.clock)();
        let taken = self.wiring.take(now, arrived);
        self.note_links();
        if let Some((from, message)) = taken {
            self.note(from, &message, now);
            self.step(Input::Message { from, message });
        }
    }

    fn word(&mut self, word: Word) {
        match word {
            Word::Written(Written(true)) => {
                self.kept = self.writing.take().unwrap_or(self.kept);
                self.step(Input::Persisted);
            }
            Word::Written(Written(false)) => self.step(Input::PersistFailed),
            Word::Input(input) => self.step(input),
            Word::Command(command, answer) => {
                self.refused = None;
                self.step(Input::Operator(command));
                let _ = answer.send(self.refused.take());
            }
            Word::Look(answer) => {
                let _ = answer.send(self.look());
            }
            Word::End(_) => {}
        }
    }

    /// What a standby follows by.
    fn note(&mut self, from: Member, message: &Message, now: Mono) {
        let report = message.report;
        if from == Member::Witness {
            self.witness = Some((report, now));
            return;
        }
        if from == Member::Node(self.me) {
            return;
        }
        let is_active = report.stance == Stance::Active;
        let epoch = if is_active { report.epoch } else { 0 };
        self.peer = Some((report, now));
        self.heard.send_if_modified(|heard| {
            let next = Heard { active_epoch: heard.active_epoch.max(epoch), is_active, ..*heard };
            std::mem::replace(heard, next) != next
        });
    }

    fn note_links(&mut self) {
        let silent = self.wiring.silent(Member::Node(self.me.peer()));
        self.heard.send_if_modified(|heard| std::mem::replace(&mut heard.silent, silent) != silent);
    }

    fn step(&mut self, input: Input) {
        let now = (self.clock)();
        let mut out = std::mem::take(&mut self.out);
        self.stepped = now;
        self.node.step(now, input, &mut out);
        for output in out.drain(..) {
            self.carry_out(now, output);
        }
        self.out = out;
        self.count_switches();
        self.check();
    }

    fn carry_out(&mut self, now: Mono, output: Output) {
        let told = match output {
            Output::Send { to, message } => return self.wiring.send(now, to, &message),
            Output::Persist(block) => {
                self.writing = Some(block);
                let _ = self.votes.send(block);
                return;
            }
            Output::Permit(permit) => {
                self.open = Some(permit);
                return self.door.permit(permit);
            }
            Output::Activate { token, stale } => {
                let epoch = token.epoch();
                self.door.activate(token);
                Told::Activate { epoch, stale }
            }
            Output::Close => {
                self.door.shut();
                self.open = None;
                Told::Close
            }
            // Who delivers looks: a word that waits in a queue could be of an older mark.
            Output::Alone(_) => return,
            Output::Prepare => Told::Prepare,
            Output::Cancel => Told::Cancel,
            Output::Drain => Told::Drain,
            Output::Resume => Told::Resume,
            Output::Role { from, to } => Told::Role { from, to },
            Output::Notify(event) => Told::Notify(event),
            Output::Refused(why) => {
                self.refused = Some(why);
                return;
            }
        };
        let _ = self.told.send(told);
    }

    fn count_switches(&mut self) {
        let own = if self.node.role().holds() { self.node.epoch() } else { 0 };
        let newest = own.max(self.heard.borrow().active_epoch);
        if newest > self.newest {
            self.switches += u64::from(self.newest != 0);
            self.newest = newest;
        }
    }

    /// A machine that breaks a rule must not act.
    fn check(&mut self) {
        let now = (self.clock)();
        let open = self.open.filter(|permit| now < permit.until()).map(|permit| permit.epoch());
        let Err(Broken(rule)) = invariants::of_node(&self.node, &self.kept, open, now) else { return };
        if !self.defect {
            self.defect = true;
            self.door.shut();
            self.open = None;
            tracing::error!(rule, "the machine of the pair breaks a rule; please report it");
            let _ = self.told.send(Told::Defect(rule));
            let mut out = Vec::new();
            self.node.step(now, Input::StoreFailed, &mut out);
            for output in out {
                self.carry_out(now, output);
            }
        }
    }

    fn look(&self) -> Look {
        let now = (self.clock)();
        let since = |seen: &(Report, Mono)| (seen.0, now.since(seen.1));
        let until = self.node.lease_until();
        Look {
            state: self.node.state(now),
            role: self.node.role(),
            epoch: self.node.epoch(),
            lease_left: (self.node.role().holds() && until != Mono::FOREVER).then(|| until.since(now)),
            alone: self.node.is_alone(),
            failback: self.node.failback(now),
            switches: self.switches,
            obstacle: self.node.may_stand(now).err(),
            votes: self.node.superblock(),
            peer: self.peer.as_ref().map(since),
            witness: self.witness.as_ref().map(since),
            wire: self.wiring.figures(now),
        }
    }

    /// The process ends: what it held is over, and the others hear it at once. For the machine a process
    /// that ends is one whose store has failed: it never acts again.
    fn farewell(&mut self, arrivals: &mut Inbox<Word>, is_empty: bool) {
        self.step(Input::StoreFailed);
        if is_empty {
            self.step(Input::Closed);
        }
        for _ in 0..FAREWELLS {
            let until = (self.clock)().plus(self.beat);
            while (self.clock)() < until {
                let came = arrivals.next(Some(self.until(until)));
                self.take(came);
            }
            self.step(Input::Tick);
        }
    }
}
