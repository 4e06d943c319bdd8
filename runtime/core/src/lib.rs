//! Vocabulary and contracts that every room of gwp shares.
//!
//! Nothing here opens a socket, reads a clock or knows a protocol. A driver or
//! a sink depends on this crate alone; the engine, the compiler and the store
//! meet each other in these types.
//!
//! ```text
//! device -> Source (contract) -> Batch -> Record at a Position -> Delivery -> Sink (contract)
//! ```

pub mod backoff;
pub mod batch;
pub mod command;
pub mod drill;
pub mod edge;
pub mod exit;
pub mod limits;
pub mod manifest;
pub mod position;
pub mod quality;
pub mod record;
pub mod scan;
pub mod sink;
pub mod source;
pub mod stop;
pub mod tag;
pub mod time;
pub mod value;

pub use batch::{Batch, Column, Qualities, Times};
pub use manifest::{Declaration, Manifest, Setting, SettingError, Settings};
pub use position::{Cursor, PlanId, Position, SinkId};
pub use quality::Quality;
pub use record::{Fact, Record};
pub use tag::{GroupId, TagId, TagInfo, TagTable};
pub use time::{Clock, Timestamp};
pub use value::{Kind, Value};

/// A boxed future, the return type of the object-safe asynchronous contracts.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
