//! Operations on container instances.

use roadstead_core::id::{ClusterName, ContainerInstanceId};
use roadstead_core::state::container_instance::{ContainerInstance, InstanceStatus};
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_proto::ecs::{
    DeregisterContainerInstanceRequest, DeregisterContainerInstanceResponse,
    DescribeContainerInstancesRequest, DescribeContainerInstancesResponse, Failure,
    ListContainerInstancesRequest, ListContainerInstancesResponse,
    UpdateContainerInstancesStateRequest, UpdateContainerInstancesStateResponse,
};

use super::convert::{container_instance as convert, name};
use super::page::{Wanted, page};
use super::status::Refusal;
use super::{Api, missing, within};
use crate::clock;

pub(super) async fn list(
    api: &Api,
    request: ListContainerInstancesRequest,
) -> Result<ListContainerInstancesResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    let wanted = request.status.as_deref().map(status).transpose()?;
    let state = api.read().await?;
    state.active_cluster(&cluster)?;
    let arns = state.arns();
    let listed = state.container_instances.values().filter(|one| {
        let shown = wanted.map_or(one.status != InstanceStatus::Inactive, |wanted| {
            one.status == wanted
        });
        one.cluster == cluster && shown
    });
    let all = listed.map(|one| arns.container_instance(&cluster, &one.id));
    let (container_instance_arns, next_token) = page(
        all,
        &Wanted::hundred(request.next_token.as_deref(), request.max_results),
    )?;
    Ok(ListContainerInstancesResponse {
        container_instance_arns,
        next_token,
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeContainerInstancesRequest,
) -> Result<DescribeContainerInstancesResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    within(request.container_instances.len(), 100, "containerInstances")?;
    if request.container_instances.is_empty() {
        return Err(Rejection::invalid(
            "containerInstances must name 1 to 100 container instances.",
        )
        .into());
    }
    let state = api.read().await?;
    state.active_cluster(&cluster)?;
    let mut response = DescribeContainerInstancesResponse::default();
    for reference in &request.container_instances {
        let id = name::container_instance(Some(reference))?;
        match found(&state, &cluster, &id) {
            Some(instance) => response
                .container_instances
                .push(convert::to_proto(&state, instance)),
            None => response
                .failures
                .push(missing(state.arns().container_instance(&cluster, &id))),
        }
    }
    Ok(response)
}

pub(super) async fn deregister(
    api: &Api,
    request: DeregisterContainerInstanceRequest,
) -> Result<DeregisterContainerInstanceResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    let id = name::container_instance(request.container_instance.as_deref())?;
    let state = api.read().await?;
    state.active_cluster(&cluster)?;
    found(&state, &cluster, &id)
        .ok_or_else(|| Rejection::client("The referenced container instance was not found."))?;
    let force = request.force.unwrap_or(false);
    let command = Command::DeregisterContainerInstance {
        id: id.clone(),
        force,
        at: clock::now(),
    };
    let state = api.write(command).await?;
    let instance = found(&state, &cluster, &id).map(|one| convert::to_proto(&state, one));
    Ok(DeregisterContainerInstanceResponse {
        container_instance: instance,
    })
}

pub(super) async fn update_state(
    api: &Api,
    request: UpdateContainerInstancesStateRequest,
) -> Result<UpdateContainerInstancesStateResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    within(request.container_instances.len(), 10, "containerInstances")?;
    let status = match request.status.as_deref() {
        Some(text @ ("ACTIVE" | "DRAINING")) => status(text)?,
        Some(_) | None => {
            return Err(Rejection::invalid(
                "Container instance status should be one of [ACTIVE,DRAINING]",
            )
            .into());
        }
    };
    let mut state = api.read().await?;
    state.active_cluster(&cluster)?;
    let mut response = UpdateContainerInstancesStateResponse::default();
    for reference in &request.container_instances {
        let id = name::container_instance(Some(reference))?;
        let failure = |reason: &str| Failure {
            arn: Some(state.arns().container_instance(&cluster, &id)),
            reason: Some(reason.to_owned()),
            detail: None,
        };
        match found(&state, &cluster, &id).map(|one| one.status) {
            None => response.failures.push(failure("MISSING")),
            Some(InstanceStatus::Inactive) => response.failures.push(failure("INACTIVE")),
            Some(InstanceStatus::Active | InstanceStatus::Draining) => {
                state = api
                    .write(Command::SetContainerInstanceStatus {
                        id: id.clone(),
                        status,
                    })
                    .await?;
                let instance = found(&state, &cluster, &id);
                response
                    .container_instances
                    .extend(instance.map(|one| convert::to_proto(&state, one)));
            }
        }
    }
    Ok(response)
}

fn found<'a>(
    state: &'a ClusterState,
    cluster: &ClusterName,
    id: &ContainerInstanceId,
) -> Option<&'a ContainerInstance> {
    state
        .container_instances
        .get(id)
        .filter(|one| one.cluster == *cluster)
        .map(AsRef::as_ref)
}

fn status(text: &str) -> Result<InstanceStatus, Rejection> {
    match text {
        "ACTIVE" => Ok(InstanceStatus::Active),
        "DRAINING" => Ok(InstanceStatus::Draining),
        "INACTIVE" => Ok(InstanceStatus::Inactive),
        other => Err(Rejection::invalid(format!(
            "status '{other}' is unknown; use ACTIVE or DRAINING."
        ))),
    }
}
