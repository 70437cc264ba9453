//! A listening socket of one worker.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use roadstead_client::Backoff;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::client;
use crate::shared::{Door, Shared};

const BACKLOG: i32 = 4096;

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    pub address: SocketAddr,
    #[source]
    pub cause: io::Error,
}

pub(super) fn bind(address: IpAddr, port: u16) -> Result<TcpListener, BindError> {
    let address = SocketAddr::new(address, port);
    listen(address).map_err(|cause| BindError { address, cause })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
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
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until the door closes.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    worker: usize,
    door: Arc<Door>,
    tracker: TaskTracker,
) {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
    loop {
        let accepted = tokio::select! {
            () = door.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff.reset();
                prepare(&stream);
                // Only after the accept: a permit that waits for a client here is one that another
                // listener may need.
                let permit = tokio::select! {
                    () = door.closing.cancelled() => return,
                    permit = Arc::clone(&shared.connections).acquire_owned() => permit,
                };
                let (shared, door) = (Arc::clone(&shared), Arc::clone(&door));
                tracker.spawn(async move {
                    client::serve(shared, worker, door, peer.ip(), stream).await;
                    drop(permit);
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

fn prepare(stream: &TcpStream) {
    // Fails only on a connection that is gone already; serving it will show that.
    drop(stream.set_nodelay(true));
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
