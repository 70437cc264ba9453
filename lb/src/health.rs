//! Decides how a target fares from the outcomes of its probes.
//!
//! Pure: time comes in. The thresholds are ELB's (a new target needs one success, a fallen one
//! several), with one change: a new target is probed far more often than the group's interval, so
//! that a rollout does not wait for a timer. Until it has answered once, its failures are therefore
//! weighed by the time they span and not by their number.

pub(crate) mod probe;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::upstream::Transport;

/// ELB's reason code of a target that has not been probed.
pub(crate) const UNPROBED: &str = "Elb.RegistrationInProgress";
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const SUSPECT_INTERVAL: Duration = Duration::from_secs(1);
const SUSPECT_CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const MOST_PAUSE: Duration = Duration::from_millis(250);

/// How a target group's targets are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    pub(crate) question: Question,
    pub(crate) transport: Transport,
    pub(crate) path: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) healthy_threshold: u32,
    pub(crate) unhealthy_threshold: u32,
    pub(crate) success_codes: Vec<RangeInclusive<u16>>,
    /// The target's host has fallen silent: it is probed often, and when it accepts no connection it is gone.
    pub(crate) suspect: bool,
}

impl HealthCheck {
    /// Returns how long a target may take to accept a connection. A suspect's host may be gone; one that is there accepts
    /// at once, however long its answer takes.
    fn connect_timeout(&self) -> Duration {
        if self.suspect {
            self.timeout.min(SUSPECT_CONNECT_TIMEOUT)
        } else {
            self.timeout
        }
    }
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Question {
    /// Nothing: that it accepts a connection is enough.
    Connection,
    #[default]
    Http1,
    Http2,
    /// A call of gRPC.
    Grpc,
}

/// What a probe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The target answered with a code that the matcher holds.
    Success(u16),
    /// The target answered with a code that the matcher does not hold.
    Mismatch(u16),
    Timeout,
    /// No connection.
    Unreachable,
    /// It does not speak TLS, or does not offer HTTP/2 in it where that is to be spoken.
    NoHandshake,
    /// No answer in the protocol that was asked for.
    Failed,
    /// It has accepted a connection, and nothing more was asked.
    Connected,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success(code) | Self::Mismatch(code) => write!(formatter, "{code}"),
            Self::Timeout => formatter.write_str("no answer"),
            Self::Unreachable => formatter.write_str("no connection"),
            Self::NoHandshake => formatter.write_str("no TLS, or no h2 in it"),
            Self::Failed => formatter.write_str("no answer in HTTP"),
            Self::Connected => formatter.write_str("connected"),
        }
    }
}

/// How a target stands; what a number stands for is fixed, because `Target` keeps it in an atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Initial = 0,
    Healthy = 1,
    Unhealthy = 2,
}

/// A target's standing, and what it takes to change it.
//
//             first success
//   Initial ────────────────► Healthy ──┐ unhealthy_threshold failures in a row
//      │                         ▲      ▼
//      └────────────────────► Unhealthy: healthy_threshold successes in a row,
//        no success within          or the very first success
//        interval × unhealthy_threshold
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    state: State,
    /// Whether the target has ever answered as it should.
    proven: bool,
    /// Outcomes in a row that speak against the present state.
    streak: u32,
    probes: u32,
    first_failure: Option<Instant>,
    last: Option<Outcome>,
}

