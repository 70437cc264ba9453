//! Container health checks as a state machine over probe results.
//!
//! ECS's rules: a probe each `interval`; `retries` failures in a row make a container UNHEALTHY, one
//! success makes it HEALTHY; failures in the start period do not count, and a success ends it. Unlike
//! ECS, whose first probe waits for a whole interval, the first interval is probed early and often
//! until a success, and failures there do not count: a container that is ready is seen to be.

use std::time::{Duration, Instant};

use roadstead_client::proto::ecs::HealthCheck;
use serde::{Deserialize, Serialize};

const FIRST_PROBE: Duration = Duration::from_secs(1);

/// What is known of a container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Healthy,
    Unknown,
    Unhealthy,
}

impl Status {
    /// Returns ECS's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Unknown => "UNKNOWN",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// A health check with its defaults filled in (ECS: 30 s, 5 s, 3, none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What to run in the container; exit code 0 is a success.
    pub command: Vec<String>,
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    pub start_period: Duration,
}

impl Check {
    /// Returns the check of a container definition, or `None` when it has no command to run.
    #[must_use]
    pub fn of(definition: &HealthCheck) -> Option<Self> {
        let command = match definition.command.split_first() {
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            Some((kind, rest)) if kind == "CMD-SHELL" => {
                vec!["/bin/sh".into(), "-c".into(), rest.join(" ")]
            }
            // "NONE" switches the check off.
            Some(_) | None => return None,
        };
        if command.is_empty() {
            return None;
        }
        let seconds = |value: Option<i32>, default: u32| {
            let seconds = value.and_then(|value| u32::try_from(value).ok());
            Duration::from_secs(seconds.unwrap_or(default).into())
        };
        let retries = definition
            .retries
            .and_then(|value| u32::try_from(value).ok());
        Some(Self {
            command,
            interval: seconds(definition.interval, 30).max(Duration::from_secs(1)),
            timeout: seconds(definition.timeout, 5).max(Duration::from_secs(1)),
            retries: retries.unwrap_or(3).max(1),
            start_period: seconds(definition.start_period, 0),
        })
    }
}

/// The clock of a checked container: not kept over a restart of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    started: Instant,
    due: Instant,
    /// The pause after the next failure of the first interval.
    early: Duration,
}

/// The health of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: Status,
    /// Failures in a row that count.
    failures: u32,
    /// A success ended the start period.
    settled: bool,
    #[serde(skip)]
    clock: Option<Clock>,
}

impl Health {
    /// Returns the health of a container that starts now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            status: Status::Unknown,
            failures: 0,
            settled: false,
            clock: Some(Clock {
                started: now,
                due: now + FIRST_PROBE,
                early: FIRST_PROBE,
            }),
        }
    }

    /// Goes on with a container that another agent started `ago`.
    pub fn resume(&mut self, now: Instant, ago: Duration) {
        self.clock = Some(Clock {
            started: now.checked_sub(ago).unwrap_or(now),
            due: now,
            early: FIRST_PROBE,
        });
    }

    /// Returns when the next probe shall begin; `None` before `resume`.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.clock.map(|clock| clock.due)
    }

    /// Takes in a probe that ended now; tells whether anything but the clock has changed.
    pub fn observe(&mut self, check: &Check, passed: bool, now: Instant) -> bool {
        let before = (self.status, self.failures, self.settled);
        self.judge(check, passed, now);
        before != (self.status, self.failures, self.settled)
    }

    fn judge(&mut self, check: &Check, passed: bool, now: Instant) {
        let Some(clock) = self.clock.as_mut() else {
            return;
        };
        let age = now.duration_since(clock.started);
        clock.due = now + check.interval;
        if passed {
            self.status = Status::Healthy;
            self.failures = 0;
            self.settled = true;
            return;
        }
        if !self.settled && age < check.interval {
            clock.early = (clock.early * 2).min(check.interval);
            clock.due = now + clock.early;
            return;
        }
        if !self.settled && age < check.start_period {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= check.retries {
            self.status = Status::Unhealthy;
        }
    }
}

/// Returns a task's health from `(essential, health)` of its containers with a check (ECS: essential
/// ones decide; without any, UNKNOWN).
#[must_use]
pub(crate) fn of_task(checked: impl Iterator<Item = (bool, Status)>) -> Status {
    checked
        .filter(|(essential, _)| *essential)
        .map(|(_, status)| status)
        .max()
        .unwrap_or(Status::Unknown)
}

#[cfg(test)]
mod tests;
