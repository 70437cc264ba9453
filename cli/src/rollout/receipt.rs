//! What a rollout cost, as the load balancers counted it.

use std::time::Duration;

use roadstead_client::proto::console::ServiceView;
use serde::Serialize;

use super::{Rollout, progress};

/// The receipt, in the form that `-o json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    duration_ms: i64,
    /// Requests that a target answered.
    served: i64,
    /// Requests that were sent to a second target.
    retried: i64,
    /// Requests that users saw fail.
    failed: i64,
    /// Requests that were broken off at the end of the deregistration delay.
    cut: i64,
    deployment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout_state: Option<String>,
}

impl Receipt {
    /// Reads the receipt of the rollout's deployment; what the view does not count is 0.
    pub(crate) fn of(rollout: &Rollout, view: &ServiceView) -> Self {
        let counted = view
            .receipts
            .iter()
            .find(|receipt| receipt.deployment.as_deref() == Some(rollout.deployment.as_str()))
            .cloned()
            .unwrap_or_default();
        let service = view.service.as_ref();
        let deployment = service.and_then(|service| progress::find(service, &rollout.deployment));
        Self {
            duration_ms: counted.duration_ms.unwrap_or(0),
            served: counted.served.unwrap_or(0),
            retried: counted.retried.unwrap_or(0),
            failed: counted.failed.unwrap_or(0),
            cut: counted.cut.unwrap_or(0),
            deployment: rollout.deployment.clone(),
            rollout_state: deployment.and_then(|deployment| deployment.rollout_state.clone()),
        }
    }

    /// Takes in a newer view, unless the deployment is gone from it: what was known last stands then.
    pub(crate) fn update(&mut self, rollout: &Rollout, view: &ServiceView) {
        let service = view.service.as_ref();
        if service.is_some_and(|s| progress::find(s, &rollout.deployment).is_some()) {
            *self = Self::of(rollout, view);
        }
    }

    /// Returns the receipt of an update that started no deployment, or of which nothing is known yet.
    pub(crate) fn nothing(current: &Rollout, rollout_state: Option<String>) -> Self {
        let nothing = Self::of(current, &ServiceView::default());
        Self {
            rollout_state,
            ..nothing
        }
    }

    /// Returns the receipt for people.
    pub(crate) fn text(&self, rollout: &Rollout) -> String {
        let duration = Duration::from_millis(self.duration_ms.unsigned_abs());
        format!(
            "{} is at {} after {:.1} s ({})\n  served {}   retried {}   failed {}   cut at the deadline {}",
            rollout.service,
            rollout.task_definition,
            duration.as_secs_f64(),
            self.deployment,
            self.served,
            self.retried,
            self.failed,
            self.cut,
        )
    }
}
