//! Every bound of the pair's shell in one place. Times without a type are nanoseconds.

use std::time::Duration;

/// So many refusals of a socket are passed over to come to the next datagram.
pub const REFUSALS_PASSED: usize = 8;
/// Addresses of one member that are kept for each link, where none was told.
pub const ADDRESSES_MAX: usize = 4;
/// So long an address counts where a member was heard.
pub const ADDRESS_KEPT: u64 = 30_000_000_000;
/// The machine is looked at this often at least, nanoseconds: waiting does not count the time of a suspended computer,
/// leases do.
pub const LOOK_EVERY_NS: u64 = 250_000_000;
/// So many datagrams are taken before all links are looked at anew: a flood over one must not hide the others.
pub const DATAGRAMS_BEFORE_A_LOOK: usize = 32;
/// A socket that only refuses is tried again after so long.
pub const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// First words that were not let through are said again this often within a beat.
pub const REMINDERS_PER_BEAT: u64 = 4;
/// A process that ends says so this often, a beat apart.
pub const FAREWELLS: u32 = 3;
/// A process that has just started repeats what it says to those that have not answered for so long.
pub const REMINDED_FOR: u64 = 5_000_000_000;
/// A second process of a member is told of this often.
pub const SECOND_TOLD_EVERY: u64 = 60_000_000_000;

/// A vote that takes longer to reach the disk is told of: the bound of a takeover counts on a third of it.
pub const SLOW_VOTE: Duration = Duration::from_millis(100);

// The mirror.

/// Frames that are kept for a peer that is away or behind; beyond it, it gets a copy of the whole store.
pub const RING_BYTES_MAX: usize = 32 << 20;
/// The same while the peer gets a copy of the whole store: what is made meanwhile follows on it.
pub const COPYING_BYTES_MAX: usize = 256 << 20;
/// Bytes of frames that are handed to a link at once.
pub const SENT_AT_ONCE_BYTES: usize = 1 << 20;
/// Bytes of frames that a standby gathers for one sync of its disk.
pub const APPLIED_AT_ONCE_BYTES: usize = 4 << 20;

// Its stream.

/// A standby that gets a copy of the whole store says something this often.
pub const PING_EVERY: Duration = Duration::from_millis(300);
/// A standby offers what its peer may lack, and asks for the time, this often: so neither takes the other for silent.
pub const ASK_EVERY: Duration = Duration::from_secs(1);
/// A standby looks this often for what is set aside and can be handed over.
pub const TAILS_LOOKED_AT_EVERY: Duration = Duration::from_secs(5);
/// Between two batches of it it rests for as long as the first one took; no longer.
pub const TAIL_REST_MAX: Duration = Duration::from_secs(2);
/// A stream on which nothing comes for so long has ended.
pub const SILENT_MAX: Duration = Duration::from_secs(3);
/// A link over which nothing of the peer was heard for so many beats carries no stream while another one is heard. Of
/// datagrams of which a third is lost so many in a row are lost once in ten thousand.
pub const LINK_SILENT_BEATS: u64 = 8;
/// A connection that has not come about in so long is not waited for alone.
pub const NEXT_LINK_AFTER: Duration = Duration::from_millis(250);
/// Between two tries to follow.
pub const RETRY_AFTER: Duration = Duration::from_millis(200);
/// When no connection can be taken, such as for want of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are served at a time: the peer's, and those of it that have not ended yet.
pub const SERVED_MAX: usize = 4;
