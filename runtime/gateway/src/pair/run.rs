//! `gwp run` on a node of a pair: standby and active in turn.
//!
//! ```text
//!            +--------------------- standby: control interface, copy of the active's store <--+
//!            |                         | the machine has won an epoch                          |
//!   start ---+                         v                                                       |
//!                     active: store, engine, its mirror, control interface                     |
//!                                      | the epoch is over, or is handed over: the engine stops|
//!                                      +-------------------------------------------------------+
//! ```
//! The driver opens and shuts the exits by itself: what is slow here delays a takeover and lets nothing out.

use super::asides::Asides;
use super::beside::{Working, moving, set_working, superseded, told_why, wishes};
use super::desk::PairDesk;
use super::key::{PairKey, boot_id};
use super::plan::{self, Following};
use super::shadow::{self, Reads};
use super::words;
use super::{failback, policy};
use crate::cli::RunArgs;
use crate::commands::run::{Ended, Graph, Listeners, Ready, not_taken};
use crate::configuration::shared::Publisher;
use crate::configuration::start::Given;
use crate::control::operations::NoGraph;
use crate::node::{Node, PairMember};
use crate::service::Service;
use crate::stop_signal::StopSignal;
use anyhow::{Context, bail};
use gwp_cluster::driver::{self, Door, DriverConfig, DriverHandle, Told};
use gwp_cluster::follow::{Copied, Follower, follow};
use gwp_cluster::links::LinkAddresses;
use gwp_cluster::mirror::hub::Hub;
use gwp_cluster::serve::{FromPeer, serve_peer};
use gwp_cluster::stream::StreamKeys;
use gwp_console::Running;
use gwp_core::Position;
use gwp_engine::exits::{ExitKeeper, Exits, Superseded, exits};
use gwp_engine::pair::PairStart;
use gwp_engine::release::Release;
use gwp_engine::{Engine, GatewayClock, HotReader};
use gwp_journal::{LogReader, Opened, Replica, Store, StoreError, StoreOptions, asides};
use gwp_redundancy::member::{Epoch, Member, NodeId};
use gwp_redundancy::mirror::{ActiveSide, MirrorMode};
use gwp_redundancy::node::{Configured, Event, Input, Role, Settings, StalePolicy};
use gwp_redundancy::policy::Quorum;
use gwp_redundancy::timing::Timing;
use gwp_redundancy::token::{ActivationToken, Permit};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often it is looked whether what is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The machine is told in every so many beats that this process moves; a lease is ten beats or more.
const MOVES_LOOK_BEATS: u64 = 3;

/// A node that gets no answer asks again and again.
const ASKED_EVERY: Duration = Duration::from_secs(60);

/// How long a switchover waits for the peer to hold everything.
const HANDOVER_WAIT: Duration = Duration::from_millis(1_500);

/// How long of that without a connection to it.
const HANDOVER_LINK_WAIT: Duration = Duration::from_millis(300);

/// How long what is on its way out may take to end.
const EMPTIED_WAIT: Duration = Duration::from_secs(15);

/// The store may be held for a moment by who read it in the epoch before.
const LOCKED_WAIT: Duration = Duration::from_secs(5);

/// The exits, for the driver.
struct EngineDoor(Arc<ExitKeeper>);

impl Door for EngineDoor {
    fn activate(&mut self, token: ActivationToken) {
        self.0.activate(token);
    }

    fn permit(&mut self, permit: Permit) {
        self.0.permit(permit);
    }

    fn shut(&mut self) {
        self.0.shut();
    }
}

/// What a node of a pair is made of, as long as its process runs.
struct PairNode<'a> {
    args: &'a RunArgs,
    node: Arc<Node>,
    given: Option<Given>,
    timing: Timing,
    mirror: MirrorMode,
    keys: StreamKeys,
    driver: DriverHandle,
    told: UnboundedReceiver<Told>,
    keeper: Arc<ExitKeeper>,
    exits: Exits,
    desk: Arc<PairDesk>,
    /// What is set aside here.
    asides: Arc<Asides>,
    /// Where the peer comes to copy the store.
    listeners: Vec<TcpListener>,
    /// The engine whose log must move, once it is active; while it starts or stops this process answers for itself,
    /// and the machine bounds how long that takes.
    working: Working,
    /// When it was told last why this node asks for the role.
    asked: Option<tokio::time::Instant>,
}

