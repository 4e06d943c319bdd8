//! The executor of writes: takes commands the log holds, decides, has them carried out, tells the outcome.
//!
//! ```text
//! Inbox --released command-> decide --Refuse-------------------------------> outcome
//!                               \--Execute--> source --answer--> read back --> outcome --> sequencer
//! ```
//! Only commands of the present epoch are carried out, and only while the [exits](crate::exits) are
//! open for writes: what is read again after a restart or for a replay never reaches a device.
//! Commands for one target go one after the other, those for several
//! targets side by side. The outcome is a sample like any other: journaled, and delivered by flows.

use crate::exits::{Exits, Pass};
use crate::inbox::{self, Inbox};
use crate::limits::{COMMAND_ANSWER, COMMAND_GRACE, COMMANDS_PER_TARGET};
use crate::plans::Plans;
use crate::recent::Read;
use crate::sequencer::Sequencer;
use crate::status::WriteMeter;
use crate::translation::Translation;
use gwp_core::command::{Answer, Command, CommandFault, CommandSender};
use gwp_core::exit::ExitCheck;
use gwp_core::record::SlotMark;
use gwp_core::source::{Emission, Outlet};
use gwp_core::stop::Stop;
use gwp_core::{Batch, Clock, Column, Fact, GroupId, Position, TagId, Timestamp, Value};
use gwp_journal::LogReader;
use gwp_plan::write::reads_back;
use gwp_plan::{Commanded, Decision, Execution, Origin, Plan, Writes, Written};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The place of the executor: what outlives its restarts.
pub struct WritesSeat {
    pub plan: Arc<Plan>,
    pub plans: Arc<Plans>,
    pub sequencer: Arc<Sequencer>,
    pub clock: Arc<dyn Clock>,
    /// The way of the outcomes into the log.
    pub outlet: Outlet,
    /// By index of the plan's sources.
    pub sources: Vec<SourceInlet>,
    /// By index of the plan's writes; those of one item share theirs.
    pub meters: Vec<Arc<WriteMeter>>,
    /// How far commands of the log may have effects: that they are durable here is not enough in a pair.
    pub released: watch::Receiver<Position>,
    pub exits: Exits,
    /// End of the log before this epoch, until what was left open there is told.
    pub before: Mutex<Option<(LogReader, Position)>>,
}

/// The way of commands into a source.
#[derive(Clone)]
pub struct SourceInlet {
    pub commands: CommandSender,
    /// Unless it speaks in the numbers in force.
    pub translation: Option<Arc<Translation>>,
}

impl SourceInlet {
    /// Queues a command for a tag; `None` when too many wait.
    fn send(&self, tag: TagId, value: Value, exit: ExitCheck) -> Option<Answer> {
        let tag = match &self.translation {
            None => tag,
            Some(translation) => translation.back(tag)?,
        };
        let (command, answer) = Command::new(tag, value);
        self.commands.send(command.behind(exit)).then_some(answer)
    }
}

/// The writes at work.
struct AtWork {
    seat: Arc<WritesSeat>,
    /// Held by what is on its way to a device, too.
    pass: Arc<Pass>,
    writes: Writes,
    /// Commands that wait for their target, by write.
    waiting: BTreeMap<usize, VecDeque<Commanded>>,
    /// One task for each target that is being written.
    running: JoinSet<(usize, Written)>,
    /// What these write.
    under_way: BTreeMap<usize, Execution>,
}

impl WritesSeat {
    /// Runs until stopped; commands under way are then waited for.
    ///
    /// # Errors
    /// The log before this epoch cannot be read.
    pub async fn run(self: Arc<Self>, mut stop: Stop) -> Result<(), String> {
        let mut was_shut = !self.exits.are_open();
        while !stop.is_stopped() {
            let pass = tokio::select! {
                biased;
                () = stop.stopped() => return Ok(()),
                pass = self.exits.enter() => pass,
            };
            if was_shut {
                self.refuse_arrived().await;
            }
            self.clone().serve(Arc::new(pass), &mut stop).await?;
            // It ends with the epoch, however soon the next one begins.
            was_shut = true;
        }
        Ok(())
    }

    /// What was commanded while the exits were shut is not carried out when they open.
    async fn refuse_arrived(&self) {
        let (inbox, upto) = (&self.sequencer.commands, self.sequencer.last());
        while let Some(arrived) = inbox.take(upto) {
            self.count(arrived.write, |meter| &meter.refused);
            let why = "refused: this gateway was not active";
            self.outcome(arrived.write, Some(arrived.commanded.time), why.into()).await;
        }
    }

