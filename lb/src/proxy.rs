//! The path of a request, step by step.
//!
//! A request goes to a second target only if the first cannot have acted on it: the connection was
//! never made, no byte was sent, or a reused connection ended before the first byte of an answer to
//! a request that may be repeated (RFC 9110 9.2.2). Everything else is answered here, as ALB does.

mod admission;
mod body;
mod headers;
mod refusal;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response, Version};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use tracing::debug;

use crate::access_log::Entry;
use crate::balance::{self, Standing};
use crate::client::{Client, Interrupted};
use crate::counts::count;
use crate::routing;
use crate::target::{Target, Ticket};
use crate::upstream::{RequestBody, SendFailure, Wire};
use body::Exchange;
pub(crate) use body::ResponseBody;
use refusal::Refusal;

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
    let mut exchange = Exchange::new(client, entry);
    match forward(&mut exchange, request, begun).await {
        Ok((response, wire, ticket)) => Ok(body::relay(response, wire, ticket, exchange)),
        Err(refusal) => Ok(body::refuse(refusal, exchange)),
    }
}

type Answered = (Response<Incoming>, Wire, Ticket);

async fn forward(
    exchange: &mut Exchange,
    request: Request<Incoming>,
    now: Instant,
) -> Result<Answered, Refusal> {
    admission::check(&request)?;
    let client = Arc::clone(exchange.client());
    let draw = rand::random();
    let mut request = outgoing(request);
    let mut tried = Tried::default();
    headers::prepare(request.headers_mut(), &client);
    headers::frame(&mut request);
    loop {
        let ticket = match pick(&client, &request, draw, &tried) {
            Ok(ticket) => ticket,
            Err(refusal) => return Err(tried.in_vain(refusal)),
        };
        tried.passed_on();
        exchange.enter(ticket.target());
        request = match attempt(&client, request, ticket, now, &mut tried).await? {
            Attempt::Answered(answered) => return Ok(answered),
            Attempt::Again(request) => request,
        };
    }
}

/// Turns the client's request into ours: HTTP/1.1, origin form (RFC 9112 3.2.2).
fn outgoing(request: Request<Incoming>) -> Request<RequestBody> {
    let (mut head, body) = request.into_parts();
    head.version = Version::HTTP_11;
    headers::to_origin_form(&mut head);
    let body = if hyper::body::Body::is_end_stream(&body) {
        Either::Left(Empty::new())
    } else {
        Either::Right(body)
    };
    Request::from_parts(head, body)
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

/// Takes a ticket to the target whose turn it is.
fn pick(
    client: &Client,
    request: &Request<RequestBody>,
    draw: u32,
    tried: &Tried,
) -> Result<Ticket, Refusal> {
    let shared = &client.shared;
    let host = headers::host(request.headers());
    loop {
        let table = shared.table.load();
        let group = table
            .rules(client.door.port)
            .and_then(|rules| routing::route(rules, host, request.uri().path()))
            .and_then(|rule| routing::choose(&rule.forward, draw))
            .ok_or(Refusal::NoTarget)?;
        let standing = |index: usize| {
            let target = &group.targets[index];
            if target.is_draining() || tried.excludes(target) {
                Standing::Out
            } else if target.is_healthy() {
                Standing::Healthy
            } else {
                Standing::Doubtful
            }
        };
        let enough = tried.attempts >= MOST_ATTEMPTS;
        let turn = group.turn(client.worker);
        match balance::pick(group.targets.len(), standing, turn) {
            Some(index) if !enough => {
                let counts = group.counts.as_ref();
                // No ticket: it began to drain this instant. The next look sees that.
                if let Some(ticket) = Ticket::begin(&group.targets[index], counts, client.worker) {
                    return Ok(ticket);
                }
            }
            // The targets of an old table drain after the new one is in place: look there first.
            Some(_) | None if !enough && !Arc::ptr_eq(&table, &shared.table.load()) => {}
            Some(_) | None => {
                if tried.last.is_none()
                    && let Some(counts) = &group.counts
                {
                    count(&counts.of(client.worker).failed);
                }
                return Err(Refusal::NoTarget);
            }
        }
    }
}

enum Attempt {
    Answered(Answered),
    /// The target cannot have acted on the request.
    Again(Request<RequestBody>),
}

/// Sends a request to the target of its ticket.
async fn attempt(
    client: &Client,
    request: Request<RequestBody>,
    ticket: Ticket,
    now: Instant,
    tried: &mut Tried,
) -> Result<Attempt, Refusal> {
    let target = Arc::clone(ticket.target());
    let replayable = headers::is_replayable(&request);
    // After a reused connection failed, the others to that target are as suspect.
    let reused = if tried.attempts > 0 {
        None
    } else {
        let pool_timeout = client.shared.config.pool_timeout;
        let age = if replayable {
            pool_timeout
        } else {
            pool_timeout.min(FRESH)
        };
        target.pool().take(client.worker, now, age)
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
                return Ok(Attempt::Again(request));
            }
            Err(interrupted) => return Err(interrupt(client, ticket, interrupted)),
        },
    };
    let replay = (replayable && wire.is_reused()).then(|| copy(&request));
    match client.link.guard(&target, wire.send(request)).await {
        Ok(Ok(response)) if response.status().as_u16() != 101 => {
            Ok(Attempt::Answered((response, wire, ticket)))
        }
        Ok(Ok(_unasked_upgrade)) => Err(fail(client, ticket, Refusal::BadGateway)),
        Ok(Err(failure)) => {
            debug!(target = %target.address(), error = &failure.error as &dyn std::error::Error, "no answer");
            let client_broke = failure.error.is_user();
            match again(*failure, replay) {
                Some(request) => {
                    tried.give_up(ticket, Refusal::BadGateway);
                    Ok(Attempt::Again(request))
                }
                // Its body ended early: whatever is answered now, nobody will read it.
                None if client_broke => {
                    client.link.leave();
                    drop(ticket);
                    Err(Refusal::BadRequest("the request's body is incomplete"))
                }
                None => Err(fail(client, ticket, Refusal::BadGateway)),
            }
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

/// Returns the request to send again, if the target cannot have acted on it.
fn again(
    failure: SendFailure,
    replay: Option<Request<RequestBody>>,
) -> Option<Request<RequestBody>> {
    match failure.unsent {
        Some(unsent) => Some(unsent),
        None if failure.answered => None,
        None => replay,
    }
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(Either::Left(Empty::new()));
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}

fn fail(client: &Client, mut ticket: Ticket, refusal: Refusal) -> Refusal {
    client.link.leave();
    ticket.failed();
    refusal
}

fn interrupt(client: &Client, ticket: Ticket, interrupted: Interrupted) -> Refusal {
    let refusal = match interrupted {
        // The ticket sees for itself that it is a cut, and not a failure.
        Interrupted::Cut => Refusal::BadGateway,
        Interrupted::Expired => Refusal::GatewayTimeout,
    };
    fail(client, ticket, refusal)
}
