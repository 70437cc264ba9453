//! Starts a server and keeps it going until it is told to stop: wiring only.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use roadstead_client::{CredentialsError, Endpoint};
use roadstead_core::state::join::Role;
use roadstead_proto::acm::acm_server::AcmServer;
use roadstead_proto::agent::agent_session_server::AgentSessionServer;
use roadstead_proto::console::console_server::ConsoleServer;
use roadstead_proto::console::membership_server::MembershipServer;
use roadstead_proto::ecs::ecs_server::EcsServer;
use roadstead_proto::elb::elb_server::ElbServer;
use roadstead_proto::join::join_server::JoinServer;
use roadstead_proto::lb::load_balancer_session_server::LoadBalancerSessionServer;
use roadstead_proto::raft::raft_server::RaftServer;
use tokio::net::UnixListener;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Status};
use tracing::info;

use crate::api::{Acm, Api, Console, Ecs, Elb, Join, Membership};
use crate::aside;
use crate::disk::{self, DiskFull};
use crate::leader::Reigns;
use crate::pki::PkiError;
use crate::raft::{MAX_MESSAGE, Node, RaftError, RaftService};
use crate::sealing::{self, Sealing};
use crate::session::{Agents, LoadBalancers, LogRelay};
use crate::{Config, authorize, leader, tls};

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
    DiskFull(#[from] DiskFull),
    #[error(transparent)]
    Raft(#[from] RaftError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("cannot make this server's certificate")]
    Pki(#[from] PkiError),
    #[error("the server stopped serving")]
    Serve(#[from] tonic::transport::Error),
}

/// Runs one server of the control plane until `stop` is cancelled. While its disk is full it takes no part, and says so.
///
/// # Errors
/// Fails when the data directory or the endpoint cannot be used, or raft cannot start or go on.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), ServerError> {
    let config = Arc::new(config);
    make_private_directory(&config.data_dir).map_err(|cause| ServerError::DataDirectory {
        path: config.data_dir.clone(),
        cause,
    })?;
    while !stop.is_cancelled() {
        let ended = match disk::check(&config.data_dir) {
            Ok(()) => Box::pin(take_part(&config, stop.child_token())).await,
            Err(full) => Err(full.into()),
        };
        // Whatever has failed: with a full disk, it failed for that.
        match (ended, disk::check(&config.data_dir)) {
            (Ok(()), _) => {}
            (Err(_), Err(full)) | (Err(ServerError::DiskFull(full)), Ok(())) => {
                Box::pin(aside::until_there_is_room(&config, full, &stop)).await;
            }
            (Err(error), Ok(())) => return Err(error),
        }
    }
    Ok(())
}

/// Takes part until `stop`.
async fn take_part(config: &Arc<Config>, stop: CancellationToken) -> Result<(), ServerError> {
    let listener = listen(&config.socket).await?;
    let node = Arc::new(Node::start(config).await?);
    let credentials = tls::load(config, &node)?;
    let tasks = TaskTracker::new();
    let reigns = leader::follow(&node, config, &tasks, stop.clone());
    let sealing_keys = Arc::new(sealing::Store::new(&config.data_dir));
    let sealing = Arc::new(Sealing::new(&node, &sealing_keys));
    let routes = routes(&node, &reigns, &sealing, sealing_keys, &stop);
    {
        let stop = stop.clone();
        tasks.spawn(async move { sealing.keep(&stop).await });
    }
    if let Some(remote) = config.remote.clone() {
        let (node, config, stop) = (Arc::clone(&node), Arc::clone(config), stop.clone());
        tasks.spawn(async move {
            node.become_member(&remote.endpoint, &config.contacts, &stop)
                .await;
        });
    }
    info!(socket = %config.socket.display(), id = config.id, "serving");
    let local = builder()
        .add_routes(routes.clone())
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.cancelled());
    let others = async {
        match &config.remote {
            Some(remote) => tls::serve(config, remote, credentials, &node, routes, &stop).await,
            None => Ok(()),
        }
    };
    let mut serving = std::pin::pin!(async {
        tokio::try_join!(async { local.await.map_err(ServerError::from) }, others).map(|_| ())
    });
    let (served, open) = tokio::select! {
        served = &mut serving => (served, false),
        () = stop.cancelled() => (Ok(()), true),
        // A server that cannot write its log must not go on as if it could.
        error = node.failed() => (Err(error.into()), true),
        full = disk::until_full(&config.data_dir) => (Err(full.into()), true),
    };
    stop.cancel();
    let mut ended = Ok(());
    if open && let Ok(in_time) = timeout(TIME_TO_STOP, serving).await {
        ended = in_time;
    }
    tasks.close();
    tasks.wait().await;
    node.shutdown().await;
    remove_socket(&config.socket);
    served.and(ended)
}

/// Returns the settings that both listeners share.
pub(crate) fn builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
}

/// Returns every service, each for those who may call it.
fn routes(
    node: &Arc<Node>,
    reigns: &Reigns,
    sealing: &Arc<Sealing>,
    sealing_keys: Arc<sealing::Store>,
    stop: &CancellationToken,
) -> Routes {
    const USERS: &[Role] = &[Role::Operator];
    let relay = LogRelay::default();
    let agents = Agents::new(node, reigns, &relay, stop.clone());
    let load_balancers = LoadBalancers::new(node, reigns, stop.clone()).sealed_by(sealing);
    let console = Console::new(node, reigns, &relay, stop.clone());
    let service = RaftService {
        node: Arc::clone(node),
        sealing_keys,
    };
    let raft = RaftServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let agents = AgentSessionServer::new(agents).max_decoding_message_size(MAX_MESSAGE);
    let load_balancers =
        LoadBalancerSessionServer::new(load_balancers).max_decoding_message_size(MAX_MESSAGE);
    let api = Api::new(node, sealing);
    Routes::new(JoinServer::new(Join::new(node)))
        .add_service(allow(EcsServer::new(Ecs::new(&api)), USERS))
        .add_service(allow(ElbServer::new(Elb::new(&api)), USERS))
        .add_service(allow(AcmServer::new(Acm::new(&api)), USERS))
        .add_service(allow(ConsoleServer::new(console), USERS))
        .add_service(allow(
            MembershipServer::new(Membership(Arc::clone(node))),
            USERS,
        ))
        .add_service(allow(agents, &[Role::Agent]))
        .add_service(allow(load_balancers, &[Role::LoadBalancer]))
        .add_service(allow(raft, &[Role::Server]))
}

/// Puts a service behind the check of who calls.
fn allow<S>(
    service: S,
    roles: &'static [Role],
) -> InterceptedService<S, impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone> {
    InterceptedService::new(service, move |request| authorize::only(request, roles))
}

/// Binds the socket so that only this user may connect. A socket that nobody serves is replaced.
pub(crate) async fn listen(path: &Path) -> Result<UnixListener, ServerError> {
    let endpoint = Endpoint::Unix(path.to_owned());
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        return Err(ServerError::Taken(endpoint));
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
    bind().map_err(|cause| ServerError::Listen { endpoint, cause })
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
