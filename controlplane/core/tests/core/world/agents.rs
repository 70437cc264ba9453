//! What agents and load balancers report.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_core::id::TaskId;
use roadstead_core::resources::Protocol;
use roadstead_core::state::task::{
    Container, DesiredStatus, HealthStatus, LastStatus, PortBinding, StopCode, TargetHealth, Task,
    TaskStateChange, TaskTimes,
};
use roadstead_core::{Command, Rejection, Timestamp, targets};

use super::{World, group, service_id};

impl World {
    /// The agent takes a task one step further: to RUNNING, or to its end when told so.
    pub(super) fn progress(&mut self, index: usize) {
        let waits = |task: &Task| {
            task.last_status == LastStatus::Pending || task.instruction() == DesiredStatus::Stopped
        };
        let Some(task) = self.pick(index, waits) else {
            return;
        };
        let stops = task.instruction() == DesiredStatus::Stopped;
        self.report(
            &task,
            if stops {
                LastStatus::Stopped
            } else {
                LastStatus::Running
            },
        );
    }

    pub(super) fn die(&mut self, index: usize) {
        if let Some(task) = self.pick(index, |_| true) {
            self.report(&task, LastStatus::Stopped);
        }
    }

    /// A task of `web` ends before it was RUNNING, or soon after.
    pub(crate) fn fail_a_task_of_web(&mut self) {
        let of_web = |task: &Task| task.service_id() == Some(service_id(0));
        let task = self.pick(0, of_web).expect("web has a task");
        self.report(&task, LastStatus::Stopped);
    }

    /// Returns the tasks that shall run.
    pub(crate) fn wanted(&self) -> BTreeSet<TaskId> {
        let tasks = self.state.tasks.values();
        let wanted = tasks.filter(|task| task.desired_status == DesiredStatus::Running);
        wanted.map(|task| task.id.clone()).collect()
    }

    /// Returns the number of an instance that has a task of `api`.
    pub(crate) fn instance_of_a_task_of_api(&self) -> usize {
        let of_api = |task: &Task| task.service_id() == Some(service_id(1));
        let task = self.pick(0, of_api).expect("api has a task");
        let mut instances = self.instances.iter();
        instances
            .position(|id| *id == task.container_instance)
            .expect("the instance is there")
    }

    /// Pauses a service for so long, or lets it go on; returns until when it is paused.
    pub(crate) fn pause(
        &mut self,
        service: usize,
        pause: Option<Duration>,
    ) -> Result<Option<Timestamp>, Rejection> {
        let until = pause.map(|pause| self.now.after(pause));
        let (id, at) = (service_id(service), self.now);
        self.apply(&Command::PauseService { id, until, at })?;
        Ok(until)
    }

    /// Returns until when load balancers are told to hold requests.
    pub(crate) fn paused_until(&self) -> Option<Timestamp> {
        let groups = targets::groups(&self.state).into_iter();
        groups.filter_map(|group| group.paused_until).max()
    }

    /// Returns how long `web` starts no task.
    pub(crate) fn pause_of_web(&self) -> Duration {
        let retry_at = self.state.services[&service_id(0)].retry_at;
        retry_at.map_or(Duration::ZERO, |retry_at| retry_at.since(self.now))
    }

    fn report(&mut self, task: &Task, status: LastStatus) {
        let started = task
            .times
            .started
            .or((status == LastStatus::Running).then_some(self.now));
        let port = u16::try_from(self.log.len() % 20_000).expect("below 20,000") + 20_000;
        let container = Container {
            name: "app".into(),
            last_status: status,
            exit_code: (status == LastStatus::Stopped).then_some(1),
            reason: None,
            runtime_id: None,
            image_digest: None,
            health: HealthStatus::Unknown,
            port_bindings: vec![PortBinding {
                container_port: 80,
                host_port: port,
                protocol: Protocol::Tcp,
            }],
        };
        let change = TaskStateChange {
            task: task.id.clone(),
            container_instance: task.container_instance.clone(),
            last_status: status,
            containers: vec![container],
            health: HealthStatus::Unknown,
            times: TaskTimes {
                started,
                ..TaskTimes::default()
            },
            stop_code: (status == LastStatus::Stopped)
                .then_some(StopCode::EssentialContainerExited),
            stopped_reason: (status == LastStatus::Stopped)
                .then(|| "Essential container in task exited".into()),
        };
        self.must(&Command::SubmitTaskStateChanges {
            changes: vec![change],
            at: self.now,
        });
    }

    pub(super) fn target(&mut self, index: usize, health: TargetHealth) {
        let serves = |task: &Task| {
            task.service_id() == Some(service_id(0))
                && task.desired_status == DesiredStatus::Running
                && task.last_status == LastStatus::Running
        };
        if let Some(task) = self.pick(index, serves) {
            self.must(&Command::SetTargetHealth {
                task: task.id,
                target_group: group(),
                health,
                at: self.now,
            });
        }
    }
}

pub(super) fn unhealthy() -> TargetHealth {
    TargetHealth::Unhealthy {
        reason: "Target.Timeout".into(),
        description: "Request timed out".into(),
    }
}