/// An epoch, and what the node has from before it.
struct Won {
    epoch: Epoch,
    /// The copy may be behind what was delivered.
    stale: bool,
    copy: Option<Box<Replica>>,
    /// What reads as long as the node is a standby.
    hot: Option<HotReader>,
}

/// What ended one of the two.
enum End {
    /// The process is to end.
    Stop(ExitCode),
    /// With the copy of the store, if it is open.
    Won(Won),
    /// The epoch is over.
    Lost,
    /// The graph is to move to the peer.
    HandOver,
}

/// Runs until it is stopped.
///
/// # Errors
/// What was told of the pair is wrong, or the machine refuses.
pub async fn run(
    args: &RunArgs,
    node: Arc<Node>,
    given: Option<Given>,
    mut stop: StopSignal,
) -> anyhow::Result<ExitCode> {
    let mut pair = PairNode::start(args, node, given).await?;
    // `--for` counts from the start, whatever the node is meanwhile.
    let (ends, mut end) = watch::channel(None);
    let run_for = args.run_for;
    let stopping = async move { ends.send_replace(Some(stop.wait(run_for).await)) };
    let ended = tokio::select! {
        ended = pair.serve(&mut end) => ended,
        never = async { stopping.await; std::future::pending().await } => never,
    };
    // Says farewell, so that the peer need not wait for a lease to run out; but only when nothing is on its way.
    let is_empty = pair.shut().await;
    let PairNode { driver, .. } = pair;
    let _ = tokio::task::spawn_blocking(move || driver.end(is_empty)).await;
    ended
}

type Stopping = watch::Receiver<Option<&'static str>>;

