//! The difference between two plans: what a change of the program does to what runs.
//!
//! Pure, and by names: ids of two plans have nothing to do with each other. The gateway decides with
//! it what goes on untouched, and people read what will happen before it does.

mod same;

pub use same::{same_delivery, same_source};
