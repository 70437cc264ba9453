//! Operations on tasks, but for RunTask.

use std::sync::Arc;

use roadstead_core::id::{ContainerInstanceId, Family, ServiceId, TaskId};
use roadstead_core::state::task::{DesiredStatus, StopCode, Task};
use roadstead_core::{ClusterState, Command, Exception, Rejection};
use roadstead_proto::ecs::{
    DescribeTasksRequest, DescribeTasksResponse, ListTasksRequest, ListTasksResponse,
    StopTaskRequest, StopTaskResponse,
};

use super::convert::{name, task as convert};
use super::page::{Wanted, page};
use super::status::Refusal;
use super::{Api, missing, within};
use crate::clock;

const LONGEST_REASON: usize = 255;

pub(super) async fn stop(api: &Api, request: StopTaskRequest) -> Result<StopTaskResponse, Refusal> {
    let reason = request
        .reason
        .unwrap_or_else(|| "Task stopped by user".to_owned());
    if reason.chars().count() > LONGEST_REASON {
        return Err(Rejection::invalid("reason may have at most 255 characters.").into());
    }
    let state = api.read().await?;
    let id = find(&state, request.cluster.as_deref(), request.task.as_deref())?
        .id
        .clone();
    let (tasks, code) = (vec![id.clone()], StopCode::UserInitiated);
    let state = api
        .write(Command::StopTasks {
            tasks,
            code,
            reason,
            at: clock::now(),
        })
        .await?;
    Ok(StopTaskResponse {
        task: state
            .tasks
            .get(&id)
            .map(|task| convert::to_proto(&state, task)),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeTasksRequest,
) -> Result<DescribeTasksResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    within(request.tasks.len(), 100, "tasks")?;
    if request.tasks.is_empty() {
        return Err(Rejection::invalid("tasks must name 1 to 100 tasks.").into());
    }
    let state = api.read().await?;
    state.active_cluster(&cluster)?;
    let mut response = DescribeTasksResponse::default();
    for reference in &request.tasks {
        let id = name::task(Some(reference))?;
        match state.tasks.get(&id).filter(|task| task.cluster == cluster) {
            Some(task) => response.tasks.push(convert::to_proto(&state, task)),
            None => response
                .failures
                .push(missing(state.arns().task(&cluster, &id))),
        }
    }
    Ok(response)
}

pub(super) async fn list(
    api: &Api,
    request: ListTasksRequest,
) -> Result<ListTasksResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    let state = api.read().await?;
    state.active_cluster(&cluster)?;
    let filter = Filter::new(&state, &request)?;
    let arns = state.arns();
    let found = state
        .tasks
        .values()
        .filter(|task| task.cluster == cluster && filter.takes(task));
    let all = found.map(|task| arns.task(&cluster, &task.id));
    let (task_arns, next_token) = page(
        all,
        &Wanted::hundred(request.next_token.as_deref(), request.max_results),
    )?;
    Ok(ListTasksResponse {
        task_arns,
        next_token,
    })
}

struct Filter {
    desired: DesiredStatus,
    instance: Option<ContainerInstanceId>,
    family: Option<Family>,
    started_by: Option<String>,
    service: Option<ServiceId>,
}

impl Filter {
    fn new(state: &ClusterState, request: &ListTasksRequest) -> Result<Self, Rejection> {
        let desired = match request.desired_status.as_deref() {
            None | Some("RUNNING" | "PENDING") => DesiredStatus::Running,
            Some("STOPPED") => DesiredStatus::Stopped,
            Some(other) => {
                return Err(Rejection::invalid(format!(
                    "desiredStatus '{other}' is unknown; use RUNNING, PENDING or STOPPED."
                )));
            }
        };
        let others = request.container_instance.is_some()
            || request.family.is_some()
            || request.service_name.is_some();
        if request.started_by.is_some() && others {
            return Err(Rejection::invalid("startedBy must be the only filter."));
        }
        let instance = request.container_instance.as_deref();
        let service = request.service_name.as_deref();
        let service =
            service.map(|text| super::service::reference(request.cluster.as_deref(), Some(text)));
        let service = service.transpose()?;
        if service
            .as_ref()
            .is_some_and(|id| !state.services.contains_key(id))
        {
            return Err(Rejection::new(
                Exception::ServiceNotFoundException,
                "Service not found.",
            ));
        }
        Ok(Self {
            desired,
            instance: instance
                .map(|text| name::container_instance(Some(text)))
                .transpose()?,
            family: request.family.as_deref().map(Family::new),
            started_by: request.started_by.clone(),
            service,
        })
    }

    fn takes(&self, task: &Task) -> bool {
        task.desired_status == self.desired
            && self
                .instance
                .as_ref()
                .is_none_or(|one| task.container_instance == *one)
            && self
                .family
                .as_ref()
                .is_none_or(|one| task.task_definition.family == *one)
            && self
                .started_by
                .as_ref()
                .is_none_or(|one| task.started_by.as_ref() == Some(one))
            && self
                .service
                .as_ref()
                .is_none_or(|one| task.service_id().as_ref() == Some(one))
    }
}

/// Finds a task of a cluster for an operation on that one task.
pub(super) fn find<'a>(
    state: &'a ClusterState,
    cluster: Option<&str>,
    task: Option<&str>,
) -> Result<&'a Arc<Task>, Rejection> {
    let cluster = name::cluster(cluster);
    state.active_cluster(&cluster)?;
    let id: TaskId = name::task(task)?;
    let found = state.tasks.get(&id).filter(|task| task.cluster == cluster);
    found.ok_or_else(|| Rejection::invalid("The referenced task was not found."))
}
