//! The board of alarms, and the desk at which operators give orders to them.
//!
//! ```text
//! operator --AlarmOrder--> AlarmDesk --sample--> Sequencer --> log --> every lane with that alarm
//!     ^                                                                  |
//!     +----------------------- AlarmBoard <---- lane of the board <------+
//! ```
//! The board has a lane of its own, which computes all alarms of the plan whoever takes them. It is a lane like that
//! of a sink, with checkpoints but without entries: so states, also acknowledged and shelved ones, survive a restart.

use crate::limits::{ALARM_EVENTS_KEPT, ORDER_ANSWER, ORDER_RECEIPT};
use gwp_core::record::SlotMark;
use gwp_core::source::{Emission, Outlet};
use gwp_core::{Batch, Clock, Column, GroupId, Record, TagId, Timestamp, Value};
use gwp_plan::plan::{AlarmSeverity, Origin};
use gwp_plan::{AlarmOrder, Entry, Lane, Plan, Route, SinkPlan};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Name of the board's place in the store; no sink can be called so, as no name has a quote in it.
pub const BOARD: &str = "'alarms";

/// An alarm as it is.
#[derive(Clone, PartialEq, Debug)]
pub struct AlarmView {
    pub device: Arc<str>,
    pub alarm: Arc<str>,
    pub severity: AlarmSeverity,
    /// `normal`, `unacknowledged`, `acknowledged`, `returned_unacknowledged`, `shelved` (ISA-18.2).
    pub state: &'static str,
    /// Its last event, if there has been one.
    pub since: Option<Timestamp>,
    /// As it was raised last.
    pub message: String,
}

/// Something that happened to an alarm.
#[derive(Clone, PartialEq, Debug)]
pub struct AlarmHappened {
    pub time: Timestamp,
    pub device: Arc<str>,
    pub alarm: Arc<str>,
    pub event: Arc<str>,
    pub message: Arc<str>,
    pub state: Arc<str>,
    pub operator: Arc<str>,
}

/// All alarms of the plan and their latest events.
#[derive(Debug)]
pub struct AlarmBoard {
    shown: Mutex<Shown>,
    /// Counts changes.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Shown {
    /// The plan whose alarms these are.
    plan: Option<Arc<Plan>>,
    alarms: BTreeMap<TagId, AlarmView>,
    events: VecDeque<(u64, AlarmHappened)>,
    number: u64,
}

impl Default for AlarmBoard {
    fn default() -> Self {
        AlarmBoard { shown: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl AlarmBoard {
    /// Poisoned only by a panic between plain assignments: what it guards is whole.
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All alarms, by path.
    pub fn alarms(&self) -> Vec<AlarmView> {
        self.shown().alarms.values().cloned().collect()
    }

    /// The latest events, oldest first.
    pub fn events(&self) -> Vec<AlarmHappened> {
        self.shown().events.iter().map(|(_, event)| event.clone()).collect()
    }

    /// Events after a number, and the number of the newest one.
    fn events_after(&self, number: u64) -> (Vec<AlarmHappened>, u64) {
        let shown = self.shown();
        let new = shown.events.iter().filter(|(of, _)| *of > number).map(|(_, event)| event.clone());
        (new.collect(), shown.number)
    }

    /// Computes a record on the board's lane.
    pub(crate) fn step(&self, lane: &mut Lane, record: &Record, out: &mut Vec<Entry>) {
        lane.step(record, out);
        let plan = lane.plan().clone();
        let known = self.shown().plan.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, &plan));
        if out.is_empty() && known {
            return;
        }
        let view = |state: gwp_plan::lane::AlarmNow| {
            let info = &plan.tag(state.tag)?.info;
            Some((
                state.tag,
                AlarmView {
                    device: info.device.clone(),
                    alarm: info.tag.clone(),
                    severity: state.severity,
                    state: state.state,
                    since: state.since,
                    message: match state.message {
                        Value::Text(text) => text.to_string(),
                        _ => String::new(),
                    },
                },
            ))
        };
        let mut shown = self.shown();
        shown.plan = Some(plan.clone());
        let before = if known { std::mem::take(&mut shown.alarms) } else { BTreeMap::new() };
        shown.alarms = lane.alarms_now().filter_map(view).collect();
        for (tag, alarm) in &mut shown.alarms {
            // An order that was refused is no change.
            let same = before.get(tag).filter(|before| before.state == alarm.state);
            alarm.since = same.map_or(alarm.since, |before| before.since.or(alarm.since));
        }
        for entry in out.drain(..) {
            let Some(event) = happened(&plan, entry.payload.batch()) else { continue };
            shown.number += 1;
            let number = shown.number;
            shown.events.push_back((number, event));
            if shown.events.len() > ALARM_EVENTS_KEPT {
                shown.events.pop_front();
            }
        }
        drop(shown);
        self.changed.send_modify(|count| *count += 1);
    }
}

/// A row of alarm events.
fn happened(plan: &Plan, row: &Batch) -> Option<AlarmHappened> {
    let first = plan.tag(*row.tags.first()?)?;
    let text = |name: &str| {
        let is = |tag: &TagId| plan.tag(*tag).is_some_and(|tag| &*tag.info.tag == name);
        match row.tags.iter().position(is).map(|index| row.values.get(index)) {
            Some(Value::Text(text)) => text,
            _ => "".into(),
        }
    };
    Some(AlarmHappened {
        time: row.times.get(0),
        device: first.info.device.clone(),
        alarm: text("alarm"),
        event: text("event"),
        message: text("message"),
        state: text("state"),
        operator: text("operator"),
    })
}

/// The plan with one more sink, which takes the events of all alarms.
pub(crate) fn with_board(plan: &Arc<Plan>) -> Arc<Plan> {
    let mut plan = Plan::clone(plan);
    let events = (0..).map(TagId).zip(&plan.tags);
    let events = events
        .filter(|(_, tag)| tag.origin == Origin::Column && &*tag.info.row == gwp_plan::plan::ALARM_ROWS);
    let tags: Vec<TagId> = events.map(|(id, _)| id).collect();
    let route = Route::plain("".into(), tags);
    plan.sinks.push(SinkPlan::internal(BOARD.into(), vec![route]));
    Arc::new(plan)
}

/// True if a plan has alarms.
pub(crate) fn has_alarms(plan: &Plan) -> bool {
    plan.calcs.iter().any(|calc| calc.alarm.is_some())
}

/// Why an order is not given.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderRefused {
    #[error("{0}")]
    NoAlarm(String),
    #[error("the gateway is being stopped")]
    Stopping,
    /// It is on its way: in a pair it counts when the peer holds it, or this node may go on alone.
    #[error(
        "the order was taken, but is not safe yet: the disk, or in a pair the other node, has not confirmed it within \
         {} s. It counts as soon as that is the case, and not at all if this gateway is lost before; look at \
         `gwp alarm ls`, and at `gwp pair status`",
        ORDER_RECEIPT.as_secs()
    )]
    NotSafe,
}

