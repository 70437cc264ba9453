//! Operations on the rules of a listener.

use roadstead_core::id::{ListenerRef, RuleId};
use roadstead_core::{ClusterState, Command};
use roadstead_proto::elb::{
    CreateRuleRequest, CreateRuleResponse, DeleteRuleRequest, DeleteRuleResponse,
    DescribeRulesRequest, DescribeRulesResponse, ModifyRuleRequest, ModifyRuleResponse, Rule,
    SetRulePrioritiesRequest, SetRulePrioritiesResponse,
};

use super::convert::{action, listener as convert, name};
use super::status::Refusal;
use super::{Api, within};
use crate::id;

pub(super) async fn create(
    api: &Api,
    request: CreateRuleRequest,
) -> Result<CreateRuleResponse, Refusal> {
    let listener = name::listener(request.listener_arn.as_deref())?;
    let rule = convert::rule_from_request(&request)?;
    let id = id::rule();
    let command = Command::CreateRule {
        listener: listener.clone(),
        id: id.clone(),
        rule,
    };
    let state = api.write(command).await?;
    Ok(CreateRuleResponse {
        rules: described(&state, &listener, &[id])?,
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeRulesRequest,
) -> Result<DescribeRulesResponse, Refusal> {
    let listener = name::listener(request.listener_arn.as_deref())?;
    let state = api.read().await?;
    Ok(DescribeRulesResponse {
        rules: convert::rules_to_proto(&state.arns(), state.listener(&listener)?),
    })
}

/// Changes what is given, and keeps the rest.
pub(super) async fn modify(
    api: &Api,
    request: ModifyRuleRequest,
) -> Result<ModifyRuleResponse, Refusal> {
    let (listener, id) = name::rule(request.rule_arn.as_deref())?;
    let conditions = match request.conditions.as_slice() {
        [] => None,
        conditions => Some(convert::conditions(conditions)?),
    };
    let action = match request.actions.as_slice() {
        [] => None,
        actions => Some(action::from_proto(actions)?),
    };
    let command = Command::ModifyRule {
        listener: listener.clone(),
        id: id.clone(),
        conditions,
        action,
    };
    let state = api.write(command).await?;
    Ok(ModifyRuleResponse {
        rules: described(&state, &listener, &[id])?,
    })
}

pub(super) async fn set_priorities(
    api: &Api,
    request: SetRulePrioritiesRequest,
) -> Result<SetRulePrioritiesResponse, Refusal> {
    within(request.rule_priorities.len(), 100, "rulePriorities")?;
    let mut priorities = Vec::with_capacity(request.rule_priorities.len());
    for pair in &request.rule_priorities {
        let (listener, id) = name::rule(pair.rule_arn.as_deref())?;
        priorities.push((listener, id, convert::priority(pair.priority)?));
    }
    let command = Command::SetRulePriorities {
        priorities: priorities.clone(),
    };
    let state = api.write(command).await?;
    let ids: Vec<_> = priorities.iter().map(|(_, id, _)| id.clone()).collect();
    let rules = match priorities.first() {
        Some((listener, ..)) => described(&state, listener, &ids)?,
        None => Vec::new(),
    };
    Ok(SetRulePrioritiesResponse { rules })
}

/// Returns these rules of a listener, in the order in which they are tried.
fn described(
    state: &ClusterState,
    listener: &ListenerRef,
    ids: &[RuleId],
) -> Result<Vec<Rule>, Refusal> {
    let listener = state.listener(listener)?;
    let arns = state.arns();
    let rules = listener.rules.iter().filter(|(id, _)| ids.contains(id));
    let described = rules.map(|(id, rule)| convert::rule_to_proto(&arns, listener, id, rule));
    Ok(described.collect())
}

pub(super) async fn delete(
    api: &Api,
    request: DeleteRuleRequest,
) -> Result<DeleteRuleResponse, Refusal> {
    let (listener, id) = name::rule(request.rule_arn.as_deref())?;
    api.write(Command::DeleteRule { listener, id }).await?;
    Ok(DeleteRuleResponse {})
}
