//! Gathers writes: what has come in while one proposal was on its way becomes the next.
//!
//! Sixty-four writers share an entry of the log, and so its fsync and its round to the followers.

use openraft::error::{ClientWriteError, RaftError as OpenraftError};
use openraft::{BasicNode, Raft};
use roadstead_core::{Command, Rejection};
use tokio::sync::{mpsc, oneshot};

use super::node::Leader;
use super::{MemberId, Proposal, RaftError, TypeConfig};

/// Writers that may wait; one more waits to be let in.
const QUEUE: usize = 1024;
/// The most writers whose commands become one entry.
const TOGETHER: usize = 256;

/// A written proposal: where it stands in the log, and what became of each command.
pub(super) type Written = (u64, Vec<Result<(), Rejection>>);
/// The inner error names the leader when it is another server: then nothing was proposed.
pub(super) type Answer = Result<Result<Written, Leader>, RaftError>;

struct Write {
    commands: Vec<Command>,
    answer: oneshot::Sender<Answer>,
}

/// The way to the task that proposes. The task ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Proposer(mpsc::Sender<Write>);

impl Proposer {
    /// Starts the task.
    pub(super) fn start(raft: Raft<TypeConfig>) -> Self {
        let (sender, mut writes) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut together = Vec::new();
            while writes.recv_many(&mut together, TOGETHER).await > 0 {
                propose(&raft, std::mem::take(&mut together)).await;
            }
        });
        Self(sender)
    }

    /// Writes as the leader. Dropping the call does not undo the write.
    pub(super) async fn propose(&self, commands: Vec<Command>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let stopped = || RaftError::Stopped("the proposer has ended".into());
        self.0
            .send(Write { commands, answer })
            .await
            .map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

async fn propose(raft: &Raft<TypeConfig>, writes: Vec<Write>) {
    let (mut commands, mut writers) = (Vec::new(), Vec::new());
    for write in writes {
        writers.push((write.commands.len(), write.answer));
        commands.extend(write.commands);
    }
    let outcome = raft.client_write(Proposal { commands }).await;
    let (index, mut results) = match outcome {
        Ok(response) => (response.log_id.index, response.data.results.into_iter()),
        Err(error) => {
            for (_, answer) in writers {
                // A writer that has given up needs no answer.
                drop(answer.send(refusal(&error)));
            }
            return;
        }
    };
    for (count, answer) in writers {
        drop(answer.send(Ok(Ok((index, results.by_ref().take(count).collect())))));
    }
}

fn refusal(error: &OpenraftError<MemberId, ClientWriteError<MemberId, BasicNode>>) -> Answer {
    match error {
        OpenraftError::APIError(ClientWriteError::ForwardToLeader(leader)) => {
            Ok(Err(Leader(leader.clone())))
        }
        OpenraftError::APIError(ClientWriteError::ChangeMembershipError(_))
        | OpenraftError::Fatal(_) => Err(RaftError::Stopped(error.to_string().into())),
    }
}
