//! The clock and the alarm of one connection.
//!
//! Both are kept off the path of a request: one timer for each connection, set again only when it fires, and one atomic
//! read.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::futures::Notified;
use tokio::task::unconstrained;
use tokio::time::Sleep;

use crate::shared::Alarm;

/// What a connection must look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Its door, and whether what it does is cut.
    Alarm,
    /// How long it has been quiet; then [`Watch::next`] sets the timer.
    Timer,
}

/// What wakes a connection's task beside its bytes.
pub(super) struct Watch<'a, 'b> {
    alarm: &'b Alarm,
    ring: Pin<&'a mut Notified<'b>>,
    /// Whatever was rung before this connection existed is looked at first.
    heard: Option<u64>,
    /// It rang while this was taken down: the ring may have been used up by that.
    rings: bool,
    timer: Pin<&'a mut Sleep>,
    timer_set: bool,
}

impl<'a, 'b> Watch<'a, 'b> {
    /// Returns a watch that keeps its place in the alarm's queue, and its timer, in its caller's future.
    pub(super) fn new(
        alarm: &'b Alarm,
        ring: Pin<&'a mut Notified<'b>>,
        timer: Pin<&'a mut Sleep>,
    ) -> Self {
        Self {
            alarm,
            ring,
            heard: None,
            rings: false,
            timer,
            timer_set: false,
        }
    }

    /// Returns what there is to look at; the task is woken when there is something.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Notice> {
        if self.heard != Some(self.alarm.times()) || (self.rings && self.has_rung(cx)) {
            self.listen(cx);
            return Poll::Ready(Notice::Alarm);
        }
        // Polled only to be set: a look at it is all that a request should cost.
        if !self.timer.is_elapsed() && std::mem::replace(&mut self.timer_set, true) {
            return Poll::Pending;
        }
        // A task that has used up its turn would not even set it, and not be asked again.
        let timer = pin!(unconstrained(self.timer.as_mut()));
        if timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Notice::Timer)
    }

    /// Returns whether the alarm that was taken down while it rang does so no longer; if it does, the task comes back to it.
    fn has_rung(&self, cx: &Context<'_>) -> bool {
        let (_, rings) = self.alarm.state();
        if rings {
            cx.waker().wake_by_ref();
        }
        !rings
    }

    fn listen(&mut self, cx: &mut Context<'_>) {
        loop {
            self.ring.set(self.alarm.listen());
            let (times, rings) = self.alarm.state();
            (self.heard, self.rings) = (Some(times), rings);
            // It is used up at once by a ring that ends just now.
            if self.ring.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    /// Sets the timer.
    pub(super) fn next(&mut self, moment: Instant) {
        self.timer_set = false;
        self.timer.as_mut().reset(moment.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[tokio::test]
    async fn who_takes_an_alarm_in_while_it_rings_hears_the_next_one_too() {
        let alarm = Alarm::default();
        let (ring, timer) = (pin!(alarm.listen()), pin!(sleep(Duration::from_secs(600))));
        let mut watch = Watch::new(&alarm, ring, timer);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = &mut Context::from_waker(&waker);
        alarm.begin();
        assert_eq!(watch.poll(cx), Poll::Ready(Notice::Alarm));
        assert_eq!(watch.poll(cx), Poll::Pending);
        assert_eq!(
            wakes.0.swap(0, SeqCst),
            1,
            "it comes back as long as that rings"
        );
        // It wakes who has counted it already.
        alarm.tell();
        assert_eq!(wakes.0.load(SeqCst), 1);
        assert_eq!(watch.poll(cx), Poll::Ready(Notice::Alarm));
        assert_eq!(watch.poll(cx), Poll::Pending);
        alarm.ring();
        assert_eq!(wakes.0.load(SeqCst), 2);
        assert_eq!(watch.poll(cx), Poll::Ready(Notice::Alarm));
        assert_eq!(watch.poll(cx), Poll::Pending);
    }
}
