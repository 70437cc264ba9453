//! What the other members ask of this one.

use std::sync::Arc;

use openraft::raft::AppendEntriesResponse;
use roadstead_client::{Endpoint, EndpointError};
use roadstead_core::state::join::Role;
use roadstead_proto::raft::raft_server::Raft;
use roadstead_proto::raft::{
    AddMemberRequest, AddMemberResponse, GetSealingKeyRequest, GetSealingKeyResponse,
    KeepSealingKeyRequest, KeepSealingKeyResponse, Payload, ProgressRequest, ProgressResponse,
    ReadIndexRequest, ReadIndexResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status};

use super::{Node, decode, encode};
use crate::{authorize, sealing};

/// Answers the other members.
#[derive(Debug)]
pub(crate) struct RaftService {
    pub(crate) node: Arc<Node>,
    pub(crate) sealing_keys: Arc<sealing::Store>,
}

#[tonic::async_trait]
impl Raft for RaftService {
    async fn append(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        let appended = self.node.raft.append_entries(question(request)?).await;
        // A deposed leader is no leader.
        if let Ok(AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)) =
            &appended
        {
            self.node.elections.hear();
        }
        answer(&appended)
    }

    async fn vote(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        answer(&self.node.raft.vote(question(request)?).await)
    }

    async fn pre_vote(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        answer(&self.node.elections.answer(&question(request)?))
    }

    async fn install_snapshot(
        &self,
        request: Request<Payload>,
    ) -> Result<Response<Payload>, Status> {
        let installed = self.node.raft.install_snapshot(question(request)?).await;
        if installed.is_ok() {
            self.node.elections.hear();
        }
        answer(&installed)
    }

    async fn propose(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        match self.node.propose_here(question(request)?).await? {
            Ok(written) => answer(&written),
            Err(leader) => Err(roadstead_client::not_leader(leader.endpoint().as_ref())),
        }
    }

    async fn progress(
        &self,
        _request: Request<ProgressRequest>,
    ) -> Result<Response<ProgressResponse>, Status> {
        let (_, applied_index) = self.node.progress();
        Ok(Response::new(ProgressResponse { applied_index }))
    }

    async fn add_member(
        &self,
        request: Request<AddMemberRequest>,
    ) -> Result<Response<AddMemberResponse>, Status> {
        let itself = authorize::itself(&request, Role::Server);
        let AddMemberRequest { id, endpoint } = request.into_inner();
        itself(&id.to_string())?;
        let endpoint: Endpoint = endpoint
            .parse()
            .map_err(|error: EndpointError| Status::invalid_argument(error.to_string()))?;
        match self.node.add_member(id, &endpoint).await? {
            Ok(()) => Ok(Response::new(AddMemberResponse {})),
            Err(leader) => Err(roadstead_client::not_leader(leader.endpoint().as_ref())),
        }
    }

    async fn keep_sealing_key(
        &self,
        request: Request<KeepSealingKeyRequest>,
    ) -> Result<Response<KeepSealingKeyResponse>, Status> {
        let taken = self.sealing_keys.take(&request.into_inner().key);
        taken.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(KeepSealingKeyResponse {}))
    }

    async fn get_sealing_key(
        &self,
        request: Request<GetSealingKeyRequest>,
    ) -> Result<Response<GetSealingKeyResponse>, Status> {
        let given = self.sealing_keys.give(&request.into_inner().fingerprint);
        match given.map_err(|error| Status::internal(error.to_string()))? {
            Some(key) => Ok(Response::new(GetSealingKeyResponse { key })),
            None => Err(Status::not_found("this server does not have that key")),
        }
    }

    async fn read_index(
        &self,
        _request: Request<ReadIndexRequest>,
    ) -> Result<Response<ReadIndexResponse>, Status> {
        match self.node.read_index_here().await? {
            Ok(index) => Ok(Response::new(ReadIndexResponse { index })),
            Err(leader) => Err(roadstead_client::not_leader(leader.endpoint().as_ref())),
        }
    }
}

fn question<T: DeserializeOwned>(request: Request<Payload>) -> Result<T, Status> {
    let body = request.into_inner().body;
    decode(&body)
        .map_err(|error| Status::invalid_argument(format!("message of another version: {error}")))
}

fn answer<T: Serialize>(value: &T) -> Result<Response<Payload>, Status> {
    let body = encode(value).map_err(|error| Status::internal(error.to_string()))?;
    Ok(Response::new(Payload { body }))
}
