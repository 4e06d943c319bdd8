//! Every bound of the pair's machine in one place. Times are nanoseconds.

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

// Roles and votes.

/// How much longer a promise lasts than the lease that rests on it, in permille of the lease.
/// 50 tolerates clocks that run 2.4 % too fast and too slow: `promise >= lease (1 + r) / (1 - r)`.
pub const PROMISE_MARGIN_PERMILLE: u64 = 50;
/// Renewals that fit into one lease at least; fewer, and lost packets look like a dead node.
pub const RENEWALS_MIN: u64 = 10;
/// Leases shorter than this cannot be kept on a busy machine.
pub const LEASE_MIN: u64 = 200 * MS;
/// Leases longer than this leave the plant blind for too long.
pub const LEASE_MAX: u64 = 60 * S;

// Planned switchover.

/// The standby connects to all sources and sinks within this time, or nothing happens.
pub const PREPARE_MAX: u64 = 10 * S;
/// Deliveries under way are acknowledged within this time, or the active goes on.
pub const DRAIN_MAX: u64 = 2 * S;
/// Opening the sinks of a new active, fencing included; beyond it the node gives the epoch up.
pub const ACTIVATE_MAX: u64 = 30 * S;

// Failback and health.

/// Longest hold before an automatic failback, however often it doubled.
pub const HOLD_MAX: u64 = 4 * 3600 * S;
/// Failovers within this time double the hold, and latch automatic switching when they are
/// [`LATCH_FAILOVERS`].
pub const LATCH_WINDOW: u64 = 3600 * S;
pub const LATCH_FAILOVERS: usize = 3;
/// How long the peer must be healthier before the graph moves to it.
pub const HEALTH_HOLD: u64 = 30 * S;
/// How much healthier, in percent of the own score.
pub const HEALTH_MARGIN_PERCENT: u32 = 20;

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