/// Takes orders of operators.
pub struct AlarmDesk {
    pub board: Arc<AlarmBoard>,
    pub(crate) plan: Arc<Plan>,
    /// The way of orders into the log.
    pub(crate) outlet: Outlet,
    pub(crate) clock: Arc<dyn Clock>,
}

impl AlarmDesk {
    /// Gives an order to alarms of a device. When this answers, the log holds it on disk; the answer has what has
    /// come of it so far: nothing yet, if the devices that an alarm reads have not been read that far.
    ///
    /// # Errors
    /// There is no such alarm, the gateway is being stopped, or the order is not safe in time.
    pub async fn order(&self, device: &str, order: &AlarmOrder) -> Result<Vec<AlarmHappened>, OrderRefused> {
        let is_orders =
            |tag: &gwp_plan::plan::Tag| tag.origin == Origin::Orders && *tag.info.device == *device;
        let orders = self.plan.tags.iter().position(is_orders);
        let Some(orders) = orders.map(|at| TagId(at as u32)) else {
            let known = self.plan.tags.iter().any(|tag| *tag.info.device == *device);
            let why = if known { "has no alarms" } else { "is no device" };
            return Err(OrderRefused::NoAlarm(format!("`{device}` {why}")));
        };
        self.plan.check_order(orders, order).map_err(OrderRefused::NoAlarm)?;
        let mut changed = self.board.changed.subscribe();
        let (_, before) = self.board.events_after(u64::MAX);
        let mut column = Column::new();
        column.push(Value::Text(order.to_string().into()));
        let batch = Batch::uniform(GroupId::NONE, [orders].into(), self.clock.now(), column);
        let emission = Emission::Samples { slot: SlotMark::default(), batch };
        let receipt = self.outlet.emit_for_receipt(emission).await;
        let Some(mut receipt) = receipt else { return Err(OrderRefused::Stopping) };
        match tokio::time::timeout(ORDER_RECEIPT, receipt.settled()).await {
            Err(_) => return Err(OrderRefused::NotSafe),
            Ok(false) => return Err(OrderRefused::Stopping),
            Ok(true) => {}
        }
        let own = |event: &AlarmHappened| {
            *event.device == *device && event.operator == order.by && order.concerns(&event.alarm)
        };
        let answered = async {
            loop {
                changed.borrow_and_update();
                let (events, _) = self.board.events_after(before);
                if events.iter().any(own) {
                    return events.into_iter().filter(own).collect();
                }
                if changed.changed().await.is_err() {
                    return Vec::new();
                }
            }
        };
        Ok(tokio::time::timeout(ORDER_ANSWER, answered).await.unwrap_or_default())
    }
}
