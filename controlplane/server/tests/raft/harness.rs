//! Servers in this process, each with a directory and a socket of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use roadstead_client::{ControlPlane, Endpoint};
use roadstead_proto::console::DescribeControlPlaneRequest;
use roadstead_proto::console::console_client::ConsoleClient;
use roadstead_proto::ecs::ecs_client::EcsClient;
use roadstead_proto::ecs::{CreateClusterRequest, DescribeClustersRequest, ListClustersRequest};
use roadstead_server::{Config, ServerError, run};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) config: Config,
    running: Option<(JoinHandle<Result<(), ServerError>>, CancellationToken)>,
    _directory: TempDir,
}

/// Three servers that know each other; none is started.
pub(crate) fn three() -> Vec<Server> {
    let mut servers: Vec<Server> = (1..=3).map(Server::new).collect();
    let members: BTreeMap<u64, Endpoint> = servers
        .iter()
        .map(|server| (server.config.id, server.endpoint()))
        .collect();
    for server in &mut servers {
        server.config.members.clone_from(&members);
    }
    servers
}

impl Server {
    pub(crate) fn alone() -> Self {
        Self::new(1)
    }

    fn new(id: u64) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("rs-")
            .tempdir()
            .expect("a directory");
        let socket = directory.path().join("s");
        let config = Config::new(id, directory.path().join("data"), socket);
        Self {
            config,
            running: None,
            _directory: directory,
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.config.socket.clone())
    }

    pub(crate) fn start(&mut self) {
        let stop = CancellationToken::new();
        self.running = Some((tokio::spawn(run(self.config.clone(), stop.clone())), stop));
    }

    pub(crate) async fn stop(&mut self) {
        if let Some((task, stop)) = self.running.take() {
            stop.cancel();
            task.await
                .expect("the server does not panic")
                .expect("the server stops in order");
        }
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start();
    }

    pub(crate) async fn client(&self) -> EcsClient<Channel> {
        EcsClient::new(self.channel().await)
    }

    async fn channel(&self) -> Channel {
        let servers = ControlPlane::new(vec![self.endpoint()]);
        let until = Instant::now() + DEADLINE;
        loop {
            match servers.connect().await {
                Ok(channel) => return channel,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Creates a cluster; an election in between is waited for.
    pub(crate) async fn create_cluster(&self, name: &str) {
        let mut client = self.client().await;
        let until = Instant::now() + DEADLINE;
        loop {
            let request = CreateClusterRequest {
                cluster_name: Some(name.to_owned()),
            };
            match client.create_cluster(request).await {
                Ok(_) => return,
                Err(status) => assert!(Instant::now() < until, "cannot create {name}: {status:?}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Lists the names of all clusters.
    pub(crate) async fn clusters(&self) -> Vec<String> {
        let mut client = self.client().await;
        let until = Instant::now() + DEADLINE;
        loop {
            match client.list_clusters(ListClustersRequest::default()).await {
                Ok(response) => {
                    let arns = response.into_inner().cluster_arns;
                    return arns
                        .iter()
                        .map(|arn| arn.rsplit('/').next().unwrap_or(arn).to_owned())
                        .collect();
                }
                Err(status) => assert!(Instant::now() < until, "cannot list: {status:?}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Returns whether there is a cluster of this name.
    pub(crate) async fn has_cluster(&self, name: &str) -> bool {
        let mut client = self.client().await;
        let until = Instant::now() + DEADLINE;
        loop {
            let request = DescribeClustersRequest {
                clusters: vec![name.to_owned()],
            };
            match client.describe_clusters(request).await {
                Ok(response) => return !response.into_inner().clusters.is_empty(),
                Err(status) => assert!(Instant::now() < until, "cannot describe: {status:?}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Returns the index (from 0) of the server that leads.
    pub(crate) async fn leader(&self) -> usize {
        let mut client = ConsoleClient::new(self.channel().await);
        let until = Instant::now() + DEADLINE;
        loop {
            let answer = client
                .describe_control_plane(DescribeControlPlaneRequest {})
                .await;
            let members = answer
                .expect("describing needs no quorum")
                .into_inner()
                .members;
            if let Some(at) = members
                .iter()
                .position(|member| member.leader == Some(true))
            {
                return at;
            }
            assert!(Instant::now() < until, "no leader: {members:?}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn wait_for_snapshot(&self) {
        let path = self.config.data_dir.join("snapshot");
        let until = Instant::now() + DEADLINE;
        while !path.exists() {
            assert!(Instant::now() < until, "no snapshot was taken");
            tokio::task::yield_now().await;
        }
    }
}
