//! The sequencer: gives every fact its position. One order for all.
//!
//! ```text
//! source --Emission+credit--> condition --number--> tail (memory) --bell--> lanes
//!                                              \--> writer (durable; gives the credit back)
//! ```
//! A change of the plan is a record, too: at its position, under one lock, numbers and
//! conditions of all sources change ([`Sequencer::switch`]). What comes from a source that
//! is not in the plan any more is dropped, and its receipt says so.
//!
//! It never waits for a consumer. What bounds it is the credit of the sources,
//! given back when the log holds their samples: the tail keeps what is not
//! durable yet, whatever its size, and that is at most the sum of the credits.

use crate::admission::{Admission, Verdict};
use crate::inbox::Inbox;
use crate::live::LiveBoard;
use crate::reading::SlotReading;
use crate::recent::{Read, Recent};
use crate::translation::Translation;
use gwp_core::edge::Credit;
use gwp_core::record::SlotMark;
use gwp_core::source::{Bookmarks, Emission};
use gwp_core::{
    Batch, Column, Fact, GroupId, PlanId, Position, Record, SinkId, TagId, Times, Timestamp, Value, limits,
};
use gwp_journal::{Rename, Request, SinkPolicy, Switch, WriterMeter};
use gwp_plan::{Conditioner, Plan};
use gwp_redundancy::mirror::fill::From;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Notify;

/// Who hands over: never the same for two sources of one process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SourceKey(u64);

/// What the sequencer must know of a source.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name; empty for what the gateway itself says.
    pub source: Arc<str>,
    /// Its built-in tag; of no tag for what the gateway itself says.
    pub connected: TagId,
    /// Unless it speaks in the numbers in force.
    pub translation: Option<Arc<Translation>>,
}

impl Link {
    /// A source of a plan in force.
    pub fn of(plan: &Plan, index: usize, translation: Option<Arc<Translation>>) -> Link {
        let source = &plan.sources[index];
        Link { source: source.name.clone(), connected: source.connected, translation }
    }

    /// For samples of the gateway itself, whose connection nobody could tell.
    pub fn own() -> Link {
        Link { source: "".into(), connected: TagId(u32::MAX), translation: None }
    }
}

/// What depends on the plan.
struct InForce {
    conditioners: Vec<Conditioner>,
    sources: BTreeMap<SourceKey, Link>,
}

/// The next plan, for [`Sequencer::switch`].
pub struct Next<'a> {
    pub plan: &'a Plan,
    pub id: PlanId,
    /// Sources that go on.
    pub sources: BTreeMap<SourceKey, Link>,
    /// What a tag of the plan before is now.
    pub renumber: &'a dyn Fn(TagId) -> Option<TagId>,
    /// What a write of the plan before is now.
    pub write: &'a dyn Fn(usize) -> Option<usize>,
    /// Journals that take another name.
    pub renames: Vec<Rename>,
    pub policies: Vec<(SinkId, SinkPolicy)>,
    /// Sinks that begin with it.
    pub added: Vec<SinkId>,
}

/// Numbers facts; shared by all sources.
pub struct Sequencer {
    in_force: RwLock<InForce>,
    keys: AtomicU64,
    inner: Mutex<Inner>,
    writer: Sender<Request>,
    meter: Arc<WriterMeter>,
    /// Commands among the samples, for the executor of writes.
    pub commands: Arc<Inbox>,
    /// What is watched; it must know from which record on a plan is in force.
    pub live: Arc<LiveBoard>,
    /// Rung at every record.
    bell: Notify,
}

struct Inner {
    last: Position,
    tail: Recent<Position, Arc<Record>>,
    /// Newest time and repeat number of tags whose times the device gives.
    newest: BTreeMap<TagId, (Timestamp, u32)>,
    /// Which readings the log lacks; in a pair alone.
    admission: Option<Admission>,
}

