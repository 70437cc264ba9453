//! How long a service waits before it starts again what does not start.

use std::time::Duration;

use super::Service;
use crate::Timestamp;
use crate::state::task::{LastStatus, Task};

/// The first and the longest pause between tasks that fail to start.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// A task that ends by itself sooner than this counts as one that failed to start. ECS restarts
/// what has once been RUNNING without a pause; it is slow enough to afford that.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// From this many failures in a row on, the service says that it cannot start tasks.
const FAILURES_WORTH_TELLING: u32 = 3;

/// Returns whether a task that has ended failed to start, by the agent's clock; `before` is what was
/// last known of it.
pub(super) fn is_failed_start(task: &Task, before: LastStatus) -> bool {
    let times = task.times.started.zip(task.times.stopped);
    let lived = times.map(|(from, to)| to.since(from));
    before < LastStatus::Running || lived.is_none_or(|lived| lived < SHORT_LIFE)
}

impl Service {
    /// Notes that a task failed to start; returns whether that has become worth telling.
    pub(super) fn note_failed_start(&mut self, at: Timestamp) -> bool {
        // Tasks that were started together and fail together are one attempt.
        if self.retry_at.is_some_and(|retry_at| at < retry_at) {
            return false;
        }
        self.failed_starts = self.failed_starts.saturating_add(1);
        self.retry_at = Some(at.after(pause_after(self.failed_starts)));
        self.failed_starts == FAILURES_WORTH_TELLING
    }

    /// Lets the next task start at once, whatever the last ones did.
    pub(super) fn forgive(&mut self) {
        self.failed_starts = 0;
        self.retry_at = None;
    }
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        assert_eq!(pause_after(1), Duration::from_secs(1));
        assert_eq!(pause_after(4), Duration::from_secs(8));
        assert_eq!(pause_after(40), LONGEST_PAUSE);
    }
}