    /// Takes commands until stopped, or until the epoch ends.
    async fn serve(self: Arc<Self>, pass: Arc<Pass>, stop: &mut Stop) -> Result<(), String> {
        self.tell_unfinished().await?;
        let mut released = self.released.clone();
        let inbox = self.sequencer.commands.clone();
        let mut work = AtWork {
            writes: Writes::new(&self.plan),
            seat: self,
            pass: pass.clone(),
            waiting: BTreeMap::new(),
            running: JoinSet::new(),
            under_way: BTreeMap::new(),
        };
        let shut = pass.shut();
        tokio::pin!(shut);
        while !stop.is_stopped() && pass.is_open() {
            let upto = *released.borrow_and_update();
            work.take(&inbox, upto).await;
            tokio::select! {
                () = stop.stopped() => {}
                () = &mut shut => break,
                () = inbox.rung() => {}
                changed = released.changed() => if changed.is_err() { break },
                Some(done) = work.running.join_next() => work.finish(done).await,
            }
        }
        work.refuse_waiting().await;
        work.end().await;
        Ok(())
    }

    /// Commands of an earlier epoch that have no outcome: whether they were carried out is not known.
    async fn tell_unfinished(&self) -> Result<(), String> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut log, upto)) = before else { return Ok(()) };
        let (plans, renames) = (self.plans.clone(), self.plan.renames());
        let found = tokio::task::spawn_blocking(move || inbox::unfinished(&mut log, &plans, &renames, upto));
        let found = match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(error) => return Err(error.to_string()),
        };
        let of_path = |path: &Arc<str>| {
            let is = |tag: TagId| self.plan.tag(tag).is_some_and(|tag| tag.info.path == *path);
            self.plan.writes.iter().position(|write| is(write.outcome))
        };
        for write in found.iter().filter_map(of_path) {
            self.count(write, |meter| &meter.failed);
            let text = "unknown: the gateway stopped before the device answered";
            self.outcome(write, None, text.into()).await;
        }
        Ok(())
    }

    fn count(&self, write: usize, of: impl Fn(&WriteMeter) -> &AtomicU64) {
        if let Some(meter) = self.meters.get(write) {
            of(meter).fetch_add(1, Relaxed);
        }
    }

    /// Gives an outcome to the log, and to who waits for that of a command of this time.
    async fn outcome(&self, write: usize, command: Option<Timestamp>, text: String) {
        let Some(declared) = self.plan.writes.get(write) else { return };
        self.sample(declared.outcome, Value::Text(text.as_str().into())).await;
        if let Some((command, tag)) = command.zip(self.plan.tag(declared.outcome)) {
            self.sequencer.commands.awaited.tell(&tag.info.path, command, &text);
        }
    }

    async fn sample(&self, tag: TagId, value: Value) {
        let mut column = Column::new();
        column.push(value);
        let batch = Batch::uniform(GroupId::NONE, [tag].into(), self.clock.now(), column);
        self.outlet.emit(Emission::Samples { slot: SlotMark::default(), batch }).await;
    }

    /// Has a command carried out.
    /// `pass` is held until the source has answered.
    async fn execute(&self, write: usize, execution: &Execution, pass: Arc<Pass>) -> Written {
        let Some(declared) = self.plan.writes.get(write) else {
            return Written::Failed("there is no such write".into());
        };
        if self.plan.tag(declared.target).is_some_and(|tag| tag.origin == Origin::Orders) {
            // The log takes it, and every lane with that alarm obeys at its event time.
            self.sample(declared.target, execution.raw.clone()).await;
            return Written::Done;
        }
        let Some(source) = self.source_of(declared.target) else {
            return Written::Failed("the tag has no source".into());
        };
        let exit = ExitCheck::new(move || pass.is_open_for_writes());
        let Some(answer) = source.send(declared.target, execution.raw.clone(), exit) else {
            return Written::Failed("too many commands wait for the source".into());
        };
        match tokio::time::timeout(COMMAND_ANSWER, answer).await {
            Ok(Ok(Ok(()))) => match declared.verify_ns {
                None => Written::Done,
                Some(ns) => self.read_back(declared.target, execution, ns).await,
            },
            Ok(Ok(Err(CommandFault::Failed(why)))) => Written::Failed(why),
            Ok(Ok(Err(CommandFault::Unknown(why)))) => Written::Unknown(why),
            Ok(Err(_)) => Written::Unknown("the source ended before the device answered".into()),
            Err(_) => Written::Unknown(format!("no answer within {} s", COMMAND_ANSWER.as_secs())),
        }
    }

    fn source_of(&self, tag: TagId) -> Option<&SourceInlet> {
        let group = self.plan.groups.iter().find(|group| group.tags.contains(&tag))?;
        self.sources.get(group.source as usize)
    }

    /// Looks at the samples of the target until one reads as written, for so long.
    async fn read_back(&self, target: TagId, execution: &Execution, within_ns: i64) -> Written {
        let mut at = self.sequencer.last();
        let mut seen = None;
        let watch = async {
            loop {
                self.sequencer.wait_beyond(at).await;
                match self.sequencer.read(at, 64) {
                    Read::Items(records) => {
                        for record in records {
                            at = record.position;
                            let Fact::Samples { batch, .. } = &record.fact else { continue };
                            let Some(value) = good_value(batch, target) else { continue };
                            if reads_back(&execution.value, &value) {
                                return;
                            }
                            seen = Some(value);
                        }
                    }
                    Read::UpToDate => {}
                    // Later samples say as much.
                    Read::Behind => at = self.sequencer.last(),
                }
            }
        };
        let within = Duration::from_nanos(u64::try_from(within_ns).unwrap_or(0));
        match tokio::time::timeout(within, watch).await {
            Ok(()) => Written::Confirmed,
            Err(_) => Written::NotConfirmed(seen),
        }
    }
}