impl<'a> PairNode<'a> {
    async fn start(args: &'a RunArgs, node: Arc<Node>, given: Option<Given>) -> anyhow::Result<PairNode<'a>> {
        let Some(member) = &node.pair else { bail!("{} has no [pair]", node.id) };
        let me = if member.is_primary { NodeId::Primary } else { NodeId::Backup };
        let key = PairKey::load(&member.key)?;
        std::fs::create_dir_all(&node.data)
            .with_context(|| format!("the data directory {} cannot be used", node.data.display()))?;
        let own = plan::at_start(&node, given.as_ref())?;
        let mut listeners = Vec::new();
        for link in &member.links {
            listeners.push(listener(link.here).await?);
        }
        // A command that an earlier process had sent just before it died is at its device before the peer may send one:
        // the margin that a lease gives it otherwise.
        if policy::writes_devices(&node, given.as_ref()) {
            tokio::time::sleep(Duration::from_nanos(key.timing.lease / 2)).await;
        }
        let (keeper, exits) = exits();
        let keeper = Arc::new(keeper);
        let (quorum, policy) = policy::choose(member);
        let settings = settings(me, member, key.timing, quorum);
        let (driver, told) = driver::start(DriverConfig {
            settings,
            secret: key.secret.clone(),
            boot: boot_id()?,
            links: links(me, member),
            votes: node.data.join("votes"),
            clock: gwp_engine::clock::boot,
            door: Box::new(EngineDoor(keeper.clone())),
        })?;
        tracing::info!(node = %node.id, member = %me, links = member.links.len(), witness = settings.quorum == Quorum::Witnessed, policy, "one of a pair");
        let configured = own.as_ref().ok().map(|plan| Configured { plan: *plan, at: Position::ZERO });
        driver.input(Input::Configured(configured));
        driver.input(Input::Health(100));
        // The votes that an earlier process held are free from here on; to look into its store takes longer.
        let logged = last_epoch(&node)?;
        for input in [Input::Logged(logged), Input::Opened, Input::Ready(true)] {
            driver.input(input);
        }
        let desk = Arc::new(PairDesk::new(&node, settings, policy, driver.inputs()));
        desk.set_plan(own.as_ref().ok().copied());
        if let Err(why) = own {
            tracing::warn!(%why, "this node cannot run a program yet");
            desk.set_problem(Some(&why));
        }
        let keys = StreamKeys::new(&key.secret, me)?;
        let (timing, mirror) = (key.timing, key.mirror);
        let working = Working::default();
        tokio::spawn(moving(driver.inputs(), MOVES_LOOK_BEATS * key.timing.beat, working.clone()));
        failback::watch_window(&member.failback, driver.inputs());
        let shown = desk.clone();
        let asides = Arc::new(Asides::new(node.data.clone(), move |now| shown.set_asides(now)));
        Ok(PairNode {
            args,
            node,
            given,
            timing,
            mirror,
            keys,
            driver,
            told,
            keeper,
            exits,
            desk,
            asides,
            listeners,
            working,
            asked: None,
        })
    }

    async fn serve(&mut self, end: &mut Stopping) -> anyhow::Result<ExitCode> {
        loop {
            let won = match self.standby(end).await? {
                End::Stop(code) => return Ok(code),
                End::Won(won) => won,
                End::Lost | End::HandOver => continue,
            };
            if let End::Stop(code) = self.active(won, end).await? {
                return Ok(code);
            }
        }
    }

    /// Not active: copies what the active has, until an epoch is won.
    async fn standby(&mut self, end: &mut Stopping) -> anyhow::Result<End> {
        let Some(mut listeners) = Listeners::bind(&self.node).await? else {
            return Ok(End::Stop(ExitCode::FAILURE));
        };
        let clock = Arc::new(GatewayClock::new(None));
        let status = Arc::default();
        let running = Running { node: self.node.id.clone(), status: Arc::clone(&status), clock };
        let (ends, mut asked) = watch::channel(false);
        let desk = Arc::new(NoGraph { peer: Some(self.desk.clone()), end: Some(ends) });
        let metrics = listeners.metrics(&running, Some(self.desk.clone()))?;
        let control = listeners.control.serve(running, desk.clone(), desk)?;
        let alive = tokio::spawn(alive(Service::new()));
        let (stop, stopped) = watch::channel(false);
        let mut reads = Reads::start(self.node.clone(), self.given.as_ref(), self.desk.clone());
        let (node, given, inputs) = (self.node.clone(), self.given.clone(), self.driver.inputs());
        let program = Arc::new(Following::new(node, given, inputs, self.desk.clone(), status));
        let mut in_force = program.in_force();
        let judge = tokio::spawn(program.clone().judge());
        let files = tokio::spawn(not_taken(self.args.files.clone(), self.args.watch));
        let follower = tokio::spawn(follow(self.follower(program, reads.copied()), stopped));
        let over = loop {
            tokio::select! {
                told = self.told.recv() => match told {
                    Some(Told::Activate { epoch, stale }) => {
                        break End::Won(Won { epoch, stale, copy: None, hot: None });
                    }
                    Some(told) => {
                        if self.hear(told) {
                            break End::Stop(ExitCode::from(3));
                        }
                    }
                    None => bail!("the driver of the pair has ended"),
                },
                Ok(()) = in_force.changed() => {
                    let plan = *in_force.borrow_and_update();
                    plan.into_iter().for_each(|plan| reads.follow(plan));
                }
                _ = end.wait_for(Option::is_some) => break End::Stop(ExitCode::SUCCESS),
                _ = asked.wait_for(|end| *end) => break End::Stop(ExitCode::SUCCESS),
            }
        };
        // The copy must be whole before it is the store.
        stop.send_replace(true);
        let copied = follower.await.ok().flatten().map(Box::new);
        [alive, judge, files].iter().chain(&metrics).for_each(JoinHandle::abort);
        // Its port is bound again at once.
        end_all(metrics).await;
        control.stop().await;
        Ok(match over {
            End::Won(won) => End::Won(Won { copy: copied, hot: reads.end(), ..won }),
            over => {
                shadow::stop(reads.end()).await;
                over
            }
        })
    }

    fn follower(&self, program: Arc<Following>, copied: Arc<dyn Copied>) -> Follower {
        let links = self.node.pair.iter().flat_map(|pair| &pair.links);
        let desk = self.desk.clone();
        Follower {
            data: self.node.data.clone(),
            peers: links.map(|link| link.peer).collect(),
            keys: self.keys.clone(),
            heard: self.driver.heard.clone(),
            progress: Box::new(move |text| desk.set_copy(text)),
            came: Arc::new(move |replica| program.copied(replica)),
            copied,
            tails: self.asides.clone(),
            mirror: self.mirror,
        }
    }

    /// Active: the graph runs here, and its store is mirrored to the peer.
    async fn active(&mut self, won: Won, end: &mut Stopping) -> anyhow::Result<End> {
        let Won { epoch, stale, copy, hot } = won;
        let Some(listeners) = Listeners::bind(&self.node).await? else {
            return Ok(End::Stop(ExitCode::FAILURE));
        };
        let opened = match copy {
            Some(copy) => copy.into_store(StoreOptions::default()),
            None => opened(&self.node).await,
        };
        let mut store = opened.context("this node has won, and its store cannot be used")?.store;
        let Some(ready) = Ready::new(&self.node, self.given.clone(), Some(&store))? else {
            return Ok(End::Stop(ExitCode::FAILURE));
        };
        let (config, mut begin) = ready.config(&self.node)?;
        let standing = store.standing()?;
        let release = Release::held();
        let let_out = release.clone();
        // That a mark is set is the safe thing to assume: it makes the peer catch up first.
        let side = ActiveSide::new(self.mirror, self.timing.solo, standing.place, true);
        let let_out = Box::new(move |upto| let_out.release(upto));
        let hub = Hub::new(side, standing, gwp_engine::clock::boot, let_out);
        store.set_mirror(Some(hub.mirror()));
        let publisher = Publisher::new(&self.node, &store.configurations())?;
        for kept in publisher.news(&begin.history) {
            store.keep_configurations(&kept)?;
        }
        self.desk.in_force(begin.plan.id());
        let stale = stale || self.may_be_older(store.durable())?;
        let (exits, log) = (self.exits.clone(), store.log_reader());
        let start = PairStart { store, epoch, exits, release, hot, stale };
        let engine = Arc::new(Engine::start_in_pair(config, start).await?);
        publisher.through(engine.keeper());
        begin.history.publisher = Some(Arc::new(publisher));
        self.desk.set_hub(Some(hub.clone()));
        let superseded = self.keeper.superseded();
        self.driver.input(Input::Activated(epoch));
        set_working(&self.working, Some(engine.clone()));
        let (from_peer, mut tasks) = self.beside(&engine, &hub, log, superseded);
        for (link, listener) in std::mem::take(&mut self.listeners).into_iter().enumerate() {
            tasks.push(tokio::spawn(serve_peer(
                (listener, link),
                self.driver.heard.clone(),
                self.keys.clone(),
                hub.clone(),
                engine.snapshots(),
                from_peer.clone(),
            )));
        }
        let graph =
            Graph { args: self.args, node: &self.node.clone(), engine, begin, peer: Some(self.desk.clone()) };
        let mut over = End::Stop(ExitCode::SUCCESS);
        let ended = graph.serve(listeners, self.until_over(end, &mut over)).await;
        set_working(&self.working, None);
        match over {
            End::HandOver => self.hand_over(&hub).await?,
            End::Lost if self.shut().await => self.driver.input(Input::Closed),
            End::Lost => bail!("what this node had under way does not end: the process does"),
            End::Stop(_) | End::Won(_) => {}
        }
        end_all(tasks).await;
        self.desk.set_hub(None);
        self.bind_again().await?;
        Ok(match ended? {
            Ended::Failed => End::Stop(ExitCode::from(3)),
            Ended::Stopped => over,
        })
    }

    /// Whether newer samples than those of the log here, which ends at `end`, may have been delivered.
    fn may_be_older(&self, end: Position) -> anyhow::Result<bool> {
        let is_of_peer = end.epoch != 0 && self.desk.is_of_peer(end.epoch);
        let peer_led_since = self.driver.heard.borrow().active_epoch > end.epoch;
        if self.mirror == MirrorMode::Local && (is_of_peer || peer_led_since) {
            tracing::warn!(
                "deliveries of the peer did not wait for this copy: what waits here goes out as backfill"
            );
            return Ok(true);
        }
        // What is set aside was newer than the copy that followed: it may have been delivered before.
        Ok(!asides(&self.node.data)?.is_empty())
    }

    /// What goes on beside the graph: the mirror's wishes, what the peer gives, and what is set aside here.
    fn beside(
        &self,
        engine: &Arc<Engine>,
        hub: &Hub,
        log: LogReader,
        said: watch::Receiver<Option<Superseded>>,
    ) -> (Arc<dyn FromPeer>, Vec<JoinHandle<()>>) {
        let (from_peer, [fill, rejoin]) = shadow::from_peer(engine, self.desk.clone());
        let own = tokio::spawn(self.asides.clone().hand_over_here(engine.clone(), log));
        let superseded = tokio::spawn(superseded(said, self.driver.inputs(), self.timing.lease));
        (
            from_peer,
            vec![wishes(self.driver.inputs(), hub.clone(), self.timing), fill, rejoin, own, superseded],
        )
    }

    /// Waits until the epoch is over, and says why.
    async fn until_over(&mut self, end: &mut Stopping, over: &mut End) -> &'static str {
        loop {
            tokio::select! {
                told = self.told.recv() => match told {
                    Some(Told::Drain) => {
                        set_working(&self.working, None);
                        *over = End::HandOver;
                        return "the graph moves to the peer";
                    }
                    // The exits are shut; the engine must not go on in an epoch that is over.
                    Some(Told::Close) => {
                        *over = End::Lost;
                        return "this node is not active any more";
                    }
                    Some(told) => {
                        if self.hear(told) {
                            *over = End::Stop(ExitCode::from(3));
                            return "this node cannot be one of a pair";
                        }
                    }
                    None => {
                        self.keeper.shut();
                        *over = End::Stop(ExitCode::from(3));
                        return "the driver of the pair has ended";
                    }
                },
                reason = end.wait_for(Option::is_some) => {
                    *over = End::Stop(ExitCode::SUCCESS);
                    return reason.ok().and_then(|reason| *reason).unwrap_or("stopped");
                }
            }
        }
    }

