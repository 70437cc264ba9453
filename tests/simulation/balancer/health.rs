//! How a target fares, by the load balancer's own rules (`lb/src/health.rs`), which are private there.

use std::time::Duration;

use roadstead_proto::lb::HealthCheck;
use tokio::time::Instant;

/// What a probe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Good,
    Bad,
    Unreachable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Initial,
    Healthy,
    Unhealthy,
}

/// A target's standing.
#[derive(Debug, Clone)]
pub(super) struct Health {
    pub(super) state: State,
    proven: bool,
    streak: u32,
    probes: u32,
    first_failure: Option<Instant>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            state: State::Initial,
            proven: false,
            streak: 0,
            probes: 0,
            first_failure: None,
        }
    }

    /// Takes in a probe; returns whether the state has turned.
    pub(super) fn observe(&mut self, answer: Answer, check: &HealthCheck, suspect: bool) -> bool {
        let now = Instant::now();
        let good = answer == Answer::Good;
        if !good {
            self.first_failure.get_or_insert(now);
        }
        self.probes += 1;
        self.streak = if good == (self.state == State::Healthy) {
            0
        } else {
            self.streak + 1
        };
        let patience = Duration::from_secs(u64::from(
            check.interval_seconds * check.unhealthy_threshold,
        ));
        let failing = self
            .first_failure
            .is_some_and(|first| now - first >= patience);
        let state = match self.state {
            State::Initial | State::Unhealthy if good && !self.proven => State::Healthy,
            State::Initial if failing => State::Unhealthy,
            State::Unhealthy if self.streak >= check.healthy_threshold => State::Healthy,
            State::Healthy if suspect && answer == Answer::Unreachable => State::Unhealthy,
            State::Healthy if self.streak >= check.unhealthy_threshold => State::Unhealthy,
            same => same,
        };
        self.proven |= good;
        let turned = state != self.state;
        if turned {
            self.streak = 0;
        }
        self.state = state;
        turned
    }

    /// Returns how long to wait before the next probe.
    pub(super) fn pause(&self, check: &HealthCheck, suspect: bool) -> Duration {
        let interval = Duration::from_secs(u64::from(check.interval_seconds));
        if self.proven {
            return if suspect {
                interval.min(Duration::from_secs(1))
            } else {
                interval
            };
        }
        Duration::from_millis(20 << self.probes.saturating_sub(1).min(8))
            .min(Duration::from_millis(250))
    }
}
