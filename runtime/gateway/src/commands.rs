//! The commands, one module each.

pub mod check;
pub mod editor;
pub mod fmt;
pub mod graph;
pub mod import;
pub mod journal;
pub mod plan;
pub mod program;
pub mod run;
pub mod test;
