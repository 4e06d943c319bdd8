//! The running source: slots in, requests out, emissions back.
//!
//! One task. The requests of a slot are shared by the connections that are up; a connector keeps
//! each of them up beside the slots.

use crate::client::{Client, Fault};
use crate::group::{Group, ROUNDS_MAX};
use crate::lane::{Lane, Outcome, Queue};
use crate::pack::Request;
use crate::point::{Point, Span};
use crate::prepare::Prepared;
use crate::protocol::refusal::Treatment;
use crate::settings::LinkSettings;
use crate::write::Change;
use futures_util::future::join_all;
use gwp_core::backoff::Backoff;
use gwp_core::command::{Command, CommandFault};
use gwp_core::scan::{Polled, Poller, run_polled};
use gwp_core::source::{GroupDeclaration, Source, SourceContext, SourceError};
use gwp_core::{BoxFuture, Clock, Quality, TagId, Timestamp};
use gwp_driver_kit::connector::{Presence, connector};
use gwp_driver_kit::wire::Dial;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// One prepared S7 source.
pub struct S7Source {
    name: Arc<str>,
    link: LinkSettings,
    dial: Arc<dyn Dial<Client>>,
    groups: Vec<GroupDeclaration>,
    points: Vec<Vec<Point>>,
    /// Tags that may be written.
    writable: BTreeMap<TagId, Point>,
}

impl S7Source {
    pub fn new(
        name: Arc<str>,
        groups: Vec<GroupDeclaration>,
        prepared: Prepared,
        dial: Arc<dyn Dial<Client>>,
    ) -> S7Source {
        let writable = groups.iter().zip(&prepared.groups).flat_map(|(group, points)| {
            let declared = group.tags.iter().zip(&group.points).zip(points);
            declared.filter(|((_, declared), _)| declared.writable).map(|((tag, _), point)| (*tag, *point))
        });
        S7Source {
            writable: writable.collect(),
            name,
            link: prepared.link,
            dial,
            groups,
            points: prepared.groups,
        }
    }
}

impl Source for S7Source {
    fn run<'a>(&'a self, mut cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let presence = Presence::new(cx.clone(), self.link.connections);
            let sides = (0..self.link.connections).map(|number| {
                // Each with its own spread, so that they do not knock at the PLC together.
                let spread = format!("{} {number}", self.name);
                let backoff = Backoff::new(self.link.reconnect_first, self.link.reconnect_max, &spread);
                let timeout = self.link.connect_timeout;
                connector(self.name.clone(), self.dial.clone(), timeout, backoff, presence.clone())
            });
            let (connectors, supplies): (Vec<_>, Vec<_>) = sides.unzip();
            let lane = |supply| Lane::new(supply, self.link.timeout, cx.meter.clone());
            let groups = self.points.iter().map(|points| Group::new(points.clone(), self.link.gap_max));
            let mut poller = S7Poller {
                groups: groups.collect(),
                writable: &self.writable,
                plc: Plc {
                    name: self.name.clone(),
                    lanes: supplies.into_iter().map(lane).collect(),
                    timeout: self.link.timeout,
                    outages: 0,
                    clock: cx.clock.clone(),
                },
            };
            let mut stop = cx.stop.clone();
            tokio::select! {
                () = run_polled(&mut cx, &self.groups, &mut poller) => {}
                _ = join_all(connectors.into_iter().map(|connector| connector.run())) => {}
                // A request under way is not waited for.
                () = stop.stopped() => {}
            }
            Ok(())
        })
    }
}

struct S7Poller<'s> {
    groups: Vec<Group>,
    writable: &'s BTreeMap<TagId, Point>,
    plc: Plc,
}

impl Poller for S7Poller<'_> {
    fn poll<'a>(&'a mut self, group: usize, _: Timestamp) -> BoxFuture<'a, Polled> {
        Box::pin(async move {
            match self.groups.get_mut(group) {
                Some(group) => self.plc.read(group).await,
                None => Polled::Failed(Quality::CONFIG),
            }
        })
    }

    fn write<'a>(&'a mut self, command: Command) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let answer = match self.writable.get(&command.tag) {
                Some(point) => match Change::new(point, &command.value) {
                    Ok(change) => self.plc.write(&change).await,
                    Err(why) => Err(CommandFault::Failed(why)),
                },
                None => Err(CommandFault::Failed("the tag is not writable".into())),
            };
            command.answer(answer);
        })
    }
}

/// The PLC behind its connections.
struct Plc {
    name: Arc<str>,
    lanes: Vec<Lane>,
    timeout: Duration,
    /// How often there was no connection when one was needed.
    outages: u32,
    clock: Arc<dyn Clock>,
}

