//! A small world around the core: its commands, agents and load balancers, all in one thread.

mod agents;
mod setup;
mod steps;

use std::num::NonZeroU32;

use roadstead_core::deployment::{self, Outside, Resting};
use roadstead_core::id::{
    ClusterName, ContainerInstanceId, DeploymentId, Family, ServiceId, ServiceName,
    TargetGroupName, TaskDefinitionId, TaskId,
};
use roadstead_core::scheduler::Scratch;
use roadstead_core::state::service::Counts;
use roadstead_core::state::task::Task;
use roadstead_core::{ClusterState, Command, Exception, Timestamp};

use crate::invariants;
pub(crate) use steps::Step;

pub(crate) struct World {
    state: ClusterState,
    /// A state of some steps ago.
    old: ClusterState,
    log: Vec<Command>,
    now: Timestamp,
    next_id: u64,
    resting: Resting,
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

impl World {
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

    fn pass(&mut self, snapshot: &ClusterState) {
        self.resting.wake(snapshot, self.now);
        let mut scratch = Scratch::new(snapshot);
        let mut commands = Vec::new();
        for service in snapshot.services.values() {
            let mut ids = Ids(&mut self.next_id);
            let step = deployment::advance(snapshot, &mut scratch, service, self.now, &mut ids);
            // Who rests misses nothing.
            if self.resting.contains(&service.id) {
                assert!(step.commands.is_empty(), "{:?}", step.commands);
            }
            self.resting.note(&service.id, step.rest);
            commands.extend(step.commands);
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
