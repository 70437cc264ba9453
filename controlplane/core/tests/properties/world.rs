//! A small world around the core: its commands, agents and load balancers, all in one thread.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use roadstead_core::deployment::{self, Outside};
use roadstead_core::id::{
    ClusterName, ContainerInstanceId, DeploymentId, Family, ListenerId, ListenerRef,
    LoadBalancerName, NodeId, ServiceId, ServiceName, TargetGroupName, TaskDefinitionId, TaskId,
};
use roadstead_core::resources::{Protocol, Resources};
use roadstead_core::scheduler::{Scratch, default_strategy};
use roadstead_core::state::container_instance::{InstanceRegistration, InstanceStatus};
use roadstead_core::state::load_balancer::Forward;
use roadstead_core::state::service::{
    Counts, DeploymentConfiguration, RolloutState, ServiceLoadBalancer, ServiceSpec, ServiceUpdate,
};
use roadstead_core::state::target_group::{TargetGroupSpec, TargetHealthCheck};
use roadstead_core::state::task::{
    Container, DesiredStatus, HealthStatus, LastStatus, PortBinding, StopCode, TargetHealth, Task,
    TaskStateChange, TaskTimes,
};
use roadstead_core::state::task_definition::{
    ContainerDefinition, NetworkMode, NewTaskDefinition, PortMapping,
};
use roadstead_core::{ClusterState, Command, Exception, Timestamp};

use super::invariants;

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
    /// The load balancer is struck off, or is back.
    LoadBalancer(bool),
    Wait(u32),
}

pub(crate) struct World {
    state: ClusterState,
    /// A state of some steps ago.
    old: ClusterState,
    log: Vec<Command>,
    now: Timestamp,
    next_id: u64,
    instances: Vec<ContainerInstanceId>,
}

struct Ids<'a>(&'a mut u64);

impl Outside for Ids<'_> {
    fn task_id(&mut self) -> TaskId {
        *self.0 += 1;
        TaskId::new(format!("{:032x}", *self.0))
    }

    fn counts(&self, _deployment: DeploymentId) -> Counts {
        Counts::default()
    }
}

const SERVICES: [&str; 2] = ["web", "api"];

fn cluster() -> ClusterName {
    ClusterName::new("default")
}

fn service_id(index: usize) -> ServiceId {
    ServiceId {
        cluster: cluster(),
        service: ServiceName::new(SERVICES[index]),
    }
}

fn group() -> TargetGroupName {
    TargetGroupName::new("web")
}

fn definition(family: &str, host_port: u16) -> NewTaskDefinition {
    NewTaskDefinition {
        family: Family::new(family),
        network_mode: NetworkMode::Bridge,
        containers: vec![ContainerDefinition {
            name: "app".into(),
            image: "app".into(),
            cpu_units: 64,
            memory_mib: Some(100),
            memory_reservation_mib: None,
            essential: true,
            port_mappings: vec![PortMapping {
                container_port: 80,
                host_port,
                protocol: Protocol::Tcp,
                name: None,
            }],
            environment: Vec::new(),
            command: Vec::new(),
            entry_point: Vec::new(),
            user: None,
            health_check: None,
            stop_timeout: None,
        }],
        cpu_units: None,
        memory_mib: None,
        requires_compatibilities: Vec::new(),
    }
}

impl World {
    /// Three instances, one load balancer, `web` behind it and `api` with a static port.
    pub(crate) fn new(minimum_healthy_percent: u32, maximum_percent: u32) -> Self {
        let (state, old) = (ClusterState::default(), ClusterState::default());
        let mut world = Self {
            state,
            old,
            log: Vec::new(),
            now: Timestamp(1_000_000),
            next_id: 0,
            instances: Vec::new(),
        };
        let at = world.now;
        world.must(&Command::CreateCluster { cluster: cluster() });
        for _ in 0..3 {
            let instance = world.register_instance();
            world.instances.push(instance);
        }
        for (family, port) in [("web", 0), ("api", 9000)] {
            for _ in 0..2 {
                world.must(&Command::RegisterTaskDefinition {
                    definition: definition(family, port),
                    at,
                });
            }
        }
        world.make_load_balancer();
        let balancer = ServiceLoadBalancer {
            target_group: group(),
            container_name: "app".into(),
            container_port: 80,
        };
        for (index, balancers) in [(0, vec![balancer]), (1, Vec::new())] {
            let spec = ServiceSpec {
                task_definition: revision(SERVICES[index], 1),
                desired_count: 3,
                load_balancers: balancers,
                deployment_configuration: DeploymentConfiguration {
                    minimum_healthy_percent,
                    maximum_percent,
                },
                placement_strategy: default_strategy(),
                health_check_grace_period_seconds: 0,
            };
            let deployment = world.deployment();
            world.must(&Command::CreateService {
                id: service_id(index),
                spec,
                deployment,
                at,
            });
        }
        world
    }

    fn register_instance(&mut self) -> ContainerInstanceId {
        self.next_id += 1;
        let id = ContainerInstanceId::new(format!("instance-{}", self.next_id));
        let instance = InstanceRegistration {
            id: id.clone(),
            cluster: cluster(),
            host_name: "host".into(),
            address: "10.0.0.1".into(),
            agent_version: "1".into(),
            registered: Resources {
                cpu_units: 512,
                memory_mib: 700,
                ..Resources::default()
            },
            attributes: BTreeMap::new(),
        };
        self.must(&Command::RegisterContainerInstance {
            instance,
            at: self.now,
        });
        id
    }

