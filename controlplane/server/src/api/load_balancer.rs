//! Operations on load balancers.

use roadstead_core::id::LoadBalancerName;
use roadstead_core::{ClusterState, Command, Exception, Rejection};
use roadstead_proto::elb::{
    CreateLoadBalancerRequest, CreateLoadBalancerResponse, DeleteLoadBalancerRequest,
    DeleteLoadBalancerResponse, DescribeLoadBalancersRequest, DescribeLoadBalancersResponse,
    LoadBalancer,
};

use super::convert::{listener::load_balancer_to_proto, name};
use super::status::Refusal;
use super::{Api, within};
use crate::clock;

pub(super) async fn create(
    api: &Api,
    request: CreateLoadBalancerRequest,
) -> Result<CreateLoadBalancerResponse, Refusal> {
    match request.r#type.as_deref() {
        None | Some("application") => {}
        Some(other) => {
            return Err(Rejection::validation(format!(
                "type '{other}' is not supported; use application"
            ))
            .into());
        }
    }
    let name = LoadBalancerName::new(request.name.unwrap_or_default());
    let state = api
        .write(Command::CreateLoadBalancer {
            name: name.clone(),
            at: clock::now(),
        })
        .await?;
    Ok(CreateLoadBalancerResponse {
        load_balancers: described(&state, &[name])?,
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeLoadBalancersRequest,
) -> Result<DescribeLoadBalancersResponse, Refusal> {
    within(
        request.load_balancer_arns.len() + request.names.len(),
        100,
        "names",
    )?;
    let state = api.read().await?;
    let mut names: Vec<LoadBalancerName> = Vec::new();
    for reference in request.load_balancer_arns.iter().chain(&request.names) {
        names.push(name::load_balancer(Some(reference))?);
    }
    if names.is_empty() {
        names = state.load_balancers.keys().cloned().collect();
    }
    Ok(DescribeLoadBalancersResponse {
        load_balancers: described(&state, &names)?,
    })
}

pub(super) async fn delete(
    api: &Api,
    request: DeleteLoadBalancerRequest,
) -> Result<DeleteLoadBalancerResponse, Refusal> {
    let name = name::load_balancer(request.load_balancer_arn.as_deref())?;
    api.write(Command::DeleteLoadBalancer { name }).await?;
    Ok(DeleteLoadBalancerResponse {})
}

fn described(
    state: &ClusterState,
    names: &[LoadBalancerName],
) -> Result<Vec<LoadBalancer>, Rejection> {
    let arns = state.arns();
    let find = |name: &LoadBalancerName| {
        let found = state
            .load_balancers
            .get(name)
            .map(|one| load_balancer_to_proto(&arns, one));
        found.ok_or_else(|| {
            Rejection::new(
                Exception::LoadBalancerNotFound,
                format!("Load balancer '{name}' not found"),
            )
        })
    };
    names.iter().map(find).collect()
}
