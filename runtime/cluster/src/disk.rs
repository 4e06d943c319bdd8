//! The thread that writes votes: a slow disk must not keep the driver from hearing and speaking.

use crate::superblock::SuperblockFile;
use gwp_redundancy::vote::Superblock;
use std::io;
use std::sync::mpsc::{Sender, channel};

/// Says what came of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written(pub bool);

/// Starts the thread; each block that is sent to it is answered in `inbox`. At most one is under way.
///
/// # Errors
/// The operating system gives no thread.
pub fn start<T: From<Written> + Send + 'static>(
    mut file: SuperblockFile,
    inbox: Sender<T>,
) -> io::Result<Sender<Superblock>> {
    let (blocks, wanted) = channel();
    std::thread::Builder::new().name("gwp-votes".into()).spawn(move || {
        for block in wanted {
            let written = file.write(&block);
            if let Err(error) = &written {
                tracing::error!(%error, "this member votes no more");
            }
            if inbox.send(Written(written.is_ok()).into()).is_err() {
                return;
            }
        }
    })?;
    Ok(blocks)
}
