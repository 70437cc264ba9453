//! Targets: an HTTP server that behaves, and a socket that does what a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;
type Handler =
    Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// A target. Dropping it closes its socket and every connection at once, as a killed process does.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _alive: DropGuard,
}

impl Backend {
    /// Answers every request with this text.
    pub(crate) async fn text(answer: &'static str) -> Self {
        Self::http(move |_request| async move { text(answer) }).await
    }

    /// Answers every request with its own body. That takes a moment, so that requests are under way whenever a target leaves.
    pub(crate) async fn echo() -> Self {
        Self::http(|request| async move {
            tokio::task::yield_now().await;
            text(body_of(request).await)
        })
        .await
    }

    /// Answers every request with "slow" once it is let go, and tells how many have come.
    pub(crate) async fn slow() -> (Self, watch::Receiver<usize>, watch::Sender<bool>) {
        let (arrived, arrivals) = watch::channel(0);
        let (release, gate) = watch::channel(false);
        let backend = Self::http(move |_request| {
            let (arrived, mut gate) = (arrived.clone(), gate.clone());
            async move {
                arrived.send_modify(|number| *number += 1);
                gate.wait_for(|open| *open).await.unwrap();
                text("slow")
            }
        })
        .await;
        (backend, arrivals, release)
    }

    pub(crate) async fn http<F>(
        handler: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        Self::raw(move |stream, _number| {
            let handler = Arc::clone(&handler);
            async move {
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                // The load balancer closes connections as it likes.
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            }
        })
        .await
    }

    /// Answers in HTTP/2, with prior knowledge; after `most` requests each connection says that it takes no more.
    pub(crate) async fn http2<B, F>(
        most: usize,
        handler: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Future<Output = Response<B>> + Send + 'static,
    {
        Self::raw(move |stream, _number| {
            let handler = handler.clone();
            async move {
                let (begun, mut requests) = watch::channel(0);
                let service = service_fn(move |request| {
                    begun.send_modify(|number| *number += 1);
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ended = connection.as_mut() => return,
                    _ = requests.wait_for(|number| *number >= most) => {}
                }
                connection.as_mut().graceful_shutdown();
                drop(connection.await);
            }
        })
        .await
    }

    /// Gives each connection, with its number, to `serve`.
    pub(crate) async fn raw<F>(serve: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let alive = CancellationToken::new();
        let killed = alive.clone();
        tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    () = killed.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                tasks.spawn(serve(accepted.unwrap().0, counter.fetch_add(1, SeqCst)));
            }
        });
        Self {
            address,
            connections,
            _alive: alive.drop_guard(),
        }
    }

    /// Returns how many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

pub(crate) fn text(text: impl Into<Bytes>) -> Reply {
    Response::new(Full::new(text.into()).boxed_unsync())
}

pub(crate) async fn body_of(request: Request<Incoming>) -> Bytes {
    request.into_body().collect().await.unwrap().to_bytes()
}

/// Reads one request, with a body of four bytes or none; returns false at the end of the connection.
pub(crate) async fn request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\r\n\r\nbody") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}
