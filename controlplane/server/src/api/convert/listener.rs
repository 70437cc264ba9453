//! Load balancers, listeners and rules.

use roadstead_core::arn::Arns;
use roadstead_core::id::RuleId;
use roadstead_core::state::load_balancer::{Forward, Listener, LoadBalancer, Rule};
use roadstead_core::{Exception, Rejection};
use roadstead_proto::elb;

use super::{count, name, seconds};

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
    elb::Listener {
        listener_arn: Some(arns.listener(&listener.id)),
        load_balancer_arn: Some(arns.load_balancer(&listener.id.load_balancer)),
        port: Some(i32::from(listener.port)),
        protocol: Some("HTTP".to_owned()),
        default_actions: vec![forward_to_proto(arns, &listener.default)],
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
        actions: vec![forward_to_proto(arns, &listener.default)],
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
    let condition = |field: &str, values: &[String]| elb::RuleCondition {
        field: Some(field.to_owned()),
        values: values.to_vec(),
    };
    let mut conditions = Vec::new();
    if !rule.hosts.is_empty() {
        conditions.push(condition("host-header", &rule.hosts));
    }
    if !rule.paths.is_empty() {
        conditions.push(condition("path-pattern", &rule.paths));
    }
    elb::Rule {
        rule_arn: Some(arns.rule(&listener.id, id)),
        priority: Some(rule.priority.to_string()),
        conditions,
        actions: vec![forward_to_proto(arns, &rule.forward)],
        is_default: Some(false),
    }
}

fn forward_to_proto(arns: &Arns, forwards: &[Forward]) -> elb::Action {
    let tuple = |one: &Forward| elb::TargetGroupTuple {
        target_group_arn: Some(arns.target_group(&one.target_group)),
        weight: Some(count(one.weight)),
    };
    let only = match forwards {
        [one] => Some(arns.target_group(&one.target_group)),
        _ => None,
    };
    elb::Action {
        r#type: Some("forward".to_owned()),
        target_group_arn: only,
        forward_config: Some(elb::ForwardActionConfig {
            target_groups: forwards.iter().map(tuple).collect(),
        }),
    }
}

/// Reads the actions of a listener or a rule: exactly one, `forward`.
pub(crate) fn forwards(actions: &[elb::Action]) -> Result<Vec<Forward>, Rejection> {
    let [action] = actions else {
        return Err(Rejection::validation(
            "actions must hold exactly one forward action",
        ));
    };
    match action.r#type.as_deref() {
        Some("forward") => {}
        other => {
            return Err(Rejection::validation(format!(
                "action type '{}' is not supported; use forward",
                other.unwrap_or_default()
            )));
        }
    }
    match (&action.target_group_arn, &action.forward_config) {
        (Some(arn), None) => {
            let target_group = name::target_group(Some(arn))?;
            Ok(vec![Forward {
                target_group,
                weight: 1,
            }])
        }
        (_, Some(config)) => config.target_groups.iter().map(forward).collect(),
        (None, None) => Err(Rejection::validation(
            "a forward action needs targetGroupArn or forwardConfig",
        )),
    }
}

fn forward(tuple: &elb::TargetGroupTuple) -> Result<Forward, Rejection> {
    let weight = u32::try_from(tuple.weight.unwrap_or(1));
    let weight = weight.map_err(|_| Rejection::validation("weight must be 0 to 999"))?;
    Ok(Forward {
        target_group: name::target_group(tuple.target_group_arn.as_deref())?,
        weight,
    })
}

/// Reads a rule.
pub(crate) fn rule_from_request(request: &elb::CreateRuleRequest) -> Result<Rule, Rejection> {
    let priority = request
        .priority
        .and_then(|priority| u32::try_from(priority).ok());
    let priority = priority.ok_or_else(|| Rejection::validation("priority must be 1 to 50000"))?;
    let (mut hosts, mut paths) = (Vec::new(), Vec::new());
    for condition in &request.conditions {
        match condition.field.as_deref() {
            Some("host-header") => hosts.extend(condition.values.iter().cloned()),
            Some("path-pattern") => paths.extend(condition.values.iter().cloned()),
            other => {
                return Err(Rejection::new(
                    Exception::ValidationError,
                    format!(
                        "condition field '{}' is not supported; use host-header or path-pattern",
                        other.unwrap_or_default()
                    ),
                ));
            }
        }
    }
    Ok(Rule {
        priority,
        hosts,
        paths,
        forward: forwards(&request.actions)?,
    })
}
