//! A user: makes services behind load balancers, rolls them, scales them, drains instances, and stops what is in the way.
//!
//! Writes go through a random server, as the API's handlers write: one command, ids and time made there. What was acknowledged
//! is remembered, and must be kept.

mod setup;

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::id::{ClusterName, ServiceId, ServiceName, TaskDefinitionId};
use roadstead_core::scheduler::{Demand, Kind, Scratch, default_strategy};
use roadstead_core::state::container_instance::InstanceStatus;
use roadstead_core::state::service::{ServiceSpec, ServiceStatus, ServiceUpdate};
use roadstead_core::state::task::{NewTask, StopCode};
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_server::simulation::{Log, deployment_id, task_id};
use tokio::time::sleep;

use crate::invariants::nothing_lost::{Wish, wishes_are_kept};
use crate::plan::Trouble;
use crate::random::Random;
use crate::world::{SERVERS, World, lock};

pub(crate) const CLUSTER: &str = "default";
pub(crate) const STOPPED_BY_USER: &str = "enough";
/// After so long nothing is left of a write that nobody has confirmed.
const UNDECIDED: Duration = Duration::from_secs(8);

/// The services, each a family of task definitions.
const SERVICES: [&str; 3] = ["web", "shop", "worker"];
const GOOD: [&str; 2] = ["good:1", "good:2"];
const BAD: [&str; 3] = ["missing:1", "sick:1", "crashes:1"];

/// The user.
#[derive(Debug)]
pub(crate) struct User {
    random: Random,
}

fn cluster() -> ClusterName {
    ClusterName::new(CLUSTER)
}

fn service_id(name: &str) -> ServiceId {
    ServiceId {
        cluster: cluster(),
        service: ServiceName::new(name),
    }
}

/// Makes everything that the user begins with.
pub(crate) async fn begin(world: &Arc<World>) -> User {
    let mut user = User {
        random: Random::new(world.seed, "user"),
    };
    for command in setup::commands(world.now()) {
        user.insist(world, &command).await;
    }
    for name in SERVICES {
        user.create(world, name).await;
    }
    user
}

/// Does this and that until the faults are over.
pub(crate) async fn run(world: Arc<World>, mut user: User) -> User {
    while !world.is_healed() {
        sleep(user.random.milliseconds(300, 2_500)).await;
        wishes_are_kept(&world);
        let name = *user.random.pick(&SERVICES);
        match user.random.between(0, 99) {
            0..=34 => user.roll(&world, name).await,
            35..=54 => user.scale(&world, name).await,
            55..=64 => user.drain(&world).await,
            65..=74 => user.stop_a_task(&world).await,
            75..=89 => user.run_a_task(&world).await,
            _ => user.delete_or_create(&world).await,
        }
    }
    user
}

/// Asks for what can be: everything has to come to rest with that.
pub(crate) async fn settle(world: &Arc<World>, mut user: User) {
    sleep(UNDECIDED).await;
    let state = world.state();
    for id in state.container_instances.keys() {
        let (id, status) = (id.clone(), InstanceStatus::Active);
        user.insist(world, &Command::SetContainerInstanceStatus { id, status })
            .await;
    }
    let alone = state
        .tasks
        .values()
        .filter(|task| task.service.is_none() && !task.stopped());
    for task in alone {
        user.stop(world, task.id.clone()).await;
    }
    for name in SERVICES {
        let deleted = |state: &ClusterState| {
            let service = state.services.get(&service_id(name));
            service.is_none_or(|one| one.status != ServiceStatus::Active)
        };
        while deleted(&world.state()) {
            user.create(world, name).await;
            sleep(Duration::from_millis(500)).await;
        }
        let update = ServiceUpdate {
            task_definition: definition(&world.state(), name, GOOD[0]),
            desired_count: Some(2),
            force_new_deployment: true,
            ..ServiceUpdate::default()
        };
        while !user.update(world, name, update.clone()).await {}
    }
}

fn definition(state: &ClusterState, family: &str, image: &str) -> Option<TaskDefinitionId> {
    let mut all = state.task_definitions.values();
    let wanted = all
        .find(|one| one.id.family.as_str() == family && one.content.containers[0].image == image);
    wanted.map(|one| one.id.clone())
}

impl User {
    /// Writes through some server; `None` when nobody knows what became of it.
    async fn write(
        &mut self,
        world: &Arc<World>,
        command: &Command,
    ) -> Option<Result<(), Rejection>> {
        let server = self.random.index(SERVERS);
        let Some(life) = world.servers.life(server) else {
            sleep(Duration::from_millis(50)).await;
            return None;
        };
        let written = life.replica.write(command.clone()).await;
        if let Ok(Err(rejection)) = &written {
            world.note(format_args!("the user is refused: {rejection}"));
        }
        written.ok()
    }

