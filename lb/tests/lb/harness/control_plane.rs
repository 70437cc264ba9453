//! A control plane that sends the table it is told to, and keeps the last report.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use roadstead_client::{ControlPlane, Endpoint};
use roadstead_lb::Source;
use roadstead_proto::lb::load_balancer_session_server::{
    LoadBalancerSession, LoadBalancerSessionServer,
};
use roadstead_proto::lb::{NodeReport, Table};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tonic::{Request, Response, Status, Streaming};

pub(crate) struct FakeControlPlane {
    socket: PathBuf,
    tables: watch::Sender<Option<Table>>,
    reports: watch::Sender<NodeReport>,
    server: Option<JoinHandle<()>>,
}

struct Session {
    tables: watch::Receiver<Option<Table>>,
    reports: watch::Sender<NodeReport>,
}

#[tonic::async_trait]
impl LoadBalancerSession for Session {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<Table, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let reports = self.reports.clone();
        tokio::spawn(async move {
            while let Ok(Some(report)) = incoming.message().await {
                reports.send_replace(report);
            }
        });
        let tables = WatchStream::new(self.tables.clone());
        let tables = tables.filter_map(|table| std::future::ready(table.map(Ok)));
        Ok(Response::new(Box::pin(tables)))
    }
}

impl FakeControlPlane {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut control_plane = Self {
            socket: directory.join("control-plane.sock"),
            tables: watch::Sender::new(None),
            reports: watch::Sender::default(),
            server: None,
        };
        control_plane.restart();
        control_plane
    }

    /// Begins to listen, after `kill`.
    pub(crate) fn restart(&mut self) {
        let listener = UnixListener::bind(&self.socket).unwrap();
        let session = Session {
            tables: self.tables.subscribe(),
            reports: self.reports.clone(),
        };
        let serving = tonic::transport::Server::builder()
            .add_service(LoadBalancerSessionServer::new(session))
            .serve_with_incoming(UnixListenerStream::new(listener));
        self.server = Some(tokio::spawn(async move { serving.await.unwrap() }));
    }

    /// Ends all sessions without a word, and listens no more.
    pub(crate) fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
        std::fs::remove_file(&self.socket).unwrap();
    }

    pub(crate) fn source(&self) -> Source {
        let endpoint: Endpoint = format!("unix:{}", self.socket.display()).parse().unwrap();
        Source::ControlPlane(ControlPlane::new(vec![endpoint]))
    }

    pub(crate) fn send(&self, table: Table) {
        self.tables.send_replace(Some(table));
    }

    pub(crate) fn reports(&self) -> watch::Receiver<NodeReport> {
        self.reports.subscribe()
    }
}
