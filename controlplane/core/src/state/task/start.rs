//! Starting tasks: all of them where they were placed, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{NewTask, Task};
use crate::id::{ContainerInstanceId, ServiceId};
use crate::resources::{Lack, Resources};
use crate::state::ClusterState;
use crate::state::container_instance::InstanceStatus;
use crate::state::task_definition::TaskDefinition;
use crate::{Event, Rejection, Timestamp};

impl ClusterState {
    pub(in crate::state) fn start_tasks(
        &mut self,
        tasks: Vec<NewTask>,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let definitions = self.check_start(&tasks)?;
        crate::deployment::check_ceiling(self, &tasks)?;
        let mut events = Vec::new();
        let started: Vec<_> = tasks
            .iter()
            .map(|task| (task.service.clone(), task.id.clone()))
            .collect();
        let cluster = tasks.first().map(|task| task.cluster.clone());
        for (new, definition) in tasks.into_iter().zip(definitions) {
            let reserved = definition.reservation();
            let instance = self
                .container_instances
                .get_mut(&new.container_instance)
                .map(Arc::make_mut)
                .expect("check_start has found the instance");
            instance.reserved.reserve(&reserved);
            instance.desired_version = self.version;
            events.push(Event::TaskStarted(
                new.id.clone(),
                new.container_instance.clone(),
            ));
            let task = Task::placed(new, reserved, at, self.version);
            self.index_task(&task);
            self.tasks.insert(task.id.clone(), Arc::new(task));
        }
        if let Some(cluster) = cluster {
            self.note_started(&cluster, &started, at);
        }
        Ok(events)
    }

    /// Checks every placement against what is free now, each counting the ones before it.
    fn check_start(&self, tasks: &[NewTask]) -> Result<Vec<Arc<TaskDefinition>>, Rejection> {
        let mut scratch: BTreeMap<&ContainerInstanceId, Resources> = BTreeMap::new();
        let mut definitions = Vec::with_capacity(tasks.len());
        let mut ids = BTreeSet::new();
        for new in tasks {
            if self.tasks.contains_key(&new.id) || !ids.insert(&new.id) {
                return Err(Rejection::stale(format!("task {} exists already", new.id)));
            }
            let Some(definition) = self.task_definitions.get(&new.task_definition) else {
                return Err(Rejection::client("TaskDefinition not found."));
            };
            self.check_start_of_service(new)?;
            let instance = self
                .container_instances
                .get(&new.container_instance)
                .filter(|instance| instance.cluster == new.cluster)
                .filter(|instance| {
                    instance.status == InstanceStatus::Active && instance.agent_connected
                })
                .ok_or_else(|| {
                    Rejection::stale(format!(
                        "container instance {} takes no tasks",
                        new.container_instance
                    ))
                })?;
            let needed = definition.reservation();
            let reserved = scratch
                .entry(&instance.id)
                .or_insert_with(|| instance.reserved.clone());
            if let Some(lack) = reserved.lack(&instance.registered, &needed) {
                let resource = match lack {
                    Lack::Cpu => "CPU",
                    Lack::Memory => "MEMORY",
                    Lack::Ports => "PORTS",
                };
                return Err(Rejection::stale(format!(
                    "container instance {} lacks {resource}",
                    instance.id
                )));
            }
            reserved.reserve(&needed);
            definitions.push(Arc::clone(definition));
        }
        Ok(definitions)
    }

    fn check_start_of_service(&self, new: &NewTask) -> Result<(), Rejection> {
        let Some(of) = &new.service else {
            return self.active_cluster(&new.cluster).map(|_| ());
        };
        let id = ServiceId {
            cluster: new.cluster.clone(),
            service: of.name.clone(),
        };
        let deployment = self
            .services
            .get(&id)
            .and_then(|service| service.deployments.front());
        match deployment {
            Some(primary) if primary.id == of.deployment => Ok(()),
            Some(_) | None => Err(Rejection::stale(format!(
                "{} is no longer the primary deployment",
                of.deployment
            ))),
        }
    }
}
