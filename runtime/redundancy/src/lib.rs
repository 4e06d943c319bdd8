//! The redundant pair as a machine: no clock, no randomness, no I/O.

pub mod arbiter;
pub mod failback;
pub mod health;
pub mod lease;
pub mod limits;
pub mod member;
pub mod message;
pub mod mono;
pub mod node;
pub mod policy;
pub mod timing;
pub mod token;
pub mod vote;
pub mod witness;
