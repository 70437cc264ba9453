//! A control plane of a few lines, for tests: answers the console's streams with a script.

use std::path::Path;
use std::thread::{self, JoinHandle};

use roadstead_client::proto::console::console_server::{Console, ConsoleServer};
use roadstead_client::proto::console::{
    DescribeControlPlaneRequest, DescribeControlPlaneResponse, DescribeTrafficRequest,
    DescribeTrafficResponse, LogChunk, PauseServiceRequest, PauseServiceResponse,
    ResumeServiceRequest, ResumeServiceResponse, ServiceView, TaskLogsRequest, WatchServiceRequest,
};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::Connection;
use crate::context::Context;
use crate::output::Format;
use crate::runtime;

/// What the streams say; each then stays open.
#[derive(Debug, Default, Clone)]
pub(crate) struct Script {
    pub(crate) views: Vec<Result<ServiceView, Status>>,
    pub(crate) log: Vec<Result<LogChunk, Status>>,
}

/// A server that lives until it is dropped, and then hangs up as a killed one does.
#[derive(Debug)]
pub(crate) struct Server {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves a script, and returns the way there.
    pub(crate) fn start(directory: &Path, script: Script) -> (Self, Connection) {
        let socket = directory.join("server.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        // A thread and a runtime of its own: when they end, so do the open connections.
        let thread = thread::spawn(move || {
            let serve = async {
                let listener = UnixListenerStream::new(UnixListener::from_std(listener).unwrap());
                let mut server = tonic::transport::Server::builder();
                let server = server.add_service(ConsoleServer::new(script));
                tokio::select! {
                    served = server.serve_with_incoming(listener) => served.unwrap(),
                    () = stopped.cancelled() => {}
                }
                Ok(())
            };
            runtime::block_on(serve).unwrap();
        });
        let endpoint = format!("unix:{}", socket.display()).parse().unwrap();
        let context = Context {
            credentials: None,
            endpoints: vec![endpoint],
            cluster: None,
        };
        let server = Self {
            stop,
            thread: Some(thread),
        };
        (server, Connection::new(context, Format::Json))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

fn answers<T: Clone + Send + 'static>(script: &[Result<T, Status>]) -> Response<Answers<T>> {
    let (send, receive) = mpsc::channel(script.len() + 1);
    for answer in script {
        send.try_send(answer.clone()).unwrap();
    }
    tokio::spawn(async move { send.closed().await });
    Response::new(ReceiverStream::new(receive))
}

#[tonic::async_trait]
impl Console for Script {
    type WatchServiceStream = Answers<ServiceView>;
    type TaskLogsStream = Answers<LogChunk>;

    async fn watch_service(
        &self,
        _request: Request<WatchServiceRequest>,
    ) -> Result<Response<Answers<ServiceView>>, Status> {
        Ok(answers(&self.views))
    }

    async fn task_logs(
        &self,
        _request: Request<TaskLogsRequest>,
    ) -> Result<Response<Answers<LogChunk>>, Status> {
        Ok(answers(&self.log))
    }

    async fn describe_traffic(
        &self,
        _request: Request<DescribeTrafficRequest>,
    ) -> Result<Response<DescribeTrafficResponse>, Status> {
        Ok(Response::new(DescribeTrafficResponse::default()))
    }

    async fn pause_service(
        &self,
        _request: Request<PauseServiceRequest>,
    ) -> Result<Response<PauseServiceResponse>, Status> {
        Ok(Response::new(PauseServiceResponse::default()))
    }

    async fn resume_service(
        &self,
        _request: Request<ResumeServiceRequest>,
    ) -> Result<Response<ResumeServiceResponse>, Status> {
        Ok(Response::new(ResumeServiceResponse::default()))
    }

    async fn describe_control_plane(
        &self,
        _request: Request<DescribeControlPlaneRequest>,
    ) -> Result<Response<DescribeControlPlaneResponse>, Status> {
        Ok(Response::new(DescribeControlPlaneResponse::default()))
    }
}
