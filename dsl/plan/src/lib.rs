//! The narrow waist between language and engine.
//!
//! The compiler writes a [`Plan`] and knows no component; the engine runs a
//! [`Plan`] and knows no syntax. Everything here is pure: no I/O, no clock, no
//! hash order. What a program computes is done by [`Lane`]s: functions of
//! (state, record) that restart, replay, standby and tests all share.
//!
//! ```text
//! raw column --condition--> Batch --(input log)--> Record
//!                                                    |
//!   Lane of one sink:  latest values -> calcs -> routes (stages) -> entries of that sink's journal
//! ```

pub mod alarm;
pub mod calendar;
pub mod condition;
mod counter;
pub mod diff;
pub mod eval;
pub mod event;
pub mod expr;
pub mod fold;
pub mod lane;
pub mod mask;
pub mod moved;
pub mod plan;
pub(crate) mod route;
pub mod scenario;
pub mod schedule;
pub mod snapshot;
pub mod stage;
pub mod state;
mod sum;
pub mod write;

pub use alarm::order::{AlarmAction, AlarmOrder, OrderError};
pub use alarm::{AlarmCommand, AlarmEvent, AlarmRefusal, AlarmState};
pub use calendar::{Calendar, CalendarError, Period};
pub use condition::Conditioner;
pub use expr::{BinaryOp, Expr, Function, Type, Word};
pub use fold::{AggregateFunction, Fold, Folded};
pub use lane::{Entry, Lane, Payload};
pub use moved::{Moved, MovedKind, Place, Renames};
pub use plan::{
    Aggregate, Alarm, AlarmSeverity, BadPolicy, Calc, Column, FamilyMember, FlowSummary, FullPolicy,
    GatewayPlan, Group, JournalPolicy, KeyPart, Linear, MirrorPolicy, OnDisconnect, Operator, Order, Origin,
    Plan, RetryPolicy, Route, SinkPlan, SourcePlan, Stage, Tag, Window, WindowInstance, WindowKind,
};
pub use state::{Counter, State, StateFunction};
pub use write::{Allow, Commanded, Decision, Execution, Limit, Write, Writes, Written};
