//! The session with the control plane: tables come, reports go.
//!
//! Both are complete each time, so that nothing depends on what a lost connection carried. Reports
//! pass through a watch channel: of those that cannot be sent in time, the newest is.

mod identity;

use std::time::Duration;

use roadstead_client::{Backoff, ConnectError, ControlPlane};
use roadstead_proto::lb::load_balancer_session_client::LoadBalancerSessionClient;
use roadstead_proto::lb::{NodeReport, Table};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{info, warn};

pub(crate) use identity::Identity;
pub use identity::{IdentityError, node_id};

const OPEN_DEADLINE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MOST_PAUSE: Duration = Duration::from_secs(2);

/// A table of a million targets is half of this.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("the control plane is out of reach")]
    Connect(#[from] ConnectError),
    #[error("the control plane does not open a session")]
    Slow,
    #[error("the control plane ended the session")]
    Refused(#[from] Status),
    #[error("the control plane closed the session")]
    Closed,
}

/// Keeps a session open until `stop`.
pub(crate) async fn keep(
    control_plane: ControlPlane,
    reports: watch::Receiver<NodeReport>,
    tables: mpsc::Sender<Table>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(FIRST_PAUSE, MOST_PAUSE);
    loop {
        let session = converse(&control_plane, &reports, &tables, &mut backoff);
        let error = tokio::select! {
            () = stop.cancelled() => return,
            error = session => error,
        };
        if let SessionError::Refused(status) = &error
            && control_plane.learn(status)
        {
            backoff.reset();
        }
        warn!(
            error = &error as &dyn std::error::Error,
            "no session with the control plane; serving on"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(backoff.pause()) => {}
        }
    }
}

async fn converse(
    control_plane: &ControlPlane,
    reports: &watch::Receiver<NodeReport>,
    tables: &mpsc::Sender<Table>,
    backoff: &mut Backoff,
) -> SessionError {
    let outcome: Result<(), SessionError> = async {
        let channel = control_plane.connect().await?;
        let mut client =
            LoadBalancerSessionClient::new(channel).max_decoding_message_size(MOST_BYTES);
        let session = client.session(WatchStream::new(reports.clone()));
        let response = timeout(OPEN_DEADLINE, session)
            .await
            .map_err(|_elapsed| SessionError::Slow)?;
        let mut stream = response?.into_inner();
        while let Some(mut table) = stream.message().await? {
            backoff.reset();
            info!(revision = table.revision, "routing table received");
            // They are no part of what is routed: a table is the same without them.
            control_plane.learn_servers(&std::mem::take(&mut table.servers));
            if tables.send(table).await.is_err() {
                break; // The control loop has ended, and we are about to be stopped.
            }
        }
        Err(SessionError::Closed)
    }
    .await;
    outcome.err().unwrap_or(SessionError::Closed)
}
