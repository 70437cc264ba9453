//! When this server stands for election: only after a majority has said that it would vote for it.
//!
//! openraft 0.9 has no pre-vote. There, a server that was cut off counts up its term, and when it is back its higher term
//! deposes a leader that all others hear. So openraft's own elections are switched off, and this loop asks first
//! (Ongaro's thesis, 9.6). See docs/design/0010.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use openraft::{BasicNode, LogId, Raft, RaftMetrics, ServerState};
use roadstead_client::Endpoint;
use roadstead_proto::raft::Payload;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Request;
use tracing::{debug, warn};

use super::log_store::LogEnd;
use super::network::{PeerError, Peers};
use super::{MemberId, TypeConfig, decode, encode};

/// The only voter there is asks nobody; it looks again so soon while openraft makes it the leader.
const ALONE: Duration = Duration::from_millis(20);

type Metrics = RaftMetrics<MemberId, BasicNode>;

/// Would you vote for me?
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PreVote {
    candidate: MemberId,
    last_log_id: Option<LogId<MemberId>>,
}

/// Decides on elections. Clones share what was heard.
#[derive(Clone)]
pub(super) struct Elections {
    id: MemberId,
    raft: Raft<TypeConfig>,
    log: LogEnd,
    peers: Peers,
    patience: Duration,
    /// When a leader was last heard, or this server last promised to wait for another candidate.
    heard: Arc<Mutex<Instant>>,
}

impl Elections {
    /// Starts the loop; it ends with raft. Who has heard no leader for `patience` may stand.
    pub(super) fn start(
        id: MemberId,
        raft: Raft<TypeConfig>,
        log: LogEnd,
        peers: Peers,
        patience: Duration,
    ) -> Self {
        let elections = Self {
            id,
            raft,
            log,
            peers,
            patience,
            heard: Arc::new(Mutex::new(Instant::now())),
        };
        tokio::spawn(elections.clone().run());
        elections
    }

    /// A leader has spoken to this server, or it waits for somebody else.
    pub(super) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn heard(&self) -> Instant {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers another server that wants to stand. Who gets a yes is given time: two candidates would split the vote.
    pub(super) fn answer(&self, question: &PreVote) -> bool {
        let leads = quorum_silence(&self.raft.metrics().borrow())
            .is_some_and(|silence| silence < self.patience);
        let last = match self.log.last_log_id() {
            Ok(last) => last,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot read the log, so no vote is promised"
                );
                return false;
            }
        };
        let granted =
            !leads && self.heard().elapsed() >= self.patience && question.last_log_id >= last;
        debug!(candidate = question.candidate, granted, "asked for a vote");
        if granted {
            self.hear();
        }
        granted
    }

    async fn run(self) {
        let mut drawn = self.draw();
        loop {
            let metrics = self.raft.metrics().borrow().clone();
            if metrics.running_state.is_err() {
                return;
            }
            let voters = voters(&metrics);
            let leads = metrics.state == ServerState::Leader;
            let alone = voters.iter().flatten().all(|voter| *voter == self.id);
            let patience = if alone && !leads { ALONE } else { drawn };
            let due = self.heard() + patience;
            if due > Instant::now() {
                // Meanwhile a leader may be heard, or the membership change: look again.
                sleep_until(due).await;
                continue;
            }
            self.hear();
            drawn = self.draw();
            let votes = voters.iter().any(|config| config.contains(&self.id));
            if votes && !leads && self.majority_would_vote(&metrics, &voters).await {
                // It fails only when raft has stopped; the next round sees that.
                self.raft.trigger().elect().await.ok();
            }
        }
    }

    /// Who draws the shortest stands alone.
    fn draw(&self) -> Duration {
        self.patience + rand::random_range(Duration::ZERO..=self.patience / 2)
    }

    async fn majority_would_vote(&self, metrics: &Metrics, voters: &[BTreeSet<MemberId>]) -> bool {
        let Ok(last_log_id) = self.log.last_log_id() else {
            return false;
        };
        let question = PreVote {
            candidate: self.id,
            last_log_id,
        };
        let mut asked: FuturesUnordered<_> = metrics
            .membership_config
            .nodes()
            .filter(|(id, _)| **id != self.id)
            .map(|(id, node)| async {
                let answer = timeout(self.patience, self.ask(node, &question)).await;
                (*id, matches!(answer, Ok(Ok(true))))
            })
            .collect();
        let mut granted = BTreeSet::from([self.id]);
        while !is_majority(voters, &granted) {
            match asked.next().await {
                Some((id, true)) => drop(granted.insert(id)),
                Some((_, false)) => {}
                None => return false,
            }
        }
        true
    }

    async fn ask(&self, node: &BasicNode, question: &PreVote) -> Result<bool, PeerError> {
        let endpoint: Endpoint = node.addr.parse()?;
        let mut request = Request::new(Payload {
            body: encode(question)?,
        });
        request.set_timeout(self.patience);
        let answer = self.peers.client(&endpoint)?.pre_vote(request).await?;
        Ok(decode(&answer.into_inner().body)?)
    }
}

/// Returns for how long a majority has not answered this server, if it is the leader.
pub(super) fn quorum_silence(metrics: &Metrics) -> Option<Duration> {
    let silence = metrics.millis_since_quorum_ack.map(Duration::from_millis);
    // Elected, but not yet answered as the leader.
    (metrics.state == ServerState::Leader).then(|| silence.unwrap_or(Duration::MAX))
}

/// Returns the voters; there are two sets of them while the membership changes, and each must agree.
fn voters(metrics: &Metrics) -> Vec<BTreeSet<MemberId>> {
    let membership = metrics.membership_config.membership();
    membership.get_joint_config().clone()
}

fn is_majority(voters: &[BTreeSet<MemberId>], granted: &BTreeSet<MemberId>) -> bool {
    voters
        .iter()
        .all(|config| config.intersection(granted).count() > config.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_voters_must_agree_while_the_membership_changes() {
        let voters = [BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 4, 5])];
        assert!(is_majority(&voters, &BTreeSet::from([1, 2, 4])));
        assert!(!is_majority(&voters, &BTreeSet::from([1, 2, 3])));
        assert!(!is_majority(&voters, &BTreeSet::from([2, 3, 4])));
    }
}
