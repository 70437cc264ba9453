//! Two load balancers that are one node: a running one, and the successor that takes its listening sockets over.
//!
//! Whoever starts the processes says by `Phase` what each may do, and sees by `Progress` how far it is; here is nothing
//! about processes. Both ways tell the whole truth each time, so that no word can come too late.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// What a load balancer may do while there are two.
//
//   predecessor   Alone ──► HandingOver ──────────► Leaving ──► its end
//                   ▲            │ the successor        │
//                   └────────────┘ failed               │ what it may do is said to one after the other, so
//   successor     Waiting ──────────────────────────► Joined ──► Alone     that one of them serves at each moment
//   predecessor                                 Leaving ──► Ending ──► its end, when it is told to stop meanwhile
//
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// The predecessor serves: this one gets ready, accepts nothing and has no session.
    Waiting,
    /// This one serves; the predecessor ends its requests, which hold every drain open.
    Joined,
    /// There is no other.
    #[default]
    Alone,
    /// This one serves, with the table and the sockets that the successor was given.
    HandingOver,
    /// The successor serves: each connection may end its request, or make one that is on its way.
    Leaving,
    /// As that, and told to stop: what has not ended soon is cut off.
    Ending,
}

impl Phase {
    /// Whether connections are accepted, and a session kept.
    pub(crate) fn serves(self) -> bool {
        match self {
            Self::Joined | Self::Alone | Self::HandingOver => true,
            Self::Waiting | Self::Leaving | Self::Ending => false,
        }
    }

    /// Whether another table may be put in force. Not while a successor reads the one on disk: it would not know what this
    /// one has opened, or no longer sends requests to.
    pub(crate) fn follows_tables(self) -> bool {
        match self {
            Self::Joined | Self::Alone => true,
            Self::Waiting | Self::HandingOver | Self::Leaving | Self::Ending => false,
        }
    }

    /// Whether what this one knows of a target's requests is all that the node has there.
    pub(crate) fn is_alone(self) -> bool {
        self == Self::Alone
    }
}

/// How far a load balancer is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The phase that it has taken in.
    pub phase: Phase,
    /// It serves, or could at once: every listener is open that can be opened, and a successor has probed its targets.
    pub ready: bool,
    /// The newest table is where a successor finds it.
    pub saved: bool,
    /// All its listening sockets. Whoever keeps one keeps connections from which nobody accepts: not for longer than it takes
    /// to leave them to somebody.
    pub sockets: Vec<Arc<TcpListener>>,
    /// Of a predecessor: where it still has requests, once it begins no more.
    pub busy: Option<BTreeSet<TargetName>>,
}

/// A target group's ARN and a target's id there.
pub type TargetName = (String, String);

/// A load balancer's end.
#[derive(Debug)]
pub struct Place {
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) inherited: Vec<TcpListener>,
    pub(crate) reopen_log: Arc<Notify>,
    /// Where the predecessor still has requests; `None` while that is not known.
    pub(crate) held: watch::Receiver<Option<BTreeSet<TargetName>>>,
}

/// The end of whoever starts it.
#[derive(Debug)]
pub struct Handle {
    phase: watch::Sender<Phase>,
    progress: watch::Receiver<Progress>,
    reopen_log: Arc<Notify>,
    held: watch::Sender<Option<BTreeSet<TargetName>>>,
}

impl Place {
    /// Returns the place of a load balancer without a predecessor, which has ended; somebody may have kept its listening sockets.
    #[must_use]
    pub fn alone(kept: Vec<TcpListener>) -> (Self, Handle) {
        Self::new(Phase::Alone, kept)
    }

    /// Returns the place of one that gets the listening sockets of its predecessor. They are told apart by their addresses.
    #[must_use]
    pub fn after(inherited: Vec<TcpListener>) -> (Self, Handle) {
        Self::new(Phase::Waiting, inherited)
    }

    fn new(first: Phase, inherited: Vec<TcpListener>) -> (Self, Handle) {
        let (phase, phases) = watch::channel(first);
        let (sender, progress) = watch::channel(Progress {
            phase: first,
            ..Progress::default()
        });
        let (holds, held) = watch::channel(None);
        let place = Self {
            phase: phases,
            progress: sender,
            inherited,
            reopen_log: Arc::default(),
            held,
        };
        let handle = Handle {
            phase,
            progress,
            reopen_log: Arc::clone(&place.reopen_log),
            held: holds,
        };
        (place, handle)
    }
}

impl Handle {
    /// Says what it may do from now on.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Says where the predecessor still has requests, and begins none any more; `None`: nobody knows.
    pub fn predecessor_has(&self, requests: Option<BTreeSet<TargetName>>) {
        self.held.send_replace(requests);
    }

    /// Returns what has the access log's file opened anew, which may have been moved away, whatever else is waited for meanwhile.
    pub fn log_opener(&self) -> impl Fn() + Send + use<> {
        let reopen_log = Arc::clone(&self.reopen_log);
        move || reopen_log.notify_one()
    }

    /// Waits until it is so far; returns `None` if it ends before.
    pub async fn until(&mut self, so_far: impl Fn(&Progress) -> bool) -> Option<Progress> {
        let progress = self.progress.wait_for(|progress| so_far(progress)).await;
        Some(progress.ok()?.clone())
    }

    /// Waits until anything of it is another than when it was last seen; returns `None` if it ends before.
    pub async fn changed(&mut self) -> Option<Progress> {
        self.progress.changed().await.ok()?;
        Some(self.progress.borrow_and_update().clone())
    }
}

/// Waits until it is this load balancer that serves, or nobody speaks to it any more: then there is nothing to wait for.
pub(crate) async fn turn(phase: &mut watch::Receiver<Phase>) {
    phase.wait_for(|phase| phase.serves()).await.ok();
}

/// Returns which of a port's sockets, of which there are some, each worker accepts from: every socket by one worker at least, or the kernel would
/// give connections to one that nobody looks at, and every worker from one at least.
pub(crate) fn share(sockets: usize, workers: usize) -> Vec<Vec<usize>> {
    (0..workers)
        .map(|worker| {
            if worker < sockets {
                (worker..sockets).step_by(workers).collect()
            } else {
                vec![worker % sockets]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_its_own_socket_where_the_numbers_are_equal() {
        assert_eq!(share(3, 3), [[0], [1], [2]]);
    }

    #[test]
    fn no_socket_and_no_worker_is_left_out_where_the_numbers_differ() {
        assert_eq!(share(5, 2), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(share(2, 3), [[0], [1], [0]]);
        for (sockets, workers) in (1..9).flat_map(|n| (1..9).map(move |m| (n, m))) {
            let shares = share(sockets, workers);
            assert_eq!(shares.len(), workers);
            assert!(shares.iter().all(|share| !share.is_empty()));
            let served: BTreeSet<usize> = shares.into_iter().flatten().collect();
            assert_eq!(served, (0..sockets).collect());
        }
    }

    #[test]
    fn of_two_that_are_one_node_only_one_serves_and_none_lets_a_drain_end() {
        for (predecessor, successor) in [
            (Phase::HandingOver, Phase::Waiting),
            (Phase::Leaving, Phase::Joined),
            (Phase::Ending, Phase::Joined),
        ] {
            assert_ne!(predecessor.serves(), successor.serves());
            assert!(!predecessor.is_alone() && !successor.is_alone());
        }
    }
}
