//! A host: what its agent remembers, and the containers that really run on it.

mod machine;

use std::sync::{Arc, Mutex, MutexGuard};

use roadstead_core::ClusterState;
use roadstead_core::id::{ContainerInstanceId, TaskId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::network::Place;
use crate::random::Random;
use crate::world::{World, lock};
pub(crate) use machine::{Image, Machine};

/// One host.
pub(crate) struct Host {
    number: usize,
    machine: Mutex<Machine>,
    /// Containers have begun or are about to end.
    pub(crate) stirred: Notify,
    /// Something that the agent has to look at.
    pub(crate) told: Notify,
    /// The agent has something to report.
    pub(crate) news: Notify,
    agent: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Host {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let random = Random::new(seed, &format!("machine {number}"));
        Self {
            number,
            machine: Mutex::new(Machine::new(number, random)),
            stirred: Notify::new(),
            told: Notify::new(),
            news: Notify::new(),
            agent: Mutex::new(None),
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn id(&self) -> String {
        self.machine().id.clone()
    }

    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        lock(&self.machine)
    }

    /// Returns whether a task's container runs here.
    pub(crate) fn runs(&self, task: &str) -> bool {
        self.machine().containers.contains_key(task)
    }

    /// Keeps the agent's process; the one before it ends.
    pub(crate) fn keep_agent(&self, agent: AbortOnDropHandle<()>) {
        drop(lock(&self.agent).replace(agent));
    }

    pub(crate) fn has_agent(&self) -> bool {
        lock(&self.agent).is_some()
    }

    /// Kills the agent; containers run on.
    pub(crate) fn kill_agent(&self) {
        drop(lock(&self.agent).take());
    }

    /// Takes the power away: agent and containers are gone, and nobody is told.
    pub(crate) fn power_off(&self, world: &World) {
        world.note(format_args!("host {} loses power", self.number));
        world.network.darken(Place::Host(self.number));
        self.kill_agent();
        let containers = std::mem::take(&mut self.machine().containers);
        for task in containers.keys() {
            world.balancers.break_off(task);
        }
    }

    /// Ends a container that nobody has asked to stop.
    pub(crate) fn let_one_die(&self, world: &World, random: &mut Random) {
        let mut machine = self.machine();
        let running: Vec<String> = machine.containers.keys().cloned().collect();
        if running.is_empty() {
            return;
        }
        let task = random.pick(&running);
        world.note(format_args!("the container of {task} dies"));
        if let Some(container) = machine.containers.get_mut(task) {
            container.exit_at = Some(Instant::now());
        }
        drop(machine);
        self.stirred.notify_one();
    }

    /// Returns what is here and should not be, or the other way round.
    pub(crate) fn leftovers(&self, state: &ClusterState) -> Vec<String> {
        let machine = self.machine();
        let mut wrong = Vec::new();
        for task in machine.containers.keys() {
            if state
                .tasks
                .get(&TaskId::new(task))
                .is_none_or(|one| one.stopped())
            {
                wrong.push(format!("{} runs {task}, which nobody wants", machine.id));
            }
        }
        let id = ContainerInstanceId::new(&machine.id);
        for task in state.live_tasks_on(&id) {
            if !machine.containers.contains_key(task.id.as_str()) {
                wrong.push(format!("{} does not run {}", machine.id, task.id));
            }
        }
        let live = state.live_tasks_on(&id).count();
        if machine.records() > live {
            wrong.push(format!(
                "{} remembers {} tasks of {live}",
                machine.id,
                machine.records()
            ));
        }
        wrong
    }
}

/// Ends containers when their time has come, whether there is an agent or not.
pub(crate) async fn physics(world: Arc<World>, number: usize) {
    let host = &world.hosts[number];
    loop {
        let (ended, next) = host.machine().end_containers(Instant::now());
        for task in &ended {
            world.note(format_args!("the container of {task} has ended"));
            world.balancers.break_off(task);
        }
        if !ended.is_empty() {
            host.told.notify_one();
        }
        tokio::select! {
            biased;
            () = host.stirred.notified() => {}
            () = sleep_until_some(next) => {}
        }
    }
}

/// Sleeps until then, or for ever.
pub(crate) async fn sleep_until_some(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}
