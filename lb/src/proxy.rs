//! The path of a request, step by step.
//!
//! A request goes to a second target only if the first cannot have acted on it: the connection was
//! never made, no byte was sent, or a reused connection ended before the first byte of an answer to
//! a request that may be repeated (RFC 9110 9.2.2). Everything else is answered here, as ALB does.

mod admission;
mod body;
mod headers;
mod pick;
mod refusal;
mod rule;
mod stickiness;
mod turn;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, response};
use hyper::body::{Body as _, Incoming};
use tracing::debug;

use crate::access_log::Entry;
use crate::client::{Client, Interrupted};
use crate::io::Received;
use crate::target::{Target, Ticket};
use crate::upstream::{ExchangeError, Incomplete, Outgoing, SendFailure, Wire};
use body::Exchange;
pub(crate) use body::ResponseBody;
use pick::{Next, Picked, pick};
use refusal::Refusal;
use turn::Turn;

/// A target may be tried once; no request tries more than so many.
const MOST_ATTEMPTS: usize = 8;

/// A connection that was unused for longer is not trusted with a request that must not be repeated.
const FRESH: Duration = Duration::from_secs(1);

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
        Ok(answered) if answered.head.status == StatusCode::SWITCHING_PROTOCOLS => {
            Ok(body::switch(answered, exchange))
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
    wire: Wire,
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
    let mut outgoing = Outgoing::new(&head, body, client.forwarded());
    let gathered = std::future::poll_fn(|cx| Poll::Ready(outgoing.gather(&head, cx))).await;
    gathered.map_err(|error| incomplete(&client, &error))?;
    let draw = rand::random();
    let mut tried = Tried::default();
    let mut turn = Turn::at(now);
    loop {
        let Picked {
            priority,
            ticket,
            sticky,
        } = match pick(&client, &head, draw, &turn, &tried) {
            Ok(Next::Go(picked)) => picked,
            Ok(Next::Wait(group, calls)) => {
                // The target that it was with may drain meanwhile.
                tried.passed_on();
                turn.wait(&client.link, &group, calls).await?;
                continue;
            }
            Err(Own::Refusal(refusal)) => return Err(tried.in_vain(refusal).into()),
            Err(answer) => return Err(answer),
        };
        tried.passed_on();
        turn.end();
        exchange.followed(priority, "forward");
        exchange.enter(ticket.target());
        let answered = attempt(&client, &mut outgoing, ticket, turn.now(), &mut tried).await?;
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
    refusal: Option<Refusal>,
}

impl Tried {
    fn excludes(&self, target: &Arc<Target>) -> bool {
        self.unreachable
            .iter()
            .any(|tried| Arc::ptr_eq(tried, target))
    }

    fn give_up(&mut self, ticket: Ticket, refusal: Refusal) {
        self.last = Some(ticket);
        self.refusal = Some(refusal);
        self.attempts += 1;
    }

    fn passed_on(&mut self) {
        if let Some(ticket) = self.last.take() {
            ticket.passed_on();
        }
    }

    /// There is no further target: what the last one did is the answer, if there was one.
    fn in_vain(&mut self, refusal: Refusal) -> Refusal {
        if let Some(ticket) = &mut self.last {
            ticket.failed();
        }
        self.refusal.unwrap_or(refusal)
    }
}

/// Sends a request to the target of its ticket; `None` when the target cannot have acted on it.
async fn attempt(
    client: &Client,
    outgoing: &mut Outgoing,
    ticket: Ticket,
    now: Instant,
    tried: &mut Tried,
) -> Result<Option<Answered>, Refusal> {
    let target = Arc::clone(ticket.target());
    // After a reused connection failed, the others to that target are as suspect.
    let reused = if tried.attempts > 0 {
        None
    } else {
        let pool_timeout = client.shared.config.pool_timeout;
        let age = if outgoing.is_replayable() {
            pool_timeout
        } else {
            pool_timeout.min(FRESH)
        };
        let wire = target.pool().take(client.worker, now, age);
        wire.filter(|wire| outgoing.is_replayable() || wire.is_open())
    };
    let mut wire = match reused {
        Some(wire) => wire,
        None => match client.link.guard(&target, connect(client, &target)).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => {
                debug!(target = %target.address(), error = &error as &dyn std::error::Error, "cannot connect");
                let refusal = match error.kind() {
                    io::ErrorKind::TimedOut => Refusal::GatewayTimeout,
                    _ => Refusal::BadGateway,
                };
                tried.unreachable.push(target);
                tried.give_up(ticket, refusal);
                return Ok(None);
            }
            Err(interrupted) => return Err(interrupt(client, ticket, interrupted)),
        },
    };
    match client.link.guard(&target, wire.send(outgoing)).await {
        Ok(Ok(head)) => Ok(Some(Answered { head, wire, ticket })),
        // Its body ended early: whatever is answered now, nobody will read it.
        Ok(Err(SendFailure {
            error: ExchangeError::Client(error),
            ..
        })) => Err(incomplete(client, &error)),
        Ok(Err(failure)) => {
            debug!(target = %target.address(), error = &failure.error as &dyn std::error::Error, "no answer");
            let repeatable = wire.is_reused() && !failure.answered && outgoing.is_replayable();
            if failure.sent && !repeatable {
                return Err(fail(client, ticket, Refusal::BadGateway));
            }
            tried.give_up(ticket, Refusal::BadGateway);
            Ok(None)
        }
        // What a target gets no byte of it need not answer.
        Err(Interrupted::Expired) if outgoing.waits_for_client() => {
            client.link.leave();
            Err(Refusal::RequestTimeout)
        }
        Err(interrupted) => Err(interrupt(client, ticket, interrupted)),
    }
}

async fn connect(client: &Client, target: &Target) -> io::Result<Wire> {
    let deadline = client.shared.config.connect_timeout;
    tokio::time::timeout(deadline, Wire::connect(target.address()))
        .await
        .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

/// The client broke its request off; that is no failure of a target.
fn incomplete(client: &Client, error: &Incomplete) -> Refusal {
    debug!(client = %client.address, error = error as &dyn std::error::Error, "the request is incomplete");
    client.link.leave();
    Refusal::BadRequest("the request's body is incomplete")
}

fn fail(client: &Client, mut ticket: Ticket, refusal: Refusal) -> Refusal {
    client.link.leave();
    ticket.failed();
    refusal
}

fn interrupt(client: &Client, mut ticket: Ticket, interrupted: Interrupted) -> Refusal {
    match interrupted {
        // The ticket sees for itself that it is a cut, and not a failure.
        Interrupted::Cut => fail(client, ticket, Refusal::BadGateway),
        Interrupted::Expired => {
            client.link.leave();
            ticket.expired();
            Refusal::GatewayTimeout
        }
    }
}
