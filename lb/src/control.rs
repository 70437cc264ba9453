//! The control loop: puts tables in force, cuts at deadlines, and reports.
//!
//! The order of a change carries the drain handshake. First the new table is in place, so that no
//! core finds itself without the targets that come; then the targets that leave are marked, and from
//! then on get nothing; then each worker has passed through its loop, so that none holds the old
//! table; and only then is the revision reported. A target counts as drained when the table that says
//! so is also on disk: a load balancer that is killed would otherwise come back with the one before, and send
//! requests to a task that was told to stop. And none does while another process of this node serves, or may soon.

mod end;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_proto::lb::{NodeReport, Table};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::health::UNPROBED;
use crate::lock::lock;
use crate::registry::Registry;
use crate::session::Identity;
use crate::shared::{Door, Shared};
use crate::succession::{Phase, Place, Progress, TargetName, share};
use crate::table::disk::InForce;
use crate::table::{Draft, Listener, TableError};
use crate::tls::Keyring;
use crate::traffic::BOUNDS;
use crate::trouble::told;
use crate::worker::{Worker, WorkerError};
use sockets::{Open, bind, bind_error, by_port};

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_SAVE: Duration = Duration::from_secs(2);
/// How long a successor waits for the first probe of each target; one whose host is gone answers none.
const FIRST_PROBES: Duration = Duration::from_secs(5);

