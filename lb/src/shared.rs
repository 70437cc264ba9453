//! What the control loop and all workers have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};

use arc_swap::ArcSwap;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::table::RoutingTable;

/// What the control loop and all workers have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) table: ArcSwap<RoutingTable>,
    pub(crate) alarm: Alarm,
    pub(crate) access_log: Option<AccessLog>,
    /// One permit for each client connection that may still be accepted.
    pub(crate) connections: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(config: Config, access_log: Option<AccessLog>) -> Self {
        let connections = Arc::new(Semaphore::new(
            config.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            config,
            table: ArcSwap::from_pointee(RoutingTable::default()),
            alarm: Alarm::default(),
            access_log,
            connections,
        }
    }
}

/// Makes every client connection look up: a listener closes, or a target's requests are cut.
///
/// It says nothing itself: whoever rings has changed a door or a target before. This costs a quiet
/// connection one atomic read, where waiting for each target's own signal would cost a queue entry
/// for each request.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    rung: AtomicU64,
    notify: Notify,
}

impl Alarm {
    pub(crate) fn ring(&self) {
        self.rung.fetch_add(1, AcqRel);
        self.notify.notify_waiters();
    }

    /// Returns how often it has rung.
    pub(crate) fn times(&self) -> u64 {
        self.rung.load(Acquire)
    }

    /// Completes at the next ring; take it before `times`, and none is missed.
    pub(crate) fn listen(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

/// One listener, open on every worker until `closing` is cancelled.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) port: u16,
    pub(crate) closing: CancellationToken,
}

impl Door {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            closing: CancellationToken::new(),
        }
    }
}
