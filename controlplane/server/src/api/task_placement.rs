//! RunTask: places and starts standalone tasks.

use prost::Message;
use roadstead_core::id::{ClusterName, ContainerInstanceId};
use roadstead_core::scheduler::{Demand, Kind, Nowhere, Scratch, Strategy};
use roadstead_core::state::container_instance::InstanceStatus;
use roadstead_core::state::task::{ContainerOverride, NewTask};
use roadstead_core::state::task_definition::TaskDefinition;
use roadstead_core::{ClusterState, Command, Exception, Rejection};
use roadstead_proto::ecs::{Failure, RunTaskRequest, RunTaskResponse};

use super::Api;
use super::convert::{name, service, task as convert};
use super::service::resolve;
use super::status::Refusal;
use crate::{clock, id};

const MOST_TASKS: i32 = 10;
/// ECS takes overrides of up to 8192 characters.
const LARGEST_OVERRIDES: usize = 8192;
const LONGEST_STARTED_BY: usize = 128;
/// A placement that another write has overtaken is made afresh so many times.
const TRIES: usize = 5;

pub(super) async fn run(api: &Api, request: RunTaskRequest) -> Result<RunTaskResponse, Refusal> {
    let mut wanted = Wanted::read(request)?;
    for _ in 1..TRIES {
        match wanted.attempt(api).await {
            Err(Attempt::Overtaken) => {}
            Err(Attempt::Refused(refusal)) => return Err(refusal),
            Ok(response) => return Ok(response),
        }
    }
    match wanted.attempt(api).await {
        Ok(response) => Ok(response),
        Err(Attempt::Refused(refusal)) => Err(refusal),
        Err(Attempt::Overtaken) => Err(Rejection::client(
            "Other requests took the resources while this one was being placed. Try again.",
        )
        .into()),
    }
}

/// A checked request.
struct Wanted {
    cluster: ClusterName,
    definition: Option<String>,
    count: i32,
    group: Option<String>,
    started_by: Option<String>,
    strategy: Vec<Strategy>,
    overrides: Vec<ContainerOverride>,
}

enum Attempt {
    Overtaken,
    Refused(Refusal),
}

impl<E: Into<Refusal>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl Wanted {
    fn read(request: RunTaskRequest) -> Result<Self, Rejection> {
        service::launch_type(request.launch_type.as_deref())?;
        if !request.placement_constraints.is_empty() {
            return Err(Rejection::client(
                "placementConstraints is not supported yet; leave it out.",
            ));
        }
        if request.client_token.is_some() {
            return Err(Rejection::client(
                "clientToken is not supported yet; leave it out.",
            ));
        }
        let count = request.count.unwrap_or(1);
        if !(1..=MOST_TASKS).contains(&count) {
            return Err(Rejection::invalid("count must be 1 to 10."));
        }
        if request
            .started_by
            .as_ref()
            .is_some_and(|text| text.len() > LONGEST_STARTED_BY)
        {
            return Err(Rejection::invalid(
                "startedBy may have at most 128 characters.",
            ));
        }
        if request
            .group
            .as_ref()
            .is_some_and(|group| group.starts_with("service:") || group.len() > 255)
        {
            return Err(Rejection::invalid(
                "group must have at most 255 characters and not begin with service:.",
            ));
        }
        if request.overrides.as_ref().map_or(0, Message::encoded_len) > LARGEST_OVERRIDES {
            return Err(Rejection::invalid(
                "overrides may have at most 8192 characters.",
            ));
        }
        let overrides = request
            .overrides
            .map(|one| one.container_overrides)
            .unwrap_or_default();
        Ok(Self {
            cluster: name::cluster(request.cluster.as_deref()),
            definition: request.task_definition,
            count,
            group: request.group,
            started_by: request.started_by,
            strategy: service::strategies(&request.placement_strategy)?,
            overrides: overrides
                .into_iter()
                .map(convert::override_from_proto)
                .collect(),
        })
    }

