//! What is set aside on this node goes to the active, which may be this node itself.
//!
//! ```text
//! store.aside-N --Tail: what the log here lacks--> batches --> peer, or the engine here --> kept by the log here
//!                                                                                             | noted in the aside
//!                                             nothing is left of it: deleted <---------------+
//! ```
//! What cannot be handed over stays, with the reason noted beside it for `gwp pair asides ls`: records of a program that
//! is not in force now, and what cannot be read.

use anyhow::Context;
use gwp_cluster::limits::{TAIL_REST_MAX, TAILS_LOOKED_AT_EVERY};
use gwp_cluster::tail::Tails;
use gwp_core::{PlanId, Position};
use gwp_engine::alarms::BOARD;
use gwp_engine::{Engine, Tail, TailBatch, TailError, TailFound, TailSpan};
use gwp_journal::aside::delete_aside;
use gwp_journal::{LogReader, Store, StoreError, StoreOptions, asides, encode_facts};
use gwp_plan::Plan;
use gwp_redundancy::mirror::fill::From;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::{Instant, sleep};

/// So often in a row a batch is given that is refused.
const REFUSALS_MAX: u32 = 30;

/// What is set aside, for people.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Under way: its number, and how many of its records are still to be looked at.
    pub under_way: Option<(u32, u64)>,
    /// Which stay, and why.
    pub stay: BTreeMap<u32, String>,
}

/// What is set aside on this node, on its way to the active.
pub struct Asides {
    data: PathBuf,
    /// Shows people what becomes of it.
    show: Box<dyn Fn(Shown) + Send + Sync>,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    open: Option<Open>,
    /// Which stay, and under which plan that was found.
    stay: BTreeMap<u32, PlanId>,
    /// Batches that were refused, one after the other.
    refusals: u32,
    shown: Shown,
}

/// One that is being handed over.
struct Open {
    number: u32,
    store: Store,
    tail: Tail,
    upto: Position,
    /// Samples that wait in its journals, if its log does not go back to where it begins any more.
    by_value: u64,
    /// The batch that was given last goes up to here.
    given: Option<Position>,
}

impl Asides {
    /// Of this data directory; `show` is told whenever something has changed, and must not wait.
    pub fn new(data: PathBuf, show: impl Fn(Shown) + Send + Sync + 'static) -> Asides {
        Asides { data, show: Box::new(show), work: Mutex::default() }
    }

