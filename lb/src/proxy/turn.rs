//! A request's turn: when it came, and how it waits for a target.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::refusal::Refusal;
use crate::client::Link;
use crate::table::TargetGroup;
use crate::waiting::Place;

/// How far a request's turn has come.
#[derive(Debug)]
pub(super) struct Turn {
    now: Instant,
    place: Option<Place>,
    /// Until when it waits for a target; a pause of its group does not count.
    deadline: Option<Instant>,
}

impl Turn {
    /// Returns the turn of a request that came at that moment.
    pub(super) fn at(now: Instant) -> Self {
        Self {
            now,
            place: None,
            deadline: None,
        }
    }

    /// Returns the moment at which it was last looked for a target.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn has_waited(&self) -> bool {
        self.place.is_some()
    }

    /// Returns whether the request waits, if there is no target for it.
    pub(super) fn may_wait(&self, group: &TargetGroup) -> bool {
        self.is_paused(group)
            || match self.deadline {
                Some(deadline) => self.now < deadline,
                None => group.waiting.patience.is_some(),
            }
    }

    /// Returns whether it waits even if there is a target: its group is paused, or others were there before.
    pub(super) fn is_behind(&self, group: &TargetGroup) -> bool {
        self.is_paused(group) || (self.place.is_none() && !group.room.is_empty())
    }

    fn is_paused(&self, group: &TargetGroup) -> bool {
        let until = group.waiting.paused_until;
        until.is_some_and(|until| self.now < until)
    }

    /// Waits until it is worth to look again, and not beyond `at_most`.
    ///
    /// # Errors
    /// Fails when as many requests wait as may.
    pub(super) async fn wait(
        &mut self,
        link: &Link,
        group: &Arc<TargetGroup>,
        calls: u64,
        at_most: Option<Instant>,
    ) -> Result<(), Refusal> {
        let waiting = &group.waiting;
        match &self.place {
            Some(place) if place.is_in(&group.room) => {
                let patience = waiting.patience.unwrap_or_default();
                let until = match waiting.paused_until.filter(|until| self.now < *until) {
                    Some(end_of_pause) => end_of_pause,
                    None => *self.deadline.get_or_insert(self.now + patience),
                };
                let until = at_most.map_or(until, |at_most| until.min(at_most));
                link.set_held(true);
                // Called or not: the next look tells.
                let _called = timeout_at(until.into(), place.called(calls)).await;
                link.set_held(false);
            }
            Some(_) | None => {
                let entered = group.room.enter(waiting.most);
                let (place, before) = entered.ok_or(Refusal::Overload)?;
                self.place = Some(place);
                if before > 0 && !self.is_paused(group) {
                    // Others were there before: each of them calls the next when it leaves.
                    let calls = group.room.calls();
                    return Box::pin(self.wait(link, group, calls, at_most)).await;
                }
                // Calls are heard from now on: it looks once more before it waits.
            }
        }
        self.now = Instant::now();
        Ok(())
    }

    /// It has a target.
    pub(super) fn end(&mut self) {
        self.place = None;
    }
}
