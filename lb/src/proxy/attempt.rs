//! Sends a request to one target, in the HTTP that it speaks.

use std::io;
use std::time::{Duration, Instant};

use http::{Method, request};
use tokio::time::timeout;
use tracing::debug;

use super::Answered;
use super::refusal::{Failure, Refusal};
use super::tried::Tried;
use crate::client::{Client, Interrupted};
use crate::framing;
use crate::io::Received;
use crate::target::{Target, Ticket};
use crate::upstream::{
    Call, CallAnswer, ExchangeError, Incomplete, Outgoing, Protocol, Rest, SendFailure, Slot, Wire,
};

/// A connection that was unused for longer is not trusted with a request that must not be repeated.
const FRESH: Duration = Duration::from_secs(1);

/// A request's body, and the form that it has taken on its way.
#[derive(Debug)]
pub(super) struct Errand {
    body: Option<Received>,
    form: Option<Form>,
}

#[derive(Debug)]
enum Form {
    Http1(Outgoing),
    Http2(Call),
}

impl Errand {
    pub(super) fn new(body: Option<Received>) -> Self {
        Self { body, form: None }
    }
}

/// What each attempt of a request needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) client: &'a Client,
    pub(super) head: &'a request::Parts,
    pub(super) now: Instant,
}

impl Way<'_> {
    /// Sends a request to the target of its ticket; `None` when it may go to another target.
    pub(super) async fn attempt(
        self,
        errand: &mut Errand,
        ticket: Ticket,
        tried: &mut Tried,
    ) -> Result<Option<Answered>, Refusal> {
        let protocol = ticket.target().protocol();
        if errand.form.is_none() {
            errand.form = Some(self.form(errand.body.take(), protocol));
        }
        match (protocol, &mut errand.form) {
            (Protocol::Http1, Some(Form::Http1(outgoing))) => {
                self.exchange(outgoing, ticket, tried).await
            }
            (Protocol::Http2, Some(Form::Http2(call))) => {
                Box::pin(self.call(call, ticket, tried)).await
            }
            // A new table has made another group of it, or the group another one.
            (Protocol::Http1 | Protocol::Http2, _) => {
                Err(fail(self.client, ticket, Failure::Changed))
            }
        }
    }

    /// Gives the request the form in which targets take it.
    fn form(self, body: Option<Received>, protocol: Protocol) -> Form {
        match protocol {
            Protocol::Http2 => Form::Http2(Call::new(self.head, body)),
            Protocol::Http1 => Form::Http1(Outgoing::new(self.head, body, self.client.forwarded())),
        }
    }

    async fn exchange(
        self,
        outgoing: &mut Outgoing,
        ticket: Ticket,
        tried: &mut Tried,
    ) -> Result<Option<Answered>, Refusal> {
        let client = self.client;
        let target = ticket.target();
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
            let wire = target.pool().take(client.worker, self.now, age);
            wire.filter(|wire| outgoing.is_replayable() || wire.is_open())
        };
        let mut wire = match reused {
            Some(wire) => wire,
            None => {
                let connecting = Wire::connect(target.address(), target.connector());
                // Boxed, for most requests need no room for it.
                match Box::pin(connect(client, target, connecting)).await {
                    Ok(Ok(wire)) => wire,
                    Ok(Err(why)) => return Ok(tried.unreachable(ticket, why)),
                    Err(interrupted) => return Err(interrupt(client, ticket, interrupted)),
                }
            }
        };
        let mut announce = |interim| client.link.announce(interim);
        let sent = wire.send(outgoing, &mut announce);
        match client.link.guard(target, sent).await {
            Ok(Ok(head)) => Ok(Some(Answered {
                head,
                rest: Rest::Http1(wire),
                ticket,
            })),
            // Its body ended early: whatever is answered now, nobody will read it.
            Ok(Err(SendFailure {
                error: ExchangeError::Client(error),
                ..
            })) => Err(incomplete(client, &error)),
            Ok(Err(failure)) => {
                debug!(target = %target.address(), error = &failure.error as &dyn std::error::Error, "no answer");
                let repeatable = outgoing.is_replayable() && !failure.answered;
                let may_go_on = !failure.sent || (repeatable && tried.may_repeat(target));
                let why = Failure::of(&failure.error);
                if !may_go_on {
                    return Err(fail(client, ticket, why));
                }
                tried.give_up(ticket, why);
                Ok(None)
            }
            // A target that gets no byte of it need not answer.
            Err(Interrupted::Expired) if outgoing.waits_for_client() => Err(self.too_slow()),
            Err(interrupted) => Err(interrupt(client, ticket, interrupted)),
        }
    }

    async fn call(
        self,
        call: &mut Call,
        ticket: Ticket,
        tried: &mut Tried,
    ) -> Result<Option<Answered>, Refusal> {
        let client = self.client;
        let target = ticket.target();
        let reused = target.http2_pool().take(client.worker);
        // After one connection failed, the others to that target are as suspect.
        let mut slot = match reused.filter(|_| tried.attempts == 0 || tried.declined) {
            Some(slot) => slot,
            None => {
                let connecting = Slot::connect(target.address(), target.connector());
                match connect(client, target, connecting).await {
                    Ok(Ok(slot)) => {
                        let pool = target.http2_pool();
                        pool.share(client.worker, &slot, || target.is_draining());
                        slot
                    }
                    Ok(Err(why)) => return Ok(tried.unreachable(ticket, why)),
                    Err(interrupted) => return Err(interrupt(client, ticket, interrupted)),
                }
            }
        };
        let sent = slot.send(call, self.head, client.forwarded());
        match client.link.guard(target, sent).await {
            Ok(Ok(response)) => {
                let (head, body) = response.into_parts();
                let is_bodiless =
                    self.head.method == Method::HEAD || framing::has_no_body(head.status);
                let rest = Rest::Http2(Box::new(CallAnswer::new(body, is_bodiless, slot)));
                let head = Box::new(head.into());
                Ok(Some(Answered { head, rest, ticket }))
            }
            Ok(Err(failure)) => {
                debug!(target = %target.address(), error = &failure.error as &dyn std::error::Error, "no answer");
                // Its body ended early.
                if client.link.is_broken_off() {
                    client.link.leave();
                    return Err(Refusal::BadRequest("the request's body is incomplete"));
                }
                let repeatable = call.is_replayable() && !failure.answered;
                let may_go_on = failure.untouched || (repeatable && tried.may_repeat(target));
                if !may_go_on {
                    return Err(fail(client, ticket, Failure::Closed));
                }
                tried.give_up(ticket, Failure::Closed);
                tried.declined = failure.untouched;
                Ok(None)
            }
            Err(Interrupted::Expired) if client.link.is_waited_for() => Err(self.too_slow()),
            Err(interrupted) => Err(interrupt(client, ticket, interrupted)),
        }
    }

    /// The client does not go on with its request; that is no failure of a target.
    fn too_slow(self) -> Refusal {
        self.client.link.leave();
        Refusal::RequestTimeout
    }
}

