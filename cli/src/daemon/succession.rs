//! How a load balancer is replaced by its successor, without a moment at which nobody serves.
//!
//!     predecessor                              successor
//!     SIGUSR2: no other table from now on
//!     starts it, with sockets and lock  ────►  opens what its table says, probes
//!                                       ◄────  READY
//!     GO                                ────►  accepts, and opens its session
//!     names it to systemd, and says so         lets no drain end yet
//!     accepts no more, ends its requests
//!     says where it still has some      ────►  lets drains of all other targets end
//!     ends: the link closes             ────►  is alone
//!
//! Until GO nothing has changed: when anything goes wrong before it, the predecessor serves on as it did.

mod busy;
mod departure;
mod inheritance;
mod successor;

use std::io;
use std::net::TcpListener;
use std::process::ExitStatus;
use std::time::Duration;

use roadstead_lb::{Handle, Phase, Place, Progress};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::data_dir::Claim;
use super::systemd::{self, Store};
use busy::hear;
use departure::Departure;
pub(super) use departure::Limits;
pub(super) use inheritance::{Inheritance, Predecessor, inherited};
use successor::Successor;

/// The bytes that are said over the link.
const READY: u8 = b'R';
const GO: u8 = b'G';
/// Behind READY: it hears where the predecessor still has requests. Who is older does not say it, or passes it over.
const HEARS: u8 = b'H';
/// How long a successor may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why this process serves on, though it was told to hand over.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandoverError {
    #[error("the newest routing table is not on the disk within {} s, where a successor would read it", PATIENCE.as_secs())]
    Unsaved,
    #[error("cannot start {program} as the successor")]
    Start {
        program: String,
        #[source]
        cause: io::Error,
    },
    #[error("the successor ended with {0}; it has said why")]
    Ended(ExitStatus),
    #[error("the successor has closed its link and does not end")]
    Silent,
    #[error("the successor was not ready within {} s", PATIENCE.as_secs())]
    Slow,
    #[error("the successor did not hear that it shall serve")]
    Go(#[source] io::Error),
    #[error("this process is stopping")]
    Stopping,
}

