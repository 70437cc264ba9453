//! What a client's connection and the request on it tell each other.
//!
//! The connection's loop owns the timer; the request says since when it waits, and learns here that
//! it has waited too long or that its target's time is up.

use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::counter::Counter;
use crate::lock::lock;
use crate::response::ResponseHead;
use crate::target::Target;

const NANOSECONDS: u64 = 1_000_000_000;

/// So many bytes of interim answers to a request are passed on, for nobody knows whether its client reads; each counts for some at least.
const MOST_INTERIM_BYTES: u64 = 16 * 1024;
const LEAST_INTERIM_BYTES: u64 = 1024;

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
    /// How much time a byte buys a client that lags.
    nanoseconds_per_byte: u64,
    /// Nanoseconds from `born` to the moment since which nothing has moved.
    quiet_since: AtomicU64,
    /// Bytes of the request's body.
    received: Counter,
    exchanging: AtomicBool,
    /// Something of a request has come, but not its whole head.
    begun: AtomicBool,
    /// The client does not take what is written.
    blocked: AtomicBool,
    /// The body of the request is still coming, and nobody has answered yet.
    receiving: AtomicBool,
    /// The next part of the body has not come yet.
    waited_for: AtomicBool,
    /// The body ended before its end.
    broken_off: AtomicBool,
    /// The request waits for its turn, and whoever makes it wait has the clock.
    held: AtomicBool,
    expired: AtomicBool,
    /// Whether there is a target below; no lock needs to be taken to see that there is none.
    with_target: AtomicBool,
    target: Mutex<Option<Arc<Target>>>,
    /// Bytes of interim answers to the request.
    announced: Counter,
    /// Whether there are some below.
    has_interim: AtomicBool,
    interim: Mutex<Vec<ResponseHead>>,
}

impl Link {
    pub(super) fn new(config: &Config) -> Self {
        let rate = u64::from(config.min_client_rate);
        Self {
            born: Instant::now(),
            client_timeout: config.client_timeout,
            target_timeout: config.target_timeout,
            nanoseconds_per_byte: NANOSECONDS.checked_div(rate).unwrap_or(u64::MAX),
            quiet_since: AtomicU64::new(0),
            received: Counter::default(),
            exchanging: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            receiving: AtomicBool::new(false),
            waited_for: AtomicBool::new(false),
            broken_off: AtomicBool::new(false),
            held: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            with_target: AtomicBool::new(false),
            target: Mutex::new(None),
            announced: Counter::default(),
            has_interim: AtomicBool::new(false),
            interim: Mutex::default(),
        }
    }

    /// Returns the link of a connection that is passed on as it is.
    pub(super) fn of_tcp(config: &Config) -> Self {
        Self {
            target_timeout: config.tcp_timeout,
            ..Self::new(config)
        }
    }

    /// The connection is in use, though by nothing of its own.
    pub(super) fn is_used(&self) {
        self.touch();
    }

    /// A request's head has come; returns the time.
    pub(crate) fn begin(&self) -> Instant {
        self.exchanging.store(true, Relaxed);
        self.begun.store(false, Relaxed);
        self.expired.store(false, Relaxed);
        self.received.set(0);
        self.announced.set(0);
        self.waited_for.store(false, Relaxed);
        self.broken_off.store(false, Relaxed);
        self.touch()
    }

    /// Says whether the next part of the request's body is waited for.
    pub(crate) fn set_waited_for(&self, waited_for: bool) {
        self.waited_for.store(waited_for, Relaxed);
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.waited_for.load(Relaxed)
    }

    /// The request's body ended before its end.
    pub(crate) fn has_broken_off(&self) {
        self.broken_off.store(true, Relaxed);
    }

