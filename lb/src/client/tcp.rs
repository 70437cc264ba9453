//! A connection that is passed on as it is. Where a rule asks for a name, it is the one for which a client of TLS asks: its
//! first message is read for that, and passed on like the rest.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;
use tracing::debug;

use super::tunnel::{Side, Tunnel};
use super::{Client, HANDSHAKE_DEADLINE};
use crate::io::Metered;
use crate::proxy;
use crate::socket::Socket;

/// A first message of TLS with all that it may hold.
const MOST_HELLO: usize = 32 * 1024;
/// Most come at once.
const USUAL_HELLO: usize = 2048;

/// Passes a connection on to its end. `by_name`: a rule of its listener asks for the name.
pub(super) async fn serve(client: Arc<Client>, mut stream: Socket, by_name: bool) {
    let (name, read) = if by_name {
        let limit = client.shared.config.client_timeout.min(HANDSHAKE_DEADLINE);
        match timeout(limit, server_name(&mut stream)).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                debug!(client = %client.address, error = &error as &dyn std::error::Error, "no first message");
                return;
            }
            Err(_elapsed) => {
                debug!(client = %client.address, "the first message took too long");
                return;
            }
        }
    } else {
        (None, BytesMut::new())
    };
    let name = name.unwrap_or_default();
    let found = tokio::select! {
        () = client.door.closed.given() => return,
        found = proxy::connect(&client, &name) => found,
    };
    let Some((wire, ticket)) = found else {
        return;
    };
    let read = match (
        ticket.target().proxy_protocol(),
        stream.as_ref().local_addr(),
    ) {
        (Some(protocol), Ok(destination)) => {
            let source = SocketAddr::new(client.address, client.port);
            let destination = SocketAddr::new(destination.ip().to_canonical(), destination.port());
            let mut bytes = BytesMut::from(protocol.header(source, destination).as_slice());
            bytes.extend_from_slice(&read);
            bytes
        }
        (Some(_), Err(error)) => {
            debug!(client = %client.address, error = &error as &dyn std::error::Error, "it is gone");
            return;
        }
        (None, _) => read,
    };
    let tunnel = Tunnel {
        wire,
        ticket,
        entry: None,
    };
    let near = Metered::new(stream, Arc::clone(&client));
    let mut near = Side::new(near, |near| near.get_ref().reset_at_end());
    near.is_whole = tunnel.run(&client, &mut near.stream, read).await;
}

/// Returns the name that a client of TLS asks for, and what has been read; a client that speaks something else has none.
async fn server_name<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> io::Result<(Option<String>, BytesMut)> {
    let mut acceptor = Acceptor::default();
    let mut read = BytesMut::with_capacity(USUAL_HELLO);
    let mut taken = 0;
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok((None, read));
        }
        while taken < read.len() {
            taken += acceptor.read_tls(&mut &read[taken..])?;
        }
        match acceptor.accept() {
            Ok(None) if read.len() < MOST_HELLO => {}
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_owned);
                return Ok((name, read));
            }
            Ok(None) | Err(_) => return Ok((None, read)),
        }
    }
}

#[cfg(test)]
mod fuzz;
