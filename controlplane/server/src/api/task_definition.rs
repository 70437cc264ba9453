//! Operations on task definitions.

use std::collections::BTreeSet;

use prost::Message;
use roadstead_core::id::{Family, TaskDefinitionId};
use roadstead_core::state::task_definition::TaskDefinition;
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_proto::ecs::{
    DeregisterTaskDefinitionRequest, DeregisterTaskDefinitionResponse,
    DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse,
    ListTaskDefinitionFamiliesRequest, ListTaskDefinitionFamiliesResponse,
    ListTaskDefinitionsRequest, ListTaskDefinitionsResponse, RegisterTaskDefinitionRequest,
    RegisterTaskDefinitionResponse,
};

use super::Api;
use super::convert::{name, task_definition as convert};
use super::page::{Item, Wanted, page};
use super::status::Refusal;
use crate::clock;

/// ECS takes definitions of up to 64 KiB.
const LARGEST_DEFINITION: usize = 64 << 10;

pub(super) async fn register(
    api: &Api,
    request: RegisterTaskDefinitionRequest,
) -> Result<RegisterTaskDefinitionResponse, Refusal> {
    if request.encoded_len() > LARGEST_DEFINITION {
        return Err(Rejection::client("A task definition may have at most 64 KiB.").into());
    }
    let definition = convert::from_request(request)?;
    definition.check()?;
    let (family, content) = (definition.family.clone(), definition.clone());
    let state = api
        .write(Command::RegisterTaskDefinition {
            definition,
            at: clock::now(),
        })
        .await?;
    // Another client may have registered since: this one's revision is the newest with its content.
    let registered = state
        .revisions(&family)
        .rev()
        .find(|one| one.content == content);
    let described = registered.map(|one| convert::to_proto(&state.arns(), one));
    Ok(RegisterTaskDefinitionResponse {
        task_definition: described,
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeTaskDefinitionRequest,
) -> Result<DescribeTaskDefinitionResponse, Refusal> {
    let (family, revision) = name::task_definition(request.task_definition.as_deref())?;
    let state = api.read().await?;
    let found = match revision {
        Some(revision) => state
            .task_definitions
            .get(&TaskDefinitionId { family, revision }),
        None => state.revisions(&family).rev().find(|one| one.active()),
    };
    let found = found.ok_or_else(|| Rejection::client("Unable to describe task definition."))?;
    Ok(DescribeTaskDefinitionResponse {
        task_definition: Some(convert::to_proto(&state.arns(), found)),
    })
}

pub(super) async fn deregister(
    api: &Api,
    request: DeregisterTaskDefinitionRequest,
) -> Result<DeregisterTaskDefinitionResponse, Refusal> {
    let (family, revision) = name::task_definition(request.task_definition.as_deref())?;
    let revision = revision.ok_or_else(|| Rejection::client("Revision is missing."))?;
    let id = TaskDefinitionId { family, revision };
    let state = api
        .write(Command::DeregisterTaskDefinition {
            id: id.clone(),
            at: clock::now(),
        })
        .await?;
    let described = state
        .task_definitions
        .get(&id)
        .map(|one| convert::to_proto(&state.arns(), one));
    Ok(DeregisterTaskDefinitionResponse {
        task_definition: described,
    })
}

pub(super) async fn list(
    api: &Api,
    request: ListTaskDefinitionsRequest,
) -> Result<ListTaskDefinitionsResponse, Refusal> {
    let active = match request.status.as_deref() {
        None | Some("ACTIVE") => true,
        Some("INACTIVE") => false,
        Some(other) => return Err(unknown("status", other, "ACTIVE or INACTIVE").into()),
    };
    let descending = match request.sort.as_deref() {
        None | Some("ASC") => false,
        Some("DESC") => true,
        Some(other) => return Err(unknown("sort", other, "ASC or DESC").into()),
    };
    let state = api.read().await?;
    let arns = state.arns();
    // The prefix is an exact family here, unlike in ListTaskDefinitionFamilies.
    let wanted = request.family_prefix.map(Family::new);
    let matches = |one: &TaskDefinition| {
        one.active() == active
            && wanted
                .as_ref()
                .is_none_or(|family| one.id.family == *family)
    };
    let found = state.task_definitions.values().filter(|one| matches(one));
    // By family and then by number: `web:10` comes after `web:9`. A space sorts before what names hold.
    let all = found.map(|one| Item {
        key: format!("{} {:010}", one.id.family, one.id.revision),
        text: arns.task_definition(&one.id),
    });
    let (task_definition_arns, next_token) = page(
        all,
        &Wanted {
            token: request.next_token.as_deref(),
            most: request.max_results,
            default: 100,
            descending,
        },
    )?;
    Ok(ListTaskDefinitionsResponse {
        task_definition_arns,
        next_token,
    })
}

pub(super) async fn families(
    api: &Api,
    request: ListTaskDefinitionFamiliesRequest,
) -> Result<ListTaskDefinitionFamiliesResponse, Refusal> {
    let state = api.read().await?;
    let active = active_families(&state);
    let wanted: fn(bool) -> bool = match request.status.as_deref() {
        None | Some("ALL") => |_| true,
        Some("ACTIVE") => |active| active,
        Some("INACTIVE") => |active| !active,
        Some(other) => return Err(unknown("status", other, "ACTIVE, INACTIVE or ALL").into()),
    };
    let prefix = request.family_prefix.unwrap_or_default();
    let found = state
        .families
        .keys()
        .filter(|family| family.as_str().starts_with(&prefix) && wanted(active.contains(family)))
        .map(ToString::to_string);
    let (families, next_token) = page(
        found,
        &Wanted::hundred(request.next_token.as_deref(), request.max_results),
    )?;
    Ok(ListTaskDefinitionFamiliesResponse {
        families,
        next_token,
    })
}

fn active_families(state: &ClusterState) -> BTreeSet<&Family> {
    state
        .task_definitions
        .values()
        .filter(|one| one.active())
        .map(|one| &one.id.family)
        .collect()
}

fn unknown(field: &str, value: &str, known: &str) -> Rejection {
    Rejection::invalid(format!("{field} '{value}' is unknown; use {known}."))
}
