//! Says why a container did not start, in the words of ECS (ecs-agent's error names).

use std::error::Error;
use std::time::Duration;

use crate::runtime::RuntimeError;

/// The longest reason that is reported; what a runtime says can be pages long.
const LONGEST: usize = 1024;

/// Returns the reason for a failure to pull, create or start.
#[must_use]
pub(crate) fn of(error: &RuntimeError) -> String {
    let (name, detail) = match error {
        RuntimeError::Pull { cause, .. } => ("CannotPullContainerError", chain(&**cause)),
        RuntimeError::Network { cause, .. } => ("ContainerNetworkingError", chain(&**cause)),
        RuntimeError::Create { cause, .. } => ("CannotCreateContainerError", chain(&**cause)),
        RuntimeError::Start { cause, .. } => ("CannotStartContainerError", chain(&**cause)),
        RuntimeError::Timeout {
            transition, waited, ..
        } => (
            "DockerTimeoutError",
            format!(
                "Could not transition to {transition}; timed out after waiting {}",
                in_minutes(*waited)
            ),
        ),
        RuntimeError::Unavailable(cause) | RuntimeError::Restore(cause) => {
            ("DockerStateError", chain(&**cause))
        }
        RuntimeError::Operate { cause, .. } => ("DockerStateError", chain(&**cause)),
    };
    let mut reason = format!("{name}: {detail}");
    if reason.len() > LONGEST {
        reason.truncate(reason.floor_char_boundary(LONGEST));
    }
    reason
}

/// Returns a time to the second, as ecs-agent writes it (Go's `Duration.String`): `45s`, `4m0s`.
fn in_minutes(time: Duration) -> String {
    let seconds = (time + Duration::from_millis(500)).as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// Returns an error and its causes in one line, each said once.
#[must_use]
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let detail = cause.to_string();
        if !text.contains(&detail) {
            text.push_str(": ");
            text.push_str(&detail);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ContainerId;

    #[test]
    fn a_failed_pull_is_told_as_ecs_tells_it() {
        let error = RuntimeError::Pull {
            image: "nowhere/x:1".into(),
            cause: "manifest unknown".into(),
        };
        assert_eq!(of(&error), "CannotPullContainerError: manifest unknown");
    }

    #[test]
    fn a_container_that_takes_too_long_is_told_as_ecs_tells_it() {
        let error = |transition, milliseconds| RuntimeError::Timeout {
            container: ContainerId::parse("a1-0").unwrap(),
            transition,
            waited: Duration::from_millis(milliseconds),
            cause: "deadline".into(),
        };
        assert_eq!(
            of(&error("created", 240_012)),
            "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"
        );
        assert_eq!(
            of(&error("started", 29_990)),
            "DockerTimeoutError: Could not transition to started; timed out after waiting 30s"
        );
    }

    #[test]
    fn a_reason_stays_short() {
        let error = RuntimeError::Pull {
            image: "x".into(),
            cause: "ä".repeat(2000).into(),
        };
        assert!(of(&error).len() <= LONGEST);
    }

    #[test]
    fn a_chain_says_each_cause_once() {
        let inner = std::io::Error::other("disk is full");
        let outer = RuntimeError::Restore(Box::new(inner));
        assert_eq!(
            chain(&outer),
            "cannot restore what the last agent left: disk is full"
        );
    }
}
