//! Who may join, and which servers are members: what operators decide.

use std::sync::Arc;
use std::time::Duration;

use roadstead_client::join::Token;
use roadstead_core::id::JoinTokenId;
use roadstead_core::state::join::{Authority, JoinToken, Role};
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_proto::console::{
    self as wire, CreateJoinTokenRequest, CreateJoinTokenResponse, DeleteJoinTokenRequest,
    DeleteJoinTokenResponse, ListJoinTokensRequest, ListJoinTokensResponse, RemoveMemberRequest,
    RemoveMemberResponse, membership_server,
};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use super::convert::seconds;
use super::status::Refusal;
use crate::raft::Node;
use crate::{clock, id, pki};

const VALID: Duration = Duration::from_secs(60 * 60);
const LONGEST_VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// Decides who may join, and who is a member.
#[derive(Debug)]
pub(crate) struct Membership(pub(crate) Arc<Node>);

#[tonic::async_trait]
impl membership_server::Membership for Membership {
    async fn create_join_token(
        &self,
        request: Request<CreateJoinTokenRequest>,
    ) -> Result<Response<CreateJoinTokenResponse>, Status> {
        let made = create_token(&self.0, request.into_inner()).await?;
        Ok(Response::new(made))
    }

    async fn list_join_tokens(
        &self,
        _request: Request<ListJoinTokensRequest>,
    ) -> Result<Response<ListJoinTokensResponse>, Status> {
        Ok(Response::new(list_tokens(&self.0).await?))
    }

    async fn delete_join_token(
        &self,
        request: Request<DeleteJoinTokenRequest>,
    ) -> Result<Response<DeleteJoinTokenResponse>, Status> {
        let deleted = delete_token(&self.0, request.into_inner()).await?;
        Ok(Response::new(deleted))
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        let id = request.into_inner().id;
        let id = id.and_then(|id| u64::try_from(id).ok());
        let id = id.ok_or_else(|| Status::invalid_argument("id must be a server's number"))?;
        // First, so that it does not come back by itself in between.
        let dismissed = self.0.write(Command::DismissServer { id }).await?;
        dismissed.map_err(|rejection| super::status::rejected(&rejection))?;
        match self.0.remove_member(id).await? {
            Ok(()) => Ok(Response::new(RemoveMemberResponse {})),
            Err(leader) => Err(roadstead_client::not_leader(leader.endpoint().as_ref())),
        }
    }
}

/// Makes a token; the answer is the only place where its secret stands.
async fn create_token(
    node: &Node,
    request: CreateJoinTokenRequest,
) -> Result<CreateJoinTokenResponse, Refusal> {
    let name = request.role.unwrap_or_default();
    let role = Role::named(&name).ok_or_else(|| {
        let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
        Rejection::invalid(format!("role must be one of {}.", names.join(", ")))
    })?;
    let valid = match request.valid_seconds {
        None => VALID,
        Some(seconds) => u64::try_from(seconds)
            .ok()
            .map(Duration::from_secs)
            .filter(|valid| (Duration::from_secs(1)..=LONGEST_VALID).contains(valid))
            .ok_or_else(|| Rejection::invalid("validSeconds must be 1 to 86400."))?,
    };
    let state = node.read().await?;
    let authority_digest = pki::digest(authority(&state)?).map_err(|error| internal(&error))?;
    let (token_id, secret) = (id::join_token(), id::secret());
    let at = clock::now();
    let token = JoinToken {
        id: token_id.clone(),
        role,
        secret_hash: Sha256::digest(&secret).to_vec(),
        created_at: at,
        expires_at: at.after(valid),
    };
    node.write(Command::CreateJoinToken {
        token: token.clone(),
        at,
    })
    .await??;
    let written = Token {
        id: token_id.to_string(),
        secret,
        authority_digest,
    };
    Ok(CreateJoinTokenResponse {
        join_token: Some(to_proto(&token)),
        token: Some(written.to_string()),
    })
}

async fn list_tokens(node: &Node) -> Result<ListJoinTokensResponse, Refusal> {
    let (state, now) = (node.read().await?, clock::now());
    let live = state
        .join_tokens
        .values()
        .filter(|one| one.expires_at > now);
    Ok(ListJoinTokensResponse {
        join_tokens: live.map(|one| to_proto(one)).collect(),
    })
}

async fn delete_token(
    node: &Node,
    request: DeleteJoinTokenRequest,
) -> Result<DeleteJoinTokenResponse, Refusal> {
    let id = JoinTokenId::new(request.id.unwrap_or_default());
    node.write(Command::DeleteJoinToken { id }).await??;
    Ok(DeleteJoinTokenResponse {})
}

fn to_proto(token: &JoinToken) -> wire::JoinToken {
    wire::JoinToken {
        id: Some(token.id.to_string()),
        role: Some(token.role.name().to_owned()),
        created_at: Some(seconds(token.created_at)),
        expires_at: Some(seconds(token.expires_at)),
    }
}

pub(super) fn authority(state: &ClusterState) -> Result<&Authority, Rejection> {
    state.identity.authority.as_ref().ok_or_else(|| {
        Rejection::client("This control plane was made by a version without an authority.")
    })
}

fn internal(error: &pki::PkiError) -> Status {
    Status::internal(error.to_string())
}
