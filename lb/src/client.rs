//! One connection of a client: shakes hands if its listener speaks HTTPS, and serves it to its end.
//!
//! `http1` speaks HTTP/1.1, and `http2`, by h2, HTTP/2; both have the clock and the alarm, which `watch` keeps off the path of
//! a request, and `link` is what the connection and its request tell each other.

mod http1;
mod http2;
mod linger;
mod link;
mod park;
mod proxy_protocol;
mod rewind;
mod tcp;
mod tunnel;
mod watch;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::counter::Counter;
use crate::shared::{Door, Shared};
use crate::socket::Socket;
use crate::table::Speaks;
use crate::tls::{ClientCertificate, HTTP_2, Handshake, Tls};
use crate::upstream::Forwarded;
pub(crate) use http1::{BrokenBody, Http1Body};
pub(crate) use http2::Http2Body;
pub(crate) use link::{Interrupted, Link};
pub(crate) use proxy_protocol::ProxyProtocol;
use rewind::{PREFACE, Rewind};
pub(crate) use tunnel::Tunnel;

/// How long a handshake may take, even where a client may take longer for a request.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// So many headers may a request have.
pub(crate) const MOST_HEADERS: usize = 100;

/// A client connection, as its requests see it. With HTTP/2 each request has its own.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) door: Arc<Door>,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// How it shook hands; known when there is an access log.
    pub(crate) tls: Option<Arc<Handshake>>,
    /// With which it has shaken hands, if it had to.
    certificate: Option<Arc<ClientCertificate>>,
    /// The address as `X-Forwarded-For` has it.
    pub(crate) forwarded_for: HeaderValue,
    /// The listener's port as `X-Forwarded-Port` has it.
    pub(crate) forwarded_port: HeaderValue,
    /// How it came, as `X-Forwarded-Proto` has it.
    pub(crate) scheme: &'static str,
    /// Whether there are other requests on the connection: then only what is the request's own is a sign of its life.
    pub(crate) is_stream: bool,
    pub(crate) link: Link,
    /// How many requests its connection has had.
    requests: Counter,
}

impl Client {
    fn new(
        shared: Arc<Shared>,
        worker: usize,
        door: Arc<Door>,
        peer: SocketAddr,
        scheme: &'static str,
        tls: Option<Arc<Handshake>>,
    ) -> Self {
        // A client of a dual-stack listener is known to its target by its IPv4 address.
        let address = peer.ip().to_canonical();
        let forwarded_for = HeaderValue::try_from(address.to_string())
            .expect("an address is written in visible ASCII characters");
        let link = match scheme {
            "tcp" => Link::of_tcp(&shared.config),
            _ => Link::new(&shared.config),
        };
        Self {
            forwarded_port: HeaderValue::from(door.port),
            shared,
            worker,
            door,
            address,
            port: peer.port(),
            tls,
            certificate: None,
            forwarded_for,
            scheme,
            is_stream: false,
            link,
            requests: Counter::default(),
        }
    }

    /// Returns a client for one of several requests on this connection.
    fn stream(&self) -> Self {
        self.has_had_one_more();
        Self {
            shared: Arc::clone(&self.shared),
            worker: self.worker,
            door: Arc::clone(&self.door),
            address: self.address,
            port: self.port,
            tls: self.tls.clone(),
            certificate: self.certificate.clone(),
            forwarded_for: self.forwarded_for.clone(),
            forwarded_port: self.forwarded_port.clone(),
            scheme: self.scheme,
            is_stream: true,
            link: Link::new(&self.shared.config),
            requests: Counter::default(),
        }
    }

    /// Counts a request of the connection.
    fn has_had_one_more(&self) {
        self.requests.add(1);
    }

    /// Returns whether the connection has had no request.
    fn is_unasked(&self) -> bool {
        self.requests.get() == 0
    }

    /// Returns whether the connection has had its requests, or its time.
    fn is_worn(&self) -> bool {
        let config = &self.shared.config;
        self.requests.get() >= config.max_requests_per_connection
            || self.link.age() >= config.max_connection_age
    }

