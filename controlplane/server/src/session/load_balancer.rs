//! The session of a load balancer: the routing table, and what became of its targets.

use std::pin::Pin;
use std::sync::Arc;

use roadstead_core::Command;
use roadstead_core::id::NodeId;
use roadstead_core::state::join::Role;
use roadstead_proto::lb::load_balancer_session_server::LoadBalancerSession;
use roadstead_proto::lb::{NodeReport, Table};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::load_balancer_certificates::Certificates;
use super::load_balancer_convert as convert;
use crate::api::status;
use crate::leader::{Reign, Reigns};
use crate::log::{Endpoints, Log};
use crate::raft::Node;
use crate::sealing::Sealing;
use crate::{authorize, clock};

/// Tables on their way to one load balancer.
const QUEUE: usize = 4;

/// Serves the sessions of load balancers.
#[derive(Debug)]
pub(crate) struct LoadBalancers<L = Node> {
    log: Arc<L>,
    reigns: Reigns<L>,
    /// Opens what a table has of secrets; the simulation has none.
    sealing: Option<Arc<Sealing>>,
    stop: CancellationToken,
}

impl<L: Log> LoadBalancers<L> {
    pub(crate) fn new(log: &Arc<L>, reigns: &Reigns<L>, stop: CancellationToken) -> Self {
        Self {
            log: Arc::clone(log),
            reigns: reigns.clone(),
            sealing: None,
            stop,
        }
    }

    /// Lets tables have the certificates of listeners.
    #[must_use]
    pub(crate) fn sealed_by(self, sealing: &Arc<Sealing>) -> Self {
        let sealing = Some(Arc::clone(sealing));
        Self { sealing, ..self }
    }

    /// Opens a session with a load balancer for which `itself` lets the caller speak.
    pub(crate) async fn open<S>(
        &self,
        itself: impl Fn(&str) -> Result<(), Status>,
        mut reports: S,
    ) -> Result<ReceiverStream<Table>, Status>
    where
        S: Stream<Item = Result<NodeReport, Status>> + Send + Unpin + 'static,
    {
        let reign = self.reigns.current()?;
        let Some(first) = reports.next().await.transpose()? else {
            return Err(Status::invalid_argument(
                "a session begins with a report that names the node",
            ));
        };
        let id = convert::node_id(&first)?;
        itself(id.as_str())?;
        let (tables, outgoing) = mpsc::channel(QUEUE);
        info!(node = %id, "load balancer connected");
        let present = reign.presence.node_joined(&id);
        let session = Session {
            log: Arc::clone(&self.log),
            reign: Arc::clone(&reign),
            sealing: self.sealing.clone(),
            id: id.clone(),
            tables,
            sent: None,
            certificates: Certificates::default(),
        };
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                () = reign.ended.cancelled() => Ok(()),
                () = present.superseded.cancelled() => Ok(()),
                end = session.run(first, reports) => end,
            };
            match end {
                Ok(()) => info!(node = %id, "load balancer session ended"),
                Err(status) => {
                    warn!(node = %id, reason = status.message(), "load balancer session failed");
                }
            }
            reign.presence.node_left(&id, &present);
        });
        Ok(ReceiverStream::new(outgoing))
    }
}

#[tonic::async_trait]
impl LoadBalancerSession for LoadBalancers {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<Table, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let itself = authorize::itself(&request, Role::LoadBalancer);
        let outgoing = self.open(itself, request.into_inner()).await?;
        Ok(Response::new(Box::pin(outgoing.map(Ok))))
    }
}

struct Session<L> {
    log: Arc<L>,
    reign: Arc<Reign>,
    sealing: Option<Arc<Sealing>>,
    id: NodeId,
    tables: mpsc::Sender<Table>,
    /// The routing version and the servers of the table that was sent last.
    sent: Option<(u64, Endpoints)>,
    certificates: Certificates,
}

impl<L: Log> Session<L> {
    async fn run<S>(mut self, first: NodeReport, mut reports: S) -> Result<(), Status>
    where
        S: Stream<Item = Result<NodeReport, Status>> + Unpin,
    {
        let (mut newest, mut servers) = (self.log.watch(), self.log.servers());
        self.receive(first).await?;
        loop {
            let state = Arc::clone(&newest.borrow_and_update());
            let named = Arc::clone(&servers.borrow_and_update());
            let current = Some((state.routing_version, Arc::clone(&named)));
            if self.sent != current {
                let mut table = convert::table(&state, named.to_vec());
                self.sent = current;
                if let Some(sealing) = &self.sealing {
                    self.certificates.add(&mut table, &state, sealing).await?;
                }
                let sent = self.tables.send(table).await;
                sent.map_err(|_| Status::cancelled("the load balancer has hung up"))?;
            }
            tokio::select! {
                // A load balancer that reports without a pause still hears what changed: every turn begins with that.
                biased;
                report = reports.next() => match report.transpose()? {
                    Some(report) => self.receive(report).await?,
                    None => return Ok(()),
                },
                changed = newest.changed() => changed.map_err(|_| Status::unavailable("the server stops"))?,
                changed = servers.changed() => changed.map_err(|_| Status::unavailable("the server stops"))?,
            }
        }
    }

    async fn receive(&mut self, report: NodeReport) -> Result<(), Status> {
        if convert::node_id(&report)? != self.id {
            return Err(Status::invalid_argument("a session speaks for one node"));
        }
        // A drain waits for every registered node; one that was forgotten is back with this.
        if !self.log.newest().load_balancer_nodes.contains_key(&self.id) {
            let command = Command::RegisterLoadBalancerNode {
                node: self.id.clone(),
                at: clock::now(),
            };
            self.log
                .write(command)
                .await?
                .map_err(|rejection| status::rejected(&rejection))?;
        }
        let (view, counts) = convert::report(&report)?;
        self.reign
            .presence
            .node_reported(self.id.clone(), report, view, counts);
        Ok(())
    }
}
