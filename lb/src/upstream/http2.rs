//! A target that speaks HTTP/2, by prior knowledge or as TLS agrees upon it, as servers of gRPC do: many requests share a connection.
//!
//! hyper speaks it. A connection is driven by a task of its own on the worker's thread, and is in the pool from its first
//! request on; it ends when the pool has let go of it and its last request is over.

mod body;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, COOKIE, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version, request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::time::timeout;
use tracing::debug;

use body::{OutgoingBody, Supply};

use super::Stream;
use super::head::{Forwarded, add_forwarded};
use super::stacks::Stacks;
use crate::hop;
use crate::io::Received;
use crate::lock::lock;
use crate::tls::Connector;

/// What servers let a client have at once, if they do not say more; h2 itself waits if it is less.
const MOST_STREAMS: u32 = 100;
/// An unused connection is kept for so long: who speaks HTTP/2 says when it closes one.
const UNUSED: Duration = Duration::from_secs(60);
/// A host that acknowledges nothing for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(20);
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the end of an answer without a body may come behind its head.
const END_DEADLINE: Duration = Duration::from_secs(1);
/// So much of an answer may come before its client takes it.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Room for all of them: answers that nobody takes must not hold up those of others.
const CONNECTION_WINDOW: u32 = MOST_STREAMS * STREAM_WINDOW;
/// As of targets in HTTP/1.1.
const MOST_HEAD_BYTES: u32 = 64 * 1024;

/// The connections to one target, for each worker.
#[derive(Debug)]
pub(crate) struct Http2Pool(Stacks<Mutex<Vec<Connection>>>);

#[derive(Debug, Clone)]
struct Connection {
    requests: SendRequest<OutgoingBody>,
    /// Of its requests.
    scheme: Scheme,
    usage: Arc<Usage>,
}

/// How a connection is used.
#[derive(Debug)]
struct Usage {
    streams: AtomicU32,
    unused_since: Mutex<Instant>,
}

impl Http2Pool {
    pub(crate) fn new(workers: usize) -> Self {
        // As many as the requests of the last minute needed, which are bounded.
        Self(Stacks::new(workers, usize::MAX))
    }

    /// Returns a place on a connection that is open and has room.
    pub(crate) fn take(&self, worker: usize) -> Option<Slot> {
        self.0.with(worker, |connections| {
            let mut open = connections.iter().filter(|one| !one.requests.is_closed());
            let with_room = open.find(|one| one.usage.streams.load(Relaxed) < MOST_STREAMS);
            with_room.map(Connection::slot)
        })
    }

    /// Keeps a new connection for others too, unless `closed` says, under the lock, that the target takes no more requests.
    pub(crate) fn share(&self, worker: usize, slot: &Slot, closed: impl Fn() -> bool) {
        self.0.put(worker, slot.connection.clone(), closed);
    }

    /// Lets go of connections that are closed, or have been unused for long.
    pub(crate) fn trim(&self, worker: usize) {
        self.0.with(worker, |connections| {
            connections.retain(|one| !one.requests.is_closed() && !one.usage.is_old());
        });
    }

    /// Lets go of every connection: each ends with its last request.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

impl Usage {
    fn is_old(&self) -> bool {
        self.streams.load(Relaxed) == 0 && lock(&self.unused_since).elapsed() >= UNUSED
    }
}

impl Connection {
    fn slot(&self) -> Slot {
        self.usage.streams.fetch_add(1, Relaxed);
        Slot {
            connection: self.clone(),
        }
    }
}

/// A request's place on a connection.
#[derive(Debug)]
pub(crate) struct Slot {
    connection: Connection,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let usage = &self.connection.usage;
        if usage.streams.fetch_sub(1, Relaxed) == 1 {
            *lock(&usage.unused_since) = Instant::now();
        }
    }
}

fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(PROBE_INTERVAL)
        .with_interval(PROBE_INTERVAL)
}

/// A call failed before the head of an answer had come.
#[derive(Debug)]
pub(crate) struct CallFailure {
    pub(crate) error: hyper::Error,
    /// The target has not acted on it, and its body can be sent from the beginning.
    pub(crate) untouched: bool,
    /// The target has ended the call, and not the connection.
    pub(crate) answered: bool,
}

