//! Event time: what is computed depends on the time stamps of samples, never on when they came.
//!
//! ```text
//! record --> Progress --> watermarks
//!        \-> Circuit (calcs and alarms that read the same groups) --> samples, alarm events
//!        \-> Window instance (a circuit, folds, boundaries)       --> rows
//! ```
//! A circuit keeps its inputs until its watermark has passed them, then folds them in the
//! order of their times; so the arrival order inside of `late` and between devices makes no
//! difference, and what is read at one time gives one result.

mod alarms;
mod bits;
pub(crate) mod circuit;
pub(crate) mod output;
pub mod progress;
pub(crate) mod rule;
pub(crate) mod saved;
pub(crate) mod window;

pub use progress::{Progress, Watermark};
