//! The way to the other members: one gRPC channel to each, which connects again by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use openraft::BasicNode;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use roadstead_client::{Credentials, Endpoint, EndpointError, ReachError};
use roadstead_proto::raft::Payload;
use roadstead_proto::raft::raft_client::RaftClient;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::hearing::Hearing;
use super::{MemberId, TypeConfig, decode, encode};

/// The largest message between members: a chunk of a snapshot or a batch of entries.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;

/// The channels to the members, made when first needed. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peers {
    channels: Arc<Mutex<BTreeMap<Endpoint, Channel>>>,
    /// Set once: before raft starts where the server has joined, and after it on the first server of all.
    credentials: Arc<OnceLock<Credentials>>,
}

impl Peers {
    fn channel(&self, endpoint: &Endpoint) -> Result<Channel, ReachError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(endpoint) {
            return Ok(channel.clone());
        }
        let channel = endpoint.connect_when_needed(self.credentials.get())?;
        channels.insert(endpoint.clone(), channel.clone());
        Ok(channel)
    }

    /// Returns a client of a member.
    pub(super) fn client(&self, endpoint: &Endpoint) -> Result<RaftClient<Channel>, ReachError> {
        Ok(RaftClient::new(self.channel(endpoint)?)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE))
    }

    /// Gives what members on other hosts ask for; the first time counts.
    pub(super) fn identify(&self, credentials: Credentials) {
        drop(self.credentials.set(credentials));
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: MemberId, node: &BasicNode) -> Peer {
        Peer {
            target,
            hearing: Hearing::of(target),
            endpoint: node.addr.parse(),
            peers: self.clone(),
        }
    }
}

/// One other member. Its endpoint comes from the membership, and may be of a newer version's form.
#[derive(Debug)]
pub(crate) struct Peer {
    target: MemberId,
    endpoint: Result<Endpoint, EndpointError>,
    peers: Peers,
    hearing: Hearing,
}

/// Why a member could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error("the member's endpoint cannot be used")]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("the member refused: {0}")]
    Status(#[from] Status),
    #[error("the member's answer cannot be read")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("the request cannot be encoded")]
    Encode(#[from] rmp_serde::encode::Error),
}

type Answer<T, E> = Result<T, RPCError<MemberId, BasicNode, E>>;

impl Peer {
    fn client(&self) -> Result<RaftClient<Channel>, PeerError> {
        let endpoint = self.endpoint.as_ref().map_err(Clone::clone)?;
        Ok(self.peers.client(endpoint)?)
    }

    /// Asks within openraft's deadline. The answer is the member's own result, encoded whole.
    async fn ask<Q, T, E, F>(&mut self, question: &Q, option: &RPCOption, call: F) -> Answer<T, E>
    where
        Q: Serialize,
        T: DeserializeOwned,
        E: DeserializeOwned + std::error::Error,
        F: AsyncFnOnce(RaftClient<Channel>, Request<Payload>) -> Result<Response<Payload>, Status>,
    {
        self.hearing.asks(Instant::now());
        let exchange = async {
            let mut request = Request::new(Payload {
                body: encode(question)?,
            });
            request.set_timeout(option.hard_ttl());
            let answer = call(self.client()?, request).await?.into_inner();
            Ok::<Result<T, E>, PeerError>(decode(&answer.body)?)
        };
        let answered = exchange.await;
        match &answered {
            Ok(_) => self.hearing.heard(Instant::now()),
            Err(error) => drop(self.hearing.missed(&error.to_string(), Instant::now())),
        }
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => Err(RPCError::RemoteError(RemoteError::new(
                self.target,
                refusal,
            ))),
            Err(PeerError::Status(status)) if status.code() == Code::Unavailable => {
                Err(RPCError::Unreachable(Unreachable::new(&status)))
            }
            Err(error) => Err(RPCError::Network(NetworkError::new(&error))),
        }
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Answer<AppendEntriesResponse<MemberId>, RaftError<MemberId>> {
        self.ask(&rpc, &option, async |mut client, request| {
            client.append(request).await
        })
        .await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Answer<InstallSnapshotResponse<MemberId>, RaftError<MemberId, InstallSnapshotError>> {
        self.ask(&rpc, &option, async |mut client, request| {
            client.install_snapshot(request).await
        })
        .await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<MemberId>,
        option: RPCOption,
    ) -> Answer<VoteResponse<MemberId>, RaftError<MemberId>> {
        self.ask(&rpc, &option, async |mut client, request| {
            client.vote(request).await
        })
        .await
    }
}
