//! One look at a service: which tasks stay, which go, and how many of each may move now.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::health::{Fitness, judge};
use super::{Rest, floor_and_ceiling};
use crate::Timestamp;
use crate::id::{ContainerInstanceId, TaskId};
use crate::state::ClusterState;
use crate::state::container_instance::{ContainerInstance, InstanceStatus};
use crate::state::service::Service;
use crate::state::task::{DesiredStatus, LastStatus, Task};

/// A task that shall run, judged.
struct Member<'a> {
    task: &'a Arc<Task>,
    fitness: Fitness,
    /// Of the primary deployment, on an instance that is not draining.
    at_home: bool,
}

impl Member<'_> {
    fn healthy(&self) -> bool {
        self.fitness == Fitness::Healthy
    }

    fn runs(&self) -> bool {
        self.task.last_status == LastStatus::Running
    }

    fn stays(&self) -> bool {
        self.at_home && !matches!(self.fitness, Fitness::Unhealthy(_) | Fitness::Lost(_))
    }

    fn is_lost(&self) -> bool {
        matches!(self.fitness, Fitness::Lost(_))
    }
}

pub(super) struct Pass<'a> {
    pub(super) service: &'a Service,
    pub(super) now: Timestamp,
    desired: usize,
    floor: usize,
    ceiling: usize,
    members: Vec<Member<'a>>,
    /// Tasks that were asked to stop and have not yet; not those on a host that is out of reach, which
    /// may never tell.
    leaving: usize,
    /// Whether any instance of the cluster takes tasks.
    has_room: bool,
    /// Until when the same state looks the same; `None` is for ever.
    until: Option<Timestamp>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(state: &'a ClusterState, service: &'a Service, now: Timestamp) -> Self {
        let primary = service.primary().id;
        let is_old = |task: &Task| {
            task.service
                .as_ref()
                .is_some_and(|of| of.deployment != primary)
        };
        let draining = |task: &Task| {
            let instance = state.container_instances.get(&task.container_instance);
            instance.is_none_or(|instance| instance.status != InstanceStatus::Active)
        };
        let spec = &service.spec;
        let (floor, ceiling) = floor_and_ceiling(spec.desired_count, spec.deployment_configuration);
        let (mut members, mut leaving) = (Vec::new(), 0);
        let mut until = service.retry_at.filter(|retry_at| now < *retry_at);
        for task in state.live_tasks_of(&service.id) {
            if task.desired_status == DesiredStatus::Stopped {
                leaving += usize::from(state.will_tell(task));
                continue;
            }
            let (fitness, changes_at) = judge(state, service, task, now);
            until = until.into_iter().chain(changes_at).min();
            let at_home = !is_old(task) && !draining(task);
            members.push(Member {
                task,
                fitness,
                at_home,
            });
        }
        let desired = service.spec.desired_count as usize;
        let takes_tasks = |one: &Arc<ContainerInstance>| {
            one.cluster == service.id.cluster
                && one.status == InstanceStatus::Active
                && one.agent_connected
        };
        Self {
            has_room: state.container_instances.values().any(takes_tasks),
            service,
            now,
            desired,
            floor,
            ceiling,
            members,
            leaving,
            until,
        }
    }

    /// Returns how long a pass that had nothing to do may rest.
    pub(super) fn rest(&self) -> Rest {
        if self.may_start() > 0 {
            // It waits for room, which others may make.
            return Rest::No;
        }
        self.until.map_or(Rest::UntilChange, Rest::Until)
    }

    fn staying(&self) -> usize {
        self.members.iter().filter(|member| member.stays()).count()
    }

    fn healthy(&self) -> usize {
        self.members
            .iter()
            .filter(|member| member.healthy())
            .count()
    }

    /// Returns whether the floor is kept when `leaving` are stopped: those that are healthy count.
    pub(super) fn floor_kept_without(&self, leaving: &BTreeSet<&TaskId>) -> bool {
        let lost = self
            .members
            .iter()
            .filter(|one| one.healthy() && leaving.contains(&one.task.id));
        let lost = lost.count();
        lost == 0 || self.healthy() - lost >= self.floor
    }

    /// Returns whether `more` tasks may be wanted besides those that are.
    pub(super) fn ceiling_kept_with(&self, more: usize) -> bool {
        self.members.len() + more <= self.ceiling
    }

    /// Returns how many tasks of the primary deployment may be started.
    pub(super) fn may_start(&self) -> usize {
        if self
            .service
            .retry_at
            .is_some_and(|retry_at| self.now < retry_at)
        {
            return 0;
        }
        let wanted = self.desired.saturating_sub(self.staying());
        wanted.min(self.ceiling.saturating_sub(self.members.len()))
    }

    /// Returns the tasks to stop now, by the reason that they are given.
    pub(super) fn may_stop(&self, unplaced: usize) -> BTreeMap<String, Vec<TaskId>> {
        let mut stop: BTreeMap<String, Vec<TaskId>> = BTreeMap::new();
        let mut add =
            |reason: String, task: &Task| stop.entry(reason).or_default().push(task.id.clone());
        let scaling = format!(
            "Scaling activity initiated by (deployment {})",
            self.service.primary().id
        );

        // What is not healthy holds up no floor. Of the primary deployment's own, only as many go
        // as are replaced already or can only be replaced in their own place: they may be all that
        // still answers.
        let healthy = self.healthy();
        let mut replaced = self.replaced_unhealthy().max(unplaced);
        let mut given_up = self.may_give_up();
        for member in &self.members {
            match &member.fitness {
                Fitness::Healthy => {}
                Fitness::Pending if member.at_home => {}
                // It runs but has no verdict yet: it may be what serves now.
                Fitness::Pending if member.runs() && healthy < self.floor => {}
                Fitness::Pending => add(scaling.clone(), member.task),
                Fitness::Unhealthy(reason) if !member.at_home => add(reason.clone(), member.task),
                Fitness::Unhealthy(reason) if replaced > 0 => {
                    replaced -= 1;
                    add(reason.clone(), member.task);
                }
                Fitness::Unhealthy(_) => {}
                Fitness::Lost(reason) if given_up > 0 => {
                    given_up -= 1;
                    add(reason.clone(), member.task);
                }
                Fitness::Lost(_) => {}
            }
        }
        // The healthy ones that have no place here, oldest first, down to the floor.
        let spare = healthy.saturating_sub(self.floor);
        let mut outgoing: Vec<_> = self
            .members
            .iter()
            .filter(|member| member.healthy() && !member.at_home)
            .collect();
        outgoing.sort_by_key(|member| (member.task.created_at, &member.task.id));
        for member in outgoing.into_iter().take(spare) {
            add(scaling.clone(), member.task);
        }
        for task in self.surplus() {
            add(scaling.clone(), task);
        }
        stop
    }

    /// How many lost tasks may be told to stop. They may run on, and to stop them makes no room where it can be seen: so
    /// only when as many as shall run are healthy without them, or when the ceiling lets no other be started first.
    fn may_give_up(&self) -> usize {
        let lost = self.members.iter().filter(|one| one.is_lost()).count();
        let healthy_home = self.healthy_home();
        if healthy_home >= self.desired {
            lost
        } else if self.members.len() >= self.ceiling && self.has_room {
            lost.min(self.desired - healthy_home)
        } else {
            0
        }
    }

    fn healthy_home(&self) -> usize {
        let at_home = self.members.iter().filter(|one| one.at_home);
        at_home.filter(|one| one.healthy()).count()
    }

    /// How many unhealthy tasks of the primary deployment may go: those whose replacement is
    /// healthy, and all when the ceiling leaves no room to start one first.
    fn replaced_unhealthy(&self) -> usize {
        let unhealthy = self
            .members
            .iter()
            .filter(|one| one.at_home && !one.stays() && !one.is_lost())
            .count();
        let healthy_home = self.healthy_home();
        if self.members.len() >= self.ceiling {
            let missing = self.desired.saturating_sub(self.staying());
            return unhealthy.min(missing.max(self.members.len().saturating_sub(self.ceiling)));
        }
        unhealthy.min((healthy_home + unhealthy).saturating_sub(self.desired))
    }

    /// The tasks that a lower desired count makes superfluous: first those that do not serve yet,
    /// then from the instance with most of the service, the newest first.
    fn surplus(&self) -> Vec<&'a Task> {
        let staying: Vec<&Member<'a>> = self.members.iter().filter(|one| one.stays()).collect();
        let too_many = staying.len().saturating_sub(self.desired);
        if too_many == 0 {
            return Vec::new();
        }
        let mut crowds: BTreeMap<&ContainerInstanceId, usize> = BTreeMap::new();
        for member in &staying {
            *crowds.entry(&member.task.container_instance).or_default() += 1;
        }
        let rank = |member: &Member<'a>, crowd| {
            let task: &'a Task = member.task;
            (!member.healthy(), crowd, task.created_at, &task.id)
        };
        let worst_first = staying.iter().enumerate().map(|(at, member)| {
            let crowd = crowds[&member.task.container_instance];
            (rank(member, crowd), at)
        });
        let mut worst_first: BinaryHeap<_> = worst_first.collect();
        let mut chosen = Vec::new();
        while let Some(((.., crowd, _, _), at)) = worst_first.pop()
            && chosen.len() < too_many
        {
            let member = staying[at];
            let now = crowds.entry(&member.task.container_instance).or_default();
            if *now == crowd {
                *now -= 1;
                chosen.push(member.task.as_ref());
            } else {
                // Others of its instance have gone meanwhile.
                worst_first.push((rank(member, *now), at));
            }
        }
        chosen
    }

    /// Returns whether the service is as it shall be, with nothing on its way.
    pub(super) fn settled(&self) -> bool {
        let all_home = self
            .members
            .iter()
            .all(|member| member.at_home && member.healthy());
        all_home && self.members.len() == self.desired && self.leaving == 0
    }

    /// Says so when the deployment's limits let it neither start nor stop anything.
    pub(super) fn stuck(&self) -> Option<String> {
        let wanted = self.desired > self.staying() && self.desired > 0;
        let quiet = self.leaving == 0 && self.members.iter().all(Member::healthy);
        let full = self.members.len() >= self.ceiling;
        (wanted && quiet && full && self.may_stop(0).is_empty()).then(|| {
            "was unable to stop or start tasks during a deployment because of the service deployment \
             configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
                .to_owned()
        })
    }
}
