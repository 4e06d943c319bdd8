//! The mirror's side at the active.

pub mod hub;
