//! The redundant pair as a machine: no clock, no randomness, no I/O.
//!
//! Two parts, each used unchanged by the gateway's shell, by the model checker and by the
//! simulation:
//!
//! - **Who is active** ([`node`], [`witness`]): votes for a time ([`vote`], [`lease`]), roles,
//!   solo mark, switchover, failback. Its one product is the [`token::ActivationToken`].
//! - **What is kept where** ([`mirror`]): what the active sends, what may leave, what the
//!   standby's shadow keeps, what a takeover and a rejoin make of it.
//!
//! "Active" gates effects only. Reading and logging go on in every role, so a wrong or lacking
//! decision costs delay or doubles, never samples.
//!
//! [`invariants`] says what must hold of a pair at every instant.

#[macro_use]
mod mutants;

pub mod arbiter;
pub mod failback;
pub mod health;
pub mod invariants;
pub mod lease;
pub mod limits;
pub mod lone;
pub mod member;
pub mod message;
pub mod mirror;
pub mod mono;
pub mod node;
pub mod policy;
pub mod timing;
pub mod token;
pub mod vote;
pub mod witness;

#[cfg(test)]
mod models;
#[cfg(test)]
mod simulation;
