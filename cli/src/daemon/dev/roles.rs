//! Each role on a thread and a runtime of its own, so that a slow step of one holds up no other.

use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::error::Error;
use crate::runtime;

/// One message from each role.
const ROLES: usize = 3;
/// Longer than a load balancer takes to finish its requests.
const ENDING: Duration = Duration::from_secs(40);

/// A role that has ended, and how.
struct End {
    role: &'static str,
    outcome: Result<(), Error>,
}

/// Starts roles. Dropped when the last one has been started.
pub(super) struct Roles {
    stop: CancellationToken,
    report: mpsc::Sender<End>,
}

/// Hears of the ends of roles.
pub(super) struct Ends(mpsc::Receiver<End>);

impl Roles {
    /// Returns a starter of roles that all end with `stop`, and the news of their ends.
    pub(super) fn new(stop: CancellationToken) -> (Self, Ends) {
        let (report, ends) = mpsc::channel(ROLES);
        (Self { stop, report }, Ends(ends))
    }

    /// Starts a role.
    ///
    /// # Errors
    /// Fails when the system refuses the thread.
    pub(super) fn start<R>(&self, role: &'static str, run: R) -> Result<(), Error>
    where
        R: AsyncFnOnce(CancellationToken) -> anyhow::Result<()> + Send + 'static,
    {
        let (stop, report) = (self.stop.clone(), self.report.clone());
        let body = move || {
            let outcome = runtime::block_on(async { run(stop).await.map_err(Error::from) });
            let lost = report.blocking_send(End { role, outcome });
            if lost.is_err() {
                info!(role, "has ended after the process stopped waiting for it");
            }
        };
        let spawned = thread::Builder::new().name(role.to_owned()).spawn(body);
        spawned.map_err(|error| {
            Error::Daemon(anyhow::Error::from(error).context(format!("cannot start {role}")))
        })?;
        Ok(())
    }
}

impl Ends {
    /// Waits for a role that ends before it was told to, and returns why.
    pub(super) async fn next(&mut self) -> Error {
        match self.0.recv().await {
            Some(End {
                role,
                outcome: Err(error),
            }) => named(role, error),
            Some(End {
                role,
                outcome: Ok(()),
            }) => Error::Daemon(anyhow::anyhow!("{role} has ended by itself")),
            None => Error::Daemon(anyhow::anyhow!("every role has ended by itself")),
        }
    }

    /// Waits until every role has ended, and returns the first error.
    ///
    /// # Errors
    /// Fails with the first role that failed, or when one does not end.
    pub(super) async fn all(mut self) -> Result<(), Error> {
        let mut first = Ok(());
        let every = async {
            while let Some(End { role, outcome }) = self.0.recv().await {
                first = std::mem::replace(&mut first, Ok(()))
                    .and(outcome.map_err(|error| named(role, error)));
            }
        };
        match tokio::time::timeout(ENDING, every).await {
            Ok(()) => first,
            Err(_) => Err(Error::Daemon(anyhow::anyhow!("a role does not end"))),
        }
    }
}

fn named(role: &str, error: Error) -> Error {
    Error::Daemon(anyhow::Error::from(error).context(format!("{role} has failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_role_that_fails_is_named() {
        let (roles, mut ends) = Roles::new(CancellationToken::new());
        roles
            .start("lb", async |_stop| Err(anyhow::anyhow!("port 80 is taken")))
            .unwrap();
        let report = ends.next().await.report().unwrap();
        assert_eq!(report, "error: lb has failed: port 80 is taken");
    }

    #[tokio::test]
    async fn every_role_ends_with_the_token() {
        let stop = CancellationToken::new();
        let (roles, ends) = Roles::new(stop.clone());
        for role in ["server", "agent"] {
            let until_stopped = async |stop: CancellationToken| {
                stop.cancelled().await;
                Ok(())
            };
            roles.start(role, until_stopped).unwrap();
        }
        drop(roles);
        stop.cancel();
        ends.all().await.unwrap();
    }
}