impl Sequencer {
    /// Starts an epoch after `previous`; its first records are still to be given.
    pub fn new(
        plan: &Plan,
        epoch: u32,
        previous: Position,
        writer: Sender<Request>,
        meter: Arc<WriterMeter>,
    ) -> Self {
        Sequencer {
            in_force: RwLock::new(InForce {
                conditioners: Conditioner::of_plan(plan),
                sources: BTreeMap::new(),
            }),
            keys: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                last: Position::new(epoch, 0),
                tail: Recent::new(previous, limits::TAIL_BYTES_MAX),
                newest: BTreeMap::new(),
                admission: None,
            }),
            writer,
            meter,
            commands: Arc::new(Inbox::new(plan)),
            live: Arc::default(),
            bell: Notify::new(),
        }
    }

    /// Poisoned only by a panic between plain assignments: what it guards is whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a source hand over.
    pub fn admit(&self, link: Link) -> SourceKey {
        let key = SourceKey(self.keys.fetch_add(1, Relaxed));
        self.in_force.write().unwrap_or_else(PoisonError::into_inner).sources.insert(key, link);
        key
    }

    /// Takes nothing of a source any more.
    pub fn dismiss(&self, key: SourceKey) {
        self.in_force.write().unwrap_or_else(PoisonError::into_inner).sources.remove(&key);
    }

    /// Numbers what a source hands over.
    pub fn emission(&self, from: SourceKey, emission: Emission, credit: Credit) {
        // Held until the record has its position: a change of the plan comes before it or after.
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let Some(link) = in_force.sources.get(&from) else { return };
        let emission = match &link.translation {
            None => emission,
            Some(translation) => match translation.apply(emission) {
                Some(emission) => emission,
                None => return,
            },
        };
        let fact = match emission {
            Emission::Samples { slot, mut batch } => {
                if let Some(conditioner) = in_force.conditioners.get(batch.group.index()) {
                    conditioner.apply(&mut batch);
                }
                Fact::Samples { slot, batch: Arc::new(batch) }
            }
            Emission::Failed { group, slot, time, why } => Fact::Failed { group, slot, time, why },
            Emission::Connected { up, time } => connected(link, up, time),
            // No record: it is of use to nobody but the source. The credit goes back at once.
            Emission::Bookmark { name, bytes } => {
                let _ = self.writer.send(Request::Bookmark(link.source.clone(), name.into(), bytes));
                return;
            }
        };
        self.give(fact, Some(credit));
    }

    /// Puts another plan in force, at one position: everything before is under the old one, everything from there on
    /// under the new one. The plan must be kept already and known to those who read records. Gives that position.
    pub fn switch(&self, next: Next<'_>) -> Position {
        let conditioners = Conditioner::of_plan(next.plan);
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let durable = self.meter.durable();
        let mut inner = self.inner();
        let before = inner.last;
        let position = before.next();
        inner.last = position;
        inner.newest = std::mem::take(&mut inner.newest)
            .into_iter()
            .filter_map(|(tag, newest)| Some(((next.renumber)(tag)?, newest)))
            .collect();
        if let Some(admission) = &mut inner.admission {
            admission.follow(next.plan, next.id);
        }
        self.commands.follow(next.plan, next.write);
        self.live.follow(next.id, position, |path| next.plan.tag_at(path).is_some());
        // Lanes may pass the record before it is durable: they must know the names by then.
        next.renames.iter().for_each(|rename| rename.shared.call(&rename.to, before));
        let record = Arc::new(Record { position, fact: Fact::Configured { plan: next.id } });
        inner.tail.push(position, record.bytes(), record.clone(), durable);
        let switch = Switch { record, renames: next.renames, policies: next.policies, added: next.added };
        let _ = self.writer.send(Request::Switch(switch));
        *in_force = InForce { conditioners, sources: next.sources };
        drop(inner);
        drop(in_force);
        self.bell.notify_waiters();
        position
    }

    /// Numbers a fact of the gateway itself.
    pub fn fact(&self, fact: Fact) -> Position {
        self.give(fact, None)
    }

    /// From here on it is known which slots the log holds: of those before, what `admission` knows.
    pub fn compare(&self, admission: Admission) {
        self.inner().admission = Some(admission);
    }

    /// Appends what was read here before the epoch, in this order; further readings of the same sources follow on it.
    pub fn take_over(&self, readings: Vec<SlotReading>, groups: impl IntoIterator<Item = GroupId>) {
        if let Some(admission) = &mut self.inner().admission {
            admission.join(groups);
        }
        for reading in readings {
            let durable = self.meter.durable();
            let mut inner = self.inner();
            let Some(admission) = &mut inner.admission else { return };
            let fact = admission.append_read_before(reading);
            self.put(inner, durable, fact, None);
        }
    }

    /// Where a source stands as the epoch begins.
    pub fn bookmarks(&self, from: SourceKey, bookmarks: Bookmarks) {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let Some(link) = in_force.sources.get(&from) else { return };
        for (name, bytes) in bookmarks {
            let _ = self.writer.send(Request::Bookmark(link.source.clone(), name, bytes));
        }
    }

    /// What the connection of a source is as the epoch begins.
    pub fn connection(&self, from: SourceKey, up: bool, time: Timestamp) {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = in_force.sources.get(&from) {
            self.give(connected(link, up, time), None);
        }
    }

    /// Appends what the log lacks of a reading of the peer, which is numbered by `plan`; tells what became of it.
    pub fn admit_of_peer(&self, fact: &Fact, from: From, plan: PlanId, credit: Credit) -> Verdict {
        let durable = self.meter.durable();
        let mut inner = self.inner();
        let verdict = inner.admission.as_mut().map(|admission| admission.peer(fact, from, plan));
        if let Some(Verdict::Append(fact)) = &verdict {
            self.put(inner, durable, fact.clone(), Some(credit));
        }
        verdict.unwrap_or(Verdict::Refused)
    }

    fn give(&self, fact: Fact, credit: Option<Credit>) -> Position {
        let durable = self.meter.durable();
        let mut inner = self.inner();
        let fact = match &mut inner.admission {
            Some(admission) => admission.own(fact),
            None => Some(fact),
        };
        match fact {
            Some(fact) => self.put(inner, durable, fact, credit),
            // The log holds it.
            None => inner.last,
        }
    }

    fn put(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        durable: Position,
        mut fact: Fact,
        credit: Option<Credit>,
    ) -> Position {
        // What comes as backfill has its numbers from where it was compared.
        if let Fact::Samples { batch, .. } = &mut fact
            && let Times::Each(_) = batch.times
            && !batch.backfill
        {
            inner.number_repeats(Arc::make_mut(batch));
        }
        let position = inner.last.next();
        inner.last = position;
        let record = Arc::new(Record { position, fact });
        self.commands.offer(&record);
        inner.tail.push(position, record.bytes(), record.clone(), durable);
        // Under the lock, so that the writer sees positions in order.
        let _ = self.writer.send(Request::Record(record, credit));
        drop(inner);
        self.bell.notify_waiters();
        position
    }

    /// Records after a position from memory.
    pub fn read(&self, after: Position, count: usize) -> Read<Arc<Record>> {
        self.inner().tail.after(after, count)
    }

    /// Memory has all records after this one.
    pub fn oldest(&self) -> Position {
        self.inner().tail.floor()
    }

    /// Position of the newest record.
    pub fn last(&self) -> Position {
        self.inner().last
    }

    /// Waits until there is a record after `after`.
    pub async fn wait_beyond(&self, after: Position) {
        loop {
            let rung = self.bell.notified();
            tokio::pin!(rung);
            // Registered before the check, so that no ring between is missed.
            rung.as_mut().enable();
            if self.last() > after {
                return;
            }
            rung.await;
        }
    }

    /// The facts that open an epoch.
    pub fn activate(&self, previous: Position, running_hash: u64, anchor: Timestamp, plan: PlanId) {
        self.fact(Fact::Activated { previous, running_hash, anchor });
        let at = self.fact(Fact::Configured { plan });
        self.live.follow(plan, at, |_| true);
    }
}

/// A sample of the built-in tag of a source.
fn connected(link: &Link, up: bool, time: Timestamp) -> Fact {
    let mut column = Column::new();
    column.push(Value::Bool(up));
    let batch = Batch::uniform(GroupId::NONE, [link.connected].into(), time, column);
    Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) }
}

impl Inner {
    /// Repeat numbers of samples that carry the device's own times: 0 if the time is newer
    /// than all before of its tag, else the tag's next.
    fn number_repeats(&mut self, batch: &mut Batch) {
        let mut repeats = Vec::with_capacity(batch.len());
        for (index, tag) in batch.tags.iter().enumerate() {
            let time = batch.times.get(index);
            let repeat = match self.newest.get_mut(tag) {
                Some((newest, repeat)) if time <= *newest => {
                    *repeat = repeat.saturating_add(1);
                    *repeat
                }
                _ => {
                    self.newest.insert(*tag, (time, 0));
                    0
                }
            };
            repeats.push(repeat);
        }
        if repeats.iter().any(|repeat| *repeat > 0) {
            batch.repeats = repeats;
        }
    }
}
