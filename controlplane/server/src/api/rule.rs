//! Operations on the rules of a listener.

use roadstead_core::Command;
use roadstead_proto::elb::{
    CreateRuleRequest, CreateRuleResponse, DeleteRuleRequest, DeleteRuleResponse,
    DescribeRulesRequest, DescribeRulesResponse,
};

use super::Api;
use super::convert::{listener as convert, name};
use super::status::Refusal;
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
        rule: rule.clone(),
    };
    let state = api.write(command).await?;
    let described = convert::rule_to_proto(&state.arns(), state.listener(&listener)?, &id, &rule);
    Ok(CreateRuleResponse {
        rules: vec![described],
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

pub(super) async fn delete(
    api: &Api,
    request: DeleteRuleRequest,
) -> Result<DeleteRuleResponse, Refusal> {
    let (listener, id) = name::rule(request.rule_arn.as_deref())?;
    api.write(Command::DeleteRule { listener, id }).await?;
    Ok(DeleteRuleResponse {})
}
