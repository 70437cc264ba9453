//! A probe in HTTP/2: a request, or a call of gRPC.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

const STATUS: &str = "grpc-status";
/// A message of no bytes: not compressed, of length 0.
const NO_MESSAGE: [u8; 5] = [0; 5];
/// What is read of an answer before its trailers.
const MOST_ANSWER: usize = 64 * 1024;

/// What hyper drives in a task of its own.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for S {}

/// Returns the status code that a target answers.
pub(super) async fn get(stream: impl Duplex, url: &str) -> io::Result<Option<u16>> {
    let request = Request::get(url);
    let request = request.header(USER_AGENT, super::USER_AGENT);
    let request = request.body(Full::default()).map_err(io::Error::other)?;
    let response = exchange(stream, request).await?;
    Ok(Some(response.status().as_u16()))
}

/// Returns the status of gRPC that a target answers; it is in the trailers, or in the head when there is no more.
pub(super) async fn call(stream: impl Duplex, url: &str) -> io::Result<Option<u16>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(USER_AGENT, super::USER_AGENT)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(Full::new(Bytes::from_static(&NO_MESSAGE)))
        .map_err(io::Error::other)?;
    let response = exchange(stream, request).await?;
    if let Some(status) = status(response.headers()) {
        return Ok(Some(status));
    }
    let body = Limited::new(response.into_body(), MOST_ANSWER).collect();
    let body = body.await.map_err(io::Error::other)?;
    Ok(body.trailers().and_then(status))
}

fn status(headers: &HeaderMap) -> Option<u16> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// Sends one request; the connection lives on until its answer has been dropped.
async fn exchange(
    stream: impl Duplex,
    request: Request<Full<Bytes>>,
) -> io::Result<Response<Incoming>> {
    let (mut requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Its error is the request's.
    tokio::spawn(async move { drop(connection.await) });
    requests
        .send_request(request)
        .await
        .map_err(io::Error::other)
}
