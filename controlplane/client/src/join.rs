//! A token for a certificate.
//!
//! Who joins has no certificate yet and knows nobody's. The token says by which digest the control plane's authority is
//! known, so the secret in it is told to nobody else; and the key never leaves this host, only a signing request does.

mod pinned;
mod token;

use roadstead_proto::join::JoinRequest;
use roadstead_proto::join::join_client::JoinClient;
use tonic::Status;

use crate::{Credentials, Endpoint, EndpointError};
pub use token::{Token, TokenError};

/// Why a host, or a person, could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("cannot make a key")]
    Key(#[from] rcgen::Error),
    #[error("{0} is on one host only; name a server as https://host:port")]
    Local(Endpoint),
    #[error("cannot reach {endpoint}")]
    Reach {
        endpoint: Endpoint,
        #[source]
        cause: pinned::PinnedError,
    },
    #[error("{endpoint} refused: {}", .cause.message())]
    Refused { endpoint: Endpoint, cause: Status },
    #[error("the control plane named a server that cannot be used")]
    Server(#[from] EndpointError),
}

/// Who joins.
#[derive(Debug, Clone)]
pub enum Applicant {
    /// With the endpoint at which it will listen.
    Server(Endpoint),
    /// With its container instance's id.
    Agent(String),
    /// With its node's id.
    LoadBalancer(String),
    /// With a name for the servers' logs.
    Operator(String),
}

impl Applicant {
    fn request(self, token: &Token, certificate_signing_request: Vec<u8>) -> JoinRequest {
        let (role, name, endpoint) = match self {
            Self::Server(endpoint) => ("server", String::new(), endpoint.to_string()),
            Self::Agent(id) => ("agent", id, String::new()),
            Self::LoadBalancer(id) => ("load-balancer", id, String::new()),
            Self::Operator(name) => ("operator", name, String::new()),
        };
        JoinRequest {
            token_id: token.id.clone(),
            secret: token.secret.clone(),
            certificate_signing_request,
            name,
            endpoint,
            role: role.to_owned(),
        }
    }
}

/// What it takes to be a part of the control plane's world.
#[derive(Debug)]
pub struct Joined {
    pub credentials: Credentials,
    /// Every server.
    pub servers: Vec<Endpoint>,
    /// A server's number among the members.
    pub member_id: u64,
}

/// Joins by way of the server at `endpoint`.
///
/// # Errors
/// Fails when the server cannot be reached, is not of the control plane that made the token, or refuses the token.
pub async fn join(
    endpoint: &Endpoint,
    token: &Token,
    applicant: Applicant,
) -> Result<Joined, JoinError> {
    let Endpoint::Tls { host, port } = endpoint else {
        return Err(JoinError::Local(endpoint.clone()));
    };
    let key = rcgen::KeyPair::generate()?;
    let request = rcgen::CertificateParams::default().serialize_request(&key)?;
    let channel = pinned::connect(host, *port, token.authority_digest)
        .await
        .map_err(|cause| JoinError::Reach {
            endpoint: endpoint.clone(),
            cause,
        })?;
    let answer = JoinClient::new(channel)
        .join(applicant.request(token, request.der().to_vec()))
        .await
        .map_err(|cause| JoinError::Refused {
            endpoint: endpoint.clone(),
            cause,
        })?
        .into_inner();
    let servers: Result<Vec<Endpoint>, _> = answer.servers.iter().map(|one| one.parse()).collect();
    Ok(Joined {
        credentials: Credentials {
            authority: answer.authority,
            certificate: answer.certificate,
            key: key.serialize_pem(),
        },
        servers: servers?,
        member_id: answer.member_id,
    })
}