impl Plc {
    /// Reads one poll group once.
    async fn read(&mut self, group: &mut Group) -> Polled {
        let Some(pdu) = self.pdu().await else {
            self.outages = self.outages.wrapping_add(1);
            return Polled::Failed(self.unavailable());
        };
        group.begin(self.clock.now(), pdu, self.outages);
        // Of what is still to be split when the slot has no rounds left.
        let mut why = Quality::UNKNOWN_ADDRESS;
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let requests = group.requests(now);
            if requests.is_empty() {
                break;
            }
            let (outcomes, left) = self.ask(requests).await;
            let mut broken = None;
            for outcome in outcomes {
                broken = self.took(group, outcome, now).or(broken);
            }
            if let Some(quality) = broken {
                // What has not been asked for has failed with the connection.
                left.iter()
                    .flat_map(|request| &request.pieces)
                    .for_each(|piece| group.failed(piece.block, quality));
                why = quality;
                break;
            }
        }
        group.finish(why)
    }

    /// The PDU that all connections can take. Waits at most one timeout for the first of them.
    async fn pdu(&mut self) -> Option<u16> {
        let mut patience = self.timeout;
        let mut least: Option<u16> = None;
        for lane in &mut self.lanes {
            let pdu = lane.pdu(patience).await;
            least = [least, pdu].into_iter().flatten().min();
            patience = Duration::ZERO;
        }
        least
    }

    fn unavailable(&self) -> Quality {
        let ever = self.lanes.iter().any(Lane::ever_connected);
        if ever { Quality::COMM_LOST } else { Quality::NOT_CONNECTED }
    }

    /// Shares requests between the connections that are up; each goes on until its first fault.
    /// Gives what came of them, and those that were not sent.
    async fn ask(&mut self, requests: Vec<Request>) -> (Vec<Outcome>, VecDeque<Request>) {
        let queue = Queue::new(requests);
        let work = self.lanes.iter_mut().filter(|lane| lane.is_up()).map(|lane| lane.work(&queue));
        let outcomes = join_all(work).await.into_iter().flatten().collect();
        (outcomes, queue.left())
    }

    /// Gives the group what came of a request; the quality that follows when the connection is at fault.
    fn took(&self, group: &mut Group, (request, result): Outcome, now: Timestamp) -> Option<Quality> {
        match result {
            Ok(values) => {
                for (piece, value) in request.pieces.iter().zip(values) {
                    match value {
                        Ok(bytes) => group.took(piece.block, piece.offset, &bytes),
                        Err(code) => {
                            let span = group.refused(piece.block, code.quality(), code.treatment(), now);
                            self.warn(span, &code);
                        }
                    }
                }
                None
            }
            Err(Fault::Refused(error)) => {
                // It says nothing of which item it means.
                let treatment = match error.treatment() {
                    Treatment::Split => Treatment::Refused,
                    other => other,
                };
                for piece in &request.pieces {
                    let span = group.refused(piece.block, error.quality(), treatment, now);
                    self.warn(span, &error);
                }
                None
            }
            Err(fault) => {
                tracing::debug!(source = %self.name, fault = %fault, "request failed");
                let why = match fault {
                    Fault::Timeout => Quality::TIMEOUT,
                    Fault::Broken(_) => Quality::DECODING,
                    Fault::Unavailable => self.unavailable(),
                    _ => Quality::COMM_LOST,
                };
                request.pieces.iter().for_each(|piece| group.failed(piece.block, why));
                Some(why)
            }
        }
    }

    fn warn(&self, refused: Option<Span>, why: &impl Display) {
        if let Some(place) = refused {
            tracing::warn!(source = %self.name, %place, %why, "the PLC refuses an address");
        }
    }

    /// One change, once.
    async fn write(&mut self, change: &Change) -> Result<(), CommandFault> {
        let up = self.lanes.iter().position(Lane::is_up).unwrap_or(0);
        let Some(lane) = self.lanes.get_mut(up) else {
            return Err(CommandFault::Failed("there is no connection".into()));
        };
        let refused = |why: &dyn Display| CommandFault::Failed(format!("the PLC refuses it: {why}"));
        if let Some(room) = &change.room {
            // Nothing is written yet, so any fault leaves the PLC as it was.
            let values =
                lane.read(&[room.item]).await.map_err(|fault| CommandFault::Failed(fault.to_string()))?;
            match values.first() {
                Some(Ok(bytes)) => room.check(bytes).map_err(CommandFault::Failed)?,
                Some(Err(code)) => return Err(refused(code)),
                None => return Err(CommandFault::Failed("no answer to its length".into())),
            }
        }
        match lane.write(&change.item, &change.bytes).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(code)) => Err(refused(&code)),
            Err(Fault::Refused(error)) => Err(refused(&error)),
            Err(fault @ (Fault::Unavailable | Fault::TooLong(_))) => {
                Err(CommandFault::Failed(fault.to_string()))
            }
            Err(fault) => Err(CommandFault::Unknown(fault.to_string())),
        }
    }
}
