//! Starts a server and keeps it going until it is told to stop: wiring only.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use roadstead_client::Endpoint;
use roadstead_proto::agent::agent_session_server::AgentSessionServer;
use roadstead_proto::console::console_server::ConsoleServer;
use roadstead_proto::ecs::ecs_server::EcsServer;
use roadstead_proto::elb::elb_server::ElbServer;
use roadstead_proto::lb::load_balancer_session_server::LoadBalancerSessionServer;
use roadstead_proto::raft::raft_server::RaftServer;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tracing::info;

use crate::api::{Console, Ecs, Elb};
use crate::raft::{MAX_MESSAGE, Node, RaftError, RaftService};
use crate::session::{Agents, LoadBalancers, LogRelay};
use crate::{Config, leader};

/// Streams that a client abandoned without a word are noticed after so long.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// After the stop was asked for, open calls get so long to end.
const TIME_TO_STOP: Duration = Duration::from_secs(3);

/// Why a server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot use data directory {}", .path.display())]
    DataDirectory {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot listen on {endpoint}")]
    Listen {
        endpoint: Endpoint,
        #[source]
        cause: io::Error,
    },
    #[error("another server listens on {0}; stop it first, or choose another endpoint")]
    Taken(Endpoint),
    #[error(transparent)]
    Raft(#[from] RaftError),
    #[error("the server stopped serving")]
    Serve(#[from] tonic::transport::Error),
}

/// Runs one server of the control plane until `stop` is cancelled.
///
/// # Errors
/// Fails when the data directory or the endpoint cannot be used, or raft cannot start.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), ServerError> {
    let config = Arc::new(config);
    make_private_directory(&config.data_dir).map_err(|cause| ServerError::DataDirectory {
        path: config.data_dir.clone(),
        cause,
    })?;
    let listener = listen(&config.listen).await?;
    let node = Arc::new(Node::start(&config).await?);
    let tasks = TaskTracker::new();
    let reigns = leader::follow(&node, &config, &tasks, stop.clone());
    let relay = LogRelay::default();
    let agents = Agents::new(&node, &reigns, &relay, stop.clone());
    let load_balancers = LoadBalancers::new(&node, &reigns, stop.clone());
    let console = Console::new(&node, &reigns, &relay, stop.clone());
    let raft = RaftServer::new(RaftService(Arc::clone(&node)))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(EcsServer::new(Ecs::new(&node)))
        .add_service(ElbServer::new(Elb::new(&node)))
        .add_service(ConsoleServer::new(console))
        .add_service(AgentSessionServer::new(agents).max_decoding_message_size(MAX_MESSAGE))
        .add_service(
            LoadBalancerSessionServer::new(load_balancers).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(raft);
    info!(endpoint = %config.listen, id = config.id, "serving");
    let stopped = stop.clone().cancelled_owned();
    let serving = server.serve_with_incoming_shutdown(UnixListenerStream::new(listener), stopped);
    let in_time = async {
        stop.cancelled().await;
        tokio::time::sleep(TIME_TO_STOP).await;
    };
    let served: Result<(), ServerError> = tokio::select! {
        served = serving => served.map_err(ServerError::from),
        () = in_time => Ok(()),
        // A full disk, say: a server that cannot write its log must not go on as if it could.
        error = node.failed(), if !stop.is_cancelled() => Err(error.into()),
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    node.shutdown().await;
    remove_socket(config.listen.path());
    served
}

/// Binds the socket so that only this user may connect. A socket that nobody serves is replaced.
async fn listen(endpoint: &Endpoint) -> Result<UnixListener, ServerError> {
    let path = endpoint.path();
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        return Err(ServerError::Taken(endpoint.clone()));
    }
    remove_socket(path);
    let bind = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().map_err(|cause| ServerError::Listen {
        endpoint: endpoint.clone(),
        cause,
    })
}

fn remove_socket(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error, "cannot remove the socket");
        }
        Ok(()) | Err(_) => {}
    }
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}
