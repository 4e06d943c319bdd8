//! What a standby has to do with devices: it reads the sources of its program with `standby = hot`, and connects those
//! with `standby = warm` that are read in scan slots.
//!
//! `cold` and `transfer` do nothing here: a broker or a server keeps the session of a `transfer` source for whoever comes
//! with its client id, or with the bookmark of its subscriptions.

use super::asides;
use super::desk::PairDesk;
use crate::configuration::history::History;
use crate::configuration::prepare;
use crate::configuration::start::{Given, compiled};
use crate::node::Node;
use gwp_cluster::apart::Apart;
use gwp_cluster::bulk::READINGS_BYTES_MAX;
use gwp_cluster::follow::Copied;
use gwp_cluster::serve::{FromPeer, Kept};
use gwp_core::manifest::Standby as Mode;
use gwp_core::{Clock, PlanId, Record};
use gwp_engine::{Engine, GatewayClock, HotDesk, HotReader, Readiness};
use gwp_journal::{LogReader, StoreError, decode_facts, encode_facts};
use gwp_plan::Plan;
use gwp_redundancy::limits::OFFERS_MAX;
use gwp_redundancy::mirror::Place;
use gwp_redundancy::mirror::fill::From;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Readings of about so many bytes are offered at once.
const OFFERED_BYTES_MAX: usize = 1 << 20;

/// Offers that wait until the log has room; more are dropped, and made again.
const FILLS_WAITING: usize = 4;

/// What reads on this standby: another one after each change of the program.
pub struct Reads {
    node: Arc<Node>,
    desk: Arc<PairDesk>,
    hot: Option<HotReader>,
    told: Arc<Copy>,
}

impl Reads {
    /// Starts to read by the files of the command, or what was in force last.
    pub fn start(node: Arc<Node>, given: Option<&Given>, desk: Arc<PairDesk>) -> Reads {
        let plan = match given {
            Some(given) => Some(given.plan.clone()),
            None => in_force(&node),
        };
        let clock = GatewayClock::new(None);
        let told = Arc::new(Copy {
            desk: desk.clone(),
            clock,
            hot: RwLock::default(),
            off_grid: AtomicUsize::new(0),
        });
        let mut reads = Reads { node, desk, hot: None, told };
        reads.read(plan);
        reads
    }

    /// Another program is in force at the active: reads by that. What the shadow has of the one before is dropped: its
    /// slots are before the change, and the active has read them under the old program.
    pub fn follow(&mut self, plan: PlanId) {
        if self.hot.as_ref().is_some_and(|hot| hot.plan_id() == plan) {
            return;
        }
        if let Some(hot) = self.hot.take() {
            // Nobody waits for a device that does not let go.
            tokio::spawn(hot.stop());
        }
        self.read(in_force(&self.node).filter(|in_force| in_force.id() == plan));
    }

    fn read(&mut self, plan: Option<Arc<Plan>>) {
        self.hot = plan.and_then(|plan| reader(&plan, &self.node));
        let desk = self.hot.as_ref().map(HotReader::desk);
        *self.told.hot.write().unwrap_or_else(PoisonError::into_inner) = desk.clone();
        self.desk.set_hot(desk);
    }

    /// What the copy of the active's log is told to.
    pub fn copied(&self) -> Arc<dyn Copied> {
        self.told.clone()
    }

    /// This node is no standby any more; what reads, to run on.
    pub fn end(self) -> Option<HotReader> {
        self.desk.set_hot(None);
        self.hot
    }
}

/// Starts to read, if the program has something to read on a standby. What cannot be read is told: the node is a
/// standby all the same.
fn reader(plan: &Arc<Plan>, node: &Node) -> Option<HotReader> {
    let mut errors = Vec::new();
    let mut sources = Vec::new();
    for (index, source) in plan.sources.iter().enumerate() {
        let how = match source.standby {
            Mode::Hot => Readiness::Hot,
            Mode::Warm if is_polled(plan, index) => Readiness::Warm,
            Mode::Warm | Mode::Cold | Mode::Transfer => continue,
        };
        if let Some(prepared) = prepare::source(plan, index, node, &mut errors) {
            sources.push((index, prepared, how));
        }
    }
    for error in errors {
        tracing::warn!(error, "a source cannot be read on the standby");
    }
    (!sources.is_empty()).then(|| HotReader::start(plan.clone(), sources))
}

/// Whether all groups of a source have slots: one that reports on its own cannot be connected and say nothing.
fn is_polled(plan: &Plan, index: usize) -> bool {
    let mut own = plan.groups.iter().filter(|group| group.source as usize == index);
    own.all(|group| group.period_ns > 0)
}

/// What was in force last on this node.
fn in_force(node: &Node) -> Option<Arc<Plan>> {
    let history = History::open(&node.data).ok()?;
    let (id, bundle) = history.current().ok()??;
    compiled(&id, &bundle).ok()
}

/// Ends it.
pub async fn stop(hot: Option<HotReader>) {
    if let Some(hot) = hot {
        hot.stop().await;
    }
}

/// What can be run on with in a plan; else it ends.
pub async fn of_plan(hot: Option<HotReader>, plan: PlanId) -> Option<HotReader> {
    match hot {
        Some(hot) if hot.plan_id() != plan => {
            tracing::warn!(
                "the program has changed since this node reads as the standby: what it has read is dropped"
            );
            hot.stop().await;
            None
        }
        hot => hot,
    }
}

/// What the copy says, for whoever reads now.
struct Copy {
    desk: Arc<PairDesk>,
    /// While nobody reads.
    clock: GatewayClock,
    hot: RwLock<Option<Arc<HotDesk>>>,
    /// Poll groups for whose period the clocks were too far apart.
    off_grid: AtomicUsize,
}

