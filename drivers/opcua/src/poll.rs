//! The running source in scan slots: a session that is kept beside them, and one Read per poll group.

use crate::dial::{Dialer, NO_CONNECTION, Presence};
use crate::limits::{FINISH_TIMEOUT, LEVEL_EVERY, NODES_PER_REQUEST};
use crate::link::{Event, Link};
use crate::prepare::{Prepared, Tag};
use crate::redundant::Levels;
use crate::security::ConnectError;
use crate::server::{self, Facts};
use crate::value::{self, Reading};
use crate::write::{self, Types};
use gwp_core::command::{Command, CommandFault};
use gwp_core::scan::{Polled, Poller, run_polled};
use gwp_core::source::{GroupLoad, SourceContext, SourceError, SourceMeter};
use gwp_core::{BoxFuture, Column, Qualities, Quality, Timestamp};
use opcua::client::Session;
use opcua::types::{DataValue, ReadValueId, StatusCode};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{mpsc, watch};

/// Reads in a row without an answer after which the session is set up anew.
const TIMEOUTS_MAX: usize = 2;

/// Bytes of a node and a value on the wire, with both time stamps, roughly: for estimates only.
const NODE_BYTES: usize = 40;
const VALUE_BYTES: usize = 28;

/// What reading each group once costs; nothing for groups that report on their own.
pub fn load(prepared: &Prepared) -> Vec<GroupLoad> {
    let load = |points: usize| match prepared.options.polls {
        true => GroupLoad {
            requests: points.div_ceil(NODES_PER_REQUEST),
            bytes: points * (NODE_BYTES + VALUE_BYTES),
            link_ns: 0,
        },
        false => GroupLoad::default(),
    };
    prepared.groups.iter().map(|group| load(group.points.len())).collect()
}

/// A session that can be read from.
struct Ready {
    session: Arc<Session>,
    facts: Facts,
}

/// `None` = there is no session; the flag says that one has been tried for to the end.
#[derive(Clone, Default)]
struct State {
    ready: Option<Arc<Ready>>,
    is_known: bool,
}

/// Runs until stopped.
///
/// # Errors
/// None.
pub async fn run(prepared: &Prepared, mut cx: SourceContext) -> Result<(), SourceError> {
    let (told, state) = watch::channel(State::default());
    let (useless, of_no_use) = mpsc::channel(1);
    let keeper = Keeper { prepared, cx: cx.clone(), presence: Presence::new(cx.clone()), told, of_no_use };
    let mut poller = GroupPoller::new(prepared, state.clone(), useless, cx.meter.clone());
    let groups = &prepared.groups;
    let mut stop = cx.stop.clone();
    tokio::select! {
        () = run_polled(&mut cx, groups, &mut poller) => {}
        () = keeper.run() => {}
        // A request under way is not waited for.
        () = stop.stopped() => {}
    }
    Ok(())
}

/// Why a session is not used any more.
enum Over {
    Failed(ConnectError),
    /// A better server of the set, and which it is.
    Better((usize, Link)),
}

/// Keeps a session beside the slots.
struct Keeper<'a> {
    prepared: &'a Prepared,
    cx: SourceContext,
    presence: Presence,
    told: watch::Sender<State>,
    of_no_use: mpsc::Receiver<()>,
}

