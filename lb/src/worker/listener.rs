//! The listening sockets of a port, and what a worker accepts from them.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as Listening};
use std::sync::Arc;
use std::time::Duration;

use roadstead_client::Backoff;
use socket2::{Domain, Protocol, Type};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::client;
use crate::shared::{Door, Shared};
use crate::socket::Socket;
use crate::succession::turn;

const BACKLOG: i32 = 4096;

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    pub address: SocketAddr,
    #[source]
    pub cause: io::Error,
}

/// Opens so many sockets for one port.
pub(crate) fn bind(
    address: IpAddr,
    port: u16,
    sockets: usize,
) -> Result<Vec<Listening>, BindError> {
    let address = SocketAddr::new(address, port);
    let opened = (0..sockets)
        .map(|_| listen(address))
        .collect::<io::Result<_>>();
    opened.map_err(|cause| BindError { address, cause })
}

fn listen(address: SocketAddr) -> io::Result<Listening> {
    let socket = open(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Returns a socket that has the address, which others of this node may have too, and does not listen yet.
pub(crate) fn open(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Lets this thread's runtime watch sockets.
pub(crate) fn watch(
    sockets: Vec<Listening>,
    address: SocketAddr,
) -> Result<Vec<TcpListener>, BindError> {
    let watched = sockets.into_iter().map(TcpListener::from_std);
    let watched = watched.collect::<io::Result<_>>();
    watched.map_err(|cause| BindError { address, cause })
}

/// Accepts connections until the door closes; a successor's, only when its predecessor does no longer.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    worker: usize,
    door: Arc<Door>,
    tracker: TaskTracker,
) {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
    let mut phase = shared.phase.clone();
    tokio::select! {
        () = door.closing.given() => return,
        () = turn(&mut phase) => {}
    }
    loop {
        let accepted = tokio::select! {
            () = door.closing.given() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff.reset();
                // Before it waits for anything: one address cannot keep the others out.
                let Some(admitted) = shared.by_address.admit(peer.ip()) else {
                    debug!(client = %peer, "closed: its address has as many connections as it may");
                    door.traffic.refused_connection(worker);
                    continue;
                };
                let stream = Socket::accepted(stream);
                // Only after the accept: a permit that waits for a client here is one that another
                // listener may need.
                let permit = tokio::select! {
                    () = door.closed.given() => return,
                    permit = Arc::clone(&shared.connections).acquire_owned() => permit,
                };
                let (shared, door) = (Arc::clone(&shared), Arc::clone(&door));
                door.traffic.connected(worker);
                tracker.spawn(async move {
                    client::serve(shared, worker, door, peer, stream).await;
                    drop((permit, admitted));
                });
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                warn!(
                    port = door.port,
                    error = &error as &dyn std::error::Error,
                    "cannot accept connections"
                );
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }
}

/// Returns whether one connection failed, and not the listener (accept(2)).
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
