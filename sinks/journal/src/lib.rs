//! Input log and store-and-forward journals on fjall.
//!
//! One database per node, one writer thread. The log holds what cannot be
//! computed; each sink's journal holds what is to be delivered, mostly as
//! references into the log. Nothing leaves before it is durable here, and
//! nothing durable is forgotten before a destination has taken it or the gap
//! ledger names it.
//!
//! ```text
//! sequencer --Record--> +--------+ --Committed--> delivery --> sink
//! lane -------Block---> | Writer | --trim--> space
//! sink -----Delivered-> +--------+ <--read-- lanes and deliveries that are behind
//!                          | each change: Head + frame
//!                          v
//!                        Mirror ~ ~ link ~ ~> Replica (another node: an exact copy)
//! ```

pub mod aside;
pub mod bookmarks;
pub mod change;
pub mod codec;
pub mod configurations;
pub mod frame;
pub mod inject;
pub mod ledger;
pub mod limits;
pub mod reader;
pub mod replica;
pub mod salvage;
pub mod segments;
pub mod sinks;
pub mod snapshot;
pub mod space;
pub mod store;
pub mod trim;
pub mod writer;

pub use aside::{AsideError, asides, set_aside};
pub use change::{Mirror, Standing};
pub use codec::{DecodeError, TagLists};
pub use configurations::{Configurations, KeptConfigurations};
pub use frame::{Content, JournalEntry};
pub use ledger::{GapLine, GapReason};
pub use reader::{JournalReader, LogReader, PlanReader, decode_facts, encode_facts, records_of_change};
pub use replica::Replica;
pub use sinks::{Full, SinkNames, SinkPolicy, SinkShared};
pub use snapshot::Snapshot;
pub use space::SpacePolicy;
pub use store::{
    Block, Checkpoint, Committed, Delivered, LiveEntry, Opened, PassedOver, Place, Prepared, Registered,
    Rejected, Rename, Renamed, Store, StoreError, StoreOptions, Switch, Wanted, Work,
};
pub use writer::{Event, Request, Writer, WriterMeter};
