//! What can happen, and how it all comes to rest.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::id::NodeId;
use roadstead_core::state::container_instance::InstanceStatus;
use roadstead_core::state::service::{RolloutState, ServiceStatus, ServiceUpdate};
use roadstead_core::state::task::{LastStatus, StopCode, TargetHealth, Task};
use roadstead_core::{Command, deployment};

use super::agents::unhealthy;
use super::{SERVICES, World, revision, service_id};

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The leader's loop looks at the newest state.
    Pass,
    /// An old leader looks at the state, and is slow.
    Remember,
    /// What it decided arrives.
    StalePass,
    TaskProgresses(usize),
    TargetAnswers(usize),
    TargetFails(usize),
    TaskDies(usize),
    DrainEnds(usize),
    UserStopsTask(usize),
    Update(usize),
    Scale(usize, u32),
    Drain(usize, bool),
    Connect(usize, bool),
    /// A host is given up, and a new one takes its place.
    Replace(usize),
    Delete(usize),
    /// A deleted service is created again, if it is gone.
    Create(usize),
    /// All that has ended is forgotten.
    Forget,
    /// The load balancer is struck off, or is back.
    LoadBalancer(bool),
    Wait(u32),
}

impl World {
    pub(crate) fn take(&mut self, step: &Step) {
        match *step {
            Step::Pass => self.pass(&self.state.clone()),
            Step::Remember => self.old = self.state.clone(),
            Step::StalePass => self.pass(&self.old.clone()),
            Step::TaskProgresses(index) => self.progress(index),
            Step::TargetAnswers(index) => self.target(index, TargetHealth::Healthy),
            Step::TargetFails(index) => self.target(index, unhealthy()),
            Step::TaskDies(index) => self.die(index),
            Step::DrainEnds(index) => {
                let draining = self.pick(index, |task| task.draining_until.is_some());
                if let Some(task) = draining {
                    self.must(&Command::FinishDrain { task: task.id });
                }
            }
            Step::UserStopsTask(index) => {
                if let Some(task) = self.pick(index, |_| true) {
                    let (code, reason) = (StopCode::UserInitiated, "enough".to_owned());
                    self.must(&Command::StopTasks {
                        tasks: vec![task.id],
                        code,
                        reason,
                        at: self.now,
                    });
                }
            }
            Step::Update(service) if self.status(service) == Some(ServiceStatus::Active) => {
                let id = service_id(service);
                let now = self.state.services[&id].spec.task_definition.revision.get();
                let next = revision(SERVICES[service], 3 - now);
                let update = ServiceUpdate {
                    task_definition: Some(next),
                    ..ServiceUpdate::default()
                };
                let deployment = self.deployment();
                self.must(&Command::UpdateService {
                    id,
                    update,
                    deployment,
                    at: self.now,
                });
            }
            Step::Scale(service, count) if self.status(service) == Some(ServiceStatus::Active) => {
                let update = ServiceUpdate {
                    desired_count: Some(count),
                    ..ServiceUpdate::default()
                };
                let (id, deployment) = (service_id(service), self.deployment());
                self.must(&Command::UpdateService {
                    id,
                    update,
                    deployment,
                    at: self.now,
                });
            }
            Step::Drain(instance, draining) => {
                let status = if draining {
                    InstanceStatus::Draining
                } else {
                    InstanceStatus::Active
                };
                self.must(&Command::SetContainerInstanceStatus {
                    id: self.instances[instance].clone(),
                    status,
                });
            }
            Step::Connect(instance, connected) => {
                self.must(&Command::SetAgentConnected {
                    id: self.instances[instance].clone(),
                    connected,
                    at: self.now,
                });
            }
            Step::Replace(instance) => {
                let id = self.instances[instance].clone();
                self.must(&Command::DeregisterContainerInstance {
                    id,
                    force: true,
                    at: self.now,
                });
                self.instances[instance] = self.register_instance();
            }
            Step::Delete(service) if self.status(service) == Some(ServiceStatus::Active) => {
                self.must(&Command::DeleteService {
                    id: service_id(service),
                    force: true,
                    at: self.now,
                });
            }
            Step::Create(service) => {
                if matches!(self.status(service), None | Some(ServiceStatus::Inactive)) {
                    self.create_service(service, 2, 50, 150);
                }
            }
            Step::Update(_) | Step::Scale(..) | Step::Delete(_) => {}
            Step::Forget => self.forget(),
            Step::LoadBalancer(true) => {
                self.must(&Command::RegisterLoadBalancerNode {
                    node: NodeId::new("lb"),
                    at: self.now,
                });
            }
            Step::LoadBalancer(false) => {
                self.attempt(&Command::ForgetLoadBalancerNode {
                    node: NodeId::new("lb"),
                });
            }
            Step::Wait(seconds) => self.now = self.now.after(Duration::from_secs(seconds.into())),
        }
    }