/// Why a successor does not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum SuccessionError {
    #[error("cannot wait for SIGUSR2, SIGUSR1 and SIGHUP")]
    Signal(#[source] io::Error),
    #[error("cannot use the link to the predecessor")]
    Link(#[source] io::Error),
    #[error("the predecessor does not give way")]
    Refused(#[source] io::Error),
}

/// A process of a load balancer between the one before it and the one after it.
#[derive(Debug)]
pub(super) struct Succession {
    handle: Handle,
    asked: Signal,
    claim: Option<Claim>,
    predecessor: Option<UnixStream>,
    store: Store,
    limits: Limits,
    stop: CancellationToken,
}

impl Succession {
    /// Returns the succession, and the load balancer's place in it; `kept` is what systemd has kept of processes that have ended.
    /// From now on neither SIGUSR2, SIGUSR1 nor SIGHUP ends the process.
    ///
    /// # Errors
    /// Fails when the system refuses the handler, or the link.
    pub(super) fn new(
        claim: Option<Claim>,
        predecessor: Option<Predecessor>,
        (store, kept): (Store, Vec<TcpListener>),
        limits: Limits,
        stop: CancellationToken,
    ) -> Result<(Self, Place), SuccessionError> {
        let listen = |kind| signal(kind).map_err(SuccessionError::Signal);
        let asked = listen(SignalKind::user_defined2())?;
        // As nginx does, and logrotate asks for.
        let mut log_moved = [
            listen(SignalKind::hangup())?,
            listen(SignalKind::user_defined1())?,
        ];
        let (predecessor, store, (place, handle)) = match predecessor {
            None => (None, store, Place::alone(kept)),
            Some(Predecessor { link, sockets }) => {
                let link = watched(link).map_err(SuccessionError::Link)?;
                let store = Store::after(&sockets);
                (Some(link), store, Place::after(sockets))
            }
        };
        let open_log = handle.log_opener();
        // To the end of the process, whatever it is in its row.
        tokio::spawn(async move {
            loop {
                either(&mut log_moved).await;
                open_log();
            }
        });
        let succession = Self {
            handle,
            asked,
            claim,
            predecessor,
            store,
            limits,
            stop,
        };
        Ok((succession, place))
    }

    /// Takes over from the predecessor, if there is one, and hands over when told to, until this load balancer stops. To be
    /// kept until that has ended, with the data directory. The successor takes the end of this process for the end of its requests.
    ///
    /// # Errors
    /// Fails when the predecessor serves on; then this load balancer is stopped.
    pub(super) async fn keep(mut self) -> Result<Option<Claim>, SuccessionError> {
        match self.predecessor.take() {
            None => {
                if let Some(progress) = self.handle.until(|progress| progress.ready).await {
                    self.keep_sockets(&progress);
                    systemd::ready();
                }
            }
            Some(link) => {
                if let Err(error) = self.take_over(link).await {
                    self.stop.cancel();
                    return Err(error);
                }
            }
        }
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(self.claim),
                _ = self.asked.recv() => {}

                Some(progress) = self.handle.changed() => {
                    self.keep_sockets(&progress);
                    continue;
                }
            }
            match self.hand_over().await {
                Ok(successor) => {
                    info!(successor = successor.pid(), "handed over");
                    self.handle.enter(Phase::Leaving);
                    self.stop.cancel();
                    self.name(successor.pid());
                    let departure = Departure {
                        successor,
                        handle: self.handle,
                        asked: self.asked,
                        ended: [
                            signal(SignalKind::terminate()).map_err(SuccessionError::Signal)?,
                            signal(SignalKind::interrupt()).map_err(SuccessionError::Signal)?,
                        ],
                        limits: self.limits,
                    };
                    tokio::spawn(departure.take());
                    return Ok(self.claim);
                }
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "not handed over; serving on"
                    );
                    self.handle.enter(Phase::Alone);
                    // Or the next handover could take the state of this one for its own.
                    let alone = |progress: &Progress| progress.phase == Phase::Alone;
                    self.handle.until(alone).await;
                }
            }
        }
    }

    async fn take_over(&mut self, mut link: UnixStream) -> Result<(), SuccessionError> {
        if self.handle.until(|progress| progress.ready).await.is_none() {
            // It has said why.
            return Ok(());
        }
        let told = async {
            link.write_all(&[READY, HEARS]).await?;
            link.read_u8().await
        };
        let told = tokio::select! {
            // The link closes with this process, which tells the predecessor not to give way.
            () = self.stop.cancelled() => return Ok(()),
            told = told => told,
        };
        match told {
            Ok(GO) => {}
            Ok(other) => {
                let error = io::Error::other(format!("it says {other}"));
                return Err(SuccessionError::Refused(error));
            }
            Err(error) => return Err(SuccessionError::Refused(error)),
        }
        self.handle.enter(Phase::Joined);
        info!("taken over; the predecessor ends its requests");
        let (sender, mut words) = mpsc::channel(1);
        tokio::spawn(hear(link, sender));
        // From its first word on systemd listens to this process.
        let mut is_main = false;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                word = words.recv() => match word {
                    Some(word) => {
                        is_main = true;
                        self.handle.predecessor_has(word.busy);
                    }
                    None => break,
                },
                Some(progress) = self.handle.changed(), if is_main => self.keep_sockets(&progress),
            }
        }
        info!("the predecessor has ended");
        self.handle.enter(Phase::Alone);
        Ok(())
    }

    /// Lets systemd keep the listening sockets, as far as this process has them: not any more when it stops.
    fn keep_sockets(&mut self, progress: &Progress) {
        if progress.phase.serves() && progress.ready {
            self.store.keep(&progress.sockets);
        }
    }

    /// Starts a successor and lets it serve. After an error there is none.
    async fn hand_over(&mut self) -> Result<Successor, HandoverError> {
        info!("handing over to a successor");
        let deadline = Instant::now() + PATIENCE;
        self.handle.enter(Phase::HandingOver);
        let frozen = self
            .handle
            .until(|progress| progress.phase == Phase::HandingOver && progress.saved);
        let progress = tokio::select! {
            () = self.stop.cancelled() => return Err(HandoverError::Stopping),
            frozen = timeout_at(deadline, frozen) => frozen.map_err(|_elapsed| HandoverError::Unsaved)?,
        };
        let progress = progress.ok_or(HandoverError::Stopping)?;
        let lock = self.claim.as_ref().map(Claim::lock);
        let mut successor = Successor::start(lock, &progress.sockets)?;
        // A socket that is kept would outlive the listener.
        drop(progress);
        let ready = tokio::select! {
            () = self.stop.cancelled() => Err(HandoverError::Stopping),
            ready = timeout_at(deadline, successor.ready()) => ready.unwrap_or(Err(HandoverError::Slow)),
        };
        match ready.and_then(|()| successor.go().map_err(HandoverError::Go)) {
            Ok(()) => Ok(successor),
            Err(error) => {
                if let Err(error) = successor.end().await {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "cannot wait for the successor's end");
                }
                Err(error)
            }
        }
    }

    /// Says who the load balancer is from now on. systemd must know it when this process, its main one until then, ends.
    fn name(&self, pid: u32) {
        systemd::main_process(pid);
        if let Some(claim) = &self.claim
            && let Err(error) = claim.name_owner(pid)
        {
            warn!(
                error = &error as &dyn std::error::Error,
                "cannot write down who owns the data directory"
            );
        }
    }
}

async fn either(signals: &mut [Signal; 2]) {
    let [one, other] = signals;
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn watched(link: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
    link.set_nonblocking(true)?;
    UnixStream::from_std(link)
}
