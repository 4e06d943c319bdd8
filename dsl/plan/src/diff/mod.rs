//! The difference between two plans: what a change of the program does to what runs.
//!
//! Pure, and by names: ids of two plans have nothing to do with each other. The gateway decides with
//! it what goes on untouched, and people read what will happen before it does.
//!
//! ```text
//! plan --items--> name -> fingerprint (Outline)        old plan --renamed--> under the names of today
//! Changes::between: items that belong together --describe--> details and effect
//! ```

mod between;
mod calcs;
pub mod changes;
mod describe;
mod fingerprint;
mod flows;
mod hints;
mod items;
mod lanes;
mod outline;
mod renamed;
mod same;
mod sinks;
mod sources;
mod words;

pub use changes::{Change, Changes, Connection, Detail, Effect, Hint, Journal, Sign, State, Summary};
pub use fingerprint::Fingerprint;
pub use outline::{Mismatch, Outline};
pub use same::{same_delivery, same_source};
