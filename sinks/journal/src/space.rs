//! Free space: stop before the disk is full, go on by itself when there is room.
//!
//! fjall poisons itself at the first failed write, so the store must never meet
//! ENOSPC. Below the reserve nothing new is committed (sources wait, nothing is
//! lost); a ballast file is given up first, so that trimming, which writes too,
//! still can.

use crate::limits::SPACE_CHECK_MS;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bounds of the data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpacePolicy {
    /// Free bytes of the file system below which nothing new is stored.
    pub reserve_bytes: u64,
    /// Size of the ballast file.
    pub ballast_bytes: u64,
    /// Bytes the input log may take on disk.
    pub log_bytes_max: u64,
}

impl Default for SpacePolicy {
    fn default() -> Self {
        SpacePolicy { reserve_bytes: 96 << 20, ballast_bytes: 32 << 20, log_bytes_max: 4 << 30 }
    }
}

/// Watches the file system of the data directory.
#[derive(Debug)]
pub struct SpaceWatch {
    dir: PathBuf,
    ballast: PathBuf,
    policy: SpacePolicy,
    low: bool,
    /// The file system makes no ballast: said once, not tried again until space was low.
    ballast_refused: bool,
    checked: Option<Instant>,
    /// Free bytes at the last look.
    pub available: u64,
}

impl SpaceWatch {
    pub fn new(dir: &Path, policy: SpacePolicy) -> SpaceWatch {
        SpaceWatch {
            dir: dir.into(),
            ballast: dir.join("ballast"),
            policy,
            low: false,
            ballast_refused: false,
            checked: None,
            available: u64::MAX,
        }
    }

    /// Whether nothing new may be stored now.
    pub fn is_low(&mut self, now: Instant) -> bool {
        let due =
            self.checked.is_none_or(|at| now.duration_since(at) >= Duration::from_millis(SPACE_CHECK_MS));
        if due {
            self.checked = Some(now);
            match fs4::available_space(&self.dir) {
                Ok(available) => self.judge(available),
                Err(error) => tracing::warn!(%error, "the free space of the data directory is unknown"),
            }
        }
        self.low
    }

    fn judge(&mut self, available: u64) {
        self.available = available;
        let SpacePolicy { reserve_bytes: reserve, ballast_bytes, .. } = self.policy;
        let enough = reserve + reserve / 4;
        if !self.low && available < reserve {
            self.low = true;
            self.ballast_refused = false;
            let _ = fs::remove_file(&self.ballast);
            tracing::error!(
                free_bytes = available,
                reserve_bytes = reserve,
                "the data directory is nearly full: nothing new is stored until there is room, sources wait"
            );
        } else if self.low && available >= enough {
            self.low = false;
            tracing::info!(free_bytes = available, "there is room in the data directory again");
        }
        let room = available >= enough.saturating_add(ballast_bytes);
        if !self.low && room && !self.ballast_refused && !self.ballast.exists() {
            self.make_ballast();
        }
    }

    fn make_ballast(&mut self) {
        let made = fs::File::create(&self.ballast)
            .and_then(|file| fs4::FileExt::allocate(&file, self.policy.ballast_bytes));
        if let Err(error) = made {
            let _ = fs::remove_file(&self.ballast);
            self.ballast_refused = true;
            tracing::warn!(%error, "no ballast file could be made in the data directory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_space_gives_up_the_ballast_and_ends_with_a_margin() {
        let dir = tempfile::tempdir().unwrap();
        let policy = SpacePolicy { reserve_bytes: 1000, ballast_bytes: 4096, log_bytes_max: 0 };
        let mut watch = SpaceWatch::new(dir.path(), policy);
        watch.judge(10_000);
        assert!(watch.ballast.exists() && !watch.low);
        watch.judge(1_001);
        assert!(watch.ballast.exists() && !watch.low);
        watch.judge(999);
        assert!(!watch.ballast.exists() && watch.low);
        watch.judge(1_200);
        assert!(watch.low);
        watch.judge(1_250);
        assert!(!watch.low && !watch.ballast.exists());
        watch.judge(6_000);
        assert!(watch.ballast.exists());
    }

    #[test]
    fn a_ballast_that_cannot_be_made_is_not_tried_at_every_look() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let policy = SpacePolicy { reserve_bytes: 1000, ballast_bytes: 4096, log_bytes_max: 0 };
        let mut watch = SpaceWatch::new(&data, policy);
        watch.judge(10_000);
        std::fs::create_dir(&data).unwrap();
        watch.judge(10_000);
        assert!(!watch.ballast.exists());
        watch.judge(999);
        watch.judge(10_000);
        assert!(watch.ballast.exists());
    }
}