impl Health {
    /// Returns the standing of a target that nobody has probed yet.
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Initial,
            proven: false,
            streak: 0,
            probes: 0,
            first_failure: None,
            last: None,
        }
    }

    /// Returns the standing of a target whose group has no health check.
    pub(crate) const fn unchecked() -> Self {
        Self {
            state: State::Healthy,
            proven: true,
            ..Self::new()
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Returns the standing after one more probe.
    #[must_use]
    pub(crate) fn after(&self, outcome: Outcome, now: Instant, check: &HealthCheck) -> Self {
        let success = matches!(outcome, Outcome::Success(_) | Outcome::Connected);
        let first_failure = match self.first_failure {
            None if !success => Some(now),
            known => known,
        };
        let against = success != (self.state == State::Healthy);
        let streak = if against { self.streak + 1 } else { 0 };
        let state = match self.state {
            State::Initial | State::Unhealthy if success && !self.proven => State::Healthy,
            State::Initial => {
                let span = first_failure.map_or(Duration::ZERO, |first| now - first);
                if span >= check.interval * check.unhealthy_threshold {
                    State::Unhealthy
                } else {
                    State::Initial
                }
            }
            State::Unhealthy if streak >= check.healthy_threshold => State::Healthy,
            State::Healthy if check.suspect && outcome == Outcome::Unreachable => State::Unhealthy,
            State::Healthy if streak >= check.unhealthy_threshold => State::Unhealthy,
            unchanged @ (State::Healthy | State::Unhealthy) => unchanged,
        };
        Self {
            state,
            proven: self.proven || success,
            streak: if state == self.state { streak } else { 0 },
            probes: self.probes.saturating_add(1),
            first_failure,
            last: Some(outcome),
        }
    }

    /// Returns how long to wait before the next probe.
    pub(crate) fn pause(&self, check: &HealthCheck) -> Duration {
        if self.proven && check.suspect {
            return check.interval.min(SUSPECT_INTERVAL);
        }
        if self.proven {
            return check.interval;
        }
        let doublings = self.probes.saturating_sub(1).min(8);
        (FIRST_PAUSE * 2_u32.pow(doublings)).min(MOST_PAUSE)
    }

    /// Returns ELB's reason code and its text; both empty when healthy.
    pub(crate) fn reason(&self) -> (&'static str, String) {
        match (self.state, self.last) {
            (State::Healthy, _) => ("", String::new()),
            (State::Initial, None) => (UNPROBED, "Target registration is in progress".to_owned()),
            (State::Initial, Some(_)) => (
                "Elb.InitialHealthChecking",
                "Initial health checks in progress".to_owned(),
            ),
            (State::Unhealthy, Some(Outcome::Mismatch(code))) => (
                "Target.ResponseCodeMismatch",
                format!("Health checks failed with these codes: [{code}]"),
            ),
            (State::Unhealthy, Some(Outcome::Timeout)) => {
                ("Target.Timeout", "Request timed out".to_owned())
            }
            (
                State::Unhealthy,
                Some(
                    Outcome::Success(_)
                    | Outcome::Connected
                    | Outcome::Unreachable
                    | Outcome::NoHandshake
                    | Outcome::Failed,
                )
                | None,
            ) => (
                "Target.FailedHealthChecks",
                "Health checks failed".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> HealthCheck {
        HealthCheck {
            question: Question::Http1,
            transport: Transport::Plain,
            path: "/".to_owned(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            healthy_threshold: 3,
            unhealthy_threshold: 2,
            success_codes: vec![200..=200],
            suspect: false,
        }
    }

    fn after(health: &Health, outcomes: &[Outcome]) -> Health {
        let now = Instant::now();
        outcomes.iter().fold(health.clone(), |health, outcome| {
            health.after(*outcome, now, &check())
        })
    }

    use Outcome::{Failed, Mismatch, Timeout};
    const SUCCESS: Outcome = Outcome::Success(200);

    #[test]
    fn one_success_makes_a_new_target_healthy() {
        let health = after(&Health::new(), &[Failed, Failed, Failed, SUCCESS]);
        assert_eq!(health.state(), State::Healthy);
        assert_eq!(health.reason(), ("", String::new()));
    }

    #[test]
    fn a_new_target_that_fails_often_but_not_for_long_is_still_initial() {
        let health = after(&Health::new(), &[Failed; 50]);
        assert_eq!(health.state(), State::Initial);
        assert_eq!(health.reason().0, "Elb.InitialHealthChecking");
        assert_eq!(Health::new().reason().0, UNPROBED);
    }

    #[test]
    fn a_new_target_that_fails_for_the_threshold_of_intervals_is_unhealthy_until_its_first_success()
    {
        let start = Instant::now();
        let health = Health::new().after(Failed, start, &check());
        let health = health.after(Timeout, start + Duration::from_secs(20), &check());
        assert_eq!(health.state(), State::Unhealthy);
        assert_eq!(health.reason().0, "Target.Timeout");
        assert_eq!(after(&health, &[SUCCESS]).state(), State::Healthy);
    }

    #[test]
    fn a_healthy_target_falls_after_the_threshold_of_failures_in_a_row() {
        let healthy = after(&Health::new(), &[SUCCESS]);
        let shaken = after(&healthy, &[Failed, SUCCESS, Failed]);
        assert_eq!(shaken.state(), State::Healthy);
        let fallen = after(&shaken, &[Mismatch(503)]);
        assert_eq!(fallen.state(), State::Unhealthy);
        assert_eq!(
            fallen.reason().1,
            "Health checks failed with these codes: [503]"
        );
    }

    #[test]
    fn a_fallen_target_recovers_after_the_threshold_of_successes_in_a_row() {
        let fallen = after(&Health::new(), &[SUCCESS, Failed, Failed]);
        assert_eq!(fallen.state(), State::Unhealthy);
        let rising = after(&fallen, &[SUCCESS, SUCCESS, Failed, SUCCESS, SUCCESS]);
        assert_eq!(rising.state(), State::Unhealthy);
        assert_eq!(after(&rising, &[SUCCESS]).state(), State::Healthy);
    }

    #[test]
    fn probes_are_frequent_until_the_first_success_and_then_follow_the_interval() {
        let pauses: Vec<_> = [1, 2, 3, 5, 40]
            .map(|probes| after(&Health::new(), &vec![Failed; probes]).pause(&check()))
            .map(|pause| pause.as_millis())
            .into();
        assert_eq!(pauses, [20, 40, 80, 250, 250]);
        let healthy = after(&Health::new(), &[SUCCESS]);
        assert_eq!(healthy.pause(&check()), check().interval);
    }

    #[test]
    fn a_suspect_that_accepts_no_connection_is_gone_and_a_slow_one_is_not() {
        let suspect = HealthCheck {
            suspect: true,
            ..check()
        };
        let healthy = after(&Health::new(), &[SUCCESS]);
        let now = Instant::now();
        assert!(healthy.pause(&suspect) < healthy.pause(&check()));
        let slow = healthy.after(Outcome::Timeout, now, &suspect);
        assert_eq!(slow.state(), State::Healthy);
        let gone = healthy.after(Outcome::Unreachable, now, &suspect);
        assert_eq!(gone.state(), State::Unhealthy);
        let trusted = healthy.after(Outcome::Unreachable, now, &check());
        assert_eq!(trusted.state(), State::Healthy);
    }
}