fn good_value(batch: &Batch, tag: TagId) -> Option<Value> {
    let index = batch.tags.iter().position(|other| *other == tag)?;
    (!batch.qualities.get(index).is_bad()).then(|| batch.values.get(index))
}

impl AtWork {
    /// Takes what has been released.
    async fn take(&mut self, inbox: &Inbox, released: Position) {
        while let Some(arrived) = inbox.take(released) {
            let waiting = self.waiting.entry(arrived.write).or_default();
            if waiting.len() >= COMMANDS_PER_TARGET {
                let why = "refused: too many commands wait for this tag";
                self.refuse(arrived.write, Some(arrived.commanded.time), why.into()).await;
                continue;
            }
            waiting.push_back(arrived.commanded);
            if waiting.len() == 1 {
                self.begin(arrived.write).await;
            }
        }
        while let Some(write) = inbox.take_surplus() {
            self.refuse(write, None, "refused: too many commands came at once".into()).await;
        }
    }

    /// Those under way stay, the first of their targets.
    async fn refuse_waiting(&mut self) {
        let waiting = self.waiting.iter_mut();
        let left = waiting.flat_map(|(write, waiting)| {
            waiting.drain(1.min(waiting.len())..).map(|command| (*write, command.time))
        });
        for (write, time) in left.collect::<Vec<_>>() {
            let why = "refused: the gateway is being stopped or not active any more, or its plan changed";
            self.refuse(write, Some(time), why.into()).await;
        }
    }

    /// Waits for commands under way, but not for ever.
    async fn end(&mut self) {
        let finish = async {
            while let Some(done) = self.running.join_next().await {
                self.finish(done).await;
            }
        };
        if tokio::time::timeout(COMMAND_GRACE, finish).await.is_ok() {
            return;
        }
        self.running.abort_all();
        for (write, execution) in std::mem::take(&mut self.under_way) {
            let why = "the gateway was stopped before the device answered".into();
            self.tell(write, &execution, &Written::Unknown(why)).await;
        }
    }

    /// `command` is when that was given.
    async fn refuse(&self, write: usize, command: Option<Timestamp>, why: String) {
        self.seat.count(write, |meter| &meter.refused);
        self.seat.outcome(write, command, why).await;
    }

    /// Decides on commands of a write until one is carried out; that one stays the first.
    async fn begin(&mut self, write: usize) {
        while let Some(command) = self.waiting.get(&write).and_then(VecDeque::front) {
            let now = self.seat.clock.now();
            match self.writes.decide(&self.seat.plan, write, command, now) {
                Decision::Refuse(why) => {
                    let time = command.time;
                    self.refuse(write, Some(time), why).await;
                    self.forget_first(write);
                }
                Decision::Execute(_) if !self.pass.is_open_for_writes() => {
                    let (time, why) = (command.time, "refused: this gateway is not, or soon no more, active");
                    self.refuse(write, Some(time), why.into()).await;
                    self.forget_first(write);
                }
                Decision::Execute(execution) => {
                    let (seat, pass) = (self.seat.clone(), self.pass.clone());
                    self.under_way.insert(write, execution.clone());
                    self.running.spawn(async move {
                        let written = seat.execute(write, &execution, pass).await;
                        (write, written)
                    });
                    return;
                }
            }
        }
    }

    fn forget_first(&mut self, write: usize) {
        if let Some(waiting) = self.waiting.get_mut(&write) {
            waiting.pop_front();
        }
    }

    /// Tells what became of a command and goes on with the next of its target.
    async fn finish(&mut self, done: Result<(usize, Written), tokio::task::JoinError>) {
        // Only a panic gives none; the stage's end will tell that its outcome is not known.
        let Ok((write, written)) = done else { return };
        if let Some(execution) = self.under_way.remove(&write) {
            self.tell(write, &execution, &written).await;
        }
        self.forget_first(write);
        self.begin(write).await;
    }

    async fn tell(&self, write: usize, execution: &Execution, written: &Written) {
        let seat = &self.seat;
        match written {
            Written::Done | Written::Confirmed => seat.count(write, |meter| &meter.executed),
            Written::NotConfirmed(_) | Written::Failed(_) | Written::Unknown(_) => {
                seat.count(write, |meter| &meter.failed);
            }
        }
        if let Some(declared) = seat.plan.writes.get(write) {
            let outcome = declared.outcome(&seat.plan, &execution.value, written);
            tracing::info!(write = %declared.name, outcome, "command");
            // It is the first of its target as long as this is not told.
            let command = self.waiting.get(&write).and_then(VecDeque::front).map(|command| command.time);
            seat.outcome(write, command, outcome).await;
        }
    }
}
