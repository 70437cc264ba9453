//! What was tried for one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::refusal::{Failure, Refusal};
use super::{Answered, MOST_ATTEMPTS};
use crate::client::Client;
use crate::target::{Target, Ticket};

/// So long a request that waits leaves a target alone which it could not reach.
const PAUSE: Duration = Duration::from_millis(250);

/// What was tried for one request, in vain.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// The priority of the rule that it follows, if that sends it to targets.
    pub(super) rule: Option<u32>,
    pub(super) attempts: usize,
    /// Targets that cannot be reached, and since when that is known of the last.
    unreachable: Vec<Arc<Target>>,
    unreachable_since: Option<Instant>,
    /// Attempts since it last waited for a target that cannot be reached.
    in_a_row: usize,
    /// The ticket of the last attempt, held until it is known whether there is another one.
    pub(super) last: Option<Ticket>,
    /// The last target has said that it does not take the request: it goes, or the connection does.
    pub(super) declined: bool,
    /// Who may have acted on it already, and gave no answer.
    sent_to: Option<Arc<Target>>,
    failure: Option<Failure>,
}

impl Tried {
    pub(super) fn excludes(&self, target: &Arc<Target>) -> bool {
        self.unreachable
            .iter()
            .any(|tried| Arc::ptr_eq(tried, target))
    }

    /// Returns whether that target may have acted on it already.
    pub(super) fn was_sent_to(&self, target: &Arc<Target>) -> bool {
        let mut sent_to = self.sent_to.iter();
        sent_to.any(|tried| Arc::ptr_eq(tried, target))
    }

    /// A target that may have acted on it gave no answer; returns whether another may. Once, and no more: a request that ends
    /// the process that reads it must not go round all of them.
    pub(super) fn may_repeat(&mut self, target: &Arc<Target>) -> bool {
        let is_first = self.sent_to.is_none();
        self.sent_to = Some(Arc::clone(target));
        is_first
    }

    pub(super) fn give_up(&mut self, ticket: Ticket, why: Failure) {
        self.declined = false;
        self.last = Some(ticket);
        self.failure = Some(why);
        self.attempts += 1;
        self.in_a_row += 1;
    }

    /// The target of that ticket cannot be reached; there is no answer of it.
    pub(super) fn unreachable(&mut self, ticket: Ticket, why: Failure) -> Option<Answered> {
        self.unreachable.push(Arc::clone(ticket.target()));
        self.unreachable_since = Some(Instant::now());
        self.give_up(ticket, why);
        None
    }

    pub(super) fn passed_on(&mut self) {
        if let Some(ticket) = self.last.take() {
            if self.declined {
                ticket.declined();
            } else {
                ticket.passed_on();
            }
        }
    }

    /// There is no target for now; the one that it was with may drain meanwhile.
    pub(super) fn leave(&mut self, client: &Client) {
        self.passed_on();
        client.link.leave();
    }

    /// Returns when what could not be reached may be tried again.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.unreachable_since.map(|since| since + PAUSE)
    }

    /// What could not be reached may be back, if so much time has passed: who only waits for its turn would use up all attempts at once.
    pub(super) fn forget_unreachable(&mut self, now: Instant) {
        if self.again_at().is_some_and(|again| again <= now) {
            self.unreachable.clear();
            self.unreachable_since = None;
            self.in_a_row = 0;
        }
    }

    /// Returns whether as many targets were asked as may be.
    pub(super) fn is_enough(&self) -> bool {
        self.in_a_row >= MOST_ATTEMPTS
    }

    /// Returns whether its own last attempt may be the one too many at a target that could take it.
    pub(super) fn may_fill_a_target(&self) -> bool {
        let mut last = self.last.iter();
        !self.is_enough() && last.any(|ticket| !self.excludes(ticket.target()))
    }

    /// There is no further target: what the last one did is the answer, if there was one.
    pub(super) fn in_vain(&mut self, refusal: Refusal) -> Refusal {
        if let Some(ticket) = &mut self.last {
            ticket.failed();
        }
        self.failure.map_or(refusal, Refusal::Target)
    }
}
