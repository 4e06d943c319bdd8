//! Composition root: command line, `node.toml`, catalog of components, and the
//! wiring of compiler, store and engine. Everything else is in the other rooms.

pub mod catalog;
mod cli;
mod commands;
pub mod configuration;
pub mod control;
mod duration;
mod guard;
mod log;
pub mod metrics;
pub mod node;
mod pair;
pub mod reference;
pub mod report;
pub mod resolve;
mod service;
mod status_line;
mod stop_signal;

pub use cli::main;