    fn status(&self, service: usize) -> Option<ServiceStatus> {
        let service = self.state.services.get(&service_id(service));
        service.map(|service| service.status)
    }

    /// Asks for everything to be forgotten, also what has not ended.
    fn forget(&mut self) {
        let lives = |task: &&Arc<Task>| !task.stopped();
        let live: Vec<_> = self.state.tasks.values().filter(lives).cloned().collect();
        self.must(&Command::Forget {
            tasks: self.state.tasks.keys().cloned().collect(),
            services: self.state.services.keys().cloned().collect(),
            container_instances: self.state.container_instances.keys().cloned().collect(),
        });
        let left: Vec<_> = self.state.tasks.values().cloned().collect();
        assert_eq!(left, live, "only what has stopped is forgotten");
        for instance in &self.instances {
            assert!(self.state.container_instances.contains_key(instance));
        }
    }

    /// The trouble ends; everything has to come to rest within a bounded number of rounds.
    pub(crate) fn settle(&mut self) {
        self.take(&Step::LoadBalancer(true));
        for index in 0..3 {
            self.take(&Step::Drain(index, false));
            self.take(&Step::Connect(index, true));
        }
        // The static port of `api` allows one task on each of the three instances; and limits that
        // leave no room to move are right to block a rollout for ever.
        for index in 0..SERVICES.len() {
            if self.status(index) != Some(ServiceStatus::Active) {
                continue;
            }
            let update = ServiceUpdate {
                desired_count: Some(2),
                minimum_healthy_percent: Some(50),
                maximum_percent: Some(150),
                ..ServiceUpdate::default()
            };
            let (id, deployment) = (service_id(index), self.deployment());
            self.must(&Command::UpdateService {
                id,
                update,
                deployment,
                at: self.now,
            });
        }
        for _ in 0..400 {
            self.take(&Step::Pass);
            for index in 0..24 {
                self.take(&Step::TaskProgresses(index));
                self.take(&Step::TargetAnswers(index));
                self.take(&Step::DrainEnds(index));
            }
            for index in 0..SERVICES.len() {
                self.take(&Step::Create(index));
            }
            self.take(&Step::Wait(45));
            if self.settled() {
                return;
            }
        }
        panic!("the world did not settle: {}", self.summary());
    }

    fn summary(&self) -> String {
        let mut text = String::new();
        for service in self.state.services.values() {
            let primary = service.primary();
            text += &format!(
                "\n{}: {:?} retry at {:?}",
                service.id, primary, service.retry_at
            );
            for task in self.state.live_tasks_of(&service.id) {
                let fitness = deployment::fitness(&self.state, service, task, self.now);
                text += &format!(
                    "\n  {} of {:?} on {}: {:?} to {:?}, {fitness:?}",
                    task.id,
                    task.service,
                    task.container_instance,
                    task.last_status,
                    task.desired_status
                );
            }
            text += &format!("\n  {:?}", service.events.front());
        }
        text
    }

    fn settled(&self) -> bool {
        self.state.services.values().all(|service| {
            let tasks: Vec<_> = self.state.live_tasks_of(&service.id).collect();
            let all_new = tasks.iter().all(|task| {
                task.last_status == LastStatus::Running
                    && task.task_definition == service.spec.task_definition
            });
            service.steady
                && service.primary().rollout_state == RolloutState::Completed
                && service.deployments.len() == 1
                && all_new
                && tasks.len() == service.spec.desired_count as usize
        })
    }
}
