//! Where requests wait for a target: those of a group that is paused, whose targets are all full, or that has none ready.
//!
//! It is bounded in count here, and in time by whoever waits. Whoever may have made room calls: one request when one has
//! ended, all of them when the targets have changed. A call tells nothing; who is called looks for itself.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

/// The waiting requests of one target group, of all workers.
#[derive(Debug, Default)]
pub(crate) struct Room {
    waiting: AtomicUsize,
    calls: AtomicU64,
    notify: Notify,
}

impl Room {
    /// Returns how often it was called out: what is looked at after this is not older than the next call.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    /// Takes a place, and returns how many were there before; `None` when there are `most` requests already.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<(Place, usize)> {
        let step = |waiting| (waiting < most).then_some(waiting + 1);
        let entered = self.waiting.fetch_update(SeqCst, SeqCst, step);
        let room = Arc::clone(self);
        entered.ok().map(|before| (Place { room }, before))
    }

    /// Returns how many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    /// A target may have room for one more request.
    pub(crate) fn call_one(&self) {
        if !self.is_empty() {
            self.calls.fetch_add(1, SeqCst);
            self.notify.notify_one();
        }
    }

    /// Something has changed for all.
    pub(crate) fn call_all(&self) {
        self.calls.fetch_add(1, SeqCst);
        self.notify.notify_waiters();
    }
}

/// A request's place in a room.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
}

impl Place {
    pub(crate) fn is_in(&self, room: &Arc<Room>) -> bool {
        Arc::ptr_eq(&self.room, room)
    }

    /// Waits for a call after the first `calls`.
    pub(crate) async fn called(&self, calls: u64) {
        let mut called = pin!(self.room.notify.notified());
        called.as_mut().enable();
        if self.room.calls() == calls {
            called.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.waiting.fetch_sub(1, SeqCst);
        // It may have been called and not have come to it.
        self.room.call_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_so_many_places_and_no_more() {
        let room = Arc::new(Room::default());
        let first = room.enter(1);
        assert!(first.is_some() && room.enter(1).is_none());
        drop(first);
        assert!(room.enter(1).is_some());
        assert!(room.enter(0).is_none());
        assert!(room.is_empty());
    }

    #[tokio::test]
    async fn who_leaves_after_a_call_passes_it_on() {
        let room = Arc::new(Room::default());
        let ((first, _), (second, before)) = (room.enter(2).unwrap(), room.enter(2).unwrap());
        assert_eq!(before, 1);
        let calls = room.calls();
        drop(first);
        second.called(calls).await;
    }
}
