//! The supervised actor graph that runs a plan.
//!
//! ```text
//!                        gateway actor
//!                        topology actor                       (supervision: one for one, back-off)
//!        +-------------------+---------------------+
//!   source/press ...    lane/erp ...           sink/erp ...   (stage actors: one task each)
//!        | Emission          ^ Record                ^ committed entries
//!        v                   |                       |
//!     Sequencer --Record--> tail --> lane --Block--> Writer (thread, fjall) --Delivered<-- sink
//! ```
//! Commands of `write` items turn off at the sequencer, reach the executor (`writes`) once they are
//! released, and from there a source. What is durable here waits for its `release` before anything
//! outside can see of it: a lone gateway's does not wait, in a pair the peer must have it. And all
//! that the outside can see passes one gate (`exits`). Data does not travel through mailboxes: they are unbounded and a handler that
//! waits cannot see `stop`. Sources hand over on edges with credit; lanes and
//! deliveries read at their own pace from a bounded tail, or from disk when they
//! are behind. So no consumer can slow another one or a source.

pub mod admission;
pub mod alarms;
pub mod change;
pub mod clock;
pub mod delivery;
pub mod engine;
pub mod exits;
pub mod graph;
pub mod hot;
pub mod inbox;
pub mod lane;
mod left;
pub mod limits;
pub mod live;
pub mod names;
pub mod operator;
pub mod outbox;
pub mod pair;
pub mod plans;
pub mod reading;
pub mod recent;
mod recovered;
pub mod rejoin;
pub mod release;
pub mod sequencer;
pub mod source;
pub mod stage;
pub mod status;
pub mod supervise;
pub mod topology;
pub mod translation;
pub mod trials;
pub mod writes;

pub use alarms::{AlarmBoard, AlarmDesk, AlarmHappened, AlarmView, OrderRefused};
pub use change::{ChangeError, Changed, Step, Target};
pub use clock::GatewayClock;
pub use engine::{Engine, EngineConfig, LeavingSink, StartError};
pub use graph::{PreparedSink, Removed};
pub use hot::{HotDesk, HotFigures, HotReader, Readiness};
pub use live::{LiveBoard, LiveSample, LiveWatch};
pub use operator::WriteRefused;
pub use pair::{Admitted, PairStart};
pub use rejoin::{Tail, TailBatch, TailError, TailFound, TailSpan};
pub use release::{Backlog, Release};
pub use status::{EngineStatus, GraphStatus};