impl Slot {
    /// Connects to a target; the caller sets the deadline.
    pub(crate) async fn connect(
        address: SocketAddr,
        connector: Option<&Connector>,
    ) -> io::Result<Self> {
        let stream = Stream::connect(address, connector).await?;
        // The kernel finds out that a host is gone: servers of gRPC take pings of ours for an attack.
        let socket = SockRef::from(stream.tcp());
        socket.set_tcp_keepalive(&keepalive())?;
        socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MOST_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(target = %address, error = &error as &dyn std::error::Error, "connection broke");
            }
        });
        let usage = Usage {
            streams: AtomicU32::new(0),
            unused_since: Mutex::new(Instant::now()),
        };
        let usage = Arc::new(usage);
        let scheme = match connector {
            None => Scheme::HTTP,
            Some(_) => Scheme::HTTPS,
        };
        let connection = Connection {
            requests,
            scheme,
            usage,
        };
        Ok(connection.slot())
    }

    /// Sends a call; returns the answer, with this slot for as long as its body comes.
    pub(crate) async fn send(
        &mut self,
        call: &mut Call,
        head: &request::Parts,
        forwarded: Forwarded<'_>,
    ) -> Result<Response<Incoming>, CallFailure> {
        let scheme = self.connection.scheme.clone();
        let request = call.request(head, scheme, forwarded);
        let sent = self.connection.requests.try_send_request(request);
        let answer = sent.await.map(|mut answer| {
            call.is_acted_upon();
            // Of requests alone (RFC 9113 8.2.2); h2 lets it through.
            answer.headers_mut().remove(TE);
            hop::trim(answer.headers_mut());
            answer
        });
        answer.map_err(|mut failure| {
            let unsent = failure.take_message();
            let error = failure.into_error();
            let untouched = unsent.is_some() || cause(&error).is_some_and(is_refused);
            let untouched = untouched && call.is_whole();
            let answered = cause(&error).is_some_and(h2::Error::is_reset);
            CallFailure {
                error,
                untouched,
                answered,
            }
        })
    }
}

/// RFC 9113 8.7: a stream that was refused, or came after those that a GOAWAY names, was not acted upon.
fn is_refused(error: &h2::Error) -> bool {
    error.reason() == Some(h2::Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote())
}

/// Returns what HTTP/2 has to say of the failure of a call.
fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

/// Returns the reason that HTTP/2 has for the failure of a call.
pub(crate) fn reason(error: &hyper::Error) -> Option<h2::Reason> {
    cause(error)?.reason()
}

/// A request on its way to a target that speaks HTTP/2.
#[derive(Debug)]
pub(crate) struct Call {
    body: Option<Supply>,
    replayable: bool,
}

impl Call {
    pub(crate) fn new(head: &request::Parts, body: Option<Received>) -> Self {
        Self {
            replayable: head.method.is_safe() && body.is_none(),
            body: body.map(Supply::new),
        }
    }

    /// Returns whether it may be sent to a target that may have seen it before.
    pub(crate) fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// Returns whether it can be sent from its beginning.
    fn is_whole(&self) -> bool {
        self.body.as_ref().is_none_or(Supply::is_whole)
    }

    fn is_acted_upon(&self) {
        if let Some(body) = &self.body {
            body.forget();
        }
    }

    fn request(
        &self,
        head: &request::Parts,
        scheme: Scheme,
        forwarded: Forwarded<'_>,
    ) -> Request<OutgoingBody> {
        let body = self.body.as_ref();
        let mut request = Request::new(body.map_or_else(OutgoingBody::empty, Supply::body));
        *request.method_mut() = head.method.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri(head, scheme);
        let headers = request.headers_mut();
        // The host is in the URI.
        for (name, value) in hop::going_on(&head.headers).filter(|(name, _)| **name != HOST) {
            let mut value = value.clone();
            if [AUTHORIZATION, COOKIE].contains(name) {
                // Not to be indexed, by hops behind either (RFC 7541 6.2.3 and 7.1.3).
                value.set_sensitive(true);
            }
            headers.append(name.clone(), value);
        }
        // What servers of gRPC ask for; we do pass trailers on.
        headers.insert(TE, HeaderValue::from_static("trailers"));
        add_forwarded(headers, forwarded);
        request
    }
}

/// RFC 9113 8.3.1: the host is the authority, if it is one.
fn uri(head: &request::Parts, scheme: Scheme) -> Uri {
    let host = head.headers.get(HOST).map(HeaderValue::as_bytes);
    let authority = host.and_then(|host| Authority::try_from(host).ok());
    let path = match head.uri.path_and_query() {
        Some(path) if path.as_str().starts_with(['/', '*']) => path.clone(),
        // A query right after the host, in absolute form.
        Some(query) => PathAndQuery::try_from(format!("/{query}"))
            .unwrap_or_else(|_too_long| PathAndQuery::from_static("/")),
        None => PathAndQuery::from_static("/"),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.unwrap_or_else(|| Authority::from_static("localhost")));
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).expect("all three parts are there")
}

/// The body of an answer, on its connection.
#[derive(Debug)]
pub(crate) struct CallAnswer {
    pub(super) body: Incoming,
    /// It ends with its head; h2 does not hold a target to that (RFC 9110 6.4.1).
    pub(super) is_bodiless: bool,
    /// Others may have it when this is over.
    _slot: Slot,
}

impl CallAnswer {
    pub(crate) fn new(body: Incoming, is_bodiless: bool, slot: Slot) -> Self {
        Self {
            body,
            is_bodiless,
            _slot: slot,
        }
    }

    /// The answer is whole. One without a body may end in a frame of its own, on which its stream waits, or the target would take it for
    /// cancelled.
    pub(crate) fn finish(mut self) {
        if !self.is_bodiless || self.body.is_end_stream() {
            return;
        }
        tokio::spawn(async move {
            let end = timeout(END_DEADLINE, self.body.frame()).await;
            if !matches!(end, Ok(None | Some(Ok(_)))) {
                debug!("an answer without a body does not end");
            }
        });
    }
}
