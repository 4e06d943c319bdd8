//! Bounds of the engine.

use std::time::Duration;

/// Records a lane takes in one go before it yields.
pub const LANE_RECORDS_MAX: usize = 64;

/// Samples a lane may have handed to the journal that are not durable yet.
pub const LANE_CREDIT_SAMPLES: u32 = 128 * 1024;

/// Stored bytes a lane or delivery that is behind reads in one go.
pub const READ_BYTES_MAX: usize = 256 * 1024;

/// State is checkpointed at least this often while records come.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// ... and at least this often while only ticks come.
pub const CHECKPOINT_IDLE: Duration = Duration::from_secs(60);

/// A lane whose journal is full with `full = block` looks again after this.
pub const BLOCKED_RETRY: Duration = Duration::from_millis(100);

/// Gateway time is written at least this often.
pub const TICK_EVERY: Duration = Duration::from_secs(1);

/// Back-off of a failed stage: first, longest, and the quiet time after which it starts anew.
pub const RESTART_FIRST: Duration = Duration::from_millis(100);
pub const RESTART_MAX: Duration = Duration::from_secs(30);
pub const RESTART_QUIET: Duration = Duration::from_secs(60);

/// Failures of a lane at one record after which it goes on without the record.
pub const RECORD_TRIALS: u32 = 3;

/// How long a source may take to answer a command: longer than a request with its repetitions.
pub const COMMAND_ANSWER: Duration = Duration::from_secs(10);

/// How long stopping waits for commands under way.
pub const COMMAND_GRACE: Duration = Duration::from_secs(3);

/// Commands that wait for one tag at most, the one being carried out among them.
pub const COMMANDS_PER_TARGET: usize = 16;

/// Samples of outcomes that the log does not hold yet at most.
pub const OUTCOME_CREDIT_SAMPLES: u32 = 1_024;

/// How long a stopping sink may take to finish what it has in hand.
pub const SINK_GRACE: Duration = Duration::from_secs(2);

/// How long a stopping sink goes on delivering what its journal holds.
pub const SINK_DRAIN: Duration = Duration::from_secs(5);

/// How long a stage may take to stop before it is given up; below the time a tier has.
pub const STAGE_STOP: Duration = Duration::from_secs(10);

/// Events of alarms that the board keeps.
pub const ALARM_EVENTS_KEPT: usize = 1_000;

/// How long an order to alarms waits for what comes of it.
pub const ORDER_ANSWER: Duration = Duration::from_secs(3);

/// An order of an operator waits this long to be safe on disk, and in a pair at the other node.
pub const ORDER_RECEIPT: Duration = Duration::from_secs(10);

/// A lane tells watchers its latest values at most this often.
pub const LIVE_LANE_LOOK: Duration = Duration::from_millis(200);

/// How often records are looked through for watchers, and how many in one go.
pub const LIVE_RECORDS_LOOK: Duration = Duration::from_millis(100);
pub const LIVE_RECORDS: usize = 256;

/// Operators' commands that wait for their outcome at most, and for how long.
pub const OPERATOR_COMMANDS_MAX: usize = 64;
pub const OPERATOR_ANSWER: Duration = Duration::from_secs(15);

/// Entries that wait for their release in memory at most, in bytes; beyond it they are read from the
/// journals.
pub const RELEASE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Commits that wait for their release one by one; beyond it neighbours are released as one.
pub const RELEASE_COMMITS_MAX: usize = 4_096;

/// Stored bytes of the log that are read to know which slots it holds: beyond them a standby trusts its own reading.
pub const COMPARED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Readings of a shadow that are looked at for what the active may lack.
pub const OFFERS_LOOKED: usize = 4_096;

/// Samples of the peer's readings that the log does not hold yet at most.
pub const PEER_CREDIT_SAMPLES: u32 = 32 * 1024;

/// Bytes in memory of what is compared of a set-aside store at once: each time the log is read once.
pub const TAIL_WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// Bytes in memory of what is handed over of it at once; one record alone may be more.
pub const TAIL_BATCH_BYTES: usize = 1024 * 1024;

/// Records that lanes may be behind the log while what was set aside is appended, and how often that is looked at.
pub const LANES_BEHIND_MAX: u64 = 4_096;
pub const LANES_LOOKED_AT_EVERY: Duration = Duration::from_millis(50);

/// How often sinks that have left the plan are looked at.
pub const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// How long the store may take to get ready for another plan.
pub const CHANGE_PREPARE: Duration = Duration::from_secs(30);

/// How long the record of a change may take to be durable.
pub const CHANGE_DURABLE: Duration = Duration::from_secs(10);

/// How long a component may take to try what it needs.
pub const CHANGE_DRILL: Duration = Duration::from_secs(5);
