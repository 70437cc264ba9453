//! A timer that is exact to microseconds, as the latency that is counted from it is; those of the runtime know milliseconds.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A timer of the kernel, timerfd_create(2), which the runtime watches.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Returns a timer for this thread's runtime.
    ///
    /// # Errors
    /// Fails when the process has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        // SAFETY: an OwnedFd is the same open descriptor as long as it lives.
        #[expect(unsafe_code, reason = "tokio cannot know it of every type")]
        let watched = unsafe { AsyncFd::register(timer) };
        Ok(Self(watched?))
    }

    /// Returns at `moment`, or at once when it has passed.
    ///
    /// # Errors
    /// Fails when the kernel does not take the time, which is a mistake of this program.
    pub(super) async fn until(&self, moment: Instant) -> io::Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(left).map_err(io::Error::other)?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        // It may still be ready for an earlier moment.
        while Instant::now() < moment {
            self.0.readable().await?.clear_ready();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_waits_again_and_again_and_never_for_what_has_passed() {
        let timer = Timer::new().unwrap();
        timer.until(Instant::now()).await.unwrap();
        for micros in [1, 300, 1, 2_000, 50] {
            let moment = Instant::now() + Duration::from_micros(micros);
            timer.until(moment).await.unwrap();
            assert!(Instant::now() >= moment);
        }
    }

    #[tokio::test]
    async fn a_moment_that_nobody_waits_for_any_more_does_not_end_the_next_wait() {
        let timer = Timer::new().unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        tokio::select! {
            biased;
            waited = timer.until(soon) => waited.unwrap(),
            () = tokio::task::yield_now() => {}
        }
        let later = soon + Duration::from_millis(2);
        timer.until(later).await.unwrap();
        assert!(Instant::now() >= later);
    }
}
