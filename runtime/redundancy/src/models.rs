//! The rules checked exhaustively: all orders of events of small pairs.

mod data;
mod explore;
mod pair;
mod pair_runs;
mod runs;
