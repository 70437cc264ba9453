//! Finds the target of a connection that is passed on as it is.

use std::sync::Arc;

use http::HeaderMap;
use tracing::debug;

use super::Own;
use super::attempt;
use super::kind::Kind;
use super::pick::next;
use super::tried::Tried;
use super::turn::Turn;
use crate::client::Client;
use crate::routing::Asked;
use crate::target::Ticket;
use crate::upstream::Wire;

/// Connects to the target whose turn it is, or to another one if that cannot be reached; `None` when there is none.
///
/// `server_name` is what rules take for the host.
pub(crate) async fn connect(
    client: &Arc<Client>,
    server_name: &str,
) -> Option<(Box<Wire>, Ticket)> {
    let mut turn = Turn::at(client.link.begin());
    let headers = HeaderMap::new();
    let asked = Asked {
        method: "",
        host: server_name,
        path: "",
        readings: None,
        query: None,
        headers: &headers,
        source: client.address,
    };
    let draw = rand::random();
    let mut tried = Tried::default();
    loop {
        let ticket = match next(
            client,
            &asked,
            Kind::Connection,
            draw,
            &mut turn,
            &mut tried,
        )
        .await
        {
            Ok(picked) => picked.ticket,
            Err(Own::Refusal(refusal)) => {
                debug!(client = %client.address, ?refusal, "no target for a connection");
                return None;
            }
            // The table has none on a listener that passes connections on.
            Err(Own::Rule(..)) => return None,
        };
        let target = ticket.target();
        client.link.enter(target);
        let connecting = Wire::connect(target.address(), target.connector());
        match attempt::connect(client, target, connecting).await {
            Ok(Ok(wire)) => {
                target.has_a_connection(client.worker);
                return Some((wire, ticket));
            }
            Ok(Err(refusal)) => {
                tried.unreachable(ticket, refusal);
            }
            Err(interrupted) => {
                attempt::interrupt(client, ticket, interrupted);
                return None;
            }
        }
    }
}