    fn make_load_balancer(&mut self) {
        let (name, at) = (LoadBalancerName::new("main"), self.now);
        let health_check = TargetHealthCheck {
            path: "/".into(),
            interval: 5,
            timeout: 2,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            success_codes: vec![(200, 200)],
        };
        let spec = TargetGroupSpec {
            health_check,
            deregistration_delay: 30,
        };
        self.must(&Command::CreateTargetGroup {
            name: group(),
            spec,
        });
        self.must(&Command::CreateLoadBalancer {
            name: name.clone(),
            at,
        });
        let id = ListenerRef {
            load_balancer: name,
            listener: ListenerId::new("l"),
        };
        let default = vec![Forward {
            target_group: group(),
            weight: 1,
        }];
        self.must(&Command::CreateListener {
            id,
            port: 8080,
            default,
        });
        self.must(&Command::RegisterLoadBalancerNode {
            node: NodeId::new("lb"),
            at,
        });
    }

    fn deployment(&mut self) -> DeploymentId {
        self.next_id += 1;
        DeploymentId(self.next_id)
    }

    fn must(&mut self, command: &Command) {
        self.apply(command)
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }

    /// Applies a command and checks everything that must hold.
    fn apply(&mut self, command: &Command) -> Result<(), roadstead_core::Rejection> {
        let before = self.state.clone();
        self.log.push(command.clone());
        let result = self.state.apply(command.clone());
        match &result {
            Err(_) => assert_eq!(
                before, self.state,
                "a rejected command changed something: {command:?}"
            ),
            Ok(_) => {
                invariants::floor_and_ceiling_kept(&before, command, &self.state);
                invariants::nothing_moves_backwards(&before, &self.state);
            }
        }
        invariants::no_overcommit(&self.state);
        invariants::drained_before_stopped(&self.state);
        result.map(|_| ())
    }

    /// Applies what may have come too late.
    fn attempt(&mut self, command: &Command) {
        if let Err(rejection) = self.apply(command) {
            assert_eq!(
                rejection.exception,
                Exception::Stale,
                "{command:?}: {rejection}"
            );
        }
    }

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
            Step::Update(service) => {
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
            Step::Scale(service, count) => {
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

    fn pass(&mut self, snapshot: &ClusterState) {
        let mut scratch = Scratch::new(snapshot);
        let mut commands = Vec::new();
        for service in snapshot.services.values() {
            let mut ids = Ids(&mut self.next_id);
            commands.extend(deployment::advance(
                snapshot,
                &mut scratch,
                service,
                self.now,
                &mut ids,
            ));
        }
        for command in commands {
            self.attempt(&command);
        }
    }

    fn pick(&self, index: usize, which: impl Fn(&Task) -> bool) -> Option<Task> {
        let fit: Vec<_> = self
            .state
            .tasks
            .values()
            .filter(|task| !task.stopped() && which(task))
            .collect();
        (!fit.is_empty()).then(|| fit[index % fit.len()].as_ref().clone())
    }

    /// The agent takes a task one step further: to RUNNING, or to its end when told so.
    fn progress(&mut self, index: usize) {
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

    fn die(&mut self, index: usize) {
        if let Some(task) = self.pick(index, |_| true) {
            self.report(&task, LastStatus::Stopped);
        }
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

    fn target(&mut self, index: usize, health: TargetHealth) {
        let serves = |task: &Task| {
            task.service
                .as_ref()
                .is_some_and(|of| of.name.as_str() == "web")
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

    /// The trouble ends; everything has to come to rest within a bounded number of rounds.
    pub(crate) fn settle(&mut self) {
        self.take(&Step::LoadBalancer(true));
        for index in 0..3 {
            self.take(&Step::Drain(index, false));
            self.take(&Step::Connect(index, true));
        }
        // The static port of `api` allows one task on each of the three instances; and limits that
        // leave no room to move are right to block a rollout for ever.
        for index in 0..2 {
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

    /// Returns the state and every command that led to it.
    pub(crate) fn into_parts(self) -> (ClusterState, Vec<Command>) {
        (self.state, self.log)
    }

    pub(crate) fn replay_equals(&self) -> bool {
        let mut replica = ClusterState::default();
        for command in &self.log {
            // A rejection is part of the history.
            drop(replica.apply(command.clone()));
        }
        replica == self.state
    }

    pub(crate) fn restored_equals(&self) -> bool {
        let bytes = rmp_serde::to_vec_named(&self.state).expect("a state can be encoded");
        let mut restored: ClusterState =
            rmp_serde::from_slice(&bytes).expect("what was encoded can be decoded");
        restored.rebuild_indices();
        restored == self.state
    }
}

fn revision(family: &str, revision: u32) -> TaskDefinitionId {
    TaskDefinitionId {
        family: Family::new(family),
        revision: NonZeroU32::new(revision).expect("revisions begin at 1"),
    }
}

fn unhealthy() -> TargetHealth {
    TargetHealth::Unhealthy {
        reason: "Target.Timeout".into(),
        description: "Request timed out".into(),
    }
}
