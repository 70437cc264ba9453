//! What the reports of all load balancers mean together: is a target healthy, has it drained.
//!
//! A target becomes healthy when every load balancer has seen it healthy, and unhealthy when every
//! one that knows it says so; in between the verdict stays. One that has fallen silent is not asked: it may be
//! lost with the host whose targets are in question. It has drained when every registered load balancer has let
//! go of it, also a silent one, or knows that it drains and the deregistration delay is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{NodeId, TargetGroupName, TaskId};
use crate::state::task::{DesiredStatus, LastStatus, TargetHealth, Task};
use crate::{ClusterState, Command, Timestamp, targets};

/// Load balancers that know the deadline cut what is left then; they get so long to say that they have. One that does not
/// know it yet, after an election that took longer than the deregistration delay, has cut nothing.
const TIME_TO_REPORT: Duration = Duration::from_secs(2);

/// One target as one load balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetView {
    Serving(TargetHealth),
    Draining,
    /// Nothing that this load balancer sent there is under way, and nothing will be sent.
    Drained,
}

/// Everything that one load balancer reported last.
pub type NodeView = BTreeMap<(TargetGroupName, TaskId), TargetView>;

/// What the load balancers said last.
#[derive(Debug, Default)]
pub struct Reports {
    pub views: BTreeMap<NodeId, Arc<NodeView>>,
    /// Those that have not said anything for a while.
    pub silent: BTreeSet<NodeId>,
}

/// Returns the changes of verdict that the reports call for.
#[must_use]
pub fn judge(state: &ClusterState, reports: &Reports, now: Timestamp) -> Vec<Command> {
    let mut commands = Vec::new();
    for service in state
        .services
        .values()
        .filter(|one| !one.spec.load_balancers.is_empty())
    {
        for task in state.live_tasks_of(&service.id) {
            let groups: Vec<_> = service
                .spec
                .load_balancers
                .iter()
                .map(|one| &one.target_group)
                .collect();
            if let Some(until) = task.draining_until {
                let overdue = now > until.after(TIME_TO_REPORT);
                // What no table names, nobody can report on.
                let named = |group: &TargetGroupName| {
                    let mut targets = targets::targets_of(state, service, group);
                    state.target_groups.contains_key(group)
                        && targets.any(|target| target.task == task.id)
                };
                if groups.iter().all(|group| {
                    drained(state, reports, group, task, overdue) || (overdue && !named(group))
                }) {
                    commands.push(Command::FinishDrain {
                        task: task.id.clone(),
                    });
                }
            } else if task.desired_status == DesiredStatus::Running
                && task.last_status == LastStatus::Running
            {
                commands.extend(
                    groups
                        .into_iter()
                        .filter_map(|group| health(state, reports, group, task, now)),
                );
            }
        }
    }
    commands
}

fn drained(
    state: &ClusterState,
    reports: &Reports,
    group: &TargetGroupName,
    task: &Task,
    overdue: bool,
) -> bool {
    let key = (group.clone(), task.id.clone());
    let view = |node| reports.views.get(node).and_then(|view| view.get(&key));
    let mut nodes = state.load_balancer_nodes.keys();
    nodes.all(|node| let_go(view(node), overdue))
}

/// One that stays silent is struck off after a while, and no longer waited for.
fn let_go(view: Option<&TargetView>, overdue: bool) -> bool {
    match view {
        Some(TargetView::Drained) => true,
        Some(TargetView::Draining) => overdue,
        Some(TargetView::Serving(_)) | None => false,
    }
}

fn health(
    state: &ClusterState,
    reports: &Reports,
    group: &TargetGroupName,
    task: &Task,
    at: Timestamp,
) -> Option<Command> {
    let key = (group.clone(), task.id.clone());
    let seen: Vec<Option<&TargetHealth>> = state
        .load_balancer_nodes
        .keys()
        .filter(|node| !reports.silent.contains(node))
        .map(|node| match reports.views.get(node)?.get(&key)? {
            TargetView::Serving(health) => Some(health),
            TargetView::Draining | TargetView::Drained => None,
        })
        .collect();
    let known = task.target_health.get(group);
    let verdict = verdict(&seen, known)?;
    (known != Some(&verdict)).then(|| Command::SetTargetHealth {
        task: task.id.clone(),
        target_group: group.clone(),
        health: verdict,
        at,
    })
}

fn verdict(seen: &[Option<&TargetHealth>], known: Option<&TargetHealth>) -> Option<TargetHealth> {
    let mut told = seen.iter().flatten();
    if !seen.is_empty() && seen.iter().all(|one| *one == Some(&TargetHealth::Healthy)) {
        return Some(TargetHealth::Healthy);
    }
    let unhealthy = |health: &&&TargetHealth| matches!(health, TargetHealth::Unhealthy { .. });
    if told.clone().count() > 0 && told.clone().all(|health| unhealthy(&health)) {
        return told.next().map(|health| (*health).clone());
    }
    // A load balancer that has just started knows nothing yet: what was known stays.
    match known {
        Some(TargetHealth::Healthy | TargetHealth::Unhealthy { .. }) => None,
        Some(TargetHealth::Initial { .. }) | None => told
            .find(|health| matches!(health, TargetHealth::Initial { .. }))
            .map(|health| (*health).clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhealthy() -> TargetHealth {
        TargetHealth::Unhealthy {
            reason: "Target.Timeout".into(),
            description: "Request timed out".into(),
        }
    }

    fn initial() -> TargetHealth {
        TargetHealth::Initial {
            reason: "Elb.InitialHealthChecking".into(),
            description: String::new(),
        }
    }

    #[test]
    fn a_target_is_healthy_when_every_load_balancer_says_so() {
        let healthy = TargetHealth::Healthy;
        assert_eq!(
            verdict(&[Some(&healthy), Some(&healthy)], None),
            Some(TargetHealth::Healthy)
        );
        assert_eq!(verdict(&[Some(&healthy), None], None), None);
        assert_eq!(
            verdict(&[Some(&healthy), Some(&initial())], None),
            Some(initial())
        );
        assert_eq!(verdict(&[], None), None);
    }

    #[test]
    fn a_drain_ends_by_its_deadline_only_where_the_deadline_is_known() {
        let serving = TargetView::Serving(TargetHealth::Healthy);
        assert!(let_go(Some(&TargetView::Drained), false));
        assert!(!let_go(Some(&TargetView::Draining), false));
        assert!(let_go(Some(&TargetView::Draining), true));
        assert!(!let_go(Some(&serving), true));
        assert!(!let_go(None, true));
    }

    #[test]
    fn a_load_balancer_that_has_just_started_changes_no_verdict() {
        assert_eq!(
            verdict(&[Some(&initial())], Some(&TargetHealth::Healthy)),
            None
        );
        assert_eq!(verdict(&[Some(&initial())], Some(&unhealthy())), None);
    }

    #[test]
    fn one_of_two_load_balancers_alone_does_not_condemn_a_target() {
        let healthy = TargetHealth::Healthy;
        assert_eq!(
            verdict(&[Some(&healthy), Some(&unhealthy())], Some(&healthy)),
            None
        );
        assert_eq!(
            verdict(&[None, Some(&unhealthy())], Some(&healthy)),
            Some(unhealthy())
        );
    }
}
