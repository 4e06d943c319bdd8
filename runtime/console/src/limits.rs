//! Bounds of the control interface: nobody can make it hold more, wait longer or work harder than this.

use std::time::Duration;

/// Connections at once, of the listener for others and of the one for this machine's commands.
pub const CONNECTIONS_MAX: usize = 256;

/// Requests at work at once.
pub const REQUESTS_MAX: usize = 64;

/// Requests with a body of files at work at once.
pub const LARGE_REQUESTS_MAX: usize = 2;

/// Watchers of live values at once, and tags of one.
pub const WATCHERS_MAX: usize = 32;
pub const WATCHED_TAGS_MAX: usize = 256;

/// Passwords that are hashed at once (each takes 19 MiB and a core), and that wait for it.
pub const HASHES_MAX: usize = 2;
pub const HASHES_WAITING_MAX: usize = 16;

/// Bytes of a body, and of one that holds files.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
pub const FILES_BYTES_MAX: usize = 32 << 20;

/// Files of a program, and characters of the name of one.
pub const FILES_MAX: usize = 1_024;
pub const FILE_NAME_CHARS_MAX: usize = 255;

/// Bytes of the head of a request.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Lines of audit in an answer.
pub const AUDIT_LINES_MAX: usize = 1_000;

/// For the head of a request, for TLS to be agreed on, for a body, and for one that holds files.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
pub const BODY_TIME: Duration = Duration::from_secs(10);
pub const FILES_TIME: Duration = Duration::from_secs(120);

/// For an answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(60);

/// A connection is closed when it is this old.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(12 * 3600);

/// How long requests may go on when the gateway stops.
pub const STOP_TIME: Duration = Duration::from_secs(5);

/// Between two events of a watcher; what changes more often is told as its latest value.
pub const LIVE_PERIOD: Duration = Duration::from_millis(100);

/// A watcher hears at least this often, and is asked then whether it may still.
pub const LIVE_BEAT: Duration = Duration::from_secs(15);
