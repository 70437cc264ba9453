//! How many files this process may have open: each connection is one.
//!
//! A login shell's and systemd's soft limit is 1024, so that programs which use select(2) go on working. A
//! daemon takes what the hard limit allows, and says so when that is too little.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// A client's connection, and the one to its target.
const FILES_PER_CONNECTION: u64 = 2;
/// Listeners, logs, connections to the control plane.
const OTHER_FILES: u64 = 256;

/// Raises the soft limit to the hard one. Where that fails the old limit holds, which is said in the log.
pub(super) fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(())
    });
    if let Err(error) = raised {
        warn!(%error, "cannot raise the limit of open files");
    }
}

/// Raises the limit as [`raise`] does, and warns when it is too low for a load balancer with so many
/// client connections.
pub(super) fn raise_for(max_connections: usize) {
    raise();
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        // `raise` has just said so.
        return;
    };
    if let Some(needed) = short_of(limit, max_connections) {
        warn!(
            limit,
            needed,
            max_connections,
            "the limit of open files is too low for max_connections: raise it (LimitNOFILE in a systemd unit), \
             or set max_connections lower"
        );
    }
}

/// Returns how many files are needed, where the limit is below that.
fn short_of(limit: u64, max_connections: usize) -> Option<u64> {
    let connections = u64::try_from(max_connections).unwrap_or(u64::MAX);
    let needed = connections
        .saturating_mul(FILES_PER_CONNECTION)
        .saturating_add(OTHER_FILES);
    (limit < needed).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_needs_a_file_on_each_side() {
        assert_eq!(short_of(1024, 1000), Some(2256));
        assert_eq!(short_of(2256, 1000), None);
        assert_eq!(short_of(1024, usize::MAX), Some(u64::MAX));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(512), hard).unwrap();
        raise();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    }
}
