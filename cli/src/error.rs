//! What is said when a command fails, what to do about it, and the exit code.
//!
//! The control plane names a refusal by its ECS exception in the metadata `roadstead-error`. The
//! texts are golden (`error/tests.rs`), because scripts and people both read them.

use std::io;
use std::time::Duration;

use roadstead_client::join::JoinError;
use roadstead_client::proto::ecs::Failure;
use roadstead_client::{ConnectError, ReachError};
use tonic::{Code, Status};

use crate::config::ConfigError;
use crate::input::InputError;

/// Metadata of a refusal: the name of the exception in ECS's or ELB's words.
pub(crate) const EXCEPTION_METADATA: &str = "roadstead-error";

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}", with_system_error(.0))]
    Unreachable(#[from] ConnectError),
    #[error(transparent)]
    Join(#[from] JoinError),
    /// A server answered that it cannot answer now, until the patience was at its end.
    #[error("the control plane is not ready: {0}")]
    NotReady(String),
    #[error("the control plane gave no answer within {}", humantime::format_duration(*.0))]
    Deadline(Duration),
    #[error("{message} ({exception})")]
    Refused { message: String, exception: String },
    /// The items of a request that were refused while others may have been done.
    #[error("{}", list(.0))]
    Failures(Vec<Failure>),
    /// A name that leads nowhere, or an option that does not fit what was found.
    #[error("{0}")]
    Unfit(String),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("rollout of service {service} failed: {reason}")]
    Rollout { service: String, reason: String },
    /// The control plane, or the agent behind it, went away in the middle of a log.
    #[error("the log of task {task} broke off: {reason}")]
    LogBrokeOff { task: String, reason: String },
    #[error("{0}")]
    Interrupted(String),
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    #[error("cannot write the output as JSON")]
    Encode(#[from] serde_json::Error),
    /// A role that ended, with all that its error says.
    #[error(transparent)]
    Daemon(#[from] anyhow::Error),
}

impl Error {
    /// Returns the exit code that `ctl --help` promises.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Join(JoinError::Reach { .. })
            | Self::Unreachable(_)
            | Self::NotReady(_)
            | Self::LogBrokeOff { .. } => 3,
            Self::Deadline(_)
            | Self::Join(_)
            | Self::Refused { .. }
            | Self::Failures(_)
            | Self::Unfit(_)
            | Self::Input(_)
            | Self::Output(_)
            | Self::Encode(_)
            | Self::Daemon(_) => 1,
            Self::Rollout { .. } => 4,
            Self::Config(_) => 64,
            Self::Interrupted(_) => 130,
        }
    }

    /// Returns what to print, with a hint where there is one; `None` when a reader hung up (`ctl … | head`).
    pub(crate) fn report(&self) -> Option<String> {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return None,
            Self::Interrupted(text) => return Some(text.clone()),
            _ => {}
        }
        let text = match self {
            // Its text has the innermost cause already, and the layers between say nothing more.
            Self::Unreachable(_) => self.to_string(),
            Self::Join(error @ JoinError::Reach { .. }) => with_system_error(error),
            other => chain(other),
        };
        let mut report = format!("error: {}", text.trim_end());
        if let Some(hint) = self.hint() {
            report.push_str("\nhint: ");
            report.push_str(&hint);
        }
        Some(report)
    }

    fn hint(&self) -> Option<String> {
        match self {
            // It says itself what to do.
            Self::Unreachable(error) if matches!(error.cause, ReachError::NoCredentials(_)) => None,
            Self::Unreachable(error) if root(error).contains("ermission denied") => {
                Some("only root and the owner of the socket may call the control plane".to_owned())
            }
            Self::Unreachable(_) => Some(
                "is the control plane running? `systemctl status roadstead-controlplane` tells on a provisioned host; `ctl dev` starts one; --endpoint names another"
                    .to_owned(),
            ),
            Self::Refused { exception, .. } => hint_for(exception).map(str::to_owned),
            Self::Rollout { service, .. } => Some(format!(
                "see `ctl service events {service}` and `ctl task list --service {service} --desired-status STOPPED`"
            )),
            Self::LogBrokeOff { task, .. } => Some(format!(
                "the task itself is not affected; go on with `ctl task logs -f --tail 20 {task}` when the control plane is up again"
            )),
            _ => None,
        }
    }
}

/// What to do about a refusal, by the name of its exception.
fn hint_for(exception: &str) -> Option<&'static str> {
    match exception {
        "ClusterNotFoundException" => Some(
            "see `ctl cluster list`; create one with `ctl cluster create NAME`, or name another with --cluster",
        ),
        "ClusterContainsServicesException" => Some("delete them first: `ctl service list`"),
        "ClusterContainsContainerInstancesException" => {
            Some("deregister them first: `ctl instance list`")
        }
        "ClusterContainsTasksException" => Some("stop them first: `ctl task list`"),
        "ServiceNotFoundException" | "ServiceNotActiveException" => Some("see `ctl service list`"),
        "LoadBalancerNotFound" => Some("see `ctl load-balancer list`"),
        "TargetGroupNotFound" => Some("see `ctl target-group list`"),
        "ListenerNotFound" | "DuplicateListener" => Some("see `ctl listener list`"),
        "RuleNotFound" | "PriorityInUse" => Some("see `ctl rule list LISTENER`"),
        _ => None,
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let named = status
            .metadata()
            .get(EXCEPTION_METADATA)
            .and_then(|value| value.to_str().ok());
        let message = status.message().to_owned();
        match named {
            Some(exception) => Self::Refused {
                message,
                exception: exception.to_owned(),
            },
            None if status.code() == Code::Unavailable => Self::NotReady(message),
            None => Self::Refused {
                message,
                exception: format!("{:?}", status.code()),
            },
        }
    }
}

fn with_system_error(error: &dyn std::error::Error) -> String {
    format!("{error}: {}", root(error))
}

/// The innermost cause: what the system said. The layers between only say that they failed too.
fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn list(failures: &[Failure]) -> String {
    let mut texts = Vec::with_capacity(failures.len());
    for failure in failures {
        let arn = failure.arn.as_deref().unwrap_or("request");
        let reason = failure.reason.as_deref().unwrap_or("refused");
        match &failure.detail {
            Some(detail) => texts.push(format!("{arn}: {reason}: {detail}")),
            None => texts.push(format!("{arn}: {reason}")),
        }
    }
    texts.join("; ")
}

#[cfg(test)]
mod tests;
