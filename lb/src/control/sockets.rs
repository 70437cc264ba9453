//! The listening sockets of the newest table.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tracing::{info, warn};

use crate::shared::{Door, Shared};
use crate::worker::{BindError, listener};

/// A listener of the newest table.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) door: Arc<Door>,
    /// What the workers accept from, kept for a successor.
    pub(super) sockets: Vec<Arc<TcpListener>>,
}

/// Returns those sockets that this load balancer would open itself: its address may be another than its predecessor's.
pub(super) fn by_port(
    inherited: Vec<TcpListener>,
    shared: &Shared,
) -> BTreeMap<u16, Vec<Arc<TcpListener>>> {
    let mut sockets: BTreeMap<u16, Vec<_>> = BTreeMap::new();
    for socket in inherited {
        match socket.local_addr() {
            Ok(address) if address.ip() == shared.config.bind => {
                let of_port = sockets.entry(address.port()).or_default();
                of_port.push(Arc::new(socket));
            }
            Ok(address) => info!(%address, "not taken over: listeners have another address now"),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "not taken over"),
        }
    }
    sockets
}

/// Opens sockets for one port, as many as there are workers.
pub(super) fn bind(
    shared: &Shared,
    port: u16,
    workers: usize,
) -> Result<Vec<Arc<TcpListener>>, BindError> {
    let sockets = listener::bind(shared.config.bind, port, workers)?;
    Ok(sockets.into_iter().map(Arc::new).collect())
}

/// Returns that the port cannot be opened.
pub(super) fn bind_error(shared: &Shared, port: u16, cause: std::io::Error) -> BindError {
    let address = SocketAddr::new(shared.config.bind, port);
    BindError { address, cause }
}
