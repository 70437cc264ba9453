//! The last of a predecessor: while its requests end it minds the successor, which has taken its place but not its children's.

use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::successor::Successor;

/// What a process may take beyond `stop_timeout`: its workers end, and the access log is written.
const GRACE: Duration = Duration::from_secs(10);

/// Why a predecessor ends at once, with the requests that it has.
#[derive(Debug, thiserror::Error)]
enum DepartureError {
    /// Nobody accepts connections, and whoever starts this load balancer does not know before this process has ended.
    #[error("the successor has ended with {0}")]
    Alone(ExitStatus),
    #[error("cannot wait for the successor's end")]
    Wait(#[source] io::Error),
    /// Until it ends, no drain of this node does.
    #[error("this process has not ended within {} s", .0.as_secs())]
    Overdue(Duration),
}

/// Goes on until the process ends, which `limit` and a little more after this it does in any case.
pub(super) async fn depart(mut successor: Successor, mut asked: Signal, limit: Duration) {
    if let Err(reason) = mind(&mut successor, &mut asked, limit + GRACE).await {
        error!(
            error = &reason as &dyn std::error::Error,
            "ending at once, so that the load balancer can be started again"
        );
        std::process::exit(1);
    }
}

async fn mind(
    successor: &mut Successor,
    asked: &mut Signal,
    limit: Duration,
) -> Result<(), DepartureError> {
    let mut overdue = pin!(sleep(limit));
    let mut runs = true;
    loop {
        tokio::select! {
            () = &mut overdue => return Err(DepartureError::Overdue(limit)),
            Some(()) = asked.recv() => {
                info!(successor = successor.pid(), "told to hand over again: passed on to the successor");
                if let Err(error) = successor.ask() {
                    warn!(error = &error as &dyn std::error::Error, "cannot pass it on");
                }
            }
            ended = successor.ended(), if runs => {
                let status = ended.map_err(DepartureError::Wait)?;
                if !status.success() {
                    return Err(DepartureError::Alone(status));
                }
                // It was told to stop, and so is this process.
                runs = false;
            }
        }
    }
}
