//! A worker: one thread with a runtime of its own, which accepts connections and serves them.
//!
//! Each worker has a socket of its own for every listener, bound with SO_REUSEPORT, and the kernel spreads the clients;
//! after a change of their number a worker may have several, or share one. Nothing that a request touches is moved to
//! another core, except what `target` shares.

pub(crate) mod listener;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::shared::{Door, Shared};
use crate::succession::Phase;
pub use listener::BindError;

const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// How long an unused connection is kept once a successor serves. Its client may just be sending a request, and cannot be
/// told not to; one that has sent none for so long hardly is.
pub(crate) const LAST_REQUEST: Duration = Duration::from_secs(5);

/// How long a worker may take for a command; it does nothing that blocks.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// Why a worker did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("cannot open a listener")]
    Bind(#[from] BindError),
    #[error("worker {worker} does not answer")]
    Gone { worker: usize },
}

#[derive(Debug)]
enum Command {
    Open(
        Arc<Door>,
        Vec<TcpListener>,
        oneshot::Sender<Result<(), BindError>>,
    ),
    Pass(oneshot::Sender<Result<(), BindError>>),
}

/// The control loop's end of a worker. Dropping it closes every listener and lets requests end.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    commands: mpsc::Sender<Command>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a thread that waits for listeners to open.
    pub(crate) fn start(shared: Arc<Shared>, index: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (commands, receiver) = mpsc::channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("lb-worker-{index}"))
            .spawn(move || runtime.block_on(work(shared, index, receiver)))?;
        Ok(Self {
            index,
            commands,
            thread,
        })
    }

    /// Opens a listener: accepts from these sockets.
    pub(crate) async fn open(
        &self,
        door: &Arc<Door>,
        sockets: Vec<TcpListener>,
    ) -> Result<(), WorkerError> {
        let (done, answer) = oneshot::channel();
        self.command(Command::Open(Arc::clone(door), sockets, done), answer)
            .await
    }

    /// Returns once the worker has let go of any table that was replaced before this call.
    ///
    /// A worker chooses a target without pausing, so between two tasks it holds no table.
    pub(crate) async fn pass(&self) -> Result<(), WorkerError> {
        let (done, answer) = oneshot::channel();
        self.command(Command::Pass(done), answer).await
    }

    async fn command(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<(), BindError>>,
    ) -> Result<(), WorkerError> {
        let gone = WorkerError::Gone { worker: self.index };
        let exchange = async {
            self.commands.send(command).await.ok()?;
            answer.await.ok()
        };
        match timeout(COMMAND_DEADLINE, exchange).await {
            Ok(Some(result)) => Ok(result?),
            Ok(None) | Err(_) => Err(gone),
        }
    }

    /// Stops accepting; returns the thread, which ends with its last request.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.thread
    }
}

async fn work(shared: Arc<Shared>, index: usize, mut commands: mpsc::Receiver<Command>) {
    let connections = TaskTracker::new();
    let mut doors: Vec<Arc<Door>> = Vec::new();
    let mut trim = interval(TRIM_INTERVAL);
    trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            _ = trim.tick() => {
                trim_pools(&shared, index);
                continue;
            }
        };
        // Nobody waits for an answer any more when the send fails.
        match command {
            None => break,
            Some(Command::Pass(done)) => drop(done.send(Ok(()))),
            Some(Command::Open(door, sockets, done)) => {
                let address = SocketAddr::new(shared.config.bind, door.port);
                let opened = listener::watch(sockets, address);
                drop(done.send(opened.map(|listeners| {
                    doors.retain(|door| !door.closing.is_given());
                    doors.push(Arc::clone(&door));
                    for listener in listeners {
                        let (shared, door) = (Arc::clone(&shared), Arc::clone(&door));
                        let tracker = connections.clone();
                        connections.spawn(listener::accept(listener, shared, index, door, tracker));
                    }
                })));
            }
        }
    }
    for door in &doors {
        door.closing.give();
    }
    // HTTP/2 has a word for it that loses no request.
    shared.alarm.ring();
    connections.close();
    let close_unused = async {
        if *shared.phase.borrow() == Phase::Leaving {
            sleep(LAST_REQUEST.min(shared.config.handover_timeout)).await;
        }
        for door in &doors {
            door.close();
        }
        shared.alarm.ring();
        std::future::pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            () = connections.wait() => {}
            () = close_unused => {}
        }
    };
    let has_ended = tokio::select! {
        () = ended => true,
        () = limit(&shared) => false,
    };
    if !has_ended {
        let left = connections.len();
        warn!(
            worker = index,
            left, "connections are closed with their requests under way"
        );
    }
}

/// Waits as long as requests may still go on: beside a successor for longer than when nobody serves.
async fn limit(shared: &Shared) {
    let mut phase = shared.phase.clone();
    let config = &shared.config;
    if *phase.borrow() == Phase::Leaving {
        tokio::select! {
            () = sleep(config.handover_timeout) => return,
            Ok(_) = phase.wait_for(|phase| *phase != Phase::Leaving) => {}
        }
    }
    sleep(config.stop_timeout).await;
}

fn trim_pools(shared: &Shared, index: usize) {
    let table = shared.table.load();
    for target in table.groups.iter().flat_map(|group| &group.targets) {
        target.pool().trim(index, shared.config.pool_timeout);
        target.http2_pool().trim(index);
    }
}
