//! Why the replicated log could not serve, and what a caller may conclude.

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};

/// Why the replicated log could not serve.
#[derive(Debug, thiserror::Error)]
pub enum RaftError {
    #[error("cannot open the log in {directory}")]
    Log {
        directory: String,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("raft cannot start")]
    Start(#[source] Box<dyn Error + Send + Sync>),
    /// Nothing was proposed.
    #[error("no leader is elected at the moment")]
    NoLeader,
    /// A read that no majority confirmed.
    #[error("the control plane did not answer within {} s: it may have lost its quorum", .0.as_secs())]
    NoQuorum(Duration),
    /// A write of which it is not known whether it will take place.
    #[error(
        "the control plane did not confirm the write within {} s: it may have lost its quorum, and the write may \
         still take place; look before you repeat it", .0.as_secs()
    )]
    Undecided(Duration),
    /// The membership is as it was.
    #[error("the membership cannot be changed now")]
    Membership(#[source] Box<dyn Error + Send + Sync>),
    #[error("server {id} was not admitted at {endpoint}, or another server is there; join again")]
    NotAdmitted { id: u64, endpoint: String },
    #[error("raft has stopped on this server")]
    Stopped(#[source] Box<dyn Error + Send + Sync>),
    /// What the leader did with the request is not known.
    #[error("the leader did not answer; look before you repeat a write")]
    Leader(#[source] Box<dyn Error + Send + Sync>),
}

impl RaftError {
    /// Only what has certainly done nothing is UNAVAILABLE: clients repeat that by themselves.
    fn code(&self) -> Code {
        match self {
            Self::Log { .. } | Self::Start(_) | Self::NoLeader | Self::NoQuorum(_) => {
                Code::Unavailable
            }
            Self::Membership(_) | Self::NotAdmitted { .. } => Code::FailedPrecondition,
            Self::Undecided(_) => Code::DeadlineExceeded,
            Self::Stopped(_) | Self::Leader(_) => Code::Unknown,
        }
    }
}

impl From<RaftError> for Status {
    fn from(error: RaftError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(one) = cause {
            text.push_str(": ");
            text.push_str(&one.to_string());
            cause = one.source();
        }
        Self::new(error.code(), text)
    }
}
