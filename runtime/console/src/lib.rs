//! The control interface of a running gateway: HTTP and JSON, for the commands of this program, for people and for
//! other programs.
//!
//! ```text
//! gwp run    --> binds --> data/control.json { address, token } (readable by its user only, new at each start)
//! gwp status --> reads data/control.json --> HTTP with the token --> answer
//! others     --> TLS, the token of a login or of `gwp token add` --> answer
//!
//! connection --server--> gate: who, may it, bounds --handler--> Operations, LiveView (the gateway), records
//!                          ^ table of routes                      |
//!                          +--------------- audit log <-----------+
//! ```
//! Routes, roles and files stand in `runtime/console/README.md`.

pub mod access;
pub mod accounts;
pub mod answer;
pub mod attempts;
pub mod audit;
pub mod bodies;
pub mod console;
pub mod gate;
mod handlers;
pub mod home;
pub mod limits;
pub mod live;
pub mod openapi;
pub mod operations;
pub mod role;
pub mod routes;
pub mod secret;
pub mod server;
pub mod sessions;
pub mod tls;

pub use console::{Console, Records, RecordsError, Running};
pub use operations::{ApplyOptions, Change, Operations, Outcome, PairCommand, Refusal};
pub use role::Role;
