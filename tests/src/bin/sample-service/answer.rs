//! What the service answers, in each of the protocols that it speaks.

use std::convert::Infallible;
use std::fmt::Write as _;

use bytes::Bytes;
use futures_util::{SinkExt as _, Stream, StreamExt as _, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SET_COOKIE, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::action::{Action, action, carry_out};

type Body = BoxBody<Bytes, Infallible>;

/// A message of `grpc.health.v1.HealthCheckResponse` with the status SERVING, behind the five bytes that say that it is not compressed
/// and two bytes long.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

pub(crate) async fn answer(
    request: Request<Incoming>,
    greeting: Bytes,
) -> Result<Response<Body>, Infallible> {
    let uri = request.uri();
    if request.method() == Method::POST {
        match uri.path() {
            "/grpc.health.v1.Health/Check" => return Ok(serving(stream::empty())),
            // What it says does not change, and the call does not end.
            "/grpc.health.v1.Health/Watch" => return Ok(serving(stream::pending())),
            _ => {}
        }
    }
    if uri.path() == "/chat" {
        return Ok(chat(request));
    }
    let response = match action(uri.path(), uri.query().unwrap_or("")) {
        Action::Greet => text(StatusCode::OK, greeting),
        Action::Headers => text(StatusCode::OK, shown(request.headers()).into()),
        Action::LogIn => {
            let mut response = text(StatusCode::OK, greeting);
            let session = HeaderValue::from_static("SESSION=1; Path=/");
            response.headers_mut().insert(SET_COOKIE, session);
            response
        }
        Action::Unknown => text(StatusCode::NOT_FOUND, "not found\n".into()),
        other => {
            carry_out(other).await;
            text(StatusCode::OK, greeting)
        }
    };
    Ok(response)
}

fn text(status: StatusCode, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(text).boxed());
    *response.status_mut() = status;
    response
}

fn shown(headers: &HeaderMap) -> String {
    headers
        .iter()
        .fold(String::new(), |mut shown, (name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            writeln!(shown, "{name}: {value}").expect("a string takes what is written to it");
            shown
        })
}

/// Answers a call of gRPC, with more messages after the first; its status is in the trailers.
fn serving(more: impl Stream<Item = Frame<Bytes>> + Send + Sync + 'static) -> Response<Body> {
    let status = HeaderMap::from_iter([("grpc-status".parse().expect("it is a name"), 0.into())]);
    let first = stream::iter([Frame::data(Bytes::from_static(SERVING))]);
    let frames = first
        .chain(more)
        .chain(stream::iter([Frame::trailers(status)]));
    let body = StreamBody::new(frames.map(Ok));
    let mut response = Response::new(BodyExt::boxed(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Becomes a WebSocket (RFC 6455 4.2.2) that sends back what it gets.
fn chat(mut request: Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "a WebSocket\n".into());
        response.headers_mut().insert(UPGRADE, WEBSOCKET);
        return response;
    };
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .expect("what is encoded as base64 is a value");
    tokio::spawn(async move {
        let upgraded = match hyper::upgrade::on(&mut request).await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => return eprintln!("no WebSocket: {error}"),
        };
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() || socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}
