//! The way to the other members: one gRPC channel to each, dialled when needed.

use openraft::BasicNode;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use roadstead_client::{ConnectError, ControlPlane, Endpoint};
use roadstead_proto::raft::Payload;
use roadstead_proto::raft::raft_client::RaftClient;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::{MemberId, TypeConfig, decode, encode};

/// Makes the way to a member from its entry in the membership.
#[derive(Debug)]
pub(crate) struct Peers;

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: MemberId, node: &BasicNode) -> Peer {
        Peer {
            target,
            address: node.addr.clone(),
            channel: None,
        }
    }
}

/// One other member.
#[derive(Debug)]
pub(crate) struct Peer {
    target: MemberId,
    address: String,
    channel: Option<Channel>,
}

/// Why a member could not be asked.
#[derive(Debug, thiserror::Error)]
enum PeerError {
    #[error("member endpoint {0} cannot be used")]
    Address(String, #[source] roadstead_client::EndpointError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the member refused: {0}")]
    Status(#[from] Status),
    #[error("the member's answer cannot be read")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("the request cannot be encoded")]
    Encode(#[from] rmp_serde::encode::Error),
}

type Answer<T, E> = Result<T, RPCError<MemberId, BasicNode, E>>;

impl Peer {
    async fn client(&mut self) -> Result<RaftClient<Channel>, PeerError> {
        if self.channel.is_none() {
            let endpoint: Endpoint = self
                .address
                .parse()
                .map_err(|error| PeerError::Address(self.address.clone(), error))?;
            self.channel = Some(ControlPlane::new(vec![endpoint]).connect().await?);
        }
        let channel = self.channel.clone().expect("connected above");
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE))
    }

    /// Asks within openraft's deadline. The answer is the member's own result, encoded whole.
    async fn ask<Q, T, E, F>(&mut self, question: &Q, option: &RPCOption, call: F) -> Answer<T, E>
    where
        Q: Serialize,
        T: DeserializeOwned,
        E: DeserializeOwned + std::error::Error,
        F: AsyncFnOnce(RaftClient<Channel>, Request<Payload>) -> Result<Response<Payload>, Status>,
    {
        let exchange = async {
            let mut request = Request::new(Payload {
                body: encode(question)?,
            });
            request.set_timeout(option.hard_ttl());
            let answer = call(self.client().await?, request).await?.into_inner();
            Ok::<Result<T, E>, PeerError>(decode(&answer.body)?)
        };
        match exchange.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => Err(RPCError::RemoteError(RemoteError::new(
                self.target,
                refusal,
            ))),
            Err(error @ (PeerError::Connect(_) | PeerError::Address(..))) => {
                Err(RPCError::Unreachable(Unreachable::new(&error)))
            }
            Err(error) => {
                self.channel = None;
                Err(RPCError::Network(NetworkError::new(&error)))
            }
        }
    }
}

/// The largest message between members: a chunk of a snapshot or a batch of entries.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;

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
