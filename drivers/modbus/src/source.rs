//! The running source: slots in, requests out, emissions back.
//!
//! One task, one link, one queue. The connector keeps the link up beside it.

use crate::client::Fault;
use crate::decode::Answer;
use crate::exception::{Exception, Treatment};
use crate::group::{Group, Next, Outcome, REFUSALS_PER_SLOT};
use crate::link::Link;
use crate::point::{Point, Span};
use crate::prepare::{GroupPlan, Prepared};
use crate::settings::{LinkSettings, Transport};
use crate::units::{Admission, Change, Units};
use crate::wire::Dial;
use crate::write::{WriteRequest, unwritten};
use gwp_core::backoff::Backoff;
use gwp_core::command::{Command, CommandFault};
use gwp_core::scan::{Polled, Poller, run_polled};
use gwp_core::source::{GroupDeclaration, Source, SourceContext, SourceError, SourceMeter};
use gwp_core::{BoxFuture, Clock, Quality, TagId, Timestamp};
use gwp_driver_kit::connector::{Presence, connector};
use gwp_driver_kit::wire_log::WireLogs;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// One prepared Modbus source.
pub struct ModbusSource {
    name: Arc<str>,
    transport: Transport,
    link: LinkSettings,
    dial: Arc<dyn Dial>,
    logs: WireLogs,
    groups: Vec<GroupDeclaration>,
    plans: Vec<GroupPlan>,
    /// Tags that may be written: unit and point.
    writable: BTreeMap<TagId, (u8, Point)>,
}

impl ModbusSource {
    pub fn new(
        name: Arc<str>,
        groups: Vec<GroupDeclaration>,
        prepared: Prepared,
        dial: Arc<dyn Dial>,
        logs: WireLogs,
    ) -> ModbusSource {
        let writable = groups.iter().zip(&prepared.groups).flat_map(|(group, plan)| {
            let declared = group.tags.iter().zip(&group.points).zip(&plan.points);
            let writable = declared.filter(|((_, declared), _)| declared.writable);
            writable.map(|((tag, _), point)| (*tag, (plan.unit, *point)))
        });
        ModbusSource {
            writable: writable.collect(),
            name,
            transport: prepared.transport,
            link: prepared.link,
            dial,
            logs,
            groups,
            plans: prepared.groups,
        }
    }
}

impl Source for ModbusSource {
    fn run<'a>(&'a self, mut cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let backoff = Backoff::new(self.link.reconnect_first, self.link.reconnect_max, &self.name);
            let (connector, supply) = connector(
                self.name.clone(),
                self.dial.clone(),
                self.link.connect_timeout,
                backoff,
                Presence::new(cx.clone(), 1),
            );
            let ns = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
            let mut poller = ModbusPoller {
                groups: self.plans.iter().cloned().map(Group::new).collect(),
                writable: &self.writable,
                bus: Bus {
                    name: self.name.clone(),
                    link: Link::new(
                        supply,
                        self.transport,
                        self.link.timing,
                        cx.meter.clone(),
                        self.logs.clone(),
                    ),
                    units: Units::new(
                        self.plans.iter().map(|plan| plan.unit),
                        self.link.demote_after,
                        ns(self.link.probe),
                        ns(self.link.timing.timeout),
                    ),
                    retries: self.link.retries,
                    clock: cx.clock.clone(),
                    meter: cx.meter.clone(),
                },
            };
            let mut stop = cx.stop.clone();
            tokio::select! {
                () = run_polled(&mut cx, &self.groups, &mut poller) => {}
                () = connector.run() => {}
                // A request under way is not waited for.
                () = stop.stopped() => {}
            }
            Ok(())
        })
    }

    fn drill<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async { self.dial.drill().await.map_err(|message| SourceError { message }) })
    }
}

struct ModbusPoller<'s> {
    groups: Vec<Group>,
    writable: &'s BTreeMap<TagId, (u8, Point)>,
    bus: Bus,
}

impl Poller for ModbusPoller<'_> {
    fn poll<'a>(&'a mut self, group: usize, _: Timestamp) -> BoxFuture<'a, Polled> {
        Box::pin(async move {
            match self.groups.get_mut(group) {
                Some(group) => self.bus.read(group).await,
                None => Polled::Failed(Quality::CONFIG),
            }
        })
    }

    fn write<'a>(&'a mut self, command: Command) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let answer = match self.writable.get(&command.tag) {
                Some((unit, point)) => match WriteRequest::new(point, &command.value) {
                    Ok(request) => self.bus.write(*unit, &request).await,
                    Err(why) => Err(CommandFault::Failed(why)),
                },
                None => Err(CommandFault::Failed("the tag is not writable".into())),
            };
            command.answer(answer);
        })
    }
}

/// The link and what is known of the units on it.
struct Bus {
    name: Arc<str>,
    link: Link,
    units: Units,
    retries: u32,
    clock: Arc<dyn Clock>,
    meter: Arc<SourceMeter>,
}

