//! What is known of one target, beside what the target itself knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_proto::lb::TargetReport;
use tokio_util::task::AbortOnDropHandle;

use super::Company;
use crate::health::{HealthCheck, State};
use crate::succession::TargetName;
use crate::table::TargetDraft;
use crate::target::Target;

/// How long the requests that were cut have to notice, before the target counts as drained anyway.
pub(super) const CUT_GRACE: Duration = Duration::from_millis(500);

/// A target of the newest table, and what goes on there.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) target: Arc<Target>,
    /// What it was before it was spoken to otherwise, with the requests that are still there.
    pub(super) former: Vec<Arc<Target>>,
    pub(super) check: Option<HealthCheck>,
    /// The number of the table that first said that it drains.
    pub(super) draining_since: Option<u64>,
    /// When the requests of a draining target are cut.
    pub(super) deadline: Option<Instant>,
    pub(super) prober: Option<AbortOnDropHandle<()>>,
}

/// Returns whether what is known of a target is about what the table says now.
pub(super) fn is_spoken_to_as(target: &Target, draft: &TargetDraft, company: &Company) -> bool {
    target.address() == draft.address
        && target.protocol() == company.protocol
        && target.transport() == company.transport
        && target.proxy_protocol() == company.proxy_protocol
}

impl Entry {
    /// Returns itself and what it was before, as far as requests are there.
    pub(super) fn busy(&self) -> impl Iterator<Item = &Arc<Target>> {
        let all = self.former.iter().chain([&self.target]);
        all.filter(|target| target.requests() > 0)
    }

    /// Returns its state, when the table with the number `saved` is on disk.
    pub(super) fn report(
        &self,
        (group, id): &TargetName,
        now: Instant,
        saved: u64,
    ) -> TargetReport {
        let traffic = self.target.traffic().sum();
        let mut report = TargetReport {
            target_group_arn: group.clone(),
            target_id: id.clone(),
            last_probe: self.target.last_probe(now),
            answered: traffic.by_target.iter().sum(),
            failed: traffic.failed,
            under_way: self.busy().map(|target| target.requests()).sum(),
            microseconds: traffic.microseconds,
            ..TargetReport::default()
        };
        if self.target.is_draining() {
            let given_up = self
                .deadline
                .is_some_and(|deadline| deadline + CUT_GRACE <= now);
            "draining".clone_into(&mut report.state);
            "Target.DeregistrationInProgress".clone_into(&mut report.reason);
            "Target deregistration is in progress".clone_into(&mut report.description);
            let kept = self.draining_since.is_some_and(|number| number <= saved);
            let is_over = |target: &Arc<Target>| given_up && target.is_cut();
            report.drained = kept && self.busy().all(is_over);
            return report;
        }
        let health = self.target.health();
        let (reason, description) = health.reason();
        let state = match health.state() {
            State::Initial => "initial",
            State::Healthy => "healthy",
            State::Unhealthy => "unhealthy",
        };
        state.clone_into(&mut report.state);
        reason.clone_into(&mut report.reason);
        report.description = description;
        report
    }
}
