//! What the control loop and all workers have in common.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::addresses::Connections;
use crate::config::Config;
use crate::succession::Phase;
use crate::table::{Listener, RoutingTable};
use crate::traffic::Traffic;
use crate::trouble::Trouble;

/// What the control loop and all workers have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) table: ArcSwap<RoutingTable>,
    pub(crate) alarm: Alarm,
    /// What this load balancer may do while there are two.
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) access_log: Option<AccessLog>,
    /// One permit for each client connection that may still be accepted.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) by_address: Arc<Connections>,
    /// How many requests are under way, by their workers.
    pub(crate) under_way: Box<[UnderWay]>,
    /// What keeps the newest table from being in force.
    pub(crate) trouble: Mutex<Trouble>,
}

/// How many requests a worker has under way, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct UnderWay(AtomicUsize);

impl UnderWay {
    /// Counts one more; returns how many there are with it.
    pub(crate) fn begin(&self) -> usize {
        self.0.fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn end(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Shared {
    /// Returns how many requests one worker may have under way.
    pub(crate) fn most_under_way(&self) -> usize {
        self.config.max_requests.div_ceil(self.under_way.len())
    }

    /// Returns how many client connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        let free = self.connections.available_permits();
        self.config.max_connections.saturating_sub(free)
    }

    pub(crate) fn requests_under_way(&self) -> usize {
        self.under_way.iter().map(UnderWay::count).sum()
    }

    pub(crate) fn new(
        config: Config,
        access_log: Option<AccessLog>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let connections = Arc::new(Semaphore::new(
            config.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        let by_address = Connections::new(config.max_connections_per_address);
        let workers = 0..config.worker_count();
        Self {
            by_address: Arc::new(by_address),
            under_way: workers.map(|_| UnderWay::default()).collect(),
            config,
            table: ArcSwap::from_pointee(RoutingTable::default()),
            alarm: Alarm::default(),
            phase,
            access_log,
            connections,
            trouble: Mutex::default(),
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
    /// How often everybody was woken after that.
    told: AtomicU64,
}

impl Alarm {
    pub(crate) fn ring(&self) {
        self.begin();
        self.tell();
    }

    pub(crate) fn begin(&self) {
        self.rung.fetch_add(1, AcqRel);
    }

    pub(crate) fn tell(&self) {
        self.notify.notify_waiters();
        self.told.fetch_add(1, AcqRel);
    }

    /// Returns how often it has rung, and whether it does at this moment: then who listens now may be woken by what it knows already.
    pub(crate) fn state(&self) -> (u64, bool) {
        let told = self.told.load(Acquire);
        let rung = self.times();
        (rung, rung != told)
    }

    /// Returns how often it has rung.
    pub(crate) fn times(&self) -> u64 {
        self.rung.load(Acquire)
    }

    /// Completes at the next ring; take it before `state`, and none is missed.
    pub(crate) fn listen(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

/// What is said once, and then holds: to wait for, and to look at with each request, for which the token alone would take a lock.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    given: AtomicBool,
    token: CancellationToken,
}

impl Signal {
    pub(crate) fn give(&self) {
        self.given.store(true, Release);
        self.token.cancel();
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Acquire)
    }

    /// Waits until it is given.
    pub(crate) async fn given(&self) {
        self.token.cancelled().await;
    }
}

/// One listener, open on every worker until `closing` is given: then nothing more is accepted, and the next answer on
/// each connection is its last. With `closed` a connection that is unused ends too: at once, unless a successor serves,
/// for then a request may be on its way that no other process can answer.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) port: u16,
    /// Of its listener.
    pub(crate) arn: String,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) closing: Signal,
    pub(crate) closed: Signal,
}

impl Door {
    /// Returns an open one.
    pub(crate) fn to(listener: &Listener) -> Self {
        Self {
            port: listener.port,
            arn: listener.arn.clone(),
            traffic: Arc::clone(&listener.traffic),
            closing: Signal::default(),
            closed: Signal::default(),
        }
    }

    /// Ends it, and all its connections that are unused. Whoever calls it rings the alarm.
    pub(crate) fn close(&self) {
        self.closing.give();
        self.closed.give();
    }
}
