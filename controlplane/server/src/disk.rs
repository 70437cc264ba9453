//! The space that a server needs on its disk: without it the log cannot grow.

use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::time::sleep;
use tracing::warn;

/// With less than this left, a server takes no part any longer: better in order than in the middle of a write.
const LEAST: u64 = 16 << 20;
/// With so much it comes back. More, so that it does not come and go.
const ENOUGH: u64 = 32 << 20;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// A disk that is full.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the disk is full: {} MiB are left of the {} MiB that a server needs", .free >> 20, ENOUGH >> 20)]
pub struct DiskFull {
    /// Bytes that are left.
    pub free: u64,
}

/// Says whether the disk is full for a server that runs.
pub(crate) fn check(directory: &Path) -> Result<(), DiskFull> {
    check_for(directory, LEAST)
}

/// Waits until the disk is full.
pub(crate) async fn until_full(directory: &Path) -> DiskFull {
    loop {
        if let Err(full) = check_for(directory, LEAST) {
            return full;
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Waits until a server can come back.
pub(crate) async fn until_enough(directory: &Path) {
    while check_for(directory, ENOUGH).is_err() {
        sleep(BETWEEN_LOOKS).await;
    }
}

fn check_for(directory: &Path, needed: u64) -> Result<(), DiskFull> {
    let free = match statvfs(directory) {
        Ok(found) => found.blocks_available() * found.fragment_size(),
        Err(error) => {
            // What cannot be seen is not taken for full: the log itself will say what is wrong.
            warn!(directory = %directory.display(), error = &error as &dyn std::error::Error, "cannot see how full the disk is");
            return Ok(());
        }
    };
    if free < needed {
        return Err(DiskFull { free });
    }
    Ok(())
}