    /// Poisoned only by a panic in a reader of a store: it is opened anew then.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(|poisoned| {
            self.work.clear_poison();
            let mut work = PoisonError::into_inner(poisoned);
            work.open = None;
            work
        })
    }

    fn tell(&self, work: &Work) {
        (self.show)(work.shown.clone());
    }

    /// The next batch of whatever can be handed over under the plan in force, with that plan.
    fn batch(
        &self,
        work: &mut Work,
        log: &mut LogReader,
        is_over: &dyn Fn() -> bool,
    ) -> anyhow::Result<Option<(PlanId, TailBatch)>> {
        // Of the newest record: it is what the log goes on with.
        let newest = log.newest_records(1).context("the log cannot be read")?;
        let Some(&(plan, _)) = newest.last() else { return Ok(None) };
        // Nobody has said that what was given last is in the log: it is compared anew.
        if work.open.as_ref().is_some_and(|open| open.tail.plan() != plan || open.given.is_some()) {
            work.open = None;
        }
        loop {
            if work.open.is_none() {
                let known = asides(&self.data)?;
                work.stay.retain(|number, _| known.contains(number));
                work.shown.stay.retain(|number, _| known.contains(number));
                let next = known.into_iter().find(|number| work.stay.get(number) != Some(&plan));
                let Some(number) = next.filter(|_| !is_over()) else { return Ok(None) };
                if !self.open(work, number, plan)? {
                    continue;
                }
            }
            let Some(open) = &mut work.open else { return Ok(None) };
            match open.tail.next(log, is_over) {
                Ok(Some(batch)) => {
                    open.given = Some(batch.upto);
                    let left = open.store.records_between(open.tail.at(), open.upto).unwrap_or(0);
                    work.shown.under_way = Some((open.number, left));
                    return Ok(Some((plan, batch)));
                }
                Ok(None) => self.finish(work)?,
                Err(TailError::Aside(error)) => {
                    let number = open.number;
                    self.stays(work, number, plan, format!("it is damaged: {error}"));
                }
                Err(TailError::Log(error)) => return Err(error).context("the log cannot be read"),
                Err(TailError::Over) => return Ok(None),
            }
        }
    }

    /// Opens one; false if it stays.
    fn open(&self, work: &mut Work, number: u32, plan: PlanId) -> anyhow::Result<bool> {
        let opened = match Store::open_aside(&self.data, number, StoreOptions::default()) {
            Ok(opened) => begin(opened.store, number, plan),
            // Somebody looks at it: later.
            Err(error @ StoreError::Locked { .. }) => return Err(error.into()),
            Err(error) => Err(error),
        };
        match opened {
            Ok(Some((open, left))) => {
                tracing::info!(
                    kept_as = format!("store.aside-{number}"),
                    records = left,
                    "what was set aside is handed over"
                );
                work.shown.stay.remove(&number);
                work.shown.under_way = Some((number, left));
                work.open = Some(open);
                self.tell(work);
                Ok(true)
            }
            Ok(None) => {
                let why = "nothing says where its log parts from that of the active";
                self.stays(work, number, plan, why.into());
                Ok(false)
            }
            Err(error) => {
                self.stays(work, number, plan, format!("it cannot be read: {error}"));
                Ok(false)
            }
        }
    }

    /// All of the one that is open is handed over, as far as it can be.
    fn finish(&self, work: &mut Work) -> anyhow::Result<()> {
        let Some(open) = work.open.take() else { return Ok(()) };
        let Open { number, store, tail, upto, by_value, .. } = open;
        let (plan, TailFound { lacking, held, withheld, other_plans }) = (tail.plan(), tail.found().clone());
        store.note_handed_over(plan, upto)?;
        let kept_as = format!("store.aside-{number}");
        tracing::info!(%kept_as, samples = lacking, in_the_log = held, commands = withheld, "what was set aside is handed over: these samples are in the log as backfill; commands and orders to alarms are not carried out");
        if other_plans.is_empty() && by_value == 0 {
            // What reads it must be closed before.
            drop((tail, store));
            delete_aside(&self.data, number)?;
            tracing::info!(%kept_as, "it is deleted");
            work.shown.under_way = None;
            self.tell(work);
            return Ok(());
        }
        let why = rest(plan, &other_plans, by_value);
        store.note_stays(Some(&why))?;
        self.stays(work, number, plan, why);
        Ok(())
    }

    fn stays(&self, work: &mut Work, number: u32, plan: PlanId, why: String) {
        if let Some(Err(error)) = work.open.as_ref().map(|open| open.store.note_stays(Some(&why))) {
            tracing::warn!(%error, "why it stays cannot be noted");
        }
        tracing::warn!(
            kept_as = format!("store.aside-{number}"),
            why,
            "what was set aside stays here; `gwp pair asides` on this machine shows it, writes it out, deletes it"
        );
        (work.open, work.shown.under_way) = (None, None);
        work.stay.insert(number, plan);
        work.shown.stay.insert(number, why);
        self.tell(work);
    }

    fn given(&self, log: &mut LogReader, is_over: &dyn Fn() -> bool) -> Option<(PlanId, TailBatch)> {
        let mut work = self.work();
        let batch = self.batch(&mut work, log, is_over).unwrap_or_else(|error| {
            work.open = None;
            let error = format!("{error:#}");
            tracing::info!(error, "what is set aside cannot be handed over now; trying again");
            None
        });
        self.tell(&work);
        batch
    }

    /// Hands over to the engine of this node, which is the active, as long as it is not dropped.
    pub async fn hand_over_here(self: Arc<Self>, engine: Arc<Engine>, log: LogReader) {
        let over = Over::default();
        loop {
            while let Some((plan, batch)) = self.clone().given_here(log.fork(), over.0.clone()).await {
                let began = Instant::now();
                engine.lanes_are_close().await;
                let admitted = engine.admit(From::Rejoin, plan, &batch.facts).await;
                if !engine.durable(admitted.upto).await {
                    return;
                }
                let (asides, refused) = (self.clone(), count(admitted.refused));
                let _ = tokio::task::spawn_blocking(move || asides.handed_over(refused)).await;
                sleep(began.elapsed().min(TAIL_REST_MAX)).await;
            }
            sleep(TAILS_LOOKED_AT_EVERY).await;
        }
    }

    async fn given_here(
        self: Arc<Self>,
        mut log: LogReader,
        is_over: Arc<AtomicBool>,
    ) -> Option<(PlanId, TailBatch)> {
        let given = move || match self.any() {
            true => self.given(&mut log, &|| is_over.load(Relaxed)),
            false => None,
        };
        tokio::task::spawn_blocking(given).await.ok().flatten()
    }
}

