//! Every bound of this source.

use std::time::Duration;

/// Bytes of an address at most.
pub const ADDRESS_BYTES_MAX: usize = 4_096;

/// Places behind `#/` of an address at most: fields and indexes, one inside the other.
pub const PLACE_DEPTH_MAX: usize = 16;

/// Nodes in one request when the server names no limit of its own.
pub const NODES_PER_REQUEST: usize = 1_000;

/// Notifications the server may put in one publish answer.
pub const NOTIFICATIONS_PER_PUBLISH: u32 = 1_000;

/// Subscriptions of one source at most; items that find no place in them are bad.
pub const SUBSCRIPTIONS_MAX: usize = 100;

/// Silence of a subscription that is waited for at most, whatever the server makes of `keep_alive`.
pub const KEEP_ALIVE_MAX: Duration = Duration::from_secs(3_600);

/// Publish requests under way at most. Each subscription wants one that waits at the server.
pub const PUBLISHES_MAX: usize = 20;

/// Notification messages that the log does not hold yet. More are left at the server.
pub const UNSTORED_MESSAGES_MAX: usize = 64;

/// Bytes of texts in them, roughly.
pub const UNSTORED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Sequence numbers of a gap that are asked for at most; further ones are counted as lost.
pub const GAP_MAX: u32 = 1_000;

/// Sequence numbers remembered as received and not acknowledged, or as missing.
pub const REMEMBERED_MAX: usize = 4_096;

/// Acknowledgements in one publish request.
pub const ACKS_PER_PUBLISH: usize = 1_000;

/// Namespaces of a server at most.
pub const NAMESPACES_MAX: usize = 65_536;

/// Pauses after the server refused the user or the certificate: trying on quickly would lock the account.
pub const REFUSED_FIRST: Duration = Duration::from_secs(5 * 60);
pub const REFUSED_MAX: Duration = Duration::from_secs(60 * 60);

/// How long a stopping source waits for the log and for the server's farewell.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause after a publish request that failed for no fault of the connection.
pub const PUBLISH_PAUSE: Duration = Duration::from_secs(1);

/// Values of history that are read of one node after an outage, and how long reading all may take: what is reported
/// meanwhile waits in the queues of the server.
pub const HISTORY_VALUES_MAX: usize = 100_000;
pub const HISTORY_TIME_MAX: Duration = Duration::from_secs(60);

/// How often the level of a server of a redundant set is looked at, and at most how often a better one is looked for.
pub const LEVEL_EVERY: Duration = Duration::from_secs(2);
pub const SEARCH_EVERY: Duration = Duration::from_secs(30);

/// An attempt at one server of a set takes no longer while there are others.
pub const NEXT_SERVER_AFTER: Duration = Duration::from_secs(3);

/// Servers of a redundant set.
pub const SERVERS_MAX: usize = 10;

/// Lost changes are told of this often.
pub const OVERFLOW_TOLD: Duration = Duration::from_secs(60);

/// Events of the connection that wait to be looked at.
pub const EVENTS_WAITING: usize = 16;