impl Keeper<'_> {
    async fn run(mut self) {
        let mut dialer = Dialer::new(self.prepared);
        let (mut warned, mut next) = (false, None);
        loop {
            let opened = match next.take() {
                Some((at, link)) => Ok(dialer.opened(at, link)),
                None => dialer.open().await,
            };
            let pause = match opened {
                Ok(mut link) => {
                    crate::types::load(&link.session, self.prepared).await;
                    let error = match self.keep(&mut link, &mut dialer, &mut warned).await {
                        Over::Failed(error) => {
                            self.cx.meter.errors.fetch_add(1, Relaxed);
                            self.down().await;
                            Some(error)
                        }
                        Over::Better(better) => {
                            // Slots that are due meanwhile wait for it.
                            self.told.send_replace(State { ready: None, is_known: false });
                            next = Some(better);
                            None
                        }
                    };
                    // The server may have few sessions. If it is gone, this fails at once.
                    let _ = tokio::time::timeout(FINISH_TIMEOUT, link.session.disconnect()).await;
                    let Some(error) = error else { continue };
                    dialer.failed(&error)
                }
                Err(pause) => pause,
            };
            self.down().await;
            tokio::time::sleep(pause).await;
        }
    }

    async fn down(&mut self) {
        self.told.send_replace(State { ready: None, is_known: true });
        self.presence.is(false).await;
    }

    /// As long as a session is of use; why it is not any more.
    async fn keep(&mut self, link: &mut Link, dialer: &mut Dialer<'_>, warned: &mut bool) -> Over {
        let mut levels = Levels::new(self.prepared);
        loop {
            let facts = match Facts::ask(&link.session, &self.prepared.options.log).await {
                Ok(facts) => facts,
                Err(error) => return Over::Failed(link.context.explain(error.status())),
            };
            if !std::mem::replace(warned, true) {
                server::warn_of_indexes(&self.prepared.name, &self.prepared.nodes, &facts);
            }
            // Words of the session before.
            while self.of_no_use.try_recv().is_ok() {}
            dialer.proved();
            let ready = Some(Arc::new(Ready { session: link.session.clone(), facts }));
            self.told.send_replace(State { ready, is_known: true });
            self.presence.is(true).await;
            let event = loop {
                let session = link.session.clone();
                tokio::select! {
                    event = link.event() => break event,
                    found = levels.found() => {
                        for at in &found.refused {
                        dialer.refused(*at);
                    }
                        if let Some(better) = found.better {
                            return Over::Better(better);
                        }
                    }
                    _ = self.of_no_use.recv() => {
                        return Over::Failed(link.context.explain(StatusCode::BadTimeout));
                    }
                    () = tokio::time::sleep(LEVEL_EVERY) => levels.look(&session, dialer).await,
                }
            };
            self.told.send_replace(State { ready: None, is_known: false });
            let event = match event {
                Event::Lost => {
                    tokio::time::timeout(self.prepared.options.connect_timeout, link.event()).await
                }
                other => Ok(other),
            };
            match event {
                Ok(Event::Back { .. }) => {}
                Ok(Event::Ended(status)) => return Over::Failed(link.context.explain(status)),
                Ok(Event::Lost) | Err(_) => {
                    return Over::Failed(link.context.explain(StatusCode::BadTimeout));
                }
            }
        }
    }
}

/// What the server of a session is asked for.
struct Asked {
    ids: Vec<ReadValueId>,
    /// Of each node of the group: whether it stands among those. Not if the server lacks its namespace.
    is_known: Vec<bool>,
}

/// Where each tag of a group stands in the answers to its reads.
struct Group<'a> {
    tags: Vec<&'a Tag>,
    /// Distinct nodes, in the order in which they are read.
    nodes: Vec<usize>,
    /// Of each tag: its node among those.
    at: Vec<usize>,
    /// Since the session stands.
    asked: Option<Asked>,
}

impl<'a> Group<'a> {
    fn new(tags: Vec<&'a Tag>) -> Group<'a> {
        let mut places = HashMap::new();
        let mut nodes = Vec::new();
        let at = tags.iter().map(|tag| {
            *places.entry(tag.node).or_insert_with(|| {
                nodes.push(tag.node);
                nodes.len() - 1
            })
        });
        let at = at.collect();
        Group { tags, nodes, at, asked: None }
    }
}

struct GroupPoller<'a> {
    prepared: &'a Prepared,
    groups: Vec<Group<'a>>,
    state: watch::Receiver<State>,
    useless: mpsc::Sender<()>,
    meter: Arc<SourceMeter>,
    timeouts: usize,
    /// The session that was read from last.
    last: Option<Arc<Ready>>,
    types: Types,
}

