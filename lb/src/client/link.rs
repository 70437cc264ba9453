//! What a client's connection and the request on it tell each other.
//!
//! The connection's loop owns the timer; the request says since when it waits, and learns here that
//! it has waited too long or that its target's time is up.

use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::target::Target;

/// Why a request may not wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// Nothing has moved for the target timeout.
    Expired,
    /// The target's deregistration delay is over.
    Cut,
}

/// What the connection's loop does when its timer has fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet; look again then.
    At(Instant),
    /// Whoever was waited for has not moved for too long: close the connection.
    Overdue,
    /// The request has been told to give up; look again then.
    Expired(Instant),
}

/// Shared by a connection's loop and its request; both run on one thread.
#[derive(Debug)]
pub(crate) struct Link {
    born: Instant,
    client_timeout: Duration,
    target_timeout: Duration,
    /// Nanoseconds from `born` to the moment since which nothing has moved.
    quiet_since: AtomicU64,
    exchanging: AtomicBool,
    /// Something of a request has come, but not its whole head.
    begun: AtomicBool,
    /// The client does not take what is written.
    blocked: AtomicBool,
    expired: AtomicBool,
    target: Mutex<Option<Arc<Target>>>,
}

impl Link {
    pub(super) fn new(client_timeout: Duration, target_timeout: Duration) -> Self {
        Self {
            born: Instant::now(),
            client_timeout,
            target_timeout,
            quiet_since: AtomicU64::new(0),
            exchanging: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            target: Mutex::new(None),
        }
    }

    /// A request's head has come; returns the time.
    pub(crate) fn begin(&self) -> Instant {
        self.exchanging.store(true, Relaxed);
        self.begun.store(false, Relaxed);
        self.expired.store(false, Relaxed);
        self.touch()
    }

    /// The request is with this target, or on its way there.
    pub(crate) fn enter(&self, target: &Arc<Target>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(target));
    }

    /// The request is with no target any more.
    pub(crate) fn leave(&self) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The answer is complete; the client's time runs.
    pub(crate) fn end(&self) {
        self.leave();
        self.exchanging.store(false, Relaxed);
        self.touch();
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    /// Waits for `future`, unless the request's time at `target` ends before.
    pub(crate) async fn guard<F: Future>(
        &self,
        target: &Target,
        future: F,
    ) -> Result<F::Output, Interrupted> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if target.is_cut() {
                return Poll::Ready(Err(Interrupted::Cut));
            }
            if self.is_expired() {
                return Poll::Ready(Err(Interrupted::Expired));
            }
            Poll::Pending
        })
        .await
    }

    pub(super) fn is_cut(&self) -> bool {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        target.as_ref().is_some_and(|target| target.is_cut())
    }

    /// Returns when the timer is to fire first: nothing can be due before.
    pub(super) fn first_look(&self) -> Instant {
        self.latest(self.born)
    }

    /// Returns whether nothing is under way, in either direction, and has not been for a while.
    pub(super) fn is_unused(&self, now: Instant, a_while: Duration) -> bool {
        let busy = [&self.exchanging, &self.begun, &self.blocked];
        !busy.iter().any(|flag| flag.load(Relaxed)) && now >= self.quiet_since() + a_while
    }

    fn quiet_since(&self) -> Instant {
        self.born + Duration::from_nanos(self.quiet_since.load(Relaxed))
    }

    /// Bytes have come; those of a head that is not whole yet are no sign of life.
    pub(crate) fn has_read(&self) {
        if !self.exchanging.load(Relaxed) {
            self.begun.store(true, Relaxed);
        }
        self.moved();
    }

    /// The client takes what is written, or does not.
    pub(crate) fn has_written(&self, some: bool) {
        self.blocked.store(!some, Relaxed);
        if some {
            self.moved();
        }
    }

    pub(super) fn due(&self, now: Instant) -> Due {
        let exchanging = self.exchanging.load(Relaxed);
        let limit = if exchanging {
            self.target_timeout
        } else {
            self.client_timeout
        };
        let end = self.quiet_since() + limit;
        let latest = self.latest(now);
        if now < end {
            return Due::At(end.min(latest));
        }
        // An answer that was expired before and still lingers is stuck: its client does not read.
        if !exchanging || self.expired.swap(true, Relaxed) {
            return Due::Overdue;
        }
        Due::Expired(latest)
    }

    /// Returns when the timer must fire at the latest: a limit, which may be the shorter one, can begin to run at any time.
    pub(super) fn latest(&self, now: Instant) -> Instant {
        now + self.client_timeout.min(self.target_timeout)
    }

    fn touch(&self) -> Instant {
        let now = Instant::now();
        let quiet = u64::try_from((now - self.born).as_nanos()).unwrap_or(u64::MAX);
        self.quiet_since.store(quiet, Relaxed);
        now
    }

    /// Bytes have moved: a sign of life in a body, but not in a head that trickles in.
    pub(crate) fn moved(&self) {
        if self.exchanging.load(Relaxed) {
            self.touch();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Duration = Duration::from_secs(60);
    const TARGET: Duration = Duration::from_secs(10);

    #[test]
    fn a_client_that_sends_nothing_is_overdue_after_its_timeout() {
        let link = Link::new(CLIENT, TARGET);
        let born = link.born;
        assert_eq!(link.first_look(), born + TARGET);
        assert_eq!(link.due(born + TARGET), Due::At(born + 2 * TARGET));
        assert_eq!(link.due(born + CLIENT - TARGET / 2), Due::At(born + CLIENT));
        assert_eq!(link.due(born + CLIENT), Due::Overdue);
    }

    #[test]
    fn a_connection_is_unused_when_nothing_is_half_done() {
        let link = Link::new(CLIENT, TARGET);
        let second = Duration::from_secs(1);
        let later = link.born + 2 * second;
        assert!(!link.is_unused(link.born, second));
        assert!(link.is_unused(later, second));
        link.has_read();
        assert!(!link.is_unused(later, second), "a head has begun");
        link.begin();
        assert!(!link.is_unused(later, second), "a request is under way");
        link.has_written(false);
        link.end();
        let later = later + 2 * second;
        assert!(
            !link.is_unused(later, second),
            "its client has not taken the answer yet"
        );
        link.has_written(true);
        assert!(link.is_unused(later, second));
    }

    #[test]
    fn a_request_on_which_nothing_moves_expires_and_then_loses_its_connection() {
        let link = Link::new(CLIENT, TARGET);
        let begun = link.begin();
        assert!(matches!(link.due(begun + TARGET / 2), Due::At(_)));
        assert!(!link.is_expired());
        let late = begun + TARGET + Duration::from_millis(1);
        assert_eq!(link.due(late), Due::Expired(late + TARGET));
        assert!(link.is_expired());
        assert_eq!(link.due(late + TARGET), Due::Overdue);
    }
}