/// Why one stays of which all is handed over that could be.
fn rest(plan: PlanId, other_plans: &BTreeMap<PlanId, u64>, by_value: u64) -> String {
    let mut why = Vec::new();
    if !other_plans.is_empty() {
        let (records, plans): (u64, Vec<String>) =
            (other_plans.values().sum(), other_plans.keys().map(PlanId::to_string).collect());
        let plans = plans.join(", ");
        why.push(format!(
            "{records} records are of another program (plan {plans}) than the one in force ({plan}); they are handed over once that is in force again"
        ));
    }
    if by_value > 0 {
        why.push(format!(
            "{by_value} samples wait in its journals, and its log does not go back to the first of them: write them out with `gwp pair asides export`"
        ));
    }
    why.join("; ")
}

/// Readings that were refused, as the peer is told of them.
pub fn count(refused: usize) -> u32 {
    u32::try_from(refused).unwrap_or(u32::MAX)
}

/// Tells a thread that reads when nobody waits for it any more.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What of an aside goes under a plan, and how many records that are at most; `None` if nothing says where it begins.
fn begin(store: Store, number: u32, plan: PlanId) -> Result<Option<(Open, u64)>, StoreError> {
    let Some(above) = store.set_aside_above()? else { return Ok(None) };
    store.note_stays(None)?;
    let upto = store.durable();
    let span = TailSpan { above, upto, done: store.handed_over()? };
    let done = span.done.get(&plan).copied().unwrap_or(above);
    let left = store.records_between(done, upto)?;
    let bytes = store.plan_reader().get(plan)?;
    let known = bytes.and_then(|bytes| Plan::from_bytes(&bytes).ok()).filter(|known| known.id() == plan);
    let by_value = match store.log_reader().reaches(above)? {
        true => 0,
        false => {
            let sinks = store.sinks().filter(|sink| *sink.name != *BOARD);
            sinks.map(|sink| sink.pending_samples()).sum()
        }
    };
    let tail = Tail::new(store.log_reader(), known.as_ref(), plan, span);
    Ok(Some((Open { number, store, tail, upto, by_value, given: None }, left)))
}

impl Tails for Asides {
    fn any(&self) -> bool {
        asides(&self.data).is_ok_and(|known| !known.is_empty())
    }

    fn next(&self, log: &mut LogReader, is_over: &dyn Fn() -> bool) -> Option<Arc<[u8]>> {
        let (plan, batch) = self.given(log, is_over)?;
        Some(encode_facts(plan, &batch.facts).into())
    }

    fn handed_over(&self, refused: u32) {
        let mut work = self.work();
        let Some(open) = &mut work.open else { return };
        let Some(given) = open.given.take() else { return };
        let (number, plan) = (open.number, open.tail.plan());
        if refused == 0 {
            let noted = open.store.note_handed_over(plan, given);
            work.refusals = 0;
            if let Err(error) = noted {
                tracing::warn!(%error, "how far it is handed over cannot be noted");
                work.open = None;
            }
            return;
        }
        // It is compared anew: what was not taken comes again, until another plan is seen to be in force here, too.
        work.refusals += 1;
        if work.refusals < REFUSALS_MAX {
            work.open = None;
            return;
        }
        work.refusals = 0;
        let why = format!("the active has refused {refused} readings of it");
        self.stays(&mut work, number, plan, why);
    }
}

#[cfg(test)]
#[path = "asides/tests.rs"]
mod tests;