    /// Shuts the exits; false if something is on its way through them for too long.
    async fn shut(&self) -> bool {
        self.keeper.shut();
        tokio::time::timeout(EMPTIED_WAIT, self.keeper.emptied()).await.is_ok()
    }

    /// The engine has stopped in order: what its sinks had under way is acknowledged. Once the peer holds all of
    /// it, it may take over; if it does not come to that in time, this node gives the epoch up, as it cannot go on
    /// in it.
    async fn hand_over(&mut self, hub: &Hub) -> anyhow::Result<()> {
        let wait = async {
            let mut lost: Option<tokio::time::Instant> = None;
            while !hub.peer_has_all() {
                match lost {
                    _ if hub.figures().has_link => lost = None,
                    None => lost = Some(tokio::time::Instant::now()),
                    // It has died meanwhile.
                    Some(lost) if lost.elapsed() >= HANDOVER_LINK_WAIT => return false,
                    Some(_) => {}
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            true
        };
        let has_all = tokio::time::timeout(HANDOVER_WAIT, wait).await.unwrap_or(false);
        let is_empty = self.shut().await;
        if has_all && is_empty {
            self.driver.input(Input::Drained);
        }
        // It took too long, and the machine means to go on: there is no graph any more that could.
        let look = self.driver.inputs().look().await;
        if look.is_some_and(|look| look.role.holds()) {
            tracing::warn!(
                "the peer does not hold everything in time: the switchover is given up, and the graph starts again"
            );
            self.driver.input(Input::GiveUp);
            if !is_empty {
                bail!("what this node had under way does not end: the process does");
            }
        }
        Ok(())
    }

    /// Whatever the machine says, whether active or not. True: this node cannot take part any more.
    fn hear(&mut self, told: Told) -> bool {
        match told {
            // Of an activation that has not come to a graph.
            Told::Close => {
                let (keeper, inputs) = (self.keeper.clone(), self.driver.inputs());
                tokio::spawn(async move {
                    keeper.emptied().await;
                    inputs.send(Input::Closed);
                });
            }
            Told::Prepare => self.driver.input(Input::Prepared(true)),
            Told::Notify(event) => {
                match words::event(event) {
                    (text, true) => tracing::warn!("{text}"),
                    (text, false) => tracing::info!("{text}"),
                }
                return matches!(event, Event::Faulted { .. });
            }
            Told::Defect(_) => return true,
            Told::Cancel | Told::Drain | Told::Resume => {}
            Told::Role { to: Role::Candidate, .. } => {
                let long_ago = self.asked.is_none_or(|asked| asked.elapsed() >= ASKED_EVERY);
                if long_ago {
                    self.asked = Some(tokio::time::Instant::now());
                    told_why(self.driver.inputs(), self.timing.lease);
                }
            }
            Told::Activate { .. } | Told::Role { .. } => {}
        }
        false
    }

    async fn bind_again(&mut self) -> anyhow::Result<()> {
        let links: Vec<_> =
            self.node.pair.iter().flat_map(|pair| &pair.links).map(|link| link.here).collect();
        for here in links {
            self.listeners.push(listener(here).await?);
        }
        Ok(())
    }
}

/// Where the peer comes over a link.
async fn listener(here: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(here).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "the peer cannot be served on {here}, as another process has this address: does this node run already?"
        ),
        _ => anyhow::anyhow!("the peer cannot be served on {here}: {error}"),
    })
}

