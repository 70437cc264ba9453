//! Where the logs of a failed test are kept.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns an empty directory for this test's logs, under `target/test-logs`; says where it is.
pub(super) fn directory() -> Option<PathBuf> {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").replace("::", "-");
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-logs");
    let directory = all.join(test);
    // There is none of an earlier failure.
    fs::remove_dir_all(&directory).ok();
    match fs::create_dir_all(&directory) {
        Ok(()) => {
            eprintln!("the whole logs are in {}", directory.display());
            Some(directory)
        }
        Err(error) => {
            eprintln!("cannot keep the logs in {}: {error}", directory.display());
            None
        }
    }
}
