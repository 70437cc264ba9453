//! What requests themselves tell of a target, and since when it is healthy: in atomics, for every core to read.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use crate::balance::FULL_WEIGHT;

/// So many failures in a row, without an answer between them, take a target out of the turns for a while.
const STRIKES: u32 = 5;
const FIRST_EJECTION: Duration = Duration::from_secs(10);
const LONGEST_EJECTION: Duration = Duration::from_secs(300);

/// Times are milliseconds since `born`, and one more, so that 0 is never.
#[derive(Debug)]
pub(super) struct Standing {
    born: Instant,
    /// Never while it has its full share without a slow start.
    healthy_since: AtomicU64,
    /// Whether it starts slowly when it becomes healthy.
    slow: AtomicBool,
    /// Failures in a row.
    strikes: AtomicU32,
    ejections: AtomicU32,
    ejected_until: AtomicU64,
}

impl Standing {
    /// `slow`: whether others have their full share already ("Slow start mode" of ALB's target groups).
    pub(super) fn new(slow: bool) -> Self {
        Self {
            born: Instant::now(),
            healthy_since: AtomicU64::new(slow.into()),
            slow: AtomicBool::new(slow),
            strikes: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        }
    }

    fn at(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.born);
        u64::try_from(since.as_millis()).map_or(u64::MAX, |since| since + 1)
    }

    pub(super) fn became_healthy(&self, now: Instant) {
        // One that was unhealthy meanwhile starts slowly in any case.
        let since = if self.slow.swap(true, Relaxed) {
            self.at(now)
        } else {
            0
        };
        self.healthy_since.store(since, Relaxed);
    }

    /// Returns the weight while it starts slowly: it grows in a straight line.
    pub(super) fn weight(&self, now: Instant, slow_start: Duration) -> u32 {
        let since = self.healthy_since.load(Relaxed);
        if since == 0 {
            return FULL_WEIGHT;
        }
        let healthy_for = self.at(now).saturating_sub(since);
        let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
        let share = healthy_for.saturating_mul(FULL_WEIGHT.into()) / whole.max(1);
        u32::try_from(share).map_or(FULL_WEIGHT, |share| share.clamp(1, FULL_WEIGHT))
    }

    /// A request was answered; returns whether it is the first since the target was taken out of the turns.
    pub(super) fn answered(&self) -> bool {
        // Mostly there is nothing to write, and the cores share the line.
        if self.strikes.load(Relaxed) == 0 {
            return false;
        }
        self.strikes.store(0, Relaxed);
        self.ejections.swap(0, Relaxed) > 0
    }

    /// A request got no answer; returns whether that takes the target out of the turns.
    pub(super) fn failed(&self, now: Instant) -> bool {
        // Those that were under way at the same time tell nothing new.
        if self.is_ejected(now) {
            return false;
        }
        if self.strikes.fetch_add(1, Relaxed) + 1 < STRIKES {
            return false;
        }
        // One more failure after it is back takes it out again.
        self.strikes.store(STRIKES - 1, Relaxed);
        let doublings = self.ejections.load(Relaxed).min(8);
        let pause = (FIRST_EJECTION * 2_u32.pow(doublings)).min(LONGEST_EJECTION);
        let before = self.ejected_until.load(Relaxed);
        let until = self.at(now + pause);
        // Of several cores that come to this at once, one does it.
        let first = self
            .ejected_until
            .compare_exchange(before, until, Relaxed, Relaxed);
        if first.is_ok() {
            self.ejections.fetch_add(1, Relaxed);
        }
        first.is_ok()
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_for(now).is_some()
    }

    /// Returns how long it still is out of the turns, if it is.
    pub(super) fn ejected_for(&self, now: Instant) -> Option<Duration> {
        // Mostly never: then nobody asks for the time.
        let until = Some(self.ejected_until.load(Relaxed)).filter(|until| *until > 0)?;
        let left = until.saturating_sub(self.at(now));
        (left > 0).then(|| Duration::from_millis(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_share_grows_in_a_straight_line_from_when_the_target_became_healthy() {
        let standing = Standing::new(true);
        let start = standing.born + 100 * SECOND;
        standing.became_healthy(start);
        let weight = |seconds| standing.weight(start + seconds * SECOND, 30 * SECOND);
        assert_eq!([0, 3, 15, 30, 99].map(weight), [1, 10, 50, 100, 100]);
    }

    #[test]
    fn the_first_of_a_group_have_their_full_share_at_once_and_slowly_when_they_come_back() {
        let standing = Standing::new(false);
        let start = standing.born + 100 * SECOND;
        assert_eq!(standing.weight(start, 30 * SECOND), FULL_WEIGHT);
        standing.became_healthy(start);
        assert_eq!(standing.weight(start, 30 * SECOND), FULL_WEIGHT);
        standing.became_healthy(start);
        assert_eq!(standing.weight(start + 3 * SECOND, 30 * SECOND), 10);
    }

    #[test]
    fn failures_in_a_row_eject_a_target_for_longer_each_time() {
        let standing = Standing::new(false);
        let mut now = standing.born + SECOND;
        for _ in 1..STRIKES {
            assert!(!standing.failed(now));
        }
        assert!(!standing.answered());
        for _ in 1..STRIKES {
            assert!(!standing.failed(now));
        }
        assert!(standing.failed(now));
        for _ in 0..20 {
            assert!(!standing.failed(now), "it is ejected already");
        }
        assert_eq!(standing.ejected_for(now + 9 * SECOND), Some(SECOND));
        now += 10 * SECOND;
        assert!(!standing.is_ejected(now));
        assert!(standing.failed(now), "it was on probation");
        assert!(standing.is_ejected(now + 19 * SECOND));
        assert!(!standing.is_ejected(now + 20 * SECOND));
        assert!(standing.answered(), "it is back");
        assert!(!standing.answered());
        assert!(!standing.failed(now + 20 * SECOND));
    }
}
