//! Load balancers, listeners and rules.

use roadstead_core::Rejection;
use roadstead_core::arn::Arns;
use roadstead_core::id::RuleId;
use roadstead_core::state::load_balancer::{
    Condition, Listener, LoadBalancer, Rule, check_conditions,
};
use roadstead_proto::elb;

use super::{action, condition, listener_attribute, protocol, seconds};

/// Describes a load balancer.
pub(crate) fn load_balancer_to_proto(arns: &Arns, balancer: &LoadBalancer) -> elb::LoadBalancer {
    elb::LoadBalancer {
        load_balancer_arn: Some(arns.load_balancer(&balancer.name)),
        load_balancer_name: Some(balancer.name.to_string()),
        created_time: Some(seconds(balancer.created_at)),
        r#type: Some("application".to_owned()),
        state: Some(elb::LoadBalancerState {
            code: Some("active".to_owned()),
        }),
    }
}

/// Describes a listener.
pub(crate) fn to_proto(arns: &Arns, listener: &Listener) -> elb::Listener {
    // As ELB does, without saying that it is the default one.
    let default = listener.protocol.certificates().iter().take(1);
    let default = default.map(|id| elb::Certificate {
        certificate_arn: Some(arns.certificate(id)),
        is_default: None,
    });
    elb::Listener {
        listener_arn: Some(arns.listener(&listener.id)),
        load_balancer_arn: Some(arns.load_balancer(&listener.id.load_balancer)),
        port: Some(i32::from(listener.port)),
        protocol: Some(listener.protocol.name().to_owned()),
        default_actions: vec![action::to_proto(arns, &listener.default)],
        certificates: default.collect(),
        mutual_authentication: protocol::mutual_authentication(&listener.protocol),
        attributes: listener_attribute::to_proto(&listener.attributes),
    }
}

/// Describes the rules of a listener, the default one last.
pub(crate) fn rules_to_proto(arns: &Arns, listener: &Listener) -> Vec<elb::Rule> {
    let mut rules: Vec<_> = listener
        .rules
        .iter()
        .map(|(id, rule)| rule_to_proto(arns, listener, id, rule))
        .collect();
    rules.push(elb::Rule {
        rule_arn: None,
        priority: Some("default".to_owned()),
        conditions: Vec::new(),
        actions: vec![action::to_proto(arns, &listener.default)],
        is_default: Some(true),
    });
    rules
}

/// Describes one rule.
pub(crate) fn rule_to_proto(
    arns: &Arns,
    listener: &Listener,
    id: &RuleId,
    rule: &Rule,
) -> elb::Rule {
    elb::Rule {
        rule_arn: Some(arns.rule(&listener.id, id)),
        priority: Some(rule.priority.to_string()),
        conditions: rule.conditions.iter().map(condition::to_proto).collect(),
        actions: vec![action::to_proto(arns, &rule.action)],
        is_default: Some(false),
    }
}

/// Reads a rule.
pub(crate) fn rule_from_request(request: &elb::CreateRuleRequest) -> Result<Rule, Rejection> {
    Ok(Rule {
        priority: priority(request.priority)?,
        conditions: conditions(&request.conditions)?,
        action: action::from_proto(&request.actions)?,
    })
}

/// Reads a priority.
pub(crate) fn priority(given: Option<i32>) -> Result<u32, Rejection> {
    let priority = given.and_then(|priority| u32::try_from(priority).ok());
    priority.ok_or_else(|| Rejection::validation("priority must be 1 to 50000"))
}

/// Reads the conditions of a rule. What no rule may have is refused before it takes up room in the log.
pub(crate) fn conditions(given: &[elb::RuleCondition]) -> Result<Vec<Condition>, Rejection> {
    let conditions = given.iter().map(condition::from_proto);
    let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
    check_conditions(&conditions)?;
    Ok(conditions)
}
