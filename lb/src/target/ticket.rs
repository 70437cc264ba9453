//! A request's stay with a target.

use std::sync::Arc;

use super::Target;
use crate::counts::Counts;

/// How a request's stay with a target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not yet. Dropped like this, the client hung up, or the request was cut.
    Open,
    Served,
    Failed,
    /// Nothing moved for too long: that may as well be the client's fault.
    Expired,
    PassedOn,
    /// As that, and the target has said that it does not take it.
    Declined,
}

/// One request's stay with a target. While it exists the target is not drained.
#[derive(Debug)]
pub(crate) struct Ticket {
    target: Arc<Target>,
    counts: Option<Arc<Counts>>,
    worker: usize,
    end: End,
}

impl Ticket {
    /// Returns a ticket, or `None` when the target is draining, or full.
    pub(crate) fn begin(
        target: &Arc<Target>,
        counts: Option<&Arc<Counts>>,
        worker: usize,
    ) -> Option<Self> {
        target.begin().then(|| Self {
            target: Arc::clone(target),
            counts: counts.cloned(),
            worker,
            end: End::Open,
        })
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// The target has answered to the end.
    pub(crate) fn served(&mut self) {
        self.end = End::Served;
    }

    /// The request is answered with an error of our own, or its answer broke off.
    pub(crate) fn failed(&mut self) {
        self.end = End::Failed;
    }

    /// The request is answered with an error of our own, because nothing moved for too long.
    pub(crate) fn expired(&mut self) {
        self.end = End::Expired;
    }

    /// Another target gets the request, for this one does not take it: that is no failure.
    pub(crate) fn declined(mut self) {
        self.end = End::Declined;
    }

    /// Another target gets the request.
    pub(crate) fn passed_on(mut self) {
        self.end = End::PassedOn;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.end {
            End::Served => self.target.has_served(),
            End::Failed | End::PassedOn if !self.target.is_draining() => self.target.has_failed(),
            End::Open | End::Failed | End::Expired | End::PassedOn | End::Declined => {}
        }
        for traffic in [&self.target.traffic, self.target.company.traffic.as_ref()] {
            match self.end {
                End::Failed | End::Expired => traffic.failed(self.worker),
                End::PassedOn | End::Declined => traffic.retried(self.worker),
                End::Open | End::Served => {}
            }
        }
        if let Some(counts) = &self.counts {
            let shard = counts.of(self.worker);
            match self.end {
                End::Served => shard.served.add(1),
                End::Open | End::Failed | End::Expired if self.target.is_cut() => {
                    shard.cut.add(1);
                }
                End::Failed | End::Expired => shard.failed.add(1),
                End::PassedOn | End::Declined => shard.retried.add(1),
                End::Open => {}
            }
        }
        // Counted first: a report that says drained must hold the last request.
        self.target.end();
    }
}
