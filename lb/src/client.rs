//! One connection of a client: shakes hands if its listener speaks HTTPS, and serves it to its end.
//!
//! hyper speaks HTTP; `http1` adds the clock and the alarm, which `watch` keeps off the path of a request, and `link` is
//! what the connection and its request tell each other.

mod http1;
mod link;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::shared::{Door, Shared};
use crate::tls::Tls;
use crate::upstream::Forwarded;
pub(crate) use link::{Interrupted, Link};

/// How long a handshake may take, even where a client may take longer for a request.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// A client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) door: Arc<Door>,
    pub(crate) address: IpAddr,
    /// The address as `X-Forwarded-For` has it.
    pub(crate) forwarded_for: HeaderValue,
    /// The listener's port as `X-Forwarded-Port` has it.
    pub(crate) forwarded_port: HeaderValue,
    /// How it came, as `X-Forwarded-Proto` has it.
    pub(crate) scheme: &'static str,
    pub(crate) link: Link,
}

impl Client {
    fn new(
        shared: Arc<Shared>,
        worker: usize,
        door: Arc<Door>,
        address: IpAddr,
        scheme: &'static str,
    ) -> Self {
        // A client of a dual-stack listener is known to its target by its IPv4 address.
        let address = address.to_canonical();
        let forwarded_for = HeaderValue::try_from(address.to_string())
            .expect("an address is written in visible ASCII characters");
        let link = Link::new(shared.config.client_timeout, shared.config.target_timeout);
        Self {
            forwarded_port: HeaderValue::from(door.port),
            shared,
            worker,
            door,
            address,
            forwarded_for,
            scheme,
            link,
        }
    }

    /// Returns what its targets are told about it.
    pub(crate) fn forwarded(&self) -> Forwarded<'_> {
        Forwarded {
            address: &self.forwarded_for,
            port: &self.forwarded_port,
            scheme: self.scheme,
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    worker: usize,
    door: Arc<Door>,
    address: IpAddr,
    stream: TcpStream,
) {
    match protocol(&shared, &door) {
        // The listener has just left the table, and its door closes.
        None => {}
        Some(None) => {
            let client = Client::new(shared, worker, door, address, "http");
            http1::serve(Arc::new(client), stream).await;
        }
        // Apart, so that a connection without TLS has no room for it.
        Some(Some(tls)) => {
            Box::pin(async move {
                let Some(stream) = shake_hands(&shared, &door, &tls, address, stream).await else {
                    return;
                };
                let client = Client::new(shared, worker, door, address, "https");
                http1::serve(Arc::new(client), stream).await;
            })
            .await;
        }
    }
}

/// Returns how the door's listener speaks by the newest table: an open listener may change from HTTP to HTTPS.
fn protocol(shared: &Shared, door: &Door) -> Option<Option<Tls>> {
    let table = shared.table.load();
    Some(table.listener(door.port)?.tls.clone())
}

async fn shake_hands(
    shared: &Shared,
    door: &Door,
    tls: &Tls,
    address: IpAddr,
    stream: TcpStream,
) -> Option<TlsStream<TcpStream>> {
    let limit = shared.config.client_timeout.min(HANDSHAKE_DEADLINE);
    let shaken = tokio::select! {
        () = door.closing.cancelled() => return None,
        shaken = timeout(limit, tls.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => Some(stream),
        // As nonsense in HTTP: nothing that an operator could act on.
        Ok(Err(error)) => {
            debug!(client = %address, error = &error as &dyn std::error::Error, "no handshake");
            None
        }
        Err(_elapsed) => {
            debug!(client = %address, "the handshake took too long");
            None
        }
    }
}
