//! The view in a pipe: plain lines with the elapsed time, one for each change.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_client::proto::console::ServiceView;
use roadstead_client::proto::ecs::Deployment;

use super::progress;

/// What has been said already.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    summary: String,
    events: BTreeSet<String>,
}

impl Lines {
    /// Returns the lines that this view adds, oldest first.
    pub(crate) fn after(
        &mut self,
        view: &ServiceView,
        deployment: &str,
        elapsed: Duration,
    ) -> Vec<String> {
        let service = view.service.clone().unwrap_or_default();
        let mut lines = Vec::new();
        for event in progress::events_since(&service, deployment).rev() {
            let id = event.id.clone().unwrap_or_default();
            if self.events.insert(id) {
                lines.push(timed(elapsed, event.message.as_deref().unwrap_or("-")));
            }
        }
        let summary = summary(view, deployment);
        if summary != self.summary {
            lines.push(timed(elapsed, &summary));
            self.summary = summary;
        }
        lines
    }
}

/// Returns a line that begins with the elapsed time.
pub(crate) fn timed(elapsed: Duration, text: &str) -> String {
    format!("{:>7.1}s  {text}", elapsed.as_secs_f64())
}

fn summary(view: &ServiceView, deployment: &str) -> String {
    let service = view.service.clone().unwrap_or_default();
    let state = progress::find(&service, deployment).and_then(|ours| ours.rollout_state.as_deref());
    let mut parts: Vec<String> = service.deployments.iter().map(counts).collect();
    let targets = progress::target_health(view);
    if !targets.is_empty() {
        parts.push(format!("targets {}", progress::tally(&targets)));
    }
    format!("{}  {}", state.unwrap_or("-"), parts.join(" | "))
}

fn counts(deployment: &Deployment) -> String {
    let mut text = format!(
        "{} {}/{} running",
        progress::short(deployment.task_definition.as_deref()),
        deployment.running_count.unwrap_or(0),
        deployment.desired_count.unwrap_or(0),
    );
    for (count, name) in [
        (deployment.pending_count, "pending"),
        (deployment.failed_tasks, "failed"),
    ] {
        if let Some(count @ 1..) = count {
            text.push_str(&format!(", {count} {name}"));
        }
    }
    text
}
