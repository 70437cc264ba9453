//! The listener for other hosts: TLS, with a certificate on both sides.

use std::sync::Arc;
use std::time::Duration;

use roadstead_client::{Credentials, CredentialsError};
use roadstead_core::state::join::Role;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, ServerTlsConfig};
use tracing::{info, warn};

use crate::raft::Node;
use crate::serve::{self, ServerError};
use crate::{Config, Remote, pki};

/// Who connects and says nothing holds a descriptor for so long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// An election, and the first entry of the log.
const USUAL_START: Duration = Duration::from_secs(10);

/// Reads this server's credentials, and gives them to raft, which needs them to reach the others.
///
/// # Errors
/// Fails when they are there and cannot be read.
pub(crate) fn load(config: &Config, node: &Node) -> Result<Option<Credentials>, CredentialsError> {
    let credentials = Credentials::load(&Credentials::directory(&config.data_dir))?;
    if let Some(credentials) = &credentials {
        node.identify(credentials.clone());
    }
    Ok(credentials)
}

/// Serves other hosts until `stop`, as soon as this server has credentials.
///
/// # Errors
/// Fails when the address cannot be bound, or the credentials are unsound.
pub(crate) async fn serve(
    config: &Config,
    remote: &Remote,
    credentials: Option<Credentials>,
    node: &Arc<Node>,
    routes: Routes,
    stop: &CancellationToken,
) -> Result<(), ServerError> {
    let credentials = match credentials {
        Some(credentials) => credentials,
        None => match first_of_all(config, node, stop).await? {
            Some(credentials) => credentials,
            None => return Ok(()),
        },
    };
    listen(remote, &credentials, routes, stop).await
}

/// Serves other hosts with these credentials until `stop`.
///
/// # Errors
/// Fails when the address cannot be bound, or the credentials are unsound.
pub(crate) async fn listen(
    remote: &Remote,
    credentials: &Credentials,
    routes: Routes,
    stop: &CancellationToken,
) -> Result<(), ServerError> {
    let tls = ServerTlsConfig::new()
        .identity(credentials.identity())
        .client_ca_root(Certificate::from_pem(&credentials.authority))
        // Who joins has none yet; every other service asks for one (`authorize`).
        .client_auth_optional(true)
        .timeout(HANDSHAKE_TIMEOUT);
    let listen = |cause: std::io::Error| ServerError::Listen {
        endpoint: remote.endpoint.clone(),
        cause,
    };
    let incoming = TcpIncoming::bind(remote.bind)
        .map_err(listen)?
        .with_nodelay(Some(true));
    info!(endpoint = %remote.endpoint, bind = %remote.bind, "serving other hosts");
    let server = serve::builder().tls_config(tls)?.add_routes(routes);
    let stopped = stop.clone().cancelled_owned();
    Ok(server
        .serve_with_incoming_shutdown(incoming, stopped)
        .await?)
}

/// The first server of all makes its own certificate, as soon as the control plane has an authority. Returns `None`
/// when it is told to stop before.
async fn first_of_all(
    config: &Config,
    node: &Arc<Node>,
    stop: &CancellationToken,
) -> Result<Option<Credentials>, ServerError> {
    let mut newest = node.watch();
    let mut slow = std::pin::pin!(tokio::time::sleep(USUAL_START));
    let named = loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            named = newest.wait_for(|state| state.identity.authority.is_some()) => break named,
            () = &mut slow, if !slow.is_elapsed() => {
                warn!("no certificate, and no control plane to make one: not serving other hosts yet");
            }
        }
    };
    let Some(authority) = named
        .ok()
        .and_then(|state| state.identity.authority.clone())
    else {
        return Ok(None);
    };
    let credentials = pki::issue(&authority, Role::Server, &config.id.to_string())?;
    credentials.save(&Credentials::directory(&config.data_dir))?;
    node.identify(credentials.clone());
    Ok(Some(credentials))
}