impl Copy {
    fn hot(&self) -> Option<Arc<HotDesk>> {
        self.hot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Copied for Copy {
    fn compare(&self, log: &mut LogReader) -> Result<(), StoreError> {
        self.hot().map_or(Ok(()), |hot| hot.compare(log))
    }

    fn arrived(&self, records: &[(PlanId, Arc<Record>)]) {
        if let Some(hot) = self.hot() {
            hot.arrived(records);
        }
    }

    fn forget(&self) {
        if let Some(hot) = self.hot() {
            hot.forget();
        }
    }

    fn offers(&self) -> Option<Arc<[u8]>> {
        let (plan, facts) = self.hot()?.offers(OFFERS_MAX, OFFERED_BYTES_MAX);
        if facts.is_empty() {
            return None;
        }
        let bytes = encode_facts(plan, &facts);
        // What has no room in a message stays in the shadow for a takeover.
        (bytes.len() <= READINGS_BYTES_MAX).then(|| bytes.into())
    }

    fn now(&self) -> i64 {
        self.hot().map_or_else(|| self.clock.now(), |hot| hot.now()).0
    }

    fn apart(&self, apart: Apart) {
        self.desk.set_apart(Some(apart));
        let off_grid = self.hot().map_or(0, |hot| hot.set_offset(apart.at_least_ns()));
        let before = self.off_grid.swap(off_grid, Relaxed);
        if off_grid > before {
            tracing::warn!(
                offset_ms = apart.offset_ns / 1_000_000,
                groups = off_grid,
                "the clocks of the nodes are a quarter of a period apart or more: what the standby reads of these poll groups does not count, they are warm; look after the clocks"
            );
        } else if off_grid == 0 && before > 0 {
            tracing::info!("the clocks of the nodes agree again: what the standby reads counts");
        }
    }
}

/// What the active makes of what its peer has read, as long as the tasks that are given, too, run.
pub fn from_peer(engine: &Arc<Engine>, desk: Arc<PairDesk>) -> (Arc<dyn FromPeer>, [JoinHandle<()>; 2]) {
    let (fills, filling) = mpsc::channel(FILLS_WAITING);
    let tails = Arc::<Tails>::default();
    let clock = engine.clock.clone();
    let tasks =
        [tokio::spawn(fill(engine.clone(), filling)), tokio::spawn(rejoin(engine.clone(), tails.clone()))];
    (Arc::new(Active { fills, tails, clock, desk }), tasks)
}

/// Readings that a peer had set aside, and where it is told that they are kept.
type HandedOver = (Arc<[u8]>, oneshot::Sender<Kept>);

/// What waits to be appended of it: the newest. What came over an earlier stream and was not begun comes again.
#[derive(Default)]
struct Tails {
    next: Mutex<Option<HandedOver>>,
    bell: Notify,
}

impl Tails {
    fn next(&self) -> MutexGuard<'_, Option<HandedOver>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Active {
    fills: mpsc::Sender<Arc<[u8]>>,
    tails: Arc<Tails>,
    clock: Arc<GatewayClock>,
    desk: Arc<PairDesk>,
}

impl FromPeer for Active {
    fn fill(&self, bytes: Arc<[u8]>) {
        // What has no room is offered again.
        let _ = self.fills.try_send(bytes);
    }

    fn rejoin(&self, bytes: Arc<[u8]>) -> oneshot::Receiver<Kept> {
        let (answer, kept) = oneshot::channel();
        *self.tails.next() = Some((bytes, answer));
        self.tails.bell.notify_one();
        kept
    }

    fn now(&self) -> i64 {
        self.clock.now().0
    }

    fn apart(&self, apart: Apart) {
        self.desk.set_apart(Some(apart));
    }
}

/// Appends what the log lacks of what the standby has read.
async fn fill(engine: Arc<Engine>, mut fills: mpsc::Receiver<Arc<[u8]>>) {
    while let Some(bytes) = fills.recv().await {
        match decode_facts(&bytes) {
            Ok((plan, facts)) => {
                let admitted = engine.admit(From::Fill, plan, &facts).await;
                if admitted.appended > 0 {
                    tracing::info!(
                        readings = admitted.appended,
                        "the standby has read what could not be read here"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "what the standby has read cannot be taken"),
        }
    }
}

/// Appends what the log lacks of what the peer had set aside, and tells by which place all of it is kept.
async fn rejoin(engine: Arc<Engine>, tails: Arc<Tails>) {
    let mut is_told = false;
    loop {
        tails.bell.notified().await;
        let Some((bytes, answer)) = tails.next().take() else { continue };
        let (mut upto, mut refused) = (engine.last(), 0);
        match decode_facts(&bytes) {
            // A question alone: with it a peer begins.
            _ if bytes.is_empty() => is_told = false,
            Ok((plan, facts)) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::info!("the peer hands over what only it had: it is appended as backfill");
                }
                engine.lanes_are_close().await;
                let admitted = engine.admit(From::Rejoin, plan, &facts).await;
                let (appended, held) = (admitted.appended, admitted.held);
                tracing::debug!(appended, held, "readings that the peer had set aside");
                (upto, refused) = (admitted.upto, asides::count(admitted.refused));
            }
            Err(error) => {
                tracing::warn!(%error, "what the peer had set aside cannot be taken");
                refused = 1;
            }
        }
        if engine.durable(upto).await {
            // Who has gone asks again.
            let _ = answer.send(Kept { place: Place::log(upto), refused });
        }
    }
}
