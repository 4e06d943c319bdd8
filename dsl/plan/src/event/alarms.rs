//! An alarm in a circuit: its condition and the orders of operators become events.

use crate::alarm::order::AlarmOrder;
use crate::alarm::{AlarmEvent, AlarmState};
use crate::eval::{Compiled, Frame, Latest, Slots, compile};
use crate::event::output::Happened;
use crate::expr::Expr;
use crate::plan::Alarm;
use gwp_core::{Quality, Value};
use std::sync::Arc;

/// An alarm and its expressions in a circuit.
pub(crate) struct AlarmStep {
    condition: Compiled,
    clear: Option<Compiled>,
    message: Compiled,
    /// As it was when the alarm was raised last.
    pub raised: Value,
    /// Slot of the orders of operators.
    orders: usize,
    pub alarm: Alarm,
    pub state: AlarmState,
}

impl AlarmStep {
    pub fn new(condition: &Expr, alarm: &Alarm, slots: &mut Slots) -> AlarmStep {
        AlarmStep {
            condition: compile(condition, slots),
            clear: alarm.clear.as_ref().map(|clear| compile(clear, slots)),
            message: compile(&alarm.message, slots),
            raised: Value::Nothing,
            orders: slots.slot(alarm.orders),
            alarm: alarm.clone(),
            state: AlarmState::default(),
        }
    }

    /// Computes it at the time of `frame`: time passes first, then an order counts, then what follows from it.
    /// `index` is its step, for the events. Gives whether it is active.
    pub fn run(&mut self, index: u32, frame: &Frame<'_>, events: &mut Vec<Happened>) -> (Value, Quality) {
        let time = frame.time;
        let condition = truth(self.condition.value(frame));
        let clear = self.clear.as_ref().map(|clear| truth(clear.value(frame)));
        let order = ordered(frame.latest, self.orders, &self.alarm.name);
        let AlarmStep { message, raised, alarm, state, .. } = self;
        let nobody: Arc<str> = "".into();
        let mut step = |state: &mut AlarmState, order: Option<&AlarmOrder>| {
            let (event, by, refusal) = match order {
                None => (state.step(alarm, time, condition, clear)?, &nobody, None),
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
                        *raised = message.value(frame).0;
                    }
                    raised.clone()
                }
            };
            let (state, by) = (state.word(), by.clone());
            events.push(Happened { step: index, time, event, message, state, by });
            Some(())
        };
        step(state, None);
        if let Some(order) = &order {
            step(state, Some(order));
            step(state, None);
        }
        let quality = if condition.1.is_bad() { Quality::LAST_USABLE } else { Quality::GOOD };
        (Value::Bool(state.is_active()), quality)
    }
}

/// The order to an alarm, if there is one now.
fn ordered(latest: &Latest, orders: usize, alarm: &str) -> Option<AlarmOrder> {
    let (Value::Text(text), quality, _) = latest.get(orders) else { return None };
    // What is no order is refused before it is logged.
    let order = AlarmOrder::read(&text).ok().filter(|_| quality.is_good());
    order.filter(|order| order.concerns(alarm))
}

fn truth((value, quality): (Value, Quality)) -> (bool, Quality) {
    (value == Value::Bool(true), quality)
}
