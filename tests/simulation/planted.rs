//! Bugs in the simulated parts, planted on purpose: each invariant must find the one that breaks it.

use std::sync::Arc;

use roadstead_core::state::task::{DesiredStatus, LastStatus, StopCode};
use roadstead_core::{ClusterState, Command};

use crate::user::STOPPED_BY_USER;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    Nothing,
    /// Load balancers report a target as drained as soon as it drains.
    DrainedTooEarly,
    /// An agent says that a task has stopped as soon as it is asked to stop it.
    StoppedTooEarly,
    /// An agent that is restarted has forgotten which tasks it has started.
    AgentForgets,
    /// An agent does not hear that a task shall stop.
    AgentNeverStops,
    /// The service's loop stops one more task than the floor allows, past the check.
    StopsTooMany,
    /// An update of a service is acknowledged, and does nothing.
    WriteIsLost,
    /// A follower leaves out an entry of the log.
    FollowerSkipsEntry,
    /// A task that has stopped runs again, in the state.
    StatusMovesBackwards,
}

impl Plant {
    /// Returns what the log takes instead of a command.
    pub(crate) fn command(self, state: &ClusterState, command: Command) -> Command {
        match (self, command) {
            (
                Self::StopsTooMany,
                Command::StopTasks {
                    tasks,
                    code: StopCode::ServiceSchedulerInitiated,
                    reason,
                    at,
                },
            ) => {
                let mut tasks = tasks;
                let service = tasks
                    .first()
                    .and_then(|id| state.tasks.get(id)?.service_id());
                let more = service
                    .iter()
                    .flat_map(|service| state.live_tasks_of(service));
                let more = more.filter(|one| one.desired_status == DesiredStatus::Running);
                tasks.extend(more.map(|one| one.id.clone()));
                debug_assert_ne!(reason, STOPPED_BY_USER);
                Command::StopTasks {
                    tasks,
                    code: StopCode::UserInitiated,
                    reason,
                    at,
                }
            }
            (Self::WriteIsLost, Command::UpdateService { id, .. }) => {
                let cluster = id.cluster;
                Command::CreateCluster { cluster }
            }
            (_, command) => command,
        }
    }
}

/// Moves a task that has stopped back to where it was.
pub(crate) fn move_back(state: &mut ClusterState) {
    let mut stopped = state.tasks.values().filter(|task| task.stopped());
    if let Some(task) = stopped.next().cloned() {
        let mut task = task.as_ref().clone();
        task.last_status = LastStatus::Running;
        state.tasks.insert(task.id.clone(), Arc::new(task));
    }
}
