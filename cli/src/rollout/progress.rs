//! What a view of a service says about one of its deployments.

use std::collections::BTreeMap;

use roadstead_client::proto::console::ServiceView;
use roadstead_client::proto::ecs::{Deployment, Service, ServiceEvent};

use crate::output::arn::last_part;

/// Where a rollout stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Going,
    Completed,
    /// With the reason.
    Failed(String),
}

/// Judges a deployment by the newest view of its service.
///
/// A rollout is at its end when its deployment is COMPLETED and no older one is left: only then has
/// the last old task stopped, and its last request been counted.
pub(crate) fn judge(service: &Service, deployment: &str) -> Verdict {
    let status = service.status.as_deref().unwrap_or("ACTIVE");
    if status != "ACTIVE" {
        return Verdict::Failed(format!("the service is {status}"));
    }
    let Some(ours) = find(service, deployment) else {
        return Verdict::Failed(replaced(service, deployment));
    };
    match ours.rollout_state.as_deref() {
        Some("FAILED") => {
            let reason = ours.rollout_state_reason.clone();
            Verdict::Failed(reason.unwrap_or_else(|| format!("deployment {deployment} failed")))
        }
        Some("COMPLETED") if service.deployments.len() == 1 => Verdict::Completed,
        _ if ours.status.as_deref() == Some("PRIMARY") => Verdict::Going,
        _ => Verdict::Failed(replaced(service, deployment)),
    }
}

fn replaced(service: &Service, deployment: &str) -> String {
    let newest = service
        .deployments
        .first()
        .and_then(|newest| newest.id.as_deref());
    match newest {
        Some(newest) => format!("deployment {deployment} was replaced by {newest}"),
        None => format!("deployment {deployment} is gone"),
    }
}

/// Returns one deployment of a service.
pub(crate) fn find<'a>(service: &'a Service, deployment: &str) -> Option<&'a Deployment> {
    service
        .deployments
        .iter()
        .find(|candidate| candidate.id.as_deref() == Some(deployment))
}

/// Returns how many targets are in which state of health.
pub(crate) fn target_health(view: &ServiceView) -> BTreeMap<&str, usize> {
    let states = view
        .tasks
        .iter()
        .filter_map(|task| task.target_health.as_deref());
    count(states)
}

/// Returns how many tasks are in which state; one that was told to stop counts as STOPPING.
pub(crate) fn task_states(view: &ServiceView) -> BTreeMap<&str, usize> {
    let states = view.tasks.iter().map(|task| {
        let told_to_stop = task.desired_status.as_deref() == Some("STOPPED");
        match task.last_status.as_deref().unwrap_or("-") {
            "PENDING" | "RUNNING" if told_to_stop => "STOPPING",
            status => status,
        }
    });
    count(states)
}

fn count<'a>(states: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for state in states {
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// Returns counts as text, such as `2 healthy, 1 initial`.
pub(crate) fn tally(counts: &BTreeMap<&str, usize>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    parts.join(", ")
}

/// Returns the service's events since the deployment began, newest first as ECS sends them.
pub(crate) fn events_since<'a>(
    service: &'a Service,
    deployment: &str,
) -> impl DoubleEndedIterator<Item = &'a ServiceEvent> + use<'a> {
    // A deployment that is gone has no beginning: nothing counts as since then.
    let began = find(service, deployment)
        .and_then(|ours| ours.created_at)
        .unwrap_or(f64::INFINITY);
    service
        .events
        .iter()
        .filter(move |event| event.created_at.unwrap_or(0.0) >= began)
}

/// Returns the last part of an ARN.
pub(crate) fn short(arn: Option<&str>) -> &str {
    arn.map_or("-", last_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(deployments: &[(&str, &str, &str)]) -> Service {
        let deployments = deployments.iter().map(|&(id, status, state)| Deployment {
            id: Some(id.into()),
            status: Some(status.into()),
            rollout_state: Some(state.into()),
            ..Deployment::default()
        });
        Service {
            deployments: deployments.collect(),
            ..Service::default()
        }
    }

    #[test]
    fn a_rollout_ends_when_the_last_old_deployment_is_gone() {
        let draining = service(&[
            ("new", "PRIMARY", "COMPLETED"),
            ("old", "ACTIVE", "COMPLETED"),
        ]);
        assert_eq!(judge(&draining, "new"), Verdict::Going);
        let alone = service(&[("new", "PRIMARY", "COMPLETED")]);
        assert_eq!(judge(&alone, "new"), Verdict::Completed);
    }

    #[test]
    fn a_deployment_that_still_goes_on_is_not_judged() {
        let going = service(&[("new", "PRIMARY", "IN_PROGRESS")]);
        assert_eq!(judge(&going, "new"), Verdict::Going);
    }

    #[test]
    fn a_failed_deployment_fails_the_rollout_also_when_it_is_rolled_back() {
        let failed = service(&[
            ("back", "PRIMARY", "IN_PROGRESS"),
            ("new", "ACTIVE", "FAILED"),
        ]);
        assert_eq!(
            judge(&failed, "new"),
            Verdict::Failed("deployment new failed".into())
        );
    }

    #[test]
    fn a_newer_deployment_ends_the_watch_and_is_named() {
        let reason = "deployment new was replaced by newer".to_owned();
        let replaced = service(&[
            ("newer", "PRIMARY", "IN_PROGRESS"),
            ("new", "ACTIVE", "IN_PROGRESS"),
        ]);
        assert_eq!(judge(&replaced, "new"), Verdict::Failed(reason.clone()));
        let gone = service(&[("newer", "PRIMARY", "IN_PROGRESS")]);
        assert_eq!(judge(&gone, "new"), Verdict::Failed(reason));
    }

    #[test]
    fn a_service_that_is_deleted_ends_the_watch() {
        let mut deleted = service(&[("new", "PRIMARY", "IN_PROGRESS")]);
        deleted.status = Some("DRAINING".into());
        assert_eq!(
            judge(&deleted, "new"),
            Verdict::Failed("the service is DRAINING".into())
        );
    }
}
