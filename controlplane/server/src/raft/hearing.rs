//! Says in the log that a member is away, and that it is back: once each, however often it is asked in between.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::MemberId;

/// A slow disk misses a heartbeat now and then; who is away for less than this is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// Whether one member answers.
#[derive(Debug)]
pub(super) struct Hearing {
    member: MemberId,
    /// openraft gives a question up by dropping it: one that is still open at the next was not answered.
    open: bool,
    silent_since: Option<Instant>,
    told: bool,
}

impl Hearing {
    pub(super) fn of(member: MemberId) -> Self {
        Self {
            member,
            open: false,
            silent_since: None,
            told: false,
        }
    }

    /// The member is asked something.
    pub(super) fn asks(&mut self, now: Instant) {
        if self.open {
            self.missed("no answer in time", now);
        }
        self.open = true;
    }

    /// It has answered.
    pub(super) fn heard(&mut self, now: Instant) {
        self.open = false;
        let since = self.silent_since.take();
        if let (Some(since), true) = (since, std::mem::take(&mut self.told)) {
            let (member, away) = (self.member, now - since);
            info!(member, ?away, "the server answers again");
        }
    }

    /// It has not answered, and why; returns whether that was worth a line.
    pub(super) fn missed(&mut self, reason: &str, now: Instant) -> bool {
        self.open = false;
        let since = *self.silent_since.get_or_insert(now);
        let tells = !self.told && now - since >= WORTH_A_LINE;
        if tells {
            self.told = true;
            let member = self.member;
            warn!(
                member,
                reason, "a server does not answer; it catches up when it is back"
            );
        }
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_tells_that_a_member_is_away() {
        let begin = Instant::now();
        let mut hearing = Hearing::of(2);
        let told = (0..40).filter(|step| {
            let now = begin + Duration::from_millis(100) * *step;
            hearing.asks(now);
            hearing.missed("refused", now)
        });
        assert_eq!(told.count(), 1);
        let back = begin + Duration::from_secs(5);
        hearing.heard(back);
        assert!(
            !hearing.missed("refused", back),
            "away again, for how long is open"
        );
    }

    #[test]
    fn a_question_that_was_dropped_was_not_answered() {
        let now = Instant::now();
        let mut hearing = Hearing::of(2);
        hearing.asks(now);
        hearing.asks(now);
        assert!(hearing.silent_since.is_some());
        hearing.heard(now);
        hearing.asks(now);
        assert!(hearing.silent_since.is_none());
    }
}
