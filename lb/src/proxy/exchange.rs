//! What a request has to do with everybody else, from its head to the last byte of its answer: counts, clocks and the access log.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};

use super::refusal::Refusal;
use crate::access_log::Entry;
use crate::client::Client;
use crate::reason::Reason;
use crate::target::{Target, Ticket};
use crate::traffic::{Answer, By};

/// A request from its head to the last byte of its answer.
pub(super) struct Exchange {
    pub(super) client: Arc<Client>,
    pub(super) entry: Option<Box<Entry>>,
    /// The answer has no body, whatever its head says.
    pub(super) is_head: bool,
    is_one_too_many: bool,
    begun: Instant,
    /// The time of the answer's head, as long as its body goes on at once: clocks cost as much as locks. If the client is slow to take a
    /// large head it is earlier than it should be, and the connection to the target is given up so much sooner.
    pub(super) now: Option<Instant>,
    /// Bytes of the answer's body.
    pub(super) sent: u64,
}

impl Exchange {
    pub(super) fn new(
        client: Arc<Client>,
        method: &Method,
        entry: Option<Box<Entry>>,
        begun: Instant,
    ) -> Self {
        let under_way = client.shared.under_way[client.worker].begin();
        Self {
            is_one_too_many: under_way > client.shared.most_under_way(),
            client,
            entry,
            is_head: *method == Method::HEAD,
            begun,
            now: None,
            sent: 0,
        }
    }

    /// Returns whether there are more requests under way than there may be.
    pub(super) fn is_one_too_many(&self) -> bool {
        self.is_one_too_many
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The request goes to this target now.
    pub(super) fn enter(&mut self, target: &Arc<Target>) {
        self.client.link.enter(target);
        if let Some(entry) = &mut self.entry {
            entry.target(target.address(), target.group());
        }
    }

    /// Returns the time, as far as it matters how long something has been unused.
    pub(super) fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(Instant::now)
    }

    /// The head of an answer is there; `ticket` is of the target that has given it.
    pub(super) fn answered(&mut self, status: StatusCode, ticket: Option<&Ticket>) {
        let now = Instant::now();
        // A stream's answer may wait for its client before it is taken.
        self.now = (!self.client.is_stream).then_some(now);
        let took = now.saturating_duration_since(self.begun);
        let worker = self.client.worker;
        let by = match ticket {
            Some(_) => By::Target,
            None => By::LoadBalancer,
        };
        let answer = Answer::new(by, status, took);
        self.client.door.traffic.answered(worker, answer);
        if let Some(ticket) = ticket {
            ticket.target().has_answered(worker, answer);
        }
        if let Some(entry) = &mut self.entry {
            entry.status(status, ticket.is_some());
        }
    }

    /// The request is answered with this instead of a target's answer.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        if let Some(reason) = refusal.reason() {
            let client = &self.client;
            client.door.traffic.refused(client.worker, reason);
            self.fell_short(reason);
        }
    }

    /// There is no answer of a target, or not all of it.
    pub(super) fn fell_short(&mut self, reason: Reason) {
        if let Some(entry) = &mut self.entry {
            entry.fell_short(reason);
        }
    }

    /// This rule was followed.
    pub(super) fn followed(&mut self, priority: u32, action: &'static str) {
        if let Some(entry) = &mut self.entry {
            entry.rule(priority, action);
        }
    }

    /// A part of the answer has come, and its client takes it.
    pub(super) fn moved(&self) {
        if self.client.is_stream {
            self.client.link.moved();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // The access log's entry writes itself.
        let client = &self.client;
        if let Some(entry) = &mut self.entry {
            entry.received(client.link.received());
        }
        client.door.traffic.sent(client.worker, self.sent);
        client.shared.under_way[client.worker].end();
        client.link.end(self.now.unwrap_or_else(Instant::now));
    }
}
