//! Turns SIGTERM and SIGINT into the one token that every role listens to.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::error::Error;

/// Returns a token that the first signal cancels; a second signal ends the process at once.
///
/// # Errors
/// Fails when the system refuses the handlers.
pub(super) fn on_signal() -> Result<CancellationToken, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(anyhow::Error::from)?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        // By the signals and not by the token: a load balancer that has handed over is stopping already.
        let mut told = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if std::mem::replace(&mut told, true) {
                std::process::exit(130);
            }
            info!("stopping; a second signal ends the process at once");
            cancel.cancel();
        }
    });
    Ok(stop)
}
