//! This node as one of two: which member it is, and the graph that runs while it is active.
//!
//! ```text
//!              driver (gwp-cluster): machine, links, votes --opens, shuts--> exits
//!                 | told                       ^ inputs
//!                 v                            |
//! run: standby ---- an epoch is won ----> active: engine, its store mirrored to the peer
//!      copies the active's store   <---- it is over ----
//! ```

mod asides;
mod beside;
mod change;
pub mod desk;
pub mod failback;
pub mod key;
pub mod metrics;
mod plan;
pub mod policy;
pub mod run;
mod shadow;
mod words;
