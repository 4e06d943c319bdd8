//! Bounds of the store. Reasons and measurements: the crate's documentation.

/// Raw bytes of one frame, before compression; one record or entry alone may be more.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Raw bytes of a frame that is still read: more than a batch of the longest texts takes.
pub const BODY_BYTES_MAX: usize = 2 * gwp_core::limits::BATCH_SAMPLES_MAX * gwp_core::limits::TEXT_BYTES_MAX;

/// A commit takes no more than about this many raw bytes; the rest waits for the next.
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024;

/// A segment (one keyspace, deleted whole) is closed at this size.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Pending entries are accounted in pieces of at least this size.
pub const CHUNK_BYTES_MIN: u64 = 64 * 1024;

/// Raw bytes of samples that one step of housekeeping copies at most.
pub const COPY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Memtable of one keyspace, cache of the database.
pub const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
pub const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// fjall's own write-ahead journal.
pub const WRITE_AHEAD_BYTES: u64 = 64 * 1024 * 1024;

/// Lines of the gap ledger that are kept; the totals per sink outlive them.
pub const LEDGER_LINES_MAX: usize = 10_000;

/// Commit when nothing arrived for this long, milliseconds ...
pub const COMMIT_IDLE_MS: u64 = 2;
/// ... or when the oldest pending record has waited this long.
pub const COMMIT_DELAY_MAX_MS: u64 = 10;
/// Delivered cursors and checkpoints wait this long for a commit to ride on.
pub const RIDE_DELAY_MAX_MS: u64 = 100;

/// A commit that takes this long is told of, milliseconds; again within [`SLOW_COMMIT_TOLD`] only if twice as long.
pub const SLOW_COMMIT_MS: u64 = 100;
pub const SLOW_COMMIT_TOLD: std::time::Duration = std::time::Duration::from_secs(10);

/// Plans the store keeps in memory for readers.
pub const PLANS_CACHED_MAX: usize = 8;

/// Housekeeping at least this often, milliseconds.
pub const HOUSEKEEPING_MS: u64 = 200;

/// The write-ahead file is read in pieces of this size when the store opens.
pub const SALVAGE_PIECE_BYTES: usize = 256 * 1024;

/// Free space is asked for at most this often, milliseconds.
pub const SPACE_CHECK_MS: u64 = 50;

/// Bytes of one change on its way to a copy. A commit is far below it; a change above it can
/// only be copied as part of the whole store.
pub const CHANGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Pieces of a full copy are about this large.
pub const PIECE_BYTES: usize = 1024 * 1024;
/// Changes that a copy takes in before it makes them durable, bytes.
pub const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Stores that can be set aside at a time, to be read and deleted.
pub const ASIDE_MAX: usize = gwp_redundancy::limits::TAILS_MAX;
