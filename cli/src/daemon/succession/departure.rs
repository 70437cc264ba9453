//! The last of a predecessor: while its requests end it minds the successor, which has taken its place but not its children's, and tells it
//! where it still has requests.

use std::collections::BTreeSet;
use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use roadstead_lb::{Handle, Phase, TargetName};
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::busy::{Word, say};
use super::either;
use super::successor::Successor;

/// What a process may take beyond its limit: its workers end, and the access log is written.
const GRACE: Duration = Duration::from_secs(10);

/// How long the successor may take to hear a word.
const PATIENCE: Duration = Duration::from_secs(1);

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
    pub(super) ended: [Signal; 2],
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
        let (mut runs, mut stops, mut told) = (true, false, None);
        // systemd listens to the successor from now on. One that does not hear where requests are left holds every drain meanwhile.
        self.tell(None, &mut told).await;
        let mut must_hurry = !self.successor.hears();
        loop {
            if must_hurry && !stops {
                stops = true;
                limit = self.limits.stop + GRACE;
                overdue.as_mut().reset(Instant::now() + limit);
                self.handle.enter(Phase::Ending);
            }
            tokio::select! {
                () = &mut overdue => return Err(DepartureError::Overdue(limit)),
                () = either(&mut self.ended) => must_hurry = true,
                Some(()) = self.asked.recv() => {
                    info!(successor = self.successor.pid(), "told to hand over again: passed on to the successor");
                    if let Err(error) = self.successor.ask() {
                        warn!(error = &error as &dyn std::error::Error, "cannot pass it on");
                    }
                }
                Some(progress) = self.handle.changed() => self.tell(progress.busy, &mut told).await,
                ended = self.successor.ended(), if runs => {
                    let status = ended.map_err(DepartureError::Wait)?;
                    if !status.success() {
                        return Err(DepartureError::Alone(status));
                    }
                    // It was told to stop, and so is this process.
                    runs = false;
                    must_hurry = true;
                }
            }
        }
    }

    /// Tells the successor where there are requests, if that is news; it is not waited for long.
    async fn tell(&mut self, busy: Option<BTreeSet<TargetName>>, told: &mut Option<Word>) {
        let word = Word { busy };
        if !self.successor.hears() || told.as_ref() == Some(&word) {
            return;
        }
        let said = match word.line() {
            Ok(line) => timeout(PATIENCE, say(self.successor.link(), &line)).await == Ok(true),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "cannot say where there are requests");
                false
            }
        };
        if !said {
            // It waits for the end of this process then, which it hears too.
            warn!("the successor does not hear where there are requests");
            self.successor.is_deaf();
        }
        *told = Some(word);
    }
}