/// Ends tasks, and waits until what they had is free.
async fn end_all(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
}

async fn opened(node: &Node) -> Result<Opened, StoreError> {
    let until = tokio::time::Instant::now() + LOCKED_WAIT;
    loop {
        match Store::open(&node.data) {
            Err(StoreError::Locked { .. }) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(LOOK_EVERY * 10).await;
            }
            opened => return opened,
        }
    }
}

/// Tells the service manager that a node that waits is well.
async fn alive(service: Service) {
    service.tell("READY=1");
    let Some(every) = service.watchdog() else { return };
    loop {
        service.tell("WATCHDOG=1");
        tokio::time::sleep(every).await;
    }
}

fn settings(me: NodeId, member: &PairMember, timing: Timing, quorum: Quorum) -> Settings {
    Settings { me, quorum, timing, stale: StalePolicy::Allow, failback: member.failback.mode() }
}

fn links(me: NodeId, member: &PairMember) -> Vec<LinkAddresses> {
    let addresses = |link: &crate::node::PairLink| {
        let peer = (Member::Node(me.peer()), link.peer);
        let witness = link.witness.map(|witness| (Member::Witness, witness));
        LinkAddresses { here: link.here, others: std::iter::once(peer).chain(witness).collect() }
    };
    member.links.iter().map(addresses).collect()
}

/// The newest epoch in the log here; a copy that was not finished has none.
fn last_epoch(node: &Node) -> anyhow::Result<Epoch> {
    if !node.data.join("store").exists() {
        return Ok(0);
    }
    let replica = Replica::open(&node.data)?;
    Ok(replica.last_epoch()?)
}
