//! Linearizable reads: a quorum confirms who leads, and this server waits until it has applied what the leader had.

use std::sync::Arc;

use openraft::LogId;
use openraft::error::{CheckIsLeaderError, RaftError as OpenraftError};
use roadstead_client::Backoff;
use roadstead_core::ClusterState;
use roadstead_proto::raft::ReadIndexRequest;
use tokio::time::{sleep, timeout};
use tonic::Request;

use super::node::{DEADLINE, FIRST_PAUSE, LONGEST_PAUSE, Leader, Node, leader_refusal};
use super::{MemberId, RaftError};

impl Node {
    /// Returns a state that holds every write acknowledged before the call.
    pub(crate) async fn read(&self) -> Result<Arc<ClusterState>, RaftError> {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let index = timeout(DEADLINE, async {
            loop {
                match self.read_index().await {
                    // A read may be repeated whatever became of it.
                    Err(RaftError::NoLeader | RaftError::Leader(_)) => sleep(pauses.pause()).await,
                    index => return index,
                }
            }
        });
        let index = index.await.map_err(|_| RaftError::NoQuorum(DEADLINE))??;
        self.wait_applied(index).await?;
        Ok(self.newest())
    }

    async fn read_index(&self) -> Result<u64, RaftError> {
        match self.read_index_here().await? {
            Ok(index) => Ok(index),
            Err(leader) => {
                let mut request = Request::new(ReadIndexRequest {});
                request.set_timeout(DEADLINE);
                let answer = self.leader_client(&leader)?.read_index(request).await;
                Ok(answer.map_err(leader_refusal)?.into_inner().index)
            }
        }
    }

    /// Returns the index that a linearizable read must wait for, confirmed by a quorum.
    pub(super) async fn read_index_here(&self) -> Result<Result<u64, Leader>, RaftError> {
        match self.raft.get_read_log_id().await {
            Ok((read, _)) => {
                let read = read_log_id(read, self.end_at_start);
                Ok(Ok(read.map_or(0, |id| id.index)))
            }
            Err(OpenraftError::APIError(CheckIsLeaderError::ForwardToLeader(leader))) => {
                Ok(Err(Leader(leader)))
            }
            // openraft asks each member once; the caller asks again.
            Err(OpenraftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                Err(RaftError::NoLeader)
            }
            Err(error) => Err(RaftError::Stopped(error.into())),
        }
    }
}

/// Returns the entry that a linearizable read must wait for, from the one that openraft says.
///
/// A leader that was killed, and is back before anybody else is elected, leads on in its term. What it had acknowledged
/// before is committed, but it does not know that any more, and openraft 0.9 takes the first entry of the term for the
/// one to wait for. All that it may have acknowledged was in its log when it started.
fn read_log_id(
    said: Option<LogId<MemberId>>,
    end_at_start: Option<LogId<MemberId>>,
) -> Option<LogId<MemberId>> {
    // Of another term, the first entry of this one comes after all that is committed; and what was there may be gone.
    let same_term =
        |end: &LogId<MemberId>| said.is_some_and(|said| said.leader_id == end.leader_id);
    said.max(end_at_start.filter(same_term))
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;

    #[test]
    fn a_leader_that_leads_on_after_a_restart_reads_what_it_acknowledged_before() {
        let entry = |term, index| Some(LogId::new(CommittedLeaderId::new(term, 1), index));
        // The first entry of its term was the 10th, and it had acknowledged up to the 90th.
        assert_eq!(read_log_id(entry(2, 10), entry(2, 90)), entry(2, 90));
        assert_eq!(read_log_id(entry(2, 95), entry(2, 90)), entry(2, 95));
        // Elected anew: the end of the log of then may have been replaced.
        assert_eq!(read_log_id(entry(3, 80), entry(2, 90)), entry(3, 80));
        assert_eq!(read_log_id(None, None), None);
    }
}
