//! Operations on services.

use roadstead_core::id::{ServiceId, TaskDefinitionId};
use roadstead_core::state::service::ServiceStatus;
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_proto::ecs::{
    self, CreateServiceRequest, CreateServiceResponse, DeleteServiceRequest, DeleteServiceResponse,
    DescribeServicesRequest, DescribeServicesResponse, ListServicesRequest, ListServicesResponse,
    UpdateServiceRequest, UpdateServiceResponse,
};

use super::convert::{name, service as convert};
use super::page::{Wanted, page};
use super::status::Refusal;
use super::{Api, missing, within};
use crate::{clock, id};

pub(super) async fn create(
    api: &Api,
    request: CreateServiceRequest,
) -> Result<CreateServiceResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    let service = name::service(request.service_name.as_deref())
        .map_err(|_| Rejection::invalid("serviceName must not be empty."))?;
    let state = api.read().await?;
    state.active_cluster(&cluster)?;
    let definition = resolve(&state, request.task_definition.as_deref())?;
    let spec = convert::spec_from_request(&request, definition)?;
    let id = ServiceId { cluster, service };
    let command = Command::CreateService {
        id: id.clone(),
        spec,
        deployment: id::deployment(),
        at: clock::now(),
    };
    let state = api.write(command).await?;
    Ok(CreateServiceResponse {
        service: found(&state, &id),
    })
}

pub(super) async fn update(
    api: &Api,
    request: UpdateServiceRequest,
) -> Result<UpdateServiceResponse, Refusal> {
    let id = reference(request.cluster.as_deref(), request.service.as_deref())?;
    let state = api.read().await?;
    state.service(&id)?;
    let named = request.task_definition.as_deref();
    let definition = named.map(|text| resolve(&state, Some(text))).transpose()?;
    let update = convert::update_from_request(&request, definition)?;
    let command = Command::UpdateService {
        id: id.clone(),
        update,
        deployment: id::deployment(),
        at: clock::now(),
    };
    let state = api.write(command).await?;
    Ok(UpdateServiceResponse {
        service: found(&state, &id),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: DeleteServiceRequest,
) -> Result<DeleteServiceResponse, Refusal> {
    let id = reference(request.cluster.as_deref(), request.service.as_deref())?;
    let force = request.force.unwrap_or(false);
    let state = api
        .write(Command::DeleteService {
            id: id.clone(),
            force,
            at: clock::now(),
        })
        .await?;
    Ok(DeleteServiceResponse {
        service: found(&state, &id),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeServicesRequest,
) -> Result<DescribeServicesResponse, Refusal> {
    within(request.services.len(), 10, "services")?;
    if request.services.is_empty() {
        return Err(Rejection::invalid("services must name 1 to 10 services.").into());
    }
    let state = api.read().await?;
    state.active_cluster(&name::cluster(request.cluster.as_deref()))?;
    let mut response = DescribeServicesResponse::default();
    for service in &request.services {
        let id = reference(request.cluster.as_deref(), Some(service))?;
        match found(&state, &id) {
            Some(service) if !response.services.contains(&service) => {
                response.services.push(service);
            }
            Some(_) => {}
            None => response.failures.push(missing(state.arns().service(&id))),
        }
    }
    Ok(response)
}

pub(super) async fn list(
    api: &Api,
    request: ListServicesRequest,
) -> Result<ListServicesResponse, Refusal> {
    let cluster = name::cluster(request.cluster.as_deref());
    let state = api.read().await?;
    state.active_cluster(&cluster)?;
    let arns = state.arns();
    let listed = state
        .services
        .values()
        .filter(|service| service.id.cluster == cluster && service.status == ServiceStatus::Active);
    let all = listed.map(|service| arns.service(&service.id));
    let (service_arns, next_token) = page(
        all,
        &Wanted {
            token: request.next_token.as_deref(),
            most: request.max_results,
            default: 10,
            descending: false,
        },
    )?;
    Ok(ListServicesResponse {
        service_arns,
        next_token,
    })
}

pub(super) fn reference(
    cluster: Option<&str>,
    service: Option<&str>,
) -> Result<ServiceId, Rejection> {
    Ok(ServiceId {
        cluster: name::cluster(cluster),
        service: name::service(service)?,
    })
}

/// Finds the revision that a reference means now: a family alone is its newest active one.
pub(super) fn resolve(
    state: &ClusterState,
    reference: Option<&str>,
) -> Result<TaskDefinitionId, Rejection> {
    let (family, revision) = name::task_definition(reference)?;
    Ok(state.usable_task_definition(&family, revision)?.id.clone())
}

fn found(state: &ClusterState, id: &ServiceId) -> Option<ecs::Service> {
    state
        .services
        .get(id)
        .map(|service| convert::to_proto(state, service))
}
