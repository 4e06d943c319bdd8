//! The gateway's side of its control interface, which is served by `gwp-console`: what its operations do here, and
//! how the commands of this program ask.

pub(crate) mod client;
pub mod live;
pub(crate) mod offline;
pub mod operations;
