//! What a failure in a launch means.
//!
//! A containerd that is away fails nothing: the launch is tried again. One that does not finish in time
//! fails the task, as ecs-agent does it; a launch that always takes too long would go on for ever.

use std::time::Instant;

use super::super::client::ContainerdError;
use super::super::image::ImageError;
use crate::runtime::{Cause, ContainerId, RuntimeError};

/// Where in a launch something went wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Create,
    Network,
    /// The OCI runtime creates the process; what is wrong with its program shows here.
    Process,
    Start,
}

/// One attempt to launch a container, and when its present transition began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) id: &'a ContainerId,
    began: Instant,
}

impl<'a> Attempt<'a> {
    /// Begins with the next transition of a container.
    pub(super) fn of(id: &'a ContainerId) -> Self {
        let began = Instant::now();
        Self { id, began }
    }

    /// Says what a failure means: for the container, or that containerd is away.
    pub(super) fn failed(self, step: Step, cause: Cause) -> RuntimeError {
        let containerd = of_containerd(&*cause);
        if containerd.is_some_and(ContainerdError::is_absence) {
            return RuntimeError::Unavailable(cause);
        }
        let container = self.id.clone();
        if containerd.is_some_and(ContainerdError::is_timeout) {
            let waited = self.began.elapsed();
            let transition = match step {
                Step::Create | Step::Network | Step::Process => "created",
                Step::Start => "started",
            };
            return RuntimeError::Timeout {
                container,
                transition,
                waited,
                cause,
            };
        }
        match step {
            Step::Create => RuntimeError::Create { container, cause },
            Step::Network => RuntimeError::Network { container, cause },
            Step::Process | Step::Start => RuntimeError::Start { container, cause },
        }
    }
}

/// Returns what containerd said, when a failure is its.
fn of_containerd<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a ContainerdError> {
    let image = error.downcast_ref::<ImageError>();
    let image = image.and_then(ImageError::of_containerd);
    error.downcast_ref::<ContainerdError>().or(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn only_a_containerd_that_is_gone_is_worth_another_attempt() {
        let id = ContainerId::parse("a1-0").unwrap();
        let status = |code| ContainerdError::from(tonic::Status::new(code, "x"));
        let failed = |step, code| Attempt::of(&id).failed(step, status(code).into());
        let gone = failed(Step::Start, Code::Unavailable);
        assert!(matches!(gone, RuntimeError::Unavailable(_)), "{gone:?}");
        for (step, expected) in [
            (Step::Create, "created"),
            (Step::Process, "created"),
            (Step::Start, "started"),
        ] {
            match failed(step, Code::DeadlineExceeded) {
                RuntimeError::Timeout { transition, .. } => assert_eq!(transition, expected),
                other => panic!("{other:?}"),
            }
        }
        let refused = failed(Step::Process, Code::Unknown);
        assert!(matches!(refused, RuntimeError::Start { .. }), "{refused:?}");
        let image = ImageError::from(status(Code::DeadlineExceeded));
        let slow = Attempt::of(&id).failed(Step::Create, image.into());
        assert!(matches!(slow, RuntimeError::Timeout { .. }), "{slow:?}");
    }
}
