//! What Prometheus reads: every counter of this process, by listener, target group and target.

mod page;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::Socket;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::shared::Shared;
use crate::succession::turn;
use crate::worker::listener::{self, BindError};

/// A scraper has one connection, or a few.
const MOST_CONNECTIONS: usize = 16;
const BACKLOG: i32 = 16;
const PATH: &str = "/metrics";
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Takes the address; a successor and its predecessor may both have it, and only one listens.
///
/// # Errors
/// Fails when the address is taken, or is none of this host's.
pub(crate) fn bind(address: SocketAddr) -> Result<Socket, BindError> {
    listener::open(address).map_err(|cause| BindError { address, cause })
}

/// Answers scrapes until `stop`; a successor does when it is its turn.
pub(crate) async fn serve(socket: Socket, shared: Arc<Shared>, stop: CancellationToken) {
    let mut phase = shared.phase.clone();
    tokio::select! {
        () = stop.cancelled() => return,
        () = turn(&mut phase) => {}
    }
    let listening = socket.listen(BACKLOG);
    let socket = match listening.and_then(|()| TcpListener::from_std(socket.into())) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(
                error = &error as &dyn std::error::Error,
                "metrics are not served"
            );
            return;
        }
    };
    match socket.local_addr() {
        Ok(address) => info!(%address, "metrics are served"),
        Err(error) => warn!(error = &error as &dyn std::error::Error, "no address"),
    }
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) if connections.len() < MOST_CONNECTIONS => {
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                connections.spawn(async move {
                    let service = service_fn(|request| answer(request, &shared));
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        ended = connection => if let Err(error) = ended {
                            debug!(error = &error as &dyn std::error::Error, "a scrape broke");
                        }
                    }
                });
            }
            Ok(_one_too_many) => {}
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot accept scrapes"
                );
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible> + use<>>, Infallible> {
    let is_scrape = request.method() == Method::GET && request.uri().path() == PATH;
    let page = is_scrape.then(|| page::write(shared));
    let (status, text) = match page {
        Some(Ok(text)) => (StatusCode::OK, text),
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        None => (
            StatusCode::NOT_FOUND,
            format!("the metrics are at {PATH}\n"),
        ),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response.map(|text| http_body_util::Full::new(Bytes::from(text))))
}
