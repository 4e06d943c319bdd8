//! What differs between two plans.

mod same;

pub use same::{same_delivery, same_source};