    /// Returns what its targets are told about it.
    pub(crate) fn forwarded(&self) -> Forwarded<'_> {
        Forwarded {
            address: &self.forwarded_for,
            port: &self.forwarded_port,
            scheme: self.scheme,
            certificate: self.certificate.as_deref(),
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    worker: usize,
    door: Arc<Door>,
    mut peer: SocketAddr,
    mut stream: Socket,
) {
    let Some((speaks, proxy_protocol)) = conditions(&shared, &door, peer.ip()) else {
        debug!(client = %peer, "not let in");
        door.traffic.refused_connection(worker);
        return;
    };
    if proxy_protocol {
        match Box::pin(named(&shared, &door, &mut stream)).await {
            Ok(named) => peer = named.unwrap_or(peer),
            Err(error) => {
                debug!(client = %peer, error = &error as &dyn std::error::Error, "nobody is named");
                door.traffic.refused_connection(worker);
                return;
            }
        }
    }
    match speaks {
        Speaks::Http => {
            let client = Arc::new(Client::new(shared, worker, door, peer, "http", None));
            if let Some((read, stream)) = http1::serve(Arc::clone(&client), stream, true).await {
                let stream = Rewind::to(read.freeze(), stream);
                Box::pin(http2::serve(client, stream)).await;
            }
        }
        // Apart, so that a connection without them has no room for them.
        Speaks::Https(tls) => Box::pin(secured(shared, worker, door, peer, &tls, stream)).await,
        Speaks::Tcp { by_name } => {
            let client = Client::new(shared, worker, door, peer, "tcp", None);
            Box::pin(tcp::serve(Arc::new(client), stream, by_name)).await;
        }
    }
}

async fn secured(
    shared: Arc<Shared>,
    worker: usize,
    door: Arc<Door>,
    peer: SocketAddr,
    tls: &Tls,
    stream: Socket,
) {
    let Some(stream) = shake_hands(&shared, &door, tls, peer, stream).await else {
        return;
    };
    let session = stream.get_ref().1;
    let is_http2 = session.alpn_protocol() == Some(HTTP_2);
    let log = shared.access_log.as_ref();
    let handshake = log.map(|_log| Arc::new(Handshake::of(session)));
    let mut client = Client::new(shared, worker, door, peer, "https", handshake);
    client.certificate = ClientCertificate::of(session).map(Arc::new);
    let client = Arc::new(client);
    if is_http2 {
        http2::serve(client, stream).await;
    } else {
        http1::serve(client, stream, false).await;
    }
}

/// Returns how the door's listener speaks by the newest table, for an open listener may change it, and whether connections
/// begin with a header of the PROXY protocol; `None` when it does not let that address in, or has just left the table.
fn conditions(shared: &Shared, door: &Door, address: IpAddr) -> Option<(Speaks, bool)> {
    let table = shared.table.load();
    let listener = table.listener(door.port)?;
    let admits = listener.access.admits(address);
    admits.then(|| (listener.speaks.clone(), listener.proxy_protocol))
}

/// Returns whose connection the proxy before us passes on.
async fn named(
    shared: &Shared,
    door: &Door,
    stream: &mut Socket,
) -> io::Result<Option<SocketAddr>> {
    let limit = shared.config.client_timeout.min(HANDSHAKE_DEADLINE);
    tokio::select! {
        () = door.closed.given() => Err(io::ErrorKind::ConnectionAborted.into()),
        read = timeout(limit, proxy_protocol::read(stream)) => read?,
    }
}

async fn shake_hands(
    shared: &Shared,
    door: &Door,
    tls: &Tls,
    peer: SocketAddr,
    stream: Socket,
) -> Option<TlsStream<Socket>> {
    let limit = shared.config.client_timeout.min(HANDSHAKE_DEADLINE);
    let shaken = tokio::select! {
        () = door.closed.given() => return None,
        shaken = timeout(limit, tls.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => Some(stream),
        // As nonsense in HTTP: nothing that an operator could act on.
        Ok(Err(error)) => {
            debug!(client = %peer, error = &error as &dyn std::error::Error, "no handshake");
            None
        }
        Err(_elapsed) => {
            debug!(client = %peer, "the handshake took too long");
            None
        }
    }
}
