//! What each route does once a call was let in.

pub mod changes;
pub mod live;
pub mod people;
pub mod views;
