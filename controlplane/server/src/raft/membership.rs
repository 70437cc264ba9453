//! How the membership grows: a server that was admitted asks until it is a voter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError as OpenraftError};
use openraft::raft::ClientWriteResponse;
use openraft::{BasicNode, ChangeMembers, RaftMetrics};
use roadstead_client::{Backoff, Endpoint, EndpointError};
use roadstead_proto::raft::{AddMemberRequest, ProgressRequest};
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tracing::{info, warn};

use super::node::{Leader, Member, Node};
use super::{MemberId, RaftError, TypeConfig};
use crate::log::Endpoints;

/// A new member first gets everything that the others know.
const CATCH_UP: Duration = Duration::from_secs(60);
/// Somebody waits for `ctl status`.
const SURVEY: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Node {
    /// Makes a server a voter, as the leader; the inner error names the leader when it is another one. A server that is
    /// one already is a success.
    pub(super) async fn add_member(
        &self,
        id: MemberId,
        endpoint: &Endpoint,
    ) -> Result<Result<(), Leader>, RaftError> {
        let members = self.members();
        let state = self.read().await?;
        let admitted = state
            .admitted_server(id)
            .map(|server| server.endpoint.as_str());
        let endpoint = endpoint.to_string();
        // One server under two numbers would be two voters.
        let taken = |other: &Member| other.id != id && other.endpoint == endpoint;
        if admitted != Some(endpoint.as_str()) || members.iter().any(taken) {
            return Err(RaftError::NotAdmitted { id, endpoint });
        }
        let node = BasicNode::new(endpoint);
        let change = async {
            self.raft.add_learner(id, node, true).await?;
            let voter = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
            self.raft.change_membership(voter, false).await
        };
        outcome(timeout(CATCH_UP, change).await)
    }

    /// Takes a server out of the membership, as the leader; the inner error names the leader when it is another one. A
    /// server that is no member is a success.
    pub(crate) async fn remove_member(
        &self,
        id: MemberId,
    ) -> Result<Result<(), Leader>, RaftError> {
        let gone = BTreeSet::from([id]);
        let change = async {
            let voters = ChangeMembers::RemoveVoters(gone.clone());
            self.raft.change_membership(voters, false).await?;
            let learners = ChangeMembers::RemoveNodes(gone);
            self.raft.change_membership(learners, false).await
        };
        outcome(timeout(CATCH_UP, change).await)
    }

    /// Asks `servers`, and whoever they name, until this server is a voter or `stop` is cancelled.
    pub(crate) async fn become_member(
        &self,
        endpoint: &Endpoint,
        servers: &[Endpoint],
        stop: &CancellationToken,
    ) {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut contacts = servers.iter().cycle();
        let mut named = None;
        while !self.is_voter() {
            let Some(contact) = named.take().or_else(|| contacts.next().cloned()) else {
                return;
            };
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                asked = self.ask_to_be_added(endpoint, &contact) => asked,
            };
            match asked {
                Ok(()) => info!(id = self.id(), "this server is a member"),
                Err((reason, leader)) => {
                    warn!(%contact, reason, "not a member yet; asking again");
                    named = leader;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pauses.pause()) => {}
            }
        }
    }

    async fn ask_to_be_added(
        &self,
        endpoint: &Endpoint,
        contact: &Endpoint,
    ) -> Result<(), (String, Option<Endpoint>)> {
        let mut client = self
            .client(contact)
            .map_err(|error| (error.to_string(), None))?;
        let mut request = Request::new(AddMemberRequest {
            id: self.id(),
            endpoint: endpoint.to_string(),
        });
        request.set_timeout(CATCH_UP);
        match client.add_member(request).await {
            Ok(_) => Ok(()),
            Err(status) => {
                let leader = roadstead_client::leader_of(&status);
                Err((status.message().to_owned(), leader))
            }
        }
    }

    /// Asks every member how far it has applied the log; who does not answer within a second has an error instead.
    pub(crate) async fn survey(&self) -> Vec<(Member, Result<u64, String>)> {
        let asked = self.members().into_iter().map(async |member| {
            let progress = if member.id == self.id() {
                Ok(self.progress().1)
            } else {
                self.ask_progress(&member).await
            };
            (member, progress)
        });
        futures_util::future::join_all(asked).await
    }

    async fn ask_progress(&self, member: &Member) -> Result<u64, String> {
        let endpoint = member.endpoint.parse();
        let endpoint = endpoint.map_err(|error: EndpointError| error.to_string())?;
        let mut client = self.client(&endpoint).map_err(|error| error.to_string())?;
        match timeout(SURVEY, client.progress(ProgressRequest {})).await {
            Ok(Ok(answer)) => Ok(answer.into_inner().applied_index),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_) => Err(format!("it does not answer within {} s", SURVEY.as_secs())),
        }
    }

    fn is_voter(&self) -> bool {
        let mut members = self.members().into_iter();
        members.any(|member| member.id == self.id() && member.votes)
    }
}

/// Returns a receiver of every server's endpoint. Metrics change with each entry of the log, this with the membership alone.
pub(super) fn follow(
    mut metrics: watch::Receiver<RaftMetrics<MemberId, BasicNode>>,
) -> watch::Receiver<Endpoints> {
    let (sender, servers) = watch::channel(Endpoints::default());
    tokio::spawn(async move {
        let mut known = None;
        loop {
            let membership = Arc::clone(&metrics.borrow_and_update().membership_config);
            if *membership.log_id() != known {
                let nodes = membership.nodes();
                sender.send_replace(nodes.map(|(_, node)| node.addr.clone()).collect());
                known = *membership.log_id();
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    });
    servers
}

type Changed = Result<
    ClientWriteResponse<TypeConfig>,
    OpenraftError<MemberId, ClientWriteError<MemberId, BasicNode>>,
>;

fn outcome(changed: Result<Changed, Elapsed>) -> Result<Result<(), Leader>, RaftError> {
    match changed {
        Ok(Ok(_)) => Ok(Ok(())),
        Ok(Err(OpenraftError::APIError(ClientWriteError::ForwardToLeader(leader)))) => {
            Ok(Err(Leader(leader)))
        }
        // Another change is under way, or the last member would go.
        Ok(Err(OpenraftError::APIError(ClientWriteError::ChangeMembershipError(error)))) => {
            Err(RaftError::Membership(error.into()))
        }
        Ok(Err(OpenraftError::Fatal(fatal))) => Err(RaftError::Stopped(fatal.into())),
        Err(_) => Err(RaftError::NoQuorum(CATCH_UP)),
    }
}
