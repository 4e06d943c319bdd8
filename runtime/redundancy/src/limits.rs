//! Every bound of the pair's machine in one place.

// The data plane (`mirror`).

/// Bytes of readings the standby keeps of its own until its copy of the log holds them. The
/// claims of zero missing hold within it: at 100,000 values/s about a minute and a half.
pub const SHADOW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of frames under way to the standby and not yet acknowledged as durable.
pub const LINK_WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// Identities of a log's newest records kept in memory for fill and rejoin.
pub const HELD_IDENTITIES_MAX: usize = 256 * 1024;

/// Offers of the standby in one message.
pub const OFFERS_MAX: usize = 256;

/// Steps in which the age of what waits for the peer is known: T_solo is met to a 64th.
pub const WAITING_STEPS: usize = 64;

/// Epochs of which the end is kept to find where two logs part. A node that was away for more
/// activations than this is resynced like an empty one, after it has handed over its tail.
pub const EPOCHS_KEPT: usize = 1024;

/// Tails a returning node can have set aside at a time; with more it stays out and says so.
pub const TAILS_MAX: usize = 64;
