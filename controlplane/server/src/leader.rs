//! Leadership: the reconcile loops and the memory of the sessions live exactly as long as it does.

use std::sync::Arc;
use std::time::Duration;

use roadstead_client::Backoff;
use roadstead_core::Command;
use roadstead_core::state::Identity;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tracing::{info, warn};

use crate::presence::Presence;
use crate::raft::{Leadership, Node};
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
#[derive(Debug, Clone)]
pub(crate) struct Reigns {
    node: Arc<Node>,
    current: watch::Receiver<Option<Arc<Reign>>>,
}

impl Reigns {
    /// Returns this server's reign, or the answer that sends the caller to the leader.
    pub(crate) fn current(&self) -> Result<Arc<Reign>, Status> {
        self.current
            .borrow()
            .clone()
            .ok_or_else(|| self.not_leader())
    }

    pub(crate) fn not_leader(&self) -> Status {
        match self.node.leadership() {
            Leadership::Elsewhere(leader) => roadstead_client::not_leader(leader.as_ref()),
            Leadership::Here { .. } => {
                Status::unavailable("this server has just become the leader; try again")
            }
        }
    }
}

/// Follows the leadership until `stop`, on a task of `tasks`.
pub(crate) fn follow(
    node: &Arc<Node>,
    config: &Arc<Config>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Reigns {
    let (sender, current) = watch::channel(None);
    let (node, config) = (Arc::clone(node), Arc::clone(config));
    let reigns = Reigns {
        node: Arc::clone(&node),
        current,
    };
    tasks.spawn(async move {
        let mut leadership = node.leadership();
        loop {
            let next = match &leadership {
                Leadership::Here { term } => {
                    info!(term, "this server leads");
                    reign(&node, &config, &leadership, &sender, &stop).await
                }
                Leadership::Elsewhere(leader) => {
                    let leader = leader.as_ref().map(tracing::field::display);
                    info!(leader, "another server leads");
                    moved(&node, &leadership, &stop).await
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
async fn reign(
    node: &Arc<Node>,
    config: &Arc<Config>,
    leadership: &Leadership,
    current: &watch::Sender<Option<Arc<Reign>>>,
    stop: &CancellationToken,
) -> Option<Leadership> {
    // Sessions hand out the control plane's name: there are none before it has one.
    tokio::select! {
        () = name_control_plane(node, config) => {}
        next = moved(node, leadership, stop) => return next,
    }
    let reign = Arc::new(Reign {
        presence: Presence::new(),
        ended: CancellationToken::new(),
    });
    let loops = TaskTracker::new();
    reconcile::spawn(node, config, &reign, &loops);
    loops.close();
    current.send_replace(Some(Arc::clone(&reign)));
    let next = moved(node, leadership, stop).await;
    current.send_replace(None);
    reign.ended.cancel();
    loops.wait().await;
    next
}

async fn moved(node: &Node, known: &Leadership, stop: &CancellationToken) -> Option<Leadership> {
    tokio::select! {
        () = stop.cancelled() => None,
        next = node.leadership_changed(known) => next,
    }
}

/// The first leader of all gives the control plane its name; every later one finds it there.
async fn name_control_plane(node: &Node, config: &Config) {
    let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let named = async {
            if !node.read().await?.identity.control_plane_id.is_empty() {
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
            drop(node.write(Command::NameControlPlane(identity)).await?);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        };
        let Err(error) = named.await else { return };
        warn!(
            error = &*error as &dyn std::error::Error,
            "cannot begin to lead; trying again"
        );
        tokio::time::sleep(pauses.pause()).await;
    }
}
