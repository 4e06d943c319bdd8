//! When the machine did not do its part: gave no time to a thread, or took long to keep a few bytes. Watched by
//! threads of this process that do nothing else, so that it is told apart from what the gateway does.

use crate::clock;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// How often the disk is asked: seldom enough not to be a load of its own.
const SYNC_EVERY: Duration = Duration::from_millis(20);
/// What one sync keeps.
const SYNC_BYTES: [u8; 4096] = [0; 4096];
const SLEEP: Duration = Duration::from_millis(5);
/// Longer than this counts.
const LATE_NS: i64 = 40_000_000;

/// From when to when (UTC, nanoseconds). What watches ends with the last clone.
#[derive(Clone, Default)]
pub struct Stalls(Arc<Mutex<Vec<(i64, i64)>>>);

impl Stalls {
    /// A thread that sleeps little sees whether the machine lets anybody run.
    pub fn of_processor() -> Stalls {
        let stalls = Stalls::default();
        let kept = Arc::downgrade(&stalls.0);
        std::thread::spawn(move || {
            watch(&kept, Duration::ZERO, || {
                std::thread::sleep(SLEEP);
                Ok(())
            })
        });
        stalls
    }

    /// A thread that syncs a file in a folder sees how long anybody's sync takes there.
    pub fn of_disk(folder: &Path) -> std::io::Result<Stalls> {
        let mut file = File::create(folder.join("sync"))?;
        let stalls = Stalls::default();
        let kept = Arc::downgrade(&stalls.0);
        std::thread::spawn(move || {
            watch(&kept, SYNC_EVERY, || {
                file.rewind()?;
                file.write_all(&SYNC_BYTES)?;
                file.sync_data()
            })
        });
        Ok(stalls)
    }

    pub fn all(&self) -> Vec<(i64, i64)> {
        self.0.lock().map(|stalls| stalls.clone()).unwrap_or_default()
    }
}

/// Until nobody asks any more, or it fails.
fn watch(kept: &Weak<Mutex<Vec<(i64, i64)>>>, pause: Duration, mut act: impl FnMut() -> std::io::Result<()>) {
    loop {
        std::thread::sleep(pause);
        let before = clock::utc();
        if act().is_err() {
            return;
        }
        let now = clock::utc();
        let Some(kept) = kept.upgrade() else { return };
        if now - before > LATE_NS
            && let Ok(mut kept) = kept.lock()
        {
            kept.push((before, now));
        }
    }
}
