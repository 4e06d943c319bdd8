//! An alarm in a circuit: its condition and the orders of operators become events.

use crate::alarm::order::AlarmOrder;
use crate::alarm::{AlarmEvent, AlarmState};
use crate::eval::Latest;
use crate::event::output::Happened;
use crate::plan::Alarm;
use gwp_core::{Quality, Timestamp, Value};
use std::sync::Arc;

/// What an alarm meets at a time.
pub(crate) struct AlarmStep {
    pub index: u32,
    pub time: Timestamp,
    pub condition: (bool, Quality),
    pub clear: Option<(bool, Quality)>,
    pub order: Option<AlarmOrder>,
}

impl AlarmStep {
    /// Time passes first, then the order counts, then what follows from it.
    pub fn take(
        self,
        alarm: &Alarm,
        state: &mut AlarmState,
        raised: &mut Value,
        message: &dyn Fn() -> Value,
        events: &mut Vec<Happened>,
    ) {
        let AlarmStep { index, time, .. } = self;
        let nobody: Arc<str> = "".into();
        let mut step = |state: &mut AlarmState, order: Option<&AlarmOrder>| {
            let (event, by, refusal) = match order {
                None => (state.step(alarm, time, self.condition, self.clear)?, &nobody, None),
                Some(order) => match state.command(time, order.command(time)) {
                    Ok(event) => (event, &order.by, None),
                    // An order to all alarms concerns those that can follow it.
                    Err(_) if order.alarm.is_none() => return None,
                    Err(refusal) => (AlarmEvent::Refused, &order.by, Some(refusal)),
                },
            };
            let message = match refusal {
                Some(refusal) => Value::Text(refusal.to_string().into()),
                None => {
                    if event == AlarmEvent::Raised || *raised == Value::Nothing {
                        *raised = message();
                    }
                    raised.clone()
                }
            };
            let (state, by) = (state.word(), by.clone());
            events.push(Happened { step: index, time, event, message, state, by });
            Some(())
        };
        step(state, None);
        if let Some(order) = &self.order {
            step(state, Some(order));
            step(state, None);
        }
    }
}

/// The order to an alarm, if there is one now.
pub(crate) fn ordered(latest: &Latest, orders: usize, alarm: &str) -> Option<AlarmOrder> {
    let (Value::Text(text), quality, _) = latest.get(orders) else { return None };
    // What is no order is refused before it is logged.
    let order = AlarmOrder::read(&text).ok().filter(|_| quality.is_good());
    order.filter(|order| order.concerns(alarm))
}
