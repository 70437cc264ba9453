//! Joining: tokens are made and deleted by operators, and turned into certificates by whoever holds one.

use std::sync::Arc;
use std::time::Duration;

use roadstead_client::Endpoint;
use roadstead_client::join::Token;
use roadstead_core::id::{ContainerInstanceId, JoinTokenId};
use roadstead_core::state::join::{Authority, JoinToken, Role, Server};
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_proto::console::{
    self as wire, CreateJoinTokenRequest, CreateJoinTokenResponse, DeleteJoinTokenRequest,
    DeleteJoinTokenResponse, ListJoinTokensRequest, ListJoinTokensResponse, join_tokens_server,
};
use roadstead_proto::join::{JoinRequest, JoinResponse, join_server};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};
use tracing::info;

use super::convert::seconds;
use super::status::Refusal;
use crate::raft::Node;
use crate::{clock, id, pki};

const VALID: Duration = Duration::from_secs(60 * 60);
const LONGEST_VALID: Duration = Duration::from_secs(24 * 60 * 60);
/// A signing request for an elliptic key has some 300 bytes, one for a large RSA key some 2,000.
const MOST_REQUEST_BYTES: usize = 16 * 1024;

/// Makes, lists and deletes tokens.
#[derive(Debug)]
pub(crate) struct JoinTokens(pub(crate) Arc<Node>);

#[tonic::async_trait]
impl join_tokens_server::JoinTokens for JoinTokens {
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

/// Turns tokens into certificates.
#[derive(Debug)]
pub(crate) struct Join(pub(crate) Arc<Node>);

#[tonic::async_trait]
impl join_server::Join for Join {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let answer = join(&self.0, request.into_inner()).await?;
        Ok(Response::new(answer))
    }
}

async fn join(node: &Node, request: JoinRequest) -> Result<JoinResponse, Status> {
    if request.certificate_signing_request.len() > MOST_REQUEST_BYTES {
        return Err(Status::invalid_argument("the signing request is too long"));
    }
    let state = node.read().await?;
    let role = role_of(&state, &request)?;
    let authority = authority(&state).map_err(Refusal::from)?;
    let (name, member_id) = match role {
        Role::Server => {
            let member_id = admit(node, &request.endpoint).await?;
            (member_id.to_string(), member_id)
        }
        Role::Agent | Role::LoadBalancer | Role::Operator => (request.name.clone(), 0),
    };
    check_name(&state, role, &name)?;
    let certificate = pki::sign(authority, &request.certificate_signing_request, role, &name)
        .map_err(|error| {
            Status::invalid_argument(format!("the signing request cannot be used: {error}"))
        })?;
    info!(role = role.name(), name, token = request.token_id, "joined");
    let (_, _, members) = node.members();
    Ok(JoinResponse {
        certificate,
        authority: authority.certificate.clone(),
        servers: members
            .into_iter()
            .map(|(_, endpoint, _)| endpoint)
            .collect(),
        member_id,
    })
}

/// Returns what the token is for. Who has no valid one learns nothing else.
fn role_of(state: &ClusterState, request: &JoinRequest) -> Result<Role, Status> {
    let now = clock::now();
    let hash = Sha256::digest(&request.secret);
    let role = state
        .join_tokens
        .get(&JoinTokenId::new(&request.token_id))
        // Hashes, so that how far they agree tells nothing of the secret.
        .filter(|token| token.expires_at > now && token.secret_hash == hash[..])
        .ok_or_else(|| {
            Status::permission_denied(
                "the join token is not valid, or no longer; `ctl token create` makes a new one",
            )
        })?
        .role;
    if role.name() == request.role {
        return Ok(role);
    }
    Err(Status::permission_denied(format!(
        "the join token is for role {}, not for {}",
        role.name(),
        request.role
    )))
}

/// A certificate is made once for each agent and load balancer: a second one for the same id would let its holder speak
/// for the first.
fn check_name(state: &ClusterState, role: Role, name: &str) -> Result<(), Status> {
    if !pki::is_label(name) {
        return Err(Status::invalid_argument(format!(
            "name `{name}` must have 1 to 63 lower-case letters, digits or hyphens"
        )));
    }
    let instance = ContainerInstanceId::new(name);
    if role == Role::Agent && state.container_instances.contains_key(&instance) {
        return Err(Status::already_exists(format!(
            "container instance {name} has joined already; run `ctl agent remove` on that host to begin anew"
        )));
    }
    Ok(())
}

async fn admit(node: &Node, endpoint: &str) -> Result<u64, Status> {
    let parsed: Result<Endpoint, _> = endpoint.parse();
    if !matches!(parsed, Ok(Endpoint::Tls { .. })) {
        return Err(Status::invalid_argument(format!(
            "endpoint `{endpoint}` of the new server must be https://host:port"
        )));
    }
    let (_, _, members) = node.members();
    if members.iter().any(|(_, known, _)| known == endpoint) {
        return Err(Status::already_exists(format!(
            "a server at {endpoint} is a member already"
        )));
    }
    let admission = id::hex32();
    let server = Server {
        endpoint: endpoint.to_owned(),
        admission: admission.clone(),
        admitted_at: clock::now(),
    };
    let above = members.iter().map(|(id, _, _)| *id).max().unwrap_or(0);
    node.write(Command::AdmitServer { server, above })
        .await?
        .map_err(|rejection| super::status::rejected(&rejection))?;
    let admitted = node.newest().admitted(&admission);
    admitted.ok_or_else(|| Status::internal("the admission left no trace"))
}

fn authority(state: &ClusterState) -> Result<&Authority, Rejection> {
    state.identity.authority.as_ref().ok_or_else(|| {
        Rejection::client("This control plane was made by a version without an authority.")
    })
}

fn internal(error: &pki::PkiError) -> Status {
    Status::internal(error.to_string())
}
