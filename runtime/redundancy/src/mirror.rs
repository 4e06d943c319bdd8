//! The data plane of the pair: the standby's store becomes a copy of the active's, and no
//! reading that either node has is lost or overwritten on the way.
//!
//! ```text
//!        active                                        standby
//!  readings -> log --Head + frame, in commit order--> accept -> own log -> trim the shadow
//!               |  <------received, durable---------                          ^
//!               |  <------fill: what the log lacks and the shadow has----- Shadow <- own readings
//!           gate: may it leave? --> Outlet --delivered position--> adopted, never beyond the own log
//!
//!  active dies:    log = copied prefix + Aside + Shadow by identity, ascending      (takeover)
//!  it comes back:  its tail is set aside, handed over, and deleted only when the
//!                  copy here holds what the active made of it                       (rejoin)
//! ```
//!
//! These are rules over positions, identities and byte counts. The shell owns the store, the
//! links and the clock; a store answers through [`Held`] and [`History`]. The same types run in
//! the model checker (`models/data.rs`).
//!
//! Why nothing is lost: a reading leaves the shadow, and a set-aside tail is deleted, only once
//! the node's *own durable log* holds it. So at every instant each reading of a node is in its
//! log, its tail or its shadow, and takeover and rejoin take the union.

pub mod active;
pub mod fill;
pub mod held;
pub mod identity;
pub mod invariants;
pub mod outlet;
pub mod place;
pub mod rejoin;
pub mod shadow;
pub mod standby;
pub mod takeover;

pub use active::{ActiveSide, MirrorMode, Wish};
pub use held::{Held, HeldIndex};
pub use identity::{Identity, Reading, Stream, TagList, TagSet};
pub use outlet::Outlet;
pub use place::{Head, Place, RunningHash};
pub use rejoin::{Aside, History};
pub use shadow::{Dropped, Shadow};
pub use standby::{StandbySide, Verdict};
