//! The last of a predecessor: while its requests end it minds the successor, which has taken its place but not its children's, and tells it
//! where it still has requests.

use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use roadstead_lb::{Handle, Phase, Progress};
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::busy::{Word, say};
use super::successor::Successor;

/// What a process may take beyond its limit: its workers end, and the access log is written.
const GRACE: Duration = Duration::from_secs(10);

/// Why a predecessor ends at once, with the requests that it has.
#[derive(Debug, thiserror::Error)]
enum DepartureError {
    /// Nobody accepts connections, and whoever starts this load balancer does not know before this process has ended.
    #[error("the successor has ended with {0}")]
    Alone(ExitStatus),
    #[error("cannot wait for the successor's end")]
    Wait(#[source] io::Error),
    /// Until it ends, no drain of its targets does.
    #[error("this process has not ended within {} s", .0.as_secs())]
    Overdue(Duration),
}

/// How long a process may still have requests.
#[derive(Debug, Clone, Copy)]
pub(in crate::daemon) struct Limits {
    /// Beside its successor.
    pub(in crate::daemon) handover: Duration,
    /// After the order to stop.
    pub(in crate::daemon) stop: Duration,
}

/// A process that has handed over.
pub(super) struct Departure {
    pub(super) successor: Successor,
    pub(super) handle: Handle,
    /// Told to hand over once more.
    pub(super) asked: Signal,
    /// Told to stop.
    pub(super) terminate: Signal,
    pub(super) limits: Limits,
}

impl Departure {
    /// Goes on until the process ends, which its limit and a little more after this it does in any case.
    pub(super) async fn take(mut self) {
        if let Err(reason) = self.mind().await {
            error!(
                error = &reason as &dyn std::error::Error,
                "ending at once, so that the load balancer can be started again"
            );
            std::process::exit(1);
        }
    }

    async fn mind(&mut self) -> Result<(), DepartureError> {
        let mut limit = self.limits.handover + GRACE;
        let mut overdue = pin!(sleep(limit));
        let (mut runs, mut stops) = (true, false);
        loop {
            let told_to_stop = tokio::select! {
                () = &mut overdue => return Err(DepartureError::Overdue(limit)),
                Some(()) = self.terminate.recv() => true,
                Some(()) = self.asked.recv() => {
                    info!(successor = self.successor.pid(), "told to hand over again: passed on to the successor");
                    if let Err(error) = self.successor.ask() {
                        warn!(error = &error as &dyn std::error::Error, "cannot pass it on");
                    }
                    false
                }
                Some(progress) = self.handle.changed() => {
                    self.tell(progress).await;
                    false
                }
                ended = self.successor.ended(), if runs => {
                    let status = ended.map_err(DepartureError::Wait)?;
                    if !status.success() {
                        return Err(DepartureError::Alone(status));
                    }
                    // It was told to stop, and so is this process, or whoever starts the load balancer again waits for it.
                    runs = false;
                    true
                }
            };
            if told_to_stop && !stops {
                stops = true;
                limit = self.limits.stop + GRACE;
                overdue.as_mut().reset(Instant::now() + limit);
                self.handle.enter(Phase::Ending);
            }
        }
    }

    /// Tells the successor where there are requests, once no more begin.
    async fn tell(&mut self, progress: Progress) {
        let Some(busy) = progress.busy.filter(|_| self.successor.hears()) else {
            return;
        };
        match (Word { busy }).line() {
            Ok(line) => {
                if !say(self.successor.link(), &line).await {
                    // It waits for the end of this process then, which it hears too.
                    warn!("the successor does not hear where there are requests");
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "cannot say where there are requests");
            }
        }
    }
}
