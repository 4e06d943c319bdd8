//! What a standby has to do with devices: it reads the sources of its program with `standby = hot`, and connects those
//! with `standby = warm` that are read in scan slots.
//!
//! `cold` and `transfer` do nothing here: a broker or a server keeps the session of a `transfer` source for whoever comes
//! with its client id, or with the bookmark of its subscriptions.

use super::asides;
use super::desk::PairDesk;
use crate::configuration::history::History;
use crate::configuration::prepare;
use crate::configuration::start::{Given, Next, compiled};
use crate::node::Node;
use gwp_cluster::apart::Apart;
use gwp_cluster::bulk::READINGS_BYTES_MAX;
use gwp_cluster::follow::Copied;
use gwp_cluster::serve::{FromPeer, Kept};
use gwp_core::manifest::Standby as Mode;
use gwp_core::source::Source;
use gwp_core::{Clock, PlanId, Record};
use gwp_engine::{Engine, GatewayClock, HotDesk, HotReader, Readiness};
use gwp_journal::{LogReader, PlanReader, StoreError, decode_facts, encode_facts};
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

/// What reads on this standby, by the program of the active as that changes.
pub struct Reads {
    node: Arc<Node>,
    desk: Arc<PairDesk>,
    hot: Option<HotReader>,
    told: Arc<Copy>,
}

impl Reads {
    /// Starts to read by what this node would run by itself.
    pub fn start(node: Arc<Node>, given: Option<&Given>, desk: Arc<PairDesk>) -> Reads {
        let plan = at_start(&node, given);
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

    /// Another program is in force at the active: reads by that.
    pub fn follow(&mut self, plan: PlanId) {
        if self.hot.as_ref().is_some_and(|hot| hot.plan_id() == plan) {
            return;
        }
        // One that is not in force here any more has another one behind it, which is told of as well.
        if let Some(plan) = in_force(&self.node).filter(|in_force| in_force.id() == plan) {
            self.read(Some(plan));
        }
    }

    fn read(&mut self, plan: Option<Arc<Plan>>) {
        let wanted = plan.as_deref().map(wanted).unwrap_or_default();
        match (&mut self.hot, plan.filter(|_| !wanted.is_empty())) {
            (Some(hot), Some(plan)) => hot.follow(&plan, &wanted, |at| source(&plan, at, &self.node)),
            (None, Some(plan)) => {
                let made =
                    |(at, how): &(usize, Readiness)| Some((*at, source(&plan, *at, &self.node)?, *how));
                self.hot = Some(HotReader::start(plan.clone(), wanted.iter().filter_map(made).collect()));
            }
            (hot, None) => {
                if let Some(hot) = hot.take() {
                    // Nobody waits for a device that does not let go.
                    tokio::spawn(hot.stop());
                }
            }
        }
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

/// What of a program is read or connected on a standby, by index of the source.
fn wanted(plan: &Plan) -> Vec<(usize, Readiness)> {
    let sources = plan.sources.iter().enumerate();
    let wanted = sources.filter_map(|(index, source)| match source.standby {
        Mode::Hot => Some((index, Readiness::Hot)),
        Mode::Warm if is_polled(plan, index) => Some((index, Readiness::Warm)),
        Mode::Warm | Mode::Cold | Mode::Transfer => None,
    });
    wanted.collect()
}

/// A source, ready to be read. What cannot be read is told: the node is a standby all the same.
fn source(plan: &Arc<Plan>, index: usize, node: &Node) -> Option<Arc<dyn Source>> {
    let mut errors = Vec::new();
    let source = prepare::source(plan, index, node, &mut errors);
    for error in errors {
        tracing::warn!(error, "a source cannot be read on the standby");
    }
    source
}

/// Whether all groups of a source have slots: one that reports on its own cannot be connected and say nothing.
fn is_polled(plan: &Plan, index: usize) -> bool {
    let mut own = plan.groups.iter().filter(|group| group.source as usize == index);
    own.all(|group| group.period_ns > 0)
}

/// What a start of this node would run.
fn at_start(node: &Node, given: Option<&Given>) -> Option<Arc<Plan>> {
    let history = History::open(&node.data).ok()?;
    match Next::new(&history, given) {
        Next::Files(given) => Some(given.plan.clone()),
        Next::Kept(id) => compiled(&id, &history.get(&id).ok()?).ok(),
        Next::Nothing => None,
    }
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
    fn compare(&self, log: &mut LogReader, plans: &PlanReader) -> Result<(), StoreError> {
        self.hot().map_or(Ok(()), |hot| hot.compare(log, plans))
    }

    fn lacks_plan_of(&self, records: &[(PlanId, Arc<Record>)]) -> bool {
        self.hot().is_some_and(|hot| hot.lacks_plan_of(records))
    }

    fn learn(&self, records: &[(PlanId, Arc<Record>)], plans: &PlanReader) -> Result<(), StoreError> {
        self.hot().map_or(Ok(()), |hot| hot.learn(records, plans))
    }

    fn is_compared(&self) -> bool {
        self.hot().is_none_or(|hot| hot.is_compared())
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
