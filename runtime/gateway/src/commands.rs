//! The commands, one module each.

pub mod alarm;
pub mod audit;
pub mod browse;
pub mod certs;
pub mod change;
pub mod check;
pub mod editor;
pub mod fmt;
pub mod graph;
pub mod import;
pub mod journal;
pub mod lsp;
pub mod pair;
pub mod people;
pub mod plan;
pub mod program;
pub mod run;
pub mod status;
pub mod tags;
pub mod test;
pub mod top;
pub mod witness;
