//! The shell round the machine of a redundant pair: what lets `gwp-redundancy`, which has no
//! clock, disk or network, vote and speak in the world.
//!
//! ```text
//!          datagrams, over all links at once                 one small file beside the store
//!                 |            ^                                     ^
//!                 v            |                                     |
//!           Sealer::open   Sealer::seal                     SuperblockFile::write
//!                 |            ^                                     |
//!                 v            |                                     v
//!           wire::decode   wire::encode                     Persisted, PersistFailed
//!                 |            |                                     |
//!                 v            |                                     v
//!                 +---- Node::step, Witness::step (gwp-redundancy) ---+
//! ```
//!
//! - **Liveness goes over UDP.** Under loss TCP waits for seconds, and a lease does not. Each message
//!   carries all its sender has to say, so a lost one costs time and nothing else. [`seal`] makes
//!   them datagrams that only members of the pair can make, each heard once, and none of a process
//!   that is over; [`wire`] gives them their form.
//! - **Votes have a file of their own** ([`superblock`]), apart from the store, which one failure of
//!   its disk makes unusable. What depends on a vote is said when it is synced.
//! - **At rest a pair wakes little.** One thread waits for datagrams, words of its process and time ([`links`]), which
//!   is when its machine is due. In each beat an active asks both others for their votes all the same: by its silence
//!   the witness knows that a process of a member is over.
//!
//! - **The store is copied over TCP** ([`stream`]): TLS 1.3, and the only key that is let through is
//!   the peer's. [`bulk`] gives the frames of the store, and what is said about them, their form;
//!   [`mirror`] and [`serve`] are the active's side of it, [`follow`] the standby's; [`route`] chooses
//!   the link, and [`tail`] hands over what a standby has set aside.
//!
//! [`driver`] is the thread of a node and [`witness`] that of a witness; the shell above gives them
//! what happens.

mod admission;
pub mod apart;
pub mod bulk;
mod disk;
pub mod driver;
mod encode;
pub mod follow;
pub mod limits;
pub mod links;
pub mod mirror;
pub mod route;
pub mod seal;
pub mod serve;
pub mod stream;
pub mod superblock;
pub mod tail;
pub mod wire;
mod wiring;
pub mod witness;

#[cfg(test)]
mod samples;

pub use wiring::WireFigures;