impl<'a> GroupPoller<'a> {
    fn new(
        prepared: &'a Prepared,
        state: watch::Receiver<State>,
        useless: mpsc::Sender<()>,
        meter: Arc<SourceMeter>,
    ) -> GroupPoller<'a> {
        let of_group = |id| prepared.tags.iter().filter(move |tag| tag.group == id).collect();
        let groups = prepared.groups.iter().map(|group| Group::new(of_group(group.id))).collect();
        GroupPoller {
            prepared,
            groups,
            state,
            useless,
            meter,
            timeouts: 0,
            last: None,
            types: Types::default(),
        }
    }

    /// The session; waits at most one timeout for it, and not at all once it is known that there is none.
    async fn ready(&mut self) -> Option<Arc<Ready>> {
        let known = self.state.wait_for(|state| state.is_known);
        let state = tokio::time::timeout(self.prepared.options.timeout, known).await.ok()?.ok()?;
        state.ready.clone()
    }

    async fn read(&mut self, group: usize) -> Polled {
        let Some(ready) = self.ready().await else {
            return Polled::Failed(if self.last.is_some() {
                Quality::COMM_LOST
            } else {
                Quality::NOT_CONNECTED
            });
        };
        if !self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &ready)) {
            self.types.forget();
            self.groups.iter_mut().for_each(|group| group.asked = None);
            self.last = Some(ready.clone());
        }
        let Some(group) = self.groups.get_mut(group) else { return Polled::Failed(Quality::CONFIG) };
        let Asked { ids, is_known } = group.asked.get_or_insert_with(|| {
            let names = group.nodes.iter().map(|node| self.prepared.nodes.get(*node));
            let nodes: Vec<_> = names.map(|name| ready.facts.resolve(name?)).collect();
            Asked {
                is_known: nodes.iter().map(Option::is_some).collect(),
                ids: nodes.into_iter().flatten().map(server::value_of).collect(),
            }
        });
        let requests = ids.len().div_ceil(ready.facts.nodes_per_read.max(1));
        self.meter.requests.fetch_add(requests as u64, Relaxed);
        let log = &self.prepared.options.log;
        let read = server::read(&ready.session, log, ids, ready.facts.nodes_per_read);
        let values = match tokio::time::timeout(self.prepared.options.timeout, read).await {
            Ok(Ok(values)) => values,
            Ok(Err(error)) => return Polled::Failed(self.failed(error.status())),
            Err(_) => return Polled::Failed(self.failed(StatusCode::BadTimeout)),
        };
        self.timeouts = 0;
        // Nodes of an unknown namespace have not been asked for.
        let mut values = values.into_iter();
        let values: Vec<Option<DataValue>> =
            is_known.iter().map(|is_known| if *is_known { values.next() } else { None }).collect();
        for (node, data) in group.nodes.iter().zip(&values) {
            if let Some(data) = data {
                self.types.shown(*node, data);
            }
        }
        readings(group, &values)
    }

    fn failed(&mut self, status: StatusCode) -> Quality {
        match status {
            StatusCode::BadTimeout => {
                self.meter.timeouts.fetch_add(1, Relaxed);
                self.timeouts += 1;
                if self.timeouts >= TIMEOUTS_MAX {
                    self.timeouts = 0;
                    // One word is enough.
                    let _ = self.useless.try_send(());
                }
                Quality::TIMEOUT
            }
            StatusCode::BadNotConnected
            | StatusCode::BadConnectionClosed
            | StatusCode::BadCommunicationError
            | StatusCode::BadSecureChannelClosed => Quality::COMM_LOST,
            StatusCode::BadSessionIdInvalid
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionNotActivated => {
                let _ = self.useless.try_send(());
                Quality::COMM_LOST
            }
            other => {
                self.meter.errors.fetch_add(1, Relaxed);
                let quality = value::quality(other);
                if quality.is_bad() { quality } else { Quality::BAD }
            }
        }
    }
}

/// The columns of a slot.
fn readings(group: &Group<'_>, values: &[Option<DataValue>]) -> Polled {
    let len = group.tags.len();
    let mut column = Column::with_capacity(len);
    let mut qualities = Qualities::Same(Quality::GOOD);
    for (index, (tag, at)) in group.tags.iter().zip(&group.at).enumerate() {
        let reading = match values.get(*at) {
            Some(Some(data)) => value::reading(data, &tag.place, tag.plc_type),
            _ => Reading::bad(Quality::UNKNOWN_ADDRESS),
        };
        column.push(reading.value);
        qualities.set(index, reading.quality, len);
    }
    let first = qualities.get(0);
    if first.is_bad() && (0..len).all(|index| qualities.get(index) == first) {
        return Polled::Failed(first);
    }
    Polled::Values { values: column, qualities }
}

impl Poller for GroupPoller<'_> {
    fn poll<'a>(&'a mut self, group: usize, _: Timestamp) -> BoxFuture<'a, Polled> {
        Box::pin(self.read(group))
    }

    fn write<'a>(&'a mut self, command: Command) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match self.ready().await {
                Some(ready) => {
                    write::carry_out(&ready.session, &ready.facts, self.prepared, &self.types, command).await;
                }
                None => command.answer(Err(CommandFault::Failed(NO_CONNECTION.into()))),
            }
        })
    }
}
