//! Every bound of the run-time vocabulary in one place.
//!
//! A queue, buffer, frame or recursion without a bound here (or in the
//! `limits` module of its own crate) is a defect.

/// Samples in one batch at most; the compiler splits poll groups at it.
pub const BATCH_SAMPLES_MAX: usize = 1_000;

/// Bytes of one text or bytes value at most; drivers cut longer ones and mark them uncertain.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Tags of one plan at most.
pub const TAGS_MAX: usize = 1_000_000;

/// Samples a source may have handed over that the input log does not hold yet.
///
/// At 100,000 values/s and a commit every 10 ms a hundredth of it is used; a
/// source that reaches it waits, and its skipped slots are counted. With texts it is
/// [`PAYLOAD_BYTES`](crate::edge::PAYLOAD_BYTES) times as many bytes: 4 MiB.
pub const SOURCE_CREDIT_SAMPLES: u32 = 64 * 1024;

/// Bytes of one bookmark of a source at most, and bookmarks of one source.
pub const BOOKMARK_BYTES_MAX: usize = 1024 * 1024;
pub const BOOKMARKS_MAX: usize = 8;

/// Bytes of records kept in memory behind the newest one for readers in step.
pub const TAIL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of committed journal entries kept in memory per sink for delivery in step.
pub const DELIVERY_BYTES_MAX: usize = 4 * 1024 * 1024;
