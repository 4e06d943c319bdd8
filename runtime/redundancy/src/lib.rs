//! The redundant pair as a machine: no clock, no randomness, no I/O.

pub mod limits;
pub mod member;
pub mod mirror;
pub mod mono;

#[cfg(test)]
mod models;
