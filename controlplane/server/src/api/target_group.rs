//! Operations on target groups, and the health of their targets.

use roadstead_core::id::TargetGroupName;
use roadstead_core::targets::{self, Target};
use roadstead_core::{ClusterState, Command, Exception, Rejection};
use roadstead_proto::elb::{
    self, CreateTargetGroupRequest, CreateTargetGroupResponse, DeleteTargetGroupRequest,
    DeleteTargetGroupResponse, DescribeTargetGroupAttributesRequest,
    DescribeTargetGroupAttributesResponse, DescribeTargetGroupsRequest,
    DescribeTargetGroupsResponse, DescribeTargetHealthRequest, DescribeTargetHealthResponse,
    ModifyTargetGroupAttributesRequest, ModifyTargetGroupAttributesResponse,
    ModifyTargetGroupRequest, ModifyTargetGroupResponse,
};

use super::convert::{name, target_group as convert};
use super::status::Refusal;
use super::{Api, within};

pub(super) async fn create(
    api: &Api,
    request: CreateTargetGroupRequest,
) -> Result<CreateTargetGroupResponse, Refusal> {
    let name = TargetGroupName::new(request.name.unwrap_or_default());
    let settings = ModifyTargetGroupRequest {
        target_group_arn: None,
        health_check_path: request.health_check_path,
        health_check_interval_seconds: request.health_check_interval_seconds,
        health_check_timeout_seconds: request.health_check_timeout_seconds,
        healthy_threshold_count: request.healthy_threshold_count,
        unhealthy_threshold_count: request.unhealthy_threshold_count,
        matcher: request.matcher,
        attributes: request.attributes,
        health_check_protocol: request.health_check_protocol,
    };
    let default = convert::spec_for(
        request.protocol.as_deref(),
        request.protocol_version.as_deref(),
    )?;
    let spec = convert::changed(default, &settings)?;
    let state = api
        .write(Command::CreateTargetGroup {
            name: name.clone(),
            spec,
        })
        .await?;
    Ok(CreateTargetGroupResponse {
        target_groups: described(&state, &[name])?,
    })
}

pub(super) async fn modify(
    api: &Api,
    request: ModifyTargetGroupRequest,
) -> Result<ModifyTargetGroupResponse, Refusal> {
    let name = name::target_group(request.target_group_arn.as_deref())?;
    let decide = |state: &ClusterState| {
        let group = state.target_groups.get(&name);
        let known = &group.ok_or_else(|| not_found(&name))?.spec;
        Ok(Command::ModifyTargetGroup {
            name: name.clone(),
            spec: convert::changed(known.clone(), &request)?,
            before: Some(Box::new(known.clone())),
        })
    };
    let state = api.change(decide).await?;
    Ok(ModifyTargetGroupResponse {
        target_groups: described(&state, &[name])?,
    })
}

pub(super) async fn modify_attributes(
    api: &Api,
    request: ModifyTargetGroupAttributesRequest,
) -> Result<ModifyTargetGroupAttributesResponse, Refusal> {
    let change = ModifyTargetGroupRequest {
        target_group_arn: request.target_group_arn,
        attributes: request.attributes,
        ..ModifyTargetGroupRequest::default()
    };
    let groups = modify(api, change).await?.target_groups.into_iter();
    Ok(ModifyTargetGroupAttributesResponse {
        attributes: groups.flat_map(|group| group.attributes).collect(),
    })
}

pub(super) async fn describe_attributes(
    api: &Api,
    request: DescribeTargetGroupAttributesRequest,
) -> Result<DescribeTargetGroupAttributesResponse, Refusal> {
    let name = name::target_group(request.target_group_arn.as_deref())?;
    let state = api.read().await?;
    let groups = described(&state, &[name])?.into_iter();
    Ok(DescribeTargetGroupAttributesResponse {
        attributes: groups.flat_map(|group| group.attributes).collect(),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeTargetGroupsRequest,
) -> Result<DescribeTargetGroupsResponse, Refusal> {
    within(
        request.target_group_arns.len() + request.names.len(),
        100,
        "names",
    )?;
    let state = api.read().await?;
    let mut names: Vec<TargetGroupName> = Vec::new();
    for reference in request.target_group_arns.iter().chain(&request.names) {
        names.push(name::target_group(Some(reference))?);
    }
    if names.is_empty() {
        names = state.target_groups.keys().cloned().collect();
    }
    Ok(DescribeTargetGroupsResponse {
        target_groups: described(&state, &names)?,
    })
}

pub(super) async fn delete(
    api: &Api,
    request: DeleteTargetGroupRequest,
) -> Result<DeleteTargetGroupResponse, Refusal> {
    let name = name::target_group(request.target_group_arn.as_deref())?;
    api.write(Command::DeleteTargetGroup { name }).await?;
    Ok(DeleteTargetGroupResponse {})
}

pub(super) async fn health(
    api: &Api,
    request: DescribeTargetHealthRequest,
) -> Result<DescribeTargetHealthResponse, Refusal> {
    let name = name::target_group(request.target_group_arn.as_deref())?;
    let state = api.read().await?;
    if !state.target_groups.contains_key(&name) {
        return Err(not_found(&name).into());
    }
    let found = targets::groups(&state)
        .into_iter()
        .find(|one| one.group.name == name);
    let targets = found.map(|one| one.targets).unwrap_or_default();
    let in_use = state.target_group_in_use(&name);
    let described = targets
        .iter()
        .map(|target| target_health(&state, &name, in_use, target))
        .collect();
    Ok(DescribeTargetHealthResponse {
        target_health_descriptions: described,
    })
}

fn target_health(
    state: &ClusterState,
    group: &TargetGroupName,
    group_in_use: bool,
    target: &Target,
) -> elb::TargetHealthDescription {
    let task = state.tasks.get(&target.task);
    let verdict = task.and_then(|task| task.target_health.get(group));
    // ELB names the instance; its host name is what an operator knows it by.
    let instance = task.and_then(|task| state.container_instances.get(&task.container_instance));
    elb::TargetHealthDescription {
        target: Some(elb::TargetDescription {
            id: instance.map(|instance| instance.id.to_string()),
            port: Some(i32::from(target.port)),
        }),
        target_health: Some(convert::health(target, verdict, group_in_use)),
        task_arn: task.map(|task| state.arns().task(&task.cluster, &task.id)),
        last_probes: Vec::new(),
    }
}

fn described(
    state: &ClusterState,
    names: &[TargetGroupName],
) -> Result<Vec<elb::TargetGroup>, Rejection> {
    let find = |name: &TargetGroupName| {
        let found = state
            .target_groups
            .get(name)
            .map(|one| convert::to_proto(state, one));
        found.ok_or_else(|| not_found(name))
    };
    names.iter().map(find).collect()
}

fn not_found(name: &TargetGroupName) -> Rejection {
    Rejection::new(
        Exception::TargetGroupNotFound,
        format!("Target group '{name}' not found"),
    )
}
