//! The sequencer: gives every fact its position. One order for all.
//!
//! ```text
//! source --Emission+credit--> condition --number--> tail (memory) --bell--> lanes
//!                                              \--> writer (durable; gives the credit back)
//! ```
//! It never waits for a consumer. What bounds it is the credit of the sources,
//! given back when the log holds their samples: the tail keeps what is not
//! durable yet, whatever its size, and that is at most the sum of the credits.

use crate::inbox::Inbox;
use crate::recent::{Read, Recent};
use gwp_core::edge::Credit;
use gwp_core::record::SlotMark;
use gwp_core::source::Emission;
use gwp_core::{
    Batch, Column, Fact, GroupId, PlanId, Position, Record, TagId, Times, Timestamp, Value, limits,
};
use gwp_journal::{Request, WriterMeter};
use gwp_plan::{Conditioner, Plan};
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Numbers facts; shared by all sources.
pub struct Sequencer {
    conditioners: Vec<Conditioner>,
    inner: Mutex<Inner>,
    writer: Sender<Request>,
    meter: Arc<WriterMeter>,
    /// Commands among the samples, for the executor of writes.
    pub commands: Arc<Inbox>,
    /// Rung at every record.
    bell: Notify,
}

struct Inner {
    last: Position,
    tail: Recent<Position, Arc<Record>>,
    /// Newest time and repeat number of tags whose times the device gives.
    newest: BTreeMap<TagId, (Timestamp, u32)>,
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
            conditioners: Conditioner::of_plan(plan),
            inner: Mutex::new(Inner {
                last: Position::new(epoch, 0),
                tail: Recent::new(previous, limits::TAIL_BYTES_MAX),
                newest: BTreeMap::new(),
            }),
            writer,
            meter,
            commands: Arc::new(Inbox::new(plan)),
            bell: Notify::new(),
        }
    }

    /// Poisoned only by a panic between plain assignments: what it guards is whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers what a source hands over. `connected` is the built-in tag of that source.
    pub fn emission(&self, emission: Emission, credit: Credit, connected: TagId) {
        let fact = match emission {
            Emission::Samples { slot, mut batch } => {
                if let Some(conditioner) = self.conditioners.get(batch.group.index()) {
                    conditioner.apply(&mut batch);
                }
                Fact::Samples { slot, batch: Arc::new(batch) }
            }
            Emission::Failed { group, slot, time, why } => Fact::Failed { group, slot, time, why },
            Emission::Connected { up, time } => {
                let mut column = Column::new();
                column.push(Value::Bool(up));
                let batch = Batch::uniform(GroupId::NONE, [connected].into(), time, column);
                Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) }
            }
        };
        self.give(fact, Some(credit));
    }

    /// Numbers a fact of the gateway itself.
    pub fn fact(&self, fact: Fact) -> Position {
        self.give(fact, None)
    }

    fn give(&self, mut fact: Fact, credit: Option<Credit>) -> Position {
        let durable = self.meter.durable();
        let mut inner = self.inner();
        if let Fact::Samples { batch, .. } = &mut fact
            && let Times::Each(_) = batch.times
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
        self.fact(Fact::Configured { plan });
    }
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
