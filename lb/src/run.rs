//! Starts a load balancer, and stops it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roadstead_client::ControlPlane;
use roadstead_proto::lb::{NodeReport, Table};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::access_log::{AccessLog, AccessLogFormat, Writer};
use crate::config::Config;
use crate::control::{ApplyError, Control};
use crate::lock::lock;
use crate::metrics;
use crate::session::{self, Identity, IdentityError};
use crate::shared::Shared;
use crate::succession::{Phase, Place, turn};
use crate::table::disk::InForce;
use crate::table::file::TableFileError;
use crate::table::{TableError, disk, file};
use crate::trouble::told;
use crate::worker::{BindError, Worker, WorkerError};

/// The `control_plane_id` of tables that come from a file.
const FILE: &str = "file";

/// Where routing tables come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The control plane; the last table is kept on disk and served until it is back.
    ControlPlane(ControlPlane),
    /// A table file, read again on SIGHUP. A bad one is refused, and the table before it stays.
    File(PathBuf),
}

/// Why a load balancer ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum LbError {
    #[error("cannot open access log {}", .path.display())]
    AccessLog {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot tell who this load balancer is")]
    Identity(#[from] IdentityError),
    #[error("cannot serve without a table")]
    TableFile(#[from] TableFileError),
    #[error("cannot serve the table")]
    Table(#[from] TableError),
    #[error("cannot serve every listener")]
    Bind(#[from] BindError),
    #[error("cannot serve metrics")]
    Metrics(#[source] BindError),
    #[error("cannot start a worker")]
    Start(#[source] io::Error),
    #[error("cannot wait for SIGHUP")]
    Signal(#[source] io::Error),
    #[error("worker {worker} ended unexpectedly")]
    Worker { worker: usize },
    #[error("the predecessor has listeners, and there is no table that says what to do with them")]
    NothingToServe,
}

/// Serves until `stop`, and then until the requests under way have ended.
///
/// # Errors
/// Fails when it cannot start: a bad table file, a listener of that file that cannot be opened, an
/// unusable data directory or access log. Once it serves it does not fail.
pub async fn run(config: Config, source: Source, stop: CancellationToken) -> Result<(), LbError> {
    run_observed(config, source, watch::Sender::default(), stop).await
}

/// Does what `run` does, and shows each report that the control plane gets, or would get.
///
/// A report with a `table_revision` other than 0 says that every listener of that table is bound.
///
/// # Errors
/// As `run`.
pub async fn run_observed(
    config: Config,
    source: Source,
    reports: watch::Sender<NodeReport>,
    stop: CancellationToken,
) -> Result<(), LbError> {
    let (place, _alone) = Place::alone(Vec::new());
    run_in_place(config, source, reports, place, stop).await
}

/// Does what `run_observed` does, in a row of processes that are one node; `place` is where it stands in it.
///
/// # Errors
/// As `run`. A successor also fails when it cannot serve what its predecessor serves.
pub async fn run_in_place(
    config: Config,
    source: Source,
    reports: watch::Sender<NodeReport>,
    place: Place,
    stop: CancellationToken,
) -> Result<(), LbError> {
    let phase = place.phase.clone();
    let is_successor = *phase.borrow() == Phase::Waiting;
    let (log, writer) = config
        .access_log
        .as_deref()
        .map(|path| open_log(path, config.access_log_format, is_successor))
        .transpose()?
        .unzip();
    let reopening = tokio::spawn(keep_reopening(log.clone(), Arc::clone(&place.reopen_log)));
    let _reopening = AbortOnDropHandle::new(reopening);
    let worker_count = config.worker_count();
    let data_dir = config.data_dir.clone();
    let identity = match &source {
        Source::ControlPlane(_) => Identity::load(&data_dir)?,
        Source::File(_) => Identity::passing(),
    };
    let takes_over = is_successor && !place.inherited.is_empty();
    let shared = Arc::new(Shared::new(config, log, phase.clone()));
    if let Some(address) = shared.config.metrics {
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        match metrics::bind(address) {
            Ok(socket) => drop(tokio::spawn(metrics::serve(socket, shared, stop))),
            // It has a predecessor, which can go on better than it can.
            Err(error) if is_successor => return Err(LbError::Metrics(error)),
            Err(error) => {
                tokio::spawn(metrics::serve_later(address, shared, stop, error));
            }
        }
    }
    let workers = (0..worker_count)
        .map(|index| Worker::start(Arc::clone(&shared), index))
        .collect::<Result<Vec<_>, _>>()
        .map_err(LbError::Start)?;
    let newest = watch::Sender::<InForce>::default();
    let (sender, tables) = mpsc::channel(1);
    let session_reports = reports.subscribe();
    let to_save = newest.subscribe();
    // A table file is there at the next start, whatever was saved.
    let (saver, saved) = match source {
        Source::ControlPlane(_) => watch::channel(0),
        Source::File(_) => watch::channel(u64::MAX),
    };
    let mut control = Control::new(
        Arc::clone(&shared),
        workers,
        identity,
        reports,
        newest,
        saved,
        place,
    );
    let feed = match source {
        Source::ControlPlane(control_plane) => {
            let serves = start_from_disk(&mut control, &data_dir).await;
            if !serves && takes_over {
                return Err(LbError::NothingToServe);
            }
            control.report();
            let stop = stop.clone();
            tokio::spawn(async move {
                if in_turn(phase, &stop).await {
                    // Not before: until then the disk is the predecessor's.
                    tokio::spawn(disk::keep_saved(data_dir, to_save, saver));
                    session::keep(control_plane, session_reports, sender, stop).await;
                }
            })
        }
        Source::File(path) => {
            // Before the table is read: a change that is announced at once is not missed.
            let hangup = signal(SignalKind::hangup()).map_err(LbError::Signal)?;
            start_from_file(&mut control, &path).await?;
            tokio::spawn(reread(path, shared, hangup, sender, stop.clone()))
        }
    };
    control.start();
    control.run(tables, &stop).await;
    info!("stopping: requests under way may end");
    let threads = control.stop();
    let joined = tokio::task::spawn_blocking(move || {
        let ended = threads.into_iter().map(std::thread::JoinHandle::join);
        let panicked = ended.collect::<Vec<_>>().iter().position(Result::is_err);
        if let Some(writer) = writer {
            writer.finish();
        }
        panicked
    });
    let panicked = control.finish(joined).await.unwrap_or(None);
    control.until_saved().await;
    feed.abort();
    panicked.map_or(Ok(()), |worker| Err(LbError::Worker { worker }))
}

/// A successor has a predecessor, which can go on better than it can.
fn open_log(
    path: &Path,
    format: AccessLogFormat,
    is_successor: bool,
) -> Result<(AccessLog, Writer), LbError> {
    AccessLog::open(path, format, is_successor).map_err(|cause| LbError::AccessLog {
        path: path.to_owned(),
        cause,
    })
}

/// Opens the access log anew whenever it is asked for.
async fn keep_reopening(log: Option<AccessLog>, asked: Arc<Notify>) {
    loop {
        asked.notified().await;
        if let Some(log) = log.clone() {
            // It blocks while the queue is full.
            tokio::task::spawn_blocking(move || log.reopen());
        }
    }
}

/// Waits until it is this load balancer that serves; returns false if it is to stop before that.
async fn in_turn(mut phase: watch::Receiver<Phase>, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = turn(&mut phase) => true,
    }
}

/// Serves the last known good table, if there is one, until the control plane sends its own; returns whether there is.
async fn start_from_disk(control: &mut Control, data_dir: &Path) -> bool {
    let table = match disk::load(data_dir) {
        Ok(Some(table)) => table,
        Ok(None) => return false,
        Err(error) => {
            warn!(
                error = &error as &dyn std::error::Error,
                "no last known good table"
            );
            return false;
        }
    };
    let revision = table.revision;
    match control.apply(table).await {
        Ok(()) => info!(revision, "serving the last known good routing table"),
        Err(error) => {
            warn!(
                revision,
                error = &error as &dyn std::error::Error,
                "the last known good table is not in force"
            );
            // A port that is taken is opened when it is free; the rest is in force.
            return matches!(error, ApplyError::Worker(WorkerError::Bind(_)));
        }
    }
    true
}

async fn start_from_file(control: &mut Control, path: &Path) -> Result<(), LbError> {
    let table = stamp(file::load(path)?, 1);
    match control.apply(table).await {
        Ok(()) => Ok(()),
        Err(ApplyError::Table(error)) => Err(error.into()),
        Err(ApplyError::Worker(WorkerError::Bind(error))) => Err(error.into()),
        Err(ApplyError::Worker(WorkerError::Gone { worker })) => Err(LbError::Worker { worker }),
    }
}

async fn reread(
    path: PathBuf,
    shared: Arc<Shared>,
    mut hangup: Signal,
    tables: mpsc::Sender<Table>,
    stop: CancellationToken,
) {
    let mut revision = 1;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hangup.recv() => {}
        }
        match file::load(&path) {
            Ok(table) => {
                revision += 1;
                lock(&shared.trouble).refused = None;
                if tables.send(stamp(table, revision)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                lock(&shared.trouble).refused = Some(told(&error));
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the table file is refused; the table stays"
                );
            }
        }
    }
}

fn stamp(mut table: Table, revision: u64) -> Table {
    table.revision = revision;
    FILE.clone_into(&mut table.control_plane_id);
    table
}