    async fn attempt(&mut self, api: &Api) -> Result<RunTaskResponse, Attempt> {
        let state = api.read().await?;
        state.active_cluster(&self.cluster)?;
        let id = resolve(&state, self.definition.as_deref())?;
        let definition = &state.task_definitions[&id];
        self.check_overrides(definition)?;
        check_instances(&state, &self.cluster)?;
        let (tasks, failures) = self.place(&state, definition);
        if tasks.is_empty() {
            return Ok(RunTaskResponse {
                tasks: Vec::new(),
                failures,
            });
        }
        let ids: Vec<_> = tasks.iter().map(|task| task.id.clone()).collect();
        let written = api
            .node
            .write(Command::StartTasks {
                tasks,
                at: clock::now(),
            })
            .await?;
        match written {
            Err(rejection) if rejection.exception == Exception::Stale => {
                return Err(Attempt::Overtaken);
            }
            Err(rejection) => return Err(rejection.into()),
            Ok(()) => {}
        }
        let state = api.node.newest();
        let started = ids.iter().filter_map(|id| state.tasks.get(id));
        let tasks = started
            .map(|task| convert::to_proto(&state, task))
            .collect();
        Ok(RunTaskResponse { tasks, failures })
    }

    fn check_overrides(&self, definition: &TaskDefinition) -> Result<(), Rejection> {
        let unknown = self
            .overrides
            .iter()
            .find(|one| definition.container(&one.name).is_none());
        let bad = |(name, _): &(String, String)| name.is_empty() || name.contains('=');
        if self
            .overrides
            .iter()
            .any(|one| one.environment.iter().any(bad))
        {
            return Err(Rejection::invalid(
                "overrides have an environment name that is empty or contains '='.",
            ));
        }
        match unknown {
            None => Ok(()),
            Some(one) => Err(Rejection::invalid(format!(
                "overrides name container '{}', which is not in the task definition.",
                one.name
            ))),
        }
    }

    /// Places as many as fit; the first that does not tells why for each instance.
    fn place(
        &self,
        state: &ClusterState,
        definition: &TaskDefinition,
    ) -> (Vec<NewTask>, Vec<Failure>) {
        let mut scratch = Scratch::new(state);
        let group = self
            .group
            .clone()
            .unwrap_or_else(|| format!("family:{}", definition.id.family));
        let demand = Demand {
            cluster: &self.cluster,
            kind: Kind::Group(&group),
            needed: definition.reservation(),
            strategy: &self.strategy,
        };
        let mut tasks = Vec::new();
        let mut places = scratch.places(&demand);
        for _ in 0..self.count {
            match places.take() {
                Ok(container_instance) => {
                    tasks.push(self.new_task(definition, container_instance));
                }
                Err(nowhere) => return (tasks, failures(state, &self.cluster, nowhere)),
            }
        }
        (tasks, Vec::new())
    }

    fn new_task(&self, definition: &TaskDefinition, on: ContainerInstanceId) -> NewTask {
        NewTask {
            id: id::task(),
            cluster: self.cluster.clone(),
            task_definition: definition.id.clone(),
            container_instance: on,
            service: None,
            group: self.group.clone(),
            started_by: self.started_by.clone(),
            overrides: self.overrides.clone(),
        }
    }
}

fn check_instances(state: &ClusterState, cluster: &ClusterName) -> Result<(), Rejection> {
    let mut instances = state.container_instances.values();
    if instances.any(|one| one.cluster == *cluster && one.status != InstanceStatus::Inactive) {
        return Ok(());
    }
    Err(Rejection::invalid(
        "No Container Instances were found in your cluster.",
    ))
}

fn failures(state: &ClusterState, cluster: &ClusterName, nowhere: Nowhere) -> Vec<Failure> {
    let arns = state.arns();
    let failure =
        |(instance, unfit): (ContainerInstanceId, roadstead_core::scheduler::Unfit)| Failure {
            arn: Some(arns.container_instance(cluster, &instance)),
            reason: Some(unfit.failure_reason().to_owned()),
            detail: None,
        };
    nowhere.0.into_iter().map(failure).collect()
}
