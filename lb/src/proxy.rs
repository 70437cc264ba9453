//! The path of a request, step by step.
//!
//! A request goes to a second target only if the first cannot have acted on it (the connection was
//! never made, or no byte was sent), or, once, if the connection ended before the first byte of an answer
//! to a request that may be repeated (RFC 9110 9.2.2). Everything else is answered here, as ALB does.

mod admission;
mod attempt;
mod body;
mod connect;
mod headers;
mod pick;
mod refusal;
mod rule;
mod stickiness;
mod turn;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use crate::access_log::Entry;
use crate::client::Client;
use crate::io::Received;
use crate::target::{Target, Ticket};
use crate::upstream::Rest;
use attempt::{Errand, Way};
use body::Exchange;
pub(crate) use body::ResponseBody;
use bytes::Bytes;
pub(crate) use connect::connect;
use http::{Request, Response, StatusCode, response};
use hyper::body::{Body as _, Incoming};
use pick::{Next, Picked, pick};
pub(crate) use refusal::LastAnswer;
use refusal::Refusal;
use turn::Turn;

/// A target may be tried once; no request tries more than so many.
const MOST_ATTEMPTS: usize = 8;

/// Answers one request.
pub(crate) async fn answer(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let begun = client.link.begin();
    let entry = client
        .shared
        .access_log
        .as_ref()
        .map(|log| Entry::begin(log.clone(), &client, &request, begun));
    let mut exchange = Exchange::new(client, request.method(), entry, begun);
    let forwarded = if exchange.is_one_too_many() {
        Err(Refusal::Overload.into())
    } else {
        forward(&mut exchange, request, begun).await
    };
    match forwarded {
        Ok(Answered {
            head,
            rest: Rest::Http1(wire),
            ticket,
        }) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            Ok(body::switch(head, wire, ticket, exchange))
        }
        Ok(answered) => Ok(body::relay(answered, exchange)),
        Err(own) => {
            if let Own::Rule(priority, action, _) = &own {
                exchange.followed(*priority, action);
            }
            Ok(body::answer(own.into_response(), exchange))
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
    head: response::Parts,
    rest: Rest,
    ticket: Ticket,
}

async fn forward(
    exchange: &mut Exchange,
    request: Request<Incoming>,
    now: Instant,
) -> Result<Answered, Own> {
    admission::check(&request)?;
    let client = Arc::clone(exchange.client());
    let (mut head, body) = request.into_parts();
    headers::to_origin_form(&mut head);
    headers::join_cookies(&mut head);
    // A call of gRPC may be silent for as long as it likes between two messages.
    let body =
        (!body.is_end_stream()).then(|| Received::new(body, &client, !headers::is_grpc(&head)));
    let mut errand = Errand::new(body);
    let asked = headers::asked(&head, client.address);
    let draw = rand::random();
    let mut tried = Tried::default();
    let mut turn = Turn::at(now);
    loop {
        let Picked {
            priority,
            ticket,
            sticky,
        } = match pick(&client, &asked, draw, &turn, &tried) {
            Ok(Next::Go(picked)) => picked,
            Ok(Next::Wait(group, calls)) => {
                tried.leave(&client);
                if turn.wait(&client.link, &group, calls).await? {
                    tried.forget_unreachable();
                }
                continue;
            }
            // Its own last attempt may be what fills the target.
            Err(Own::Refusal(Refusal::Overload)) if tried.may_fill_a_target() => {
                tried.passed_on();
                continue;
            }
            Err(Own::Refusal(refusal)) => return Err(tried.in_vain(refusal).into()),
            Err(answer) => return Err(answer),
        };
        tried.passed_on();
        turn.end();
        exchange.followed(priority, "forward");
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

/// What was tried for one request, in vain.
#[derive(Debug, Default)]
struct Tried {
    attempts: usize,
    /// Targets that cannot be reached.
    unreachable: Vec<Arc<Target>>,
    /// The ticket of the last attempt, held until it is known whether there is another one.
    last: Option<Ticket>,
    /// The last target has said that it does not take the request: it goes, or the connection does.
    declined: bool,
    /// Who may have acted on it already, and gave no answer.
    sent_to: Option<Arc<Target>>,
    refusal: Option<Refusal>,
}

impl Tried {
    fn excludes(&self, target: &Arc<Target>) -> bool {
        self.unreachable
            .iter()
            .any(|tried| Arc::ptr_eq(tried, target))
    }

    /// Returns whether that target may have acted on it already.
    fn was_sent_to(&self, target: &Arc<Target>) -> bool {
        let mut sent_to = self.sent_to.iter();
        sent_to.any(|tried| Arc::ptr_eq(tried, target))
    }

    /// A target that may have acted on it gave no answer; returns whether another may. Once, and no more: a request that ends
    /// the process that reads it must not go round all of them.
    fn may_repeat(&mut self, target: &Arc<Target>) -> bool {
        let is_first = self.sent_to.is_none();
        self.sent_to = Some(Arc::clone(target));
        is_first
    }

    fn give_up(&mut self, ticket: Ticket, refusal: Refusal) {
        self.declined = false;
        self.last = Some(ticket);
        self.refusal = Some(refusal);
        self.attempts += 1;
    }

    /// The target of that ticket cannot be reached; there is no answer of it.
    fn unreachable(&mut self, ticket: Ticket, refusal: Refusal) -> Option<Answered> {
        self.unreachable.push(Arc::clone(ticket.target()));
        self.give_up(ticket, refusal);
        None
    }

    fn passed_on(&mut self) {
        if let Some(ticket) = self.last.take() {
            if self.declined {
                ticket.declined();
            } else {
                ticket.passed_on();
            }
        }
    }

    /// There is no target for now; the one that it was with may drain meanwhile.
    fn leave(&mut self, client: &Client) {
        self.passed_on();
        client.link.leave();
    }

    /// Some time has passed, and what could not be reached may be back.
    fn forget_unreachable(&mut self) {
        self.unreachable.clear();
    }

    /// Returns whether its own last attempt may be the one too many at a target that could take it.
    fn may_fill_a_target(&self) -> bool {
        let mut last = self.last.iter();
        self.attempts < MOST_ATTEMPTS && last.any(|ticket| !self.excludes(ticket.target()))
    }

    /// There is no further target: what the last one did is the answer, if there was one.
    fn in_vain(&mut self, refusal: Refusal) -> Refusal {
        if let Some(ticket) = &mut self.last {
            ticket.failed();
        }
        self.refusal.unwrap_or(refusal)
    }
}
