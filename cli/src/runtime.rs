//! The runtime that a command or a role lives on.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::error::Error;

/// File system calls run here; more threads than this would only wait for the same disk.
const BLOCKING_THREADS: usize = 16;
/// How long a file system call may still take when everything else has ended.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Runs a future to its end on this thread.
///
/// # Errors
/// Fails when the system refuses the poller, or as the future does.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| anyhow::Error::from(error).context("cannot start the runtime"))?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_timeout(LAST_CALLS);
    outcome
}
