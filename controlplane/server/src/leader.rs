//! Leadership: the reconcile loops and the memory of the sessions live exactly as long as it does.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::Command;
use roadstead_core::state::Identity;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tracing::{info, warn};

use crate::log::{Leadership, Log};
use crate::presence::Presence;
use crate::raft::Node;
use crate::{Config, id, pki, reconcile};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One term of this server as the leader.
#[derive(Debug)]
pub(crate) struct Reign {
    pub(crate) presence: Presence,
    /// Cancelled when another server leads: sessions end and find it.
    pub(crate) ended: CancellationToken,
}

/// Tells who leads, to sessions and views that only the leader can serve.
#[derive(Debug)]
pub(crate) struct Reigns<L = Node> {
    log: Arc<L>,
    current: watch::Receiver<Option<Arc<Reign>>>,
}

impl<L> Clone for Reigns<L> {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            current: self.current.clone(),
        }
    }
}

impl<L: Log> Reigns<L> {
    /// Returns this server's reign, or the answer that sends the caller to the leader.
    pub(crate) fn current(&self) -> Result<Arc<Reign>, Status> {
        self.current
            .borrow()
            .clone()
            .ok_or_else(|| self.not_leader())
    }

    pub(crate) fn not_leader(&self) -> Status {
        match self.log.leadership() {
            Leadership::Elsewhere(leader) => roadstead_client::not_leader(leader.as_ref()),
            Leadership::Here { .. } => {
                Status::unavailable("this server has just become the leader; try again")
            }
        }
    }
}

/// Follows the leadership until `stop`, on a task of `tasks`.
pub(crate) fn follow<L: Log>(
    log: &Arc<L>,
    config: &Arc<Config>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Reigns<L> {
    let (sender, current) = watch::channel(None);
    let (log, config) = (Arc::clone(log), Arc::clone(config));
    let reigns = Reigns {
        log: Arc::clone(&log),
        current,
    };
    tasks.spawn(async move {
        let mut leadership = log.leadership();
        loop {
            let next = match &leadership {
                Leadership::Here { term } => {
                    info!(term, "this server leads");
                    reign(&log, &config, &leadership, &sender, &stop).await
                }
                Leadership::Elsewhere(leader) => {
                    match leader {
                        Some(leader) => info!(%leader, "another server leads"),
                        None => info!("no server is known to lead"),
                    }
                    moved(&*log, &leadership, &stop).await
                }
            };
            match next {
                Some(next) => leadership = next,
                None => return,
            }
        }
    });
    reigns
}

/// Leads until another server does; returns who leads then, or `None` at the end of this server.
async fn reign<L: Log>(
    log: &Arc<L>,
    config: &Arc<Config>,
    leadership: &Leadership,
    current: &watch::Sender<Option<Arc<Reign>>>,
    stop: &CancellationToken,
) -> Option<Leadership> {
    // Sessions hand out the control plane's name: there are none before it has one.
    tokio::select! {
        biased;
        next = moved(&**log, leadership, stop) => return next,
        () = name_control_plane(&**log, config) => {}
    }
    let reign = Arc::new(Reign {
        presence: Presence::new(),
        ended: CancellationToken::new(),
    });
    let loops = TaskTracker::new();
    reconcile::spawn(log, config, &reign, &loops);
    loops.close();
    current.send_replace(Some(Arc::clone(&reign)));
    let next = moved(&**log, leadership, stop).await;
    current.send_replace(None);
    reign.ended.cancel();
    loops.wait().await;
    next
}

async fn moved(log: &impl Log, known: &Leadership, stop: &CancellationToken) -> Option<Leadership> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        next = log.leadership_changed(known) => next,
    }
}

/// The first leader of all gives the control plane its name; every later one finds it there.
async fn name_control_plane(log: &impl Log, config: &Config) {
    // Without jitter: only one server leads, so there is no herd to spread.
    let mut pause = FIRST_PAUSE;
    loop {
        let named = async {
            if !log.read().await?.identity.control_plane_id.is_empty() {
                return Ok(());
            }
            let control_plane_id = id::hex32();
            let identity = Identity {
                authority: Some(pki::create_authority(&control_plane_id)?),
                control_plane_id,
                region: config.region.clone(),
                account: config.account.clone(),
            };
            // A rejection means that another leader was faster: it has a name.
            drop(log.write(Command::NameControlPlane(identity)).await?);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        };
        let Err(error) = named.await else { return };
        warn!(
            error = &*error as &dyn std::error::Error,
            "cannot begin to lead; trying again"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
