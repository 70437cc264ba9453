//! The path of a request, step by step.
//!
//! A request goes to a second target only if the first cannot have acted on it (the connection was
//! never made, or no byte was sent), or, once, if the connection ended before the first byte of an answer
//! to a request that may be repeated (RFC 9110 9.2.2). Everything else is answered here, as ALB does.

mod admission;
mod attempt;
mod body;
mod connect;
mod exchange;
mod headers;
mod kind;
mod pick;
mod refusal;
mod rule;
mod stickiness;
mod tried;
mod turn;

use std::sync::Arc;
use std::time::Instant;

use crate::access_log::Entry;
use crate::client::Client;
use crate::io::{Received, RequestBody};
use crate::response::ResponseHead;
use crate::target::Ticket;
use crate::upstream::Rest;
use attempt::{Errand, Way};
pub(crate) use body::{BodyError, Reply, ResponseBody};
use bytes::Bytes;
pub(crate) use connect::connect;
use exchange::Exchange;
use http::{Response, StatusCode, request};
use kind::Kind;
use pick::{Picked, next};
use refusal::Refusal;
use tried::Tried;
use turn::Turn;

/// A target may be tried once; no request tries more than so many.
const MOST_ATTEMPTS: usize = 8;

/// Answers one request.
pub(crate) async fn answer(
    client: Arc<Client>,
    head: Box<request::Parts>,
    body: RequestBody,
) -> Reply {
    let begun = client.link.begin();
    let entry = client
        .shared
        .access_log
        .as_ref()
        .map(|log| Entry::begin(log.clone(), &client, &head, begun));
    let mut exchange = Exchange::new(client, &head.method, entry, begun);
    let forwarded = if exchange.is_one_too_many() {
        Err(Refusal::Overload.into())
    } else {
        forward(&mut exchange, head, body, begun).await
    };
    match forwarded {
        Ok(Answered {
            head,
            rest: Rest::Http1(wire),
            ticket,
        }) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            body::switch(head, wire, ticket, exchange)
        }
        Ok(answered) => body::relay(answered, exchange),
        Err(own) => {
            if let Own::Rule(priority, action, _) = &own {
                exchange.followed(*priority, action);
            }
            if let Own::Refusal(refusal) = &own {
                exchange.refused(*refusal);
            }
            let is_last = own.ends_connection();
            body::answer(own.into_response(), is_last, exchange)
        }
    }
}

/// An answer of the load balancer's own.
#[derive(Debug)]
enum Own {
    Refusal(Refusal),
    /// The rule of this priority says so, by this action.
    Rule(u32, &'static str, Box<Response<Bytes>>),
}

impl Own {
    fn ends_connection(&self) -> bool {
        match self {
            Self::Refusal(refusal) => refusal.ends_connection(),
            Self::Rule(..) => false,
        }
    }

    fn into_response(self) -> Response<Bytes> {
        match self {
            Self::Refusal(refusal) => refusal.response(),
            Self::Rule(_, _, response) => *response,
        }
    }
}

impl From<Refusal> for Own {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// The head of an answer, and where the rest of it comes from.
struct Answered {
    head: Box<ResponseHead>,
    rest: Rest,
    ticket: Ticket,
}

async fn forward(
    exchange: &mut Exchange,
    mut head: Box<request::Parts>,
    body: RequestBody,
    now: Instant,
) -> Result<Answered, Own> {
    admission::check(&head)?;
    headers::count_hop(&mut head)?;
    let client = Arc::clone(exchange.client());
    headers::to_origin_form(&mut head);
    headers::join_cookies(&mut head);
    let kind = Kind::of(&head);
    // A call may be silent for as long as it likes between two messages.
    let body = (!body.is_end_stream()).then(|| Received::new(body, &client, kind != Kind::Call));
    let mut errand = Errand::new(body);
    let asked = headers::asked(&head, client.address);
    let draw = rand::random();
    let mut tried = Tried::default();
    let mut turn = Turn::at(now);
    loop {
        let picked = next(&client, &asked, kind, draw, &mut turn, &mut tried).await;
        if let Some(priority) = tried.rule {
            exchange.followed(priority, "forward");
        }
        let Picked { ticket, sticky } = picked?;
        exchange.enter(ticket.target());
        let way = Way {
            client: &client,
            head: &head,
            now: turn.now(),
        };
        let answered = way.attempt(&mut errand, ticket, &mut tried).await?;
        if let Some(mut answered) = answered {
            client.link.set_receiving(false);
            if let Some(sticky) = sticky {
                sticky.add_to(&mut answered.head.headers);
            }
            return Ok(answered);
        }
    }
}
