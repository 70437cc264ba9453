//! Joining: whoever holds a token turns it into a certificate.

use std::sync::Arc;

use roadstead_client::Endpoint;
use roadstead_core::id::{ContainerInstanceId, JoinTokenId, NodeId};
use roadstead_core::state::join::{Role, Server};
use roadstead_core::{ClusterState, Command};
use roadstead_proto::join::{JoinRequest, JoinResponse, join_server};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use tracing::info;

use super::membership::authority;
use super::status::Refusal;
use crate::raft::Node;
use crate::{clock, id, pki};

/// A signing request for an elliptic key has some 300 bytes, one for a large RSA key some 2,000.
const MOST_REQUEST_BYTES: usize = 16 * 1024;
const MOST_AT_ONCE: usize = 16;

/// Turns tokens into certificates.
#[derive(Debug)]
pub(crate) struct Join {
    node: Arc<Node>,
    /// Anybody may ask, and each question costs a majority's confirmation.
    places: Semaphore,
}

impl Join {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
            places: Semaphore::new(MOST_AT_ONCE),
        }
    }
}

#[tonic::async_trait]
impl join_server::Join for Join {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Status::resource_exhausted(
                "too many join at once; try again",
            ));
        };
        let answer = join(&self.node, request.into_inner()).await?;
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
    let unusable =
        |error| Status::invalid_argument(format!("the signing request cannot be used: {error}"));
    // Before a number is given away for it.
    let key = pki::key_of(&request.certificate_signing_request).map_err(unusable)?;
    let (name, member_id) = match role {
        Role::Server => {
            let member_id = admit(node, &request.endpoint).await?;
            (member_id.to_string(), member_id)
        }
        Role::Agent | Role::LoadBalancer | Role::Operator => (request.name.clone(), 0),
    };
    check_name(&state, role, &name)?;
    let certificate = pki::sign(authority, &key, role, &name)
        .map_err(|error| Status::internal(error.to_string()))?;
    info!(role = role.name(), name, token = request.token_id, "joined");
    let members = node.members().into_iter();
    Ok(JoinResponse {
        certificate,
        authority: authority.certificate.clone(),
        servers: members.map(|member| member.endpoint).collect(),
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
    let node = NodeId::new(name);
    if role == Role::LoadBalancer && state.load_balancer_nodes.contains_key(&node) {
        return Err(Status::already_exists(format!(
            "load balancer {name} has joined already; remove its data directory to begin anew"
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
    let members = node.members();
    if members.iter().any(|member| member.endpoint == endpoint) {
        return Err(Status::already_exists(format!(
            "a server at {endpoint} is a member already; if it is gone for good, take it out with `ctl server remove`"
        )));
    }
    let admission = id::hex32();
    let server = Server {
        endpoint: endpoint.to_owned(),
        admission: admission.clone(),
        admitted_at: clock::now(),
        dismissed: false,
    };
    let above = members.iter().map(|member| member.id).max().unwrap_or(0);
    node.write(Command::AdmitServer { server, above })
        .await?
        .map_err(|rejection| super::status::rejected(&rejection))?;
    let admitted = node.newest().admitted(&admission);
    admitted.ok_or_else(|| Status::internal("the admission left no trace"))
}