    pub(crate) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Relaxed)
    }

    /// Some of the request's body has come.
    pub(crate) fn has_received(&self, bytes: usize) {
        self.received.add(bytes as u64);
    }

    /// Returns how much of the request's body has come.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Returns for how long the connection had been there when something last moved.
    pub(super) fn age(&self) -> Duration {
        Duration::from_nanos(self.quiet_since.load(Relaxed))
    }

    /// The body of the request is on its way here, or no longer: then the target has its whole time.
    pub(crate) fn set_receiving(&self, receiving: bool) {
        if self.receiving.swap(receiving, Relaxed) != receiving {
            self.touch();
        }
    }

    /// The request waits for its turn, or no longer; as long as it does it cannot expire.
    pub(crate) fn set_held(&self, held: bool) {
        self.held.store(held, Relaxed);
        self.touch();
    }

    /// Returns whether a part of a request's head has come, and the rest has not.
    pub(super) fn has_half_a_head(&self) -> bool {
        self.begun.load(Relaxed) && !self.exchanging.load(Relaxed)
    }

    /// The request is with this target, or on its way there.
    pub(crate) fn enter(&self, target: &Arc<Target>) {
        self.with_target.store(true, Relaxed);
        *lock(&self.target) = Some(Arc::clone(target));
    }

    /// The request is with no target any more.
    pub(crate) fn leave(&self) {
        if self.with_target.load(Relaxed) {
            self.with_target.store(false, Relaxed);
            *lock(&self.target) = None;
        }
    }

    /// An interim answer has come for the client. Of those of one request it gets some and no more: a target could go on for ever.
    pub(crate) fn announce(&self, interim: ResponseHead) {
        let mut bytes = 0;
        interim
            .headers
            .each(|name, value| bytes += (name.len() + value.len()) as u64);
        let announced = self.announced.get() + bytes.max(LEAST_INTERIM_BYTES);
        if announced <= MOST_INTERIM_BYTES {
            self.announced.set(announced);
            lock(&self.interim).push(interim);
            self.has_interim.store(true, Relaxed);
        }
    }

    /// Takes the interim answers that have come.
    pub(super) fn take_interim(&self) -> Vec<ResponseHead> {
        if !self.has_interim.load(Relaxed) {
            return Vec::new();
        }
        self.has_interim.store(false, Relaxed);
        std::mem::take(&mut *lock(&self.interim))
    }

    /// The answer is complete; the client's time runs, at the earliest since `then`.
    pub(crate) fn end(&self, then: Instant) {
        self.leave();
        self.exchanging.store(false, Relaxed);
        let moved = self.quiet_since.load(Relaxed);
        self.quiet_since
            .store(moved.max(self.since_born(then)), Relaxed);
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
        let target = lock(&self.target);
        target.as_ref().is_some_and(|target| target.is_cut())
    }

    /// Returns whether nothing is under way, in either direction, and has not been for a while.
    pub(super) fn is_unused(&self, now: Instant, a_while: Duration) -> bool {
        let busy = [&self.exchanging, &self.begun, &self.blocked];
        !busy.iter().any(|flag| flag.load(Relaxed)) && now >= self.quiet_since() + a_while
    }

    fn quiet_since(&self) -> Instant {
        self.born + Duration::from_nanos(self.quiet_since.load(Relaxed))
    }

    /// Returns whether a head is waited for, of which nothing has come.
    pub(super) fn waits_for_a_head(&self) -> bool {
        !self.exchanging.load(Relaxed) && !self.begun.load(Relaxed)
    }

    /// What has come was of no head.
    pub(super) fn has_read_nothing(&self) {
        self.begun.store(false, Relaxed);
    }

    /// Bytes have come; those of a head that is not whole yet are no sign of life.
    pub(crate) fn has_read(&self, bytes: usize) {
        if !self.exchanging.load(Relaxed) {
            self.begun.store(true, Relaxed);
        } else if self.receiving.load(Relaxed) {
            self.buy(bytes);
        } else {
            self.touch();
        }
    }

    /// As [`Link::has_written`], and nothing is left to be sent. If no target will add to it the end of the answer follows at once, and
    /// sets the clock; but if its client has made us wait, its time for the next request begins only now.
    pub(super) fn has_written_all(&self, polled: &Poll<io::Result<usize>>) {
        if self.with_target.load(Relaxed) || !matches!(polled, Poll::Ready(Ok(_))) {
            self.has_written(polled);
        } else if self.blocked.load(Relaxed) {
            self.blocked.store(false, Relaxed);
            self.touch();
        }
    }

    /// What is written is with the kernel, or `waits` for that, as it does behind TLS.
    pub(super) fn has_flushed(&self, waits: bool) {
        if waits {
            self.blocked.store(true, Relaxed);
        } else if self.blocked.load(Relaxed) {
            self.blocked.store(false, Relaxed);
            self.touch();
        }
    }

    /// The client has been sent something, or does not take it.
    pub(crate) fn has_written(&self, polled: &Poll<io::Result<usize>>) {
        let was_blocked = self.blocked.load(Relaxed);
        if was_blocked != polled.is_pending() {
            self.blocked.store(!was_blocked, Relaxed);
        }
        match polled {
            // It has made us wait.
            Poll::Ready(Ok(bytes)) if was_blocked => self.buy(*bytes),
            Poll::Ready(Ok(_)) => self.moved(),
            // What is broken blocks nobody.
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }

    pub(super) fn due(&self, now: Instant) -> Due {
        let exchanging = self.exchanging.load(Relaxed);
        if self.held.load(Relaxed) {
            return Due::At(self.latest(now));
        }
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
        self.quiet_since.store(self.since_born(now), Relaxed);
        now
    }

    /// Bytes have moved: a sign of life in a body, but not in a head that trickles in.
    pub(crate) fn moved(&self) {
        if self.exchanging.load(Relaxed) {
            self.touch();
        }
    }

    /// Bytes have moved at the pace of the client: each is a sign of so much life as the least rate gives it.
    fn buy(&self, bytes: usize) {
        let now = self.since_born(Instant::now());
        let bought = u64::try_from(bytes).unwrap_or(u64::MAX);
        let bought = bought.saturating_mul(self.nanoseconds_per_byte);
        let quiet = self.quiet_since.load(Relaxed).saturating_add(bought);
        self.quiet_since.store(quiet.min(now), Relaxed);
    }

    fn since_born(&self, now: Instant) -> u64 {
        u64::try_from((now - self.born).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
