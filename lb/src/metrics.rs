//! What Prometheus reads: every counter of this process, by listener, target group and target.

mod page;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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

use crate::lock::lock;
use crate::shared::Shared;
use crate::succession::turn;
use crate::worker::listener::{self, BindError};

/// A scraper has one connection, or a few.
const MOST_CONNECTIONS: usize = 16;
const BACKLOG: i32 = 16;
const METRICS: &str = "/metrics";
const HEALTH: &str = "/healthz";
/// How long an address is left alone that could not be taken.
const PAUSE: Duration = Duration::from_secs(5);
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Takes the address; a successor and its predecessor may both have it, and only one listens.
///
/// # Errors
/// Fails when the address is taken, or is none of this host's.
pub(crate) fn bind(address: SocketAddr) -> Result<Socket, BindError> {
    listener::open(address).map_err(|cause| BindError { address, cause })
}

/// Takes the address when it can be taken, and answers scrapes until `stop`: requests are served without.
pub(crate) async fn serve_later(
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    mut error: BindError,
) {
    warn!(
        error = &error as &dyn std::error::Error,
        "serving without metrics until they can be"
    );
    let socket = loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        match bind(address) {
            Ok(socket) => break socket,
            Err(again) => error = again,
        }
        debug!(error = &error as &dyn std::error::Error, "still no metrics");
    };
    serve(socket, shared, stop).await;
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
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Returns why not all is served that should be, if it is not: for who chooses between load balancers.
fn trouble(shared: &Shared) -> Option<String> {
    if shared.table.load().revision == 0 {
        return Some("there is no routing table yet".to_owned());
    }
    let trouble = lock(&shared.trouble).to_string();
    (!trouble.is_empty()).then_some(trouble)
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible> + use<>>, Infallible> {
    let path = Some(request.uri().path()).filter(|_| request.method() == Method::GET);
    let (status, text) = match path {
        Some(METRICS) => match page::write(shared) {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        Some(HEALTH) => match trouble(shared) {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        Some(_) | None => {
            let text =
                format!("the metrics are at {METRICS}, and whether all is served at {HEALTH}\n");
            (StatusCode::NOT_FOUND, text)
        }
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response.map(|text| http_body_util::Full::new(Bytes::from(text))))
}