impl Bus {
    /// Reads one poll group once.
    async fn read(&mut self, group: &mut Group) -> Polled {
        let mut readings = group.begin(self.clock.now(), self.link.outages(), self.units.returns(group.unit));
        let mut refusals_left = REFUSALS_PER_SLOT;
        let mut at = 0;
        loop {
            let now = self.clock.now();
            let admitted = match group.next(at, now, refusals_left > 0) {
                None => return readings.finish(),
                Some(Next::Skip(why)) => Err(why),
                Some(Next::Ask(span)) => match self.units.admit(group.unit, now) {
                    Admission::Refuse(why) => Err(why),
                    Admission::Ask | Admission::Probe => Ok(span),
                },
            };
            match admitted {
                Err(why) => group.failed(at, why, &mut readings),
                Ok(span) => match self.ask(group.unit, span).await {
                    Ok(answer) => group.answered(at, &answer, &mut readings),
                    Err((fault, why)) => {
                        if self.refused(group, at, span, &fault, &mut refusals_left) == Some(Outcome::Split) {
                            // Two smaller requests stand at `at` now.
                            continue;
                        }
                        group.failed(at, why, &mut readings);
                    }
                },
            }
            at += 1;
        }
    }

    /// One change, once; with the function for several values if the device lacks the other.
    async fn write(&mut self, unit: u8, request: &WriteRequest) -> Result<(), CommandFault> {
        if let Admission::Refuse(_) = self.units.admit(unit, self.clock.now()) {
            return Err(CommandFault::Failed("the device has not been answering".into()));
        }
        let mut result = self.link.write(unit, request).await;
        if let (Err(Fault::Exception(Exception::ILLEGAL_FUNCTION)), Some(multiple)) =
            (&result, request.multiple())
        {
            result = self.link.write(unit, &multiple).await;
        }
        match &result {
            Ok(()) => {
                let change = self.units.answered(unit);
                self.tell(unit, change);
            }
            Err(fault) => {
                self.judge(unit, fault);
            }
        }
        result.map_err(|fault| unwritten(&fault))
    }

    /// One request, again up to `retries` times while the unit does not count as silent. Gives the
    /// last fault and the quality that follows from it.
    async fn ask(&mut self, unit: u8, span: Span) -> Result<Answer, (Fault, Quality)> {
        let mut retries = self.retries;
        loop {
            match self.link.read(unit, span).await {
                Ok(answer) => {
                    let change = self.units.answered(unit);
                    self.tell(unit, change);
                    return Ok(answer);
                }
                Err(fault) => {
                    let why = self.judge(unit, &fault);
                    let unanswered = matches!(fault, Fault::Timeout | Fault::Broken(_) | Fault::Stale { .. });
                    let admission = self.units.admit(unit, self.clock.now());
                    if retries == 0 || !unanswered || admission != Admission::Ask {
                        return Err((fault, why));
                    }
                    retries -= 1;
                }
            }
        }
    }

    /// If the device refuses the request itself, tells the group, as long as the slot may afford it.
    fn refused(
        &self,
        group: &mut Group,
        at: usize,
        span: Span,
        fault: &Fault,
        refusals_left: &mut usize,
    ) -> Option<Outcome> {
        let Fault::Exception(exception) = fault else { return None };
        if !matches!(exception.treatment(), Treatment::Split | Treatment::Refused) {
            return None;
        }
        *refusals_left = refusals_left.checked_sub(1)?;
        let outcome = group.refused(at, *exception, self.clock.now());
        if outcome == (Outcome::Refused { first: true }) {
            let (unit, table) = (group.unit, span.table.name());
            let (start, count) = (span.start, span.count);
            tracing::warn!(source = %self.name, unit, table, start, count, %fault, "the device refuses an address");
        }
        Some(outcome)
    }

    /// Quality of the points that were asked for, and what the fault says of the unit.
    fn judge(&mut self, unit: u8, fault: &Fault) -> Quality {
        tracing::debug!(source = %self.name, unit, fault = %fault, "request failed");
        let (why, missed) = match fault {
            Fault::Timeout => (Quality::TIMEOUT, true),
            Fault::Broken(_) => (Quality::DECODING, true),
            // Late, not absent.
            Fault::Stale { .. } => return Quality::DECODING,
            Fault::Exception(exception) => (exception.quality(), exception.treatment() == Treatment::Absent),
            Fault::Owed => return Quality::TIMEOUT,
            Fault::Closed(_) => return Quality::COMM_LOST,
            Fault::Unavailable => return self.link.unavailable(),
        };
        let change =
            if missed { self.units.missed(unit, why, self.clock.now()) } else { self.units.answered(unit) };
        self.tell(unit, change);
        why
    }

    fn tell(&self, unit: u8, change: Change) {
        match change {
            Change::None => return,
            Change::Silent => {
                tracing::warn!(source = %self.name, unit, "the unit is silent, it is only probed")
            }
            Change::Back => tracing::info!(source = %self.name, unit, "the unit answers again"),
        }
        self.meter.devices_silent.store(self.units.silent(), Relaxed);
    }
}
