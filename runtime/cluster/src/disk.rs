//! The thread that writes votes: a slow disk must not keep the driver from hearing and speaking.

use crate::limits::SLOW_VOTE;
use crate::links::Mailbox;
use crate::superblock::SuperblockFile;
use gwp_redundancy::vote::Superblock;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

/// Says what came of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written(pub bool);

/// Starts the thread; each block that is sent to it is answered in `inbox`. At most one is under way.
///
/// # Errors
/// The operating system gives no thread.
pub fn start<T: From<Written> + Send + 'static>(
    mut file: SuperblockFile,
    inbox: Mailbox<T>,
) -> io::Result<Sender<Superblock>> {
    let (blocks, wanted) = channel();
    std::thread::Builder::new().name("gwp-votes".into()).spawn(move || {
        for block in wanted {
            let began = Instant::now();
            let written = file.write(&block);
            let took = began.elapsed();
            if took >= SLOW_VOTE {
                tracing::warn!(
                    ms = took.as_millis() as u64,
                    "the disk was slow to keep a vote: a takeover waits for it"
                );
            }
            if let Err(error) = &written {
                tracing::error!(%error, "this member votes no more");
            }
            if !inbox.send(Written(written.is_ok()).into()) {
                return;
            }
        }
    })?;
    Ok(blocks)
}
