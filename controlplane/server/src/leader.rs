//! Leadership: the reconcile loops and the memory of the sessions live exactly as long as it does.

use std::sync::Arc;

use roadstead_core::Command;
use roadstead_core::state::Identity;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tracing::{info, warn};

use crate::presence::Presence;
use crate::raft::{Leadership, Node};
use crate::{Config, id, reconcile};

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
            let reign = match &leadership {
                Leadership::Here { term } => {
                    info!(term, "this server leads");
                    Some(begin(&node, &config).await)
                }
                Leadership::Elsewhere(leader) => {
                    info!(
                        leader = leader.as_ref().map(tracing::field::display),
                        "another server leads"
                    );
                    None
                }
            };
            if let Some((reign, _)) = &reign {
                sender.send_replace(Some(Arc::clone(reign)));
            }
            let next = tokio::select! {
                () = stop.cancelled() => None,
                next = node.leadership_changed(&leadership) => next,
            };
            sender.send_replace(None);
            if let Some((reign, loops)) = reign {
                reign.ended.cancel();
                loops.wait().await;
            }
            match next {
                Some(next) => leadership = next,
                None => return,
            }
        }
    });
    reigns
}

async fn begin(node: &Arc<Node>, config: &Arc<Config>) -> (Arc<Reign>, TaskTracker) {
    let reign = Arc::new(Reign {
        presence: Presence::new(),
        ended: CancellationToken::new(),
    });
    name_control_plane(node, config).await;
    let loops = TaskTracker::new();
    reconcile::spawn(node, config, &reign, &loops);
    loops.close();
    (reign, loops)
}

/// The first leader of all gives the control plane its name; every later one finds it there.
async fn name_control_plane(node: &Node, config: &Config) {
    let named = async {
        if !node.read().await?.identity.control_plane_id.is_empty() {
            return Ok(());
        }
        let identity = Identity {
            control_plane_id: id::hex32(),
            region: config.region.clone(),
            account: config.account.clone(),
        };
        // A rejection means that another leader was faster: it has a name.
        node.write(Command::NameControlPlane(identity))
            .await
            .map(|_| ())
    };
    if let Err(error) = named.await {
        warn!(
            error = &error as &dyn std::error::Error,
            "leadership was lost before it began"
        );
    }
}