/// Connects within the deadline for that.
pub(super) async fn connect<T>(
    client: &Client,
    target: &Target,
    connecting: impl Future<Output = io::Result<T>>,
) -> Result<Result<T, Failure>, Interrupted> {
    let deadline = client.shared.config.connect_timeout;
    let connected = client.link.guard(target, timeout(deadline, connecting));
    let connected = connected.await?;
    let connected = connected.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
    Ok(connected.map_err(|error| {
        debug!(target = %target.address(), error = &error as &dyn std::error::Error, "cannot connect");
        match error.kind() {
            io::ErrorKind::TimedOut => Failure::ConnectTimeout,
            _ => Failure::Connect,
        }
    }))
}

fn fail(client: &Client, mut ticket: Ticket, why: Failure) -> Refusal {
    client.link.leave();
    ticket.failed();
    Refusal::Target(why)
}

/// Returns what a request is answered whose stay with a target was interrupted.
pub(super) fn interrupt(client: &Client, ticket: Ticket, interrupted: Interrupted) -> Refusal {
    let why = match interrupted {
        // The ticket sees for itself that it is a cut, and not a failure.
        Interrupted::Cut => Failure::Cut,
        Interrupted::Expired => Failure::Silent,
    };
    fail(client, ticket, why)
}

/// The client broke its request off; that is no failure of a target.
fn incomplete(client: &Client, error: &Incomplete) -> Refusal {
    debug!(client = %client.address, error = error as &dyn std::error::Error, "the request is incomplete");
    client.link.leave();
    Refusal::BadRequest("the request's body is incomplete")
}