/// Why a table is not in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("the table cannot be followed")]
    Table(#[from] TableError),
    #[error("the table cannot be put in force on every worker")]
    Worker(#[from] WorkerError),
}

/// The control loop's belongings.
#[derive(Debug)]
pub(crate) struct Control {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    registry: Registry,
    keyring: Keyring,
    changed: Arc<Notify>,
    open: BTreeMap<u16, Open>,
    /// Sockets of processes before this one, by their ports, until the first table is in force.
    inherited: BTreeMap<u16, Vec<Arc<TcpListener>>>,
    /// The newest table; `revision` says whether it is in force.
    table: Option<Arc<Table>>,
    /// The last revision that was in force on every worker.
    revision: u64,
    identity: Identity,
    reports: watch::Sender<NodeReport>,
    newest: watch::Sender<InForce>,
    /// The number of the table that is on disk.
    saved: watch::Receiver<u64>,
    phase: watch::Receiver<Phase>,
    /// Where the predecessor still has requests.
    held: watch::Receiver<Option<BTreeSet<TargetName>>>,
    progress: watch::Sender<Progress>,
    born: Instant,
    /// When the first table was in force, as far as it can be.
    started: Option<Instant>,
}

impl Control {
    /// Returns a control loop that has no table yet. `newest` is given each table to keep, `saved` tells which one is kept.
    pub(crate) fn new(
        shared: Arc<Shared>,
        workers: Vec<Worker>,
        identity: Identity,
        reports: watch::Sender<NodeReport>,
        newest: watch::Sender<InForce>,
        saved: watch::Receiver<u64>,
        place: Place,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let (pool_size, zone) = (shared.config.pool_size, shared.config.zone.clone());
        Self {
            registry: Registry::new(workers.len(), pool_size, zone, Arc::clone(&changed)),
            keyring: Keyring::new(),
            workers,
            changed,
            open: BTreeMap::new(),
            inherited: by_port(place.inherited, &shared),
            table: None,
            revision: 0,
            identity,
            reports,
            newest,
            saved,
            phase: place.phase,
            held: place.held,
            progress: place.progress,
            born: Instant::now(),
            started: None,
            shared,
        }
    }

    /// Reports, and follows tables, until `stop`.
    pub(crate) async fn run(
        &mut self,
        mut tables: mpsc::Receiver<Table>,
        stop: &CancellationToken,
    ) {
        let changed = Arc::clone(&self.changed);
        let mut tick = interval(REPORT_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.registry.next_deadline(Instant::now());
            let follows_tables = self.phase.borrow().follows_tables();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(table) = tables.recv(), if follows_tables => self.receive(table).await,
                () = changed.notified() => {}
                Ok(()) = self.saved.changed() => {}
                Ok(()) = self.phase.changed() => {}
                Ok(()) = self.held.changed() => {}
                _ = tick.tick() => {
                    self.shared.table.load().forget_idle(Instant::now());
                    self.catch_up().await;
                }
                () = sleep_until_some(deadline) => {}
            }
            self.cut_overdue();
            self.report();
        }
    }

    fn cut_overdue(&self) {
        if self.registry.cut_overdue(Instant::now()) {
            self.shared.alarm.ring();
        }
    }

    /// The first table is in force, as far as it can be, or there is none. What it has not taken of the sockets of processes
    /// before this one is closed.
    pub(crate) fn start(&mut self) {
        self.inherited.clear();
        self.started = Some(Instant::now());
        self.report();
    }

    /// Tells the current state to whoever watches.
    pub(crate) fn report(&self) {
        let phase = *self.phase.borrow();
        let saved = *self.saved.borrow();
        let held = self.held.borrow();
        // To another process of this node no table is known to say that a target drains. But one that begins no requests has none where it
        // says so.
        let drains = |target: &TargetName| match &*held {
            _ if phase.is_alone() => true,
            Some(held) if phase == Phase::Joined => !held.contains(target),
            Some(_) | None => false,
        };
        let table = self.shared.table.load();
        let groups = table.groups.iter();
        let report = NodeReport {
            node_id: self.identity.node_id.clone(),
            incarnation: self.identity.incarnation.clone(),
            table_revision: self.revision,
            targets: self.registry.report(Instant::now(), saved, drains),
            counts: self.registry.counts(),
            listeners: table.listeners.iter().map(Listener::report).collect(),
            target_groups: groups.map(|group| group.report()).collect(),
            bucket_bounds: BOUNDS.to_vec(),
            trouble: lock(&self.shared.trouble).to_string(),
            uptime_milliseconds: u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let probed = || report.targets.iter().all(|one| one.reason != UNPROBED);
        let ready = self.started.is_some_and(|started| {
            phase != Phase::Waiting || started.elapsed() >= FIRST_PROBES || probed()
        });
        self.reports.send_replace(report);
        self.progress.send_replace(Progress {
            phase,
            ready,
            saved: self.newest.borrow().number <= saved,
            sockets: self.sockets(),
            busy: None,
        });
    }

    fn sockets(&self) -> Vec<Arc<TcpListener>> {
        let sockets = self.open.values().flat_map(|open| &open.sockets);
        sockets.map(Arc::clone).collect()
    }

    async fn receive(&mut self, table: Table) {
        if let Some(current) = &self.table
            && current.control_plane_id == table.control_plane_id
        {
            if table.revision < current.revision {
                let (received, current) = (table.revision, current.revision);
                warn!(received, current, "an older routing table is refused");
                return;
            }
            // Of another content if this process was upgraded: what it could not read it has not kept either.
            if table.revision == current.revision && table == **current {
                return;
            }
        }
        let revision = table.revision;
        let applied = self.apply(table).await;
        let refused = match &applied {
            Err(ApplyError::Table(error)) => {
                let why = told(error);
                Some(format!(
                    "routing table {revision} cannot be followed: {why}"
                ))
            }
            Ok(()) | Err(ApplyError::Worker(_)) => None,
        };
        lock(&self.shared.trouble).refused = refused;
        match applied {
            Ok(()) => info!(revision, "routing table in force"),
            Err(error) => {
                warn!(
                    revision,
                    error = &error as &dyn std::error::Error,
                    "routing table not in force"
                );
            }
        }
    }

    /// Puts a table in force.
    ///
    /// # Errors
    /// A table that cannot be followed changes nothing. When a listener does not open, everything
    /// else is in force, and `catch_up` tries it again.
    pub(crate) async fn apply(&mut self, table: Table) -> Result<(), ApplyError> {
        let number = self.newest.borrow().number + 1;
        let draft = Draft::read(&table, &mut self.keyring)?;
        let update = self.registry.update(draft, number);
        let before = self.shared.table.swap(Arc::new(update.table));
        for target in update.leaving {
            target.drain();
        }
        // A group that is new has nobody yet who looked in vain.
        for group in &before.groups {
            group.room.call_all();
        }
        let groups = table.target_groups.iter();
        let deployments: BTreeSet<&str> = groups.map(|group| group.deployment.as_str()).collect();
        self.registry.retire_counts(&deployments);
        let table = Arc::new(table);
        self.table = Some(Arc::clone(&table));
        self.newest.send_replace(InForce { number, table });
        self.enforce().await?;
        Ok(())
    }

    /// Tries again what did not succeed.
    async fn catch_up(&mut self) {
        let wanted = self.table.as_ref().map(|table| table.revision);
        if !self.phase.borrow().follows_tables() || wanted.is_none_or(|it| it == self.revision) {
            return;
        }
        let before = lock(&self.shared.trouble).clone();
        let enforced = self.enforce().await;
        // Not once a second.
        let is_news = before != *lock(&self.shared.trouble);
        match enforced {
            Ok(()) => info!(revision = self.revision, "routing table in force after all"),
            Err(error) if is_news => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "routing table still not in force");
            }
            Err(_known) => {}
        }
    }

    /// Makes the workers' listeners those of the table; then the table is in force.
    async fn enforce(&mut self) -> Result<(), WorkerError> {
        let table = self.shared.table.load_full();
        let listeners = table.listeners.iter();
        let listeners: BTreeMap<u16, &str> = listeners
            .map(|listener| (listener.port, listener.arn.as_str()))
            .collect();
        let is_another =
            |port: &u16, open: &mut Open| listeners.get(port) != Some(&&*open.door.arn);
        let closing: Vec<_> = self.open.extract_if(.., is_another).collect();
        for (port, open) in &closing {
            open.door.close();
            if listeners.contains_key(port) {
                // A new listener on the port of one that is gone: who connects just now is its client.
                self.inherited.insert(*port, open.sockets.clone());
            }
        }
        if !closing.is_empty() {
            self.shared.alarm.ring();
        }
        // A socket that is kept would outlive its listener.
        drop(closing);
        let mut failure = None;
        let mut closed = BTreeMap::new();
        for listener in &table.listeners {
            if !self.open.contains_key(&listener.port)
                && let Err(error) = self.open(listener).await
            {
                closed.insert(listener.port, told(&error));
                failure.get_or_insert(error);
            }
        }
        lock(&self.shared.trouble).closed = closed;
        if self.started.is_some() {
            // Of a listener that was to replace another, and is gone before it could be opened.
            self.inherited
                .retain(|port, _| listeners.contains_key(port));
        }
        for worker in &self.workers {
            worker.pass().await?;
        }
        if let Some(error) = failure {
            return Err(error);
        }
        self.revision = self.table.as_ref().map_or(0, |table| table.revision);
        Ok(())
    }

    /// Opens a listener on every worker, or on none.
    async fn open(&mut self, listener: &Listener) -> Result<(), WorkerError> {
        let port = listener.port;
        let inherited = self.inherited.get(&port).cloned();
        let taken_over = inherited.is_some();
        let sockets = match inherited {
            Some(sockets) => sockets,
            // No more are opened beside inherited ones, and none of those is closed: what the kernel has given to one
            // would be lost if this process, or the other one, ended now.
            None => bind(&self.shared, port, self.workers.len())?,
        };
        let door = Arc::new(Door::to(listener));
        let shares = share(sockets.len(), self.workers.len());
        for (worker, share) in self.workers.iter().zip(shares) {
            let own = share.into_iter().map(|index| sockets[index].try_clone());
            let opened = match own.collect() {
                Ok(own) => worker.open(&door, own).await,
                Err(cause) => Err(bind_error(&self.shared, port, cause).into()),
            };
            if let Err(error) = opened {
                door.close();
                self.shared.alarm.ring();
                return Err(error);
            }
        }
        info!(port, taken_over, "listening");
        self.inherited.remove(&port);
        self.open.insert(port, Open { door, sockets });
        Ok(())
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
