//! The control loop: puts tables in force, cuts at deadlines, and reports.
//!
//! The order of a change carries the drain handshake. First the new table is in place, so that no
//! core finds itself without the targets that come; then the targets that leave are marked, and from
//! then on get nothing; then each worker has passed through its loop, so that none holds the old
//! table; and only then is the revision reported. A target counts as drained when the table that says
//! so is also on disk: a load balancer that is killed would otherwise come back with the one before, and send
//! requests to a task that was told to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_proto::lb::{NodeReport, Table};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::registry::Registry;
use crate::session::Identity;
use crate::shared::{Door, Shared};
use crate::table::disk::InForce;
use crate::table::{Draft, TableError};
use crate::tls::Keyring;
use crate::worker::{Worker, WorkerError};

const REPORT_INTERVAL: Duration = Duration::from_secs(1);

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
    doors: BTreeMap<u16, Arc<Door>>,
    /// The newest table; `revision` says whether it is in force.
    table: Option<Arc<Table>>,
    /// The last revision that was in force on every worker.
    revision: u64,
    identity: Identity,
    reports: watch::Sender<NodeReport>,
    newest: watch::Sender<InForce>,
    /// The number of the table that is on disk.
    saved: watch::Receiver<u64>,
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
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let pool_size = shared.config.pool_size;
        Self {
            registry: Registry::new(workers.len(), pool_size, Arc::clone(&changed)),
            keyring: Keyring::new(),
            shared,
            workers,
            changed,
            doors: BTreeMap::new(),
            table: None,
            revision: 0,
            identity,
            reports,
            newest,
            saved,
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
            tokio::select! {
                () = stop.cancelled() => return,
                Some(table) = tables.recv() => self.receive(table).await,
                () = changed.notified() => {}
                Ok(()) = self.saved.changed() => {}
                _ = tick.tick() => self.catch_up().await,
                () = sleep_until_some(deadline) => {}
            }
            if self.registry.cut_overdue(Instant::now()) {
                self.shared.alarm.ring();
            }
            self.report();
        }
    }

    /// Tells the current state to whoever watches.
    pub(crate) fn report(&self) {
        self.reports.send_replace(NodeReport {
            node_id: self.identity.node_id.clone(),
            incarnation: self.identity.incarnation.clone(),
            table_revision: self.revision,
            targets: self.registry.report(Instant::now(), *self.saved.borrow()),
            counts: self.registry.counts(),
        });
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
            let same = Table {
                servers: current.servers.clone(),
                ..table.clone()
            };
            if table.revision == current.revision && same == **current {
                return;
            }
        }
        let revision = table.revision;
        match self.apply(table).await {
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
        self.shared.table.store(Arc::new(update.table));
        for target in update.leaving {
            target.drain();
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
        if wanted.is_some_and(|revision| revision != self.revision)
            && let Err(error) = self.enforce().await
        {
            warn!(
                error = &error as &dyn std::error::Error,
                "routing table still not in force"
            );
        }
    }

    /// Makes the workers' listeners those of the table; then the table is in force.
    async fn enforce(&mut self) -> Result<(), WorkerError> {
        let table = self.shared.table.load_full();
        let ports: BTreeSet<u16> = table
            .listeners
            .iter()
            .map(|listener| listener.port)
            .collect();
        let closing = self.doors.extract_if(.., |port, _| !ports.contains(port));
        if closing.inspect(|(_, door)| door.closing.cancel()).count() > 0 {
            self.shared.alarm.ring();
        }
        let mut failure = None;
        for port in ports {
            if !self.doors.contains_key(&port)
                && let Err(error) = self.open(port).await
            {
                failure.get_or_insert(error);
            }
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
    async fn open(&mut self, port: u16) -> Result<(), WorkerError> {
        let door = Arc::new(Door::new(port));
        for worker in &self.workers {
            if let Err(error) = worker.open(&door).await {
                door.closing.cancel();
                self.shared.alarm.ring();
                return Err(error);
            }
        }
        info!(port, "listening");
        self.doors.insert(port, door);
        Ok(())
    }

    /// Closes every listener; returns the workers' threads, which end with their last requests.
    pub(crate) fn stop(self) -> Vec<std::thread::JoinHandle<()>> {
        self.workers.into_iter().map(Worker::stop).collect()
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