    /// Writes until it is acknowledged.
    async fn insist(&mut self, world: &Arc<World>, command: &Command) {
        while self.write(world, command).await.is_none() {
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Writes a change of a service and remembers what was acknowledged; returns whether it was.
    async fn change(
        &mut self,
        world: &Arc<World>,
        id: &ServiceId,
        wish: Wish,
        command: &Command,
    ) -> bool {
        lock(&world.ledger).wishes.insert(id.clone(), Wish::Unknown);
        let written = self.write(world, command).await;
        match written {
            Some(Ok(())) => drop(lock(&world.ledger).wishes.insert(id.clone(), wish)),
            Some(Err(_)) => {}
            // It may come yet, and everything that is based on it is a guess.
            None if !world.is_healed() => sleep(UNDECIDED).await,
            None => {}
        }
        matches!(written, Some(Ok(())))
    }

    async fn create(&mut self, world: &Arc<World>, name: &str) {
        let definition = definition(&world.state(), name, GOOD[0]);
        let spec = setup::spec(
            name,
            definition.expect("it was registered at the beginning"),
        );
        let id = service_id(name);
        let command = Command::CreateService {
            id: id.clone(),
            spec: spec.clone(),
            deployment: deployment_id(),
            at: world.now(),
        };
        self.change(world, &id, Wish::Is(Box::new(spec)), &command)
            .await;
    }

    async fn update(&mut self, world: &Arc<World>, name: &str, update: ServiceUpdate) -> bool {
        let id = service_id(name);
        let state = world.state();
        let service = state.services.get(&id);
        let Some(service) = service.filter(|one| one.status == ServiceStatus::Active) else {
            return false;
        };
        let before = service.spec.clone();
        let wanted = ServiceSpec {
            task_definition: update
                .task_definition
                .clone()
                .unwrap_or(before.task_definition),
            desired_count: update.desired_count.unwrap_or(before.desired_count),
            ..before
        };
        let command = Command::UpdateService {
            id: id.clone(),
            update,
            deployment: deployment_id(),
            at: world.now(),
        };
        self.change(world, &id, Wish::Is(Box::new(wanted)), &command)
            .await
    }

    async fn roll(&mut self, world: &Arc<World>, name: &str) {
        let bad = world.plan.trouble == Trouble::Everything && self.random.chance(30);
        let image = if bad {
            self.random.pick(&BAD)
        } else {
            self.random.pick(&GOOD)
        };
        let update = ServiceUpdate {
            task_definition: definition(&world.state(), name, image),
            force_new_deployment: self.random.chance(20),
            ..ServiceUpdate::default()
        };
        world.note(format_args!("the user rolls {name} to {image}"));
        self.update(world, name, update).await;
    }

    async fn scale(&mut self, world: &Arc<World>, name: &str) {
        let count = u32::try_from(self.random.between(1, 4)).unwrap_or(1);
        world.note(format_args!("the user scales {name} to {count}"));
        let update = ServiceUpdate {
            desired_count: Some(count),
            ..ServiceUpdate::default()
        };
        self.update(world, name, update).await;
    }

    async fn drain(&mut self, world: &Arc<World>) {
        let state = world.state();
        let instances: Vec<_> = state.container_instances.values().collect();
        let draining = |one: &&&Arc<_>| {
            let one: &roadstead_core::state::container_instance::ContainerInstance = one;
            one.status == InstanceStatus::Draining
        };
        let (id, status) = match instances.iter().find(draining) {
            Some(one) => (one.id.clone(), InstanceStatus::Active),
            None => (
                self.random.pick(&instances).id.clone(),
                InstanceStatus::Draining,
            ),
        };
        world.note(format_args!("the user makes {id} {status:?}"));
        self.write(world, &Command::SetContainerInstanceStatus { id, status })
            .await;
    }

    async fn stop(&mut self, world: &Arc<World>, task: roadstead_core::id::TaskId) {
        world.note(format_args!("the user stops {task}"));
        let command = Command::StopTasks {
            tasks: vec![task],
            code: StopCode::UserInitiated,
            reason: STOPPED_BY_USER.to_owned(),
            at: world.now(),
        };
        self.write(world, &command).await;
    }

    async fn stop_a_task(&mut self, world: &Arc<World>) {
        let state = world.state();
        let tasks: Vec<_> = state.tasks.keys().cloned().collect();
        // The last task of a service would take requests with it, and rightly so.
        let spared = world.plan.trouble == Trouble::Servers;
        if !tasks.is_empty() && !spared {
            let task = self.random.pick(&tasks).clone();
            self.stop(world, task).await;
        }
    }

    /// Places a task as the API does: on the newest state of some server, which may be an old one.
    async fn run_a_task(&mut self, world: &Arc<World>) {
        let server = self.random.index(SERVERS);
        let Some(life) = world.servers.life(server) else {
            return;
        };
        let state = life.replica.newest();
        let found = definition(&state, "once", GOOD[0]);
        let Some(found) = found.and_then(|id| state.task_definitions.get(&id).cloned()) else {
            return;
        };
        let (cluster, strategy) = (cluster(), default_strategy());
        let demand = Demand {
            cluster: &cluster,
            kind: Kind::Group("family:once"),
            needed: found.reservation(),
            strategy: &strategy,
        };
        let Ok(container_instance) = Scratch::new(&state).places(&demand).take() else {
            return;
        };
        let task = NewTask {
            id: task_id(),
            cluster: cluster.clone(),
            task_definition: found.id.clone(),
            container_instance,
            service: None,
            group: None,
            started_by: None,
            overrides: Vec::new(),
        };
        let tasks = vec![task];
        let at = world.now();
        self.write(world, &Command::StartTasks { tasks, at }).await;
    }

    async fn delete_or_create(&mut self, world: &Arc<World>) {
        let (name, id) = ("worker", service_id("worker"));
        let state = world.state();
        match state.services.get(&id).map(|service| service.status) {
            Some(ServiceStatus::Active) => {
                world.note(format_args!("the user deletes {name}"));
                let command = Command::DeleteService {
                    id: id.clone(),
                    force: true,
                    at: world.now(),
                };
                self.change(world, &id, Wish::Deleted, &command).await;
            }
            Some(ServiceStatus::Draining) => {}
            Some(ServiceStatus::Inactive) | None => self.create(world, name).await,
        }
    }
}
